"""torchrun --nproc-per-node 1 trainer-image/examples/gpt.py

A small GPT on bytes, trained on text that is on every machine: the sources of Python's standard
library. Files are split by the hash of their path, so that validation text is never trained on; the
loss is in nats per byte (5.5 = knows nothing), on a fixed sample. Batches are a function of
(seed, step), so a resumed trial sees exactly what an undisturbed one would have seen.

Sized for a laptop's core: one training of 270 steps takes about 20 seconds.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

import scaletune_trainer as scaletune
from scaletune_trainer import optim, schedule

CONTEXT = 64
HEAD_WIDTH = 16
VALIDATION_WINDOWS = 96
NOT_THE_LIBRARY = ("site-packages", "dist-packages", "test")
DEFAULTS: dict[str, bool | int | float | str] = {
    "learning_rate": 3e-3,
    "batch_size": 32,
    "weight_decay": 0.1,
    "width": 64,
    "depth": 2,
    "optimizer": "adamw",
    "warm_up": 20,
}


class Block(nn.Module):
    """Attention and a two-layer perceptron, each added to the residual stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD_WIDTH)
        self.before_attention, self.before_mlp = nn.RMSNorm(width), nn.RMSNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.mixed = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.query_key_value(self.before_attention(x))
        query, key, value = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in parts.split(width, dim=2)
        )
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.mixed(attended.transpose(1, 2).reshape(batch, length, width))
        hidden: Tensor = x + self.down(functional.gelu(self.up(self.before_mlp(x))))
        return hidden


class GPT(nn.Module):
    """Predicts the next byte."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.bytes = nn.Embedding(256, width)
        self.positions = nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, 256, bias=False)
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """The mean loss, in nats per byte."""
        x = self.bytes(tokens) + self.positions.weight[: tokens.shape[1]]
        logits = self.head(self.norm(self.blocks(x)))
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def texts() -> tuple[Tensor, Tensor]:
    """All bytes of the standard library's sources: for training, and (one file in ten) not."""
    root = Path(sysconfig.get_path("stdlib"))
    parts: tuple[list[bytes], list[bytes]] = ([], [])
    for path in sorted([*root.glob("*.py"), *root.glob("*/*.py")]):
        relative = path.relative_to(root)
        if relative.parts[0] not in NOT_THE_LIBRARY:
            held_out = hashlib.sha256(relative.as_posix().encode()).digest()[0] % 10 == 0
            parts[held_out].append(path.read_bytes())
    training, validation = (bytearray(b"".join(part)) for part in parts)
    return torch.frombuffer(training, dtype=torch.uint8), torch.frombuffer(
        validation, dtype=torch.uint8
    )


def windows(text: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens and what follows each of them."""
    rows = text[starts[:, None] + torch.arange(CONTEXT + 1)].long()
    return rows[:, :-1], rows[:, 1:]


def batch(text: Tensor, seed: int, step: int, size: int) -> tuple[Tensor, Tensor]:
    """The whole batch of a step: the same whoever asks, however often the trial was resumed."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    return windows(text, torch.randint(len(text) - CONTEXT - 1, (size,), generator=generator))


def evaluate(model: nn.Module, text: Tensor) -> float:
    starts = torch.linspace(0, len(text) - CONTEXT - 2, VALIDATION_WINDOWS).long()
    with torch.no_grad():
        return float(model(*windows(text, starts)))


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    trial = scaletune.trial(defaults=DEFAULTS, max_steps=270, every=30)
    parameters = trial.parameters
    torch.manual_seed(trial.seed)
    gpt = GPT(int(parameters["width"]), int(parameters["depth"]))
    model: nn.Module = gpt
    if trial.world_size > 1:
        dist.init_process_group("gloo")
        model = DistributedDataParallel(gpt)
    rate = float(parameters["learning_rate"])
    optimizers = optim.build(
        str(parameters["optimizer"]),
        gpt,
        learning_rate=rate,
        weight_decay=float(parameters["weight_decay"]),
    )
    trial.track(model=gpt, optimizers=optimizers)
    training, validation = texts()
    for step in trial.steps():
        share = schedule.factor(step, warm_up=int(parameters["warm_up"]), steps=trial.max_steps)
        schedule.set_rate(optimizers, rate * share)
        tokens, targets = batch(training, trial.seed, step, int(parameters["batch_size"]))
        loss = model(
            tokens[trial.rank :: trial.world_size], targets[trial.rank :: trial.world_size]
        )
        loss.backward()
        nn.utils.clip_grad_norm_(gpt.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        trial.report(train_loss=loss, learning_rate=rate * share)
        if trial.due:
            trial.report(val_loss=evaluate(gpt, validation))


if __name__ == "__main__":
    main()
