"""Optimizers by name, so that the optimizer can be a parameter of a study.

AdamW, Adafactor, Muon and SGD are torch's own. What is ours is who gets what: weight decay on
matrices only, and Muon on the hidden matrices, where orthogonal updates make sense, with AdamW for
embeddings, heads, norms and biases. Muon's step is scaled to AdamW's size, so that one learning
rate means about the same for both.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import SGD, Adafactor, AdamW, Muon, Optimizer

from scaletune_trainer.failure import UserError

NAMES = ("adamw", "adafactor", "muon", "sgd")
_BETAS = (0.9, 0.95)
_MOMENTUM = 0.9


def build(
    name: str, model: nn.Module, *, learning_rate: float, weight_decay: float = 0.0
) -> list[Optimizer]:
    """One or two optimizers that together train every parameter; track and step all of them."""
    parameters: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
    if name == "adamw":
        return [_adamw(parameters, learning_rate, weight_decay)]
    if name == "adafactor":
        groups = _groups(parameters, weight_decay)
        return [Adafactor(groups, lr=learning_rate, beta2_decay=-0.8, d=1.0)]
    if name == "sgd":
        groups = _groups(parameters, weight_decay)
        return [SGD(groups, lr=learning_rate, momentum=_MOMENTUM, nesterov=True)]
    if name == "muon":
        hidden = hidden_matrices(model)
        ours = {id(parameter) for parameter in hidden}
        others = [parameter for parameter in parameters if id(parameter) not in ours]
        muon = Muon(
            hidden, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        return [muon, _adamw(others, learning_rate, weight_decay)]
    raise UserError(f"there is no optimizer {name!r}; choose one of {', '.join(NAMES)}")


def hidden_matrices(model: nn.Module) -> list[torch.Tensor]:
    """The weights of linear layers, but for those shared with an embedding and for heads.

    A head is a linear layer called `head` or `lm_head`, whose outputs are logits.
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    return [
        module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and module.weight.requires_grad
        and id(module.weight) not in embeddings
        and name.rpartition(".")[2] not in ("head", "lm_head")
    ]


def _adamw(parameters: Iterable[torch.Tensor], rate: float, decay: float) -> AdamW:
    return AdamW(_groups(parameters, decay), lr=rate, betas=_BETAS, fused=True)


def _groups(parameters: Iterable[torch.Tensor], decay: float) -> list[dict[str, object]]:
    matrices: list[torch.Tensor] = []
    vectors: list[torch.Tensor] = []
    for parameter in parameters:
        (matrices if parameter.ndim >= 2 else vectors).append(parameter)
    groups = [(matrices, decay), (vectors, 0.0)]
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]
