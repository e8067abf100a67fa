"""What a script asked us to keep: models, optimizers, and anything else with a state.

Modules and their optimizers go through torch.distributed.checkpoint, sharded, so that they can be
loaded on another number of processes. All the rest is small and the same on every rank: rank 0
writes it, as JSON where that loses nothing, else with torch.save. A dict is its own state.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from scaletune_trainer.failure import UserError


class Tracked:
    """The tracked objects by name, sorted by how they are kept."""

    def __init__(self) -> None:
        self.modules: dict[str, Any] = {}
        self.optimizers: list[Any] = []
        self.plain: dict[str, Any] = {}

    def add(self, name: str, thing: Any) -> None:
        if name in self.modules or name in self.plain:
            raise UserError(f"trial.track: {name!r} is tracked already; use another name")
        torch = sys.modules.get("torch")
        if torch and isinstance(thing, torch.nn.Module):
            self.modules[name] = thing
        elif torch and isinstance(thing, torch.optim.Optimizer):
            self.optimizers.append(thing)
        elif torch and _all_optimizers(torch, thing):
            self.optimizers.extend(thing)
        elif isinstance(thing, dict) or _has_state(thing):
            self.plain[name] = thing
        else:
            raise UserError(
                f"trial.track: {name!r} is a {type(thing).__name__} without state_dict() and "
                "load_state_dict(); track an object that has them, or a dict"
            )

    @property
    def is_empty(self) -> bool:
        return not (self.has_tensors or self.plain)

    @property
    def has_tensors(self) -> bool:
        return bool(self.modules or self.optimizers)

    def plain_states(self) -> dict[str, Any]:
        return {
            name: dict(thing) if isinstance(thing, dict) else thing.state_dict()
            for name, thing in self.plain.items()
        }

    def load_plain(self, states: Mapping[str, Any]) -> None:
        for name, thing in self.plain.items():
            if name not in states:
                continue  # tracked since a newer version of the script: it starts as it is
            if isinstance(thing, dict):
                thing.clear()
                thing.update(states[name])
            else:
                thing.load_state_dict(states[name])


def _has_state(thing: Any) -> bool:
    return callable(getattr(thing, "state_dict", None)) and callable(
        getattr(thing, "load_state_dict", None)
    )


def _all_optimizers(torch: Any, thing: Any) -> bool:
    if not isinstance(thing, Iterable) or isinstance(thing, dict):
        return False
    things = list(thing)
    return bool(things) and all(isinstance(item, torch.optim.Optimizer) for item in things)


def survives_json(state: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(state)) == state)
    except (TypeError, ValueError, RuntimeError):
        return False  # a tensor compares to a tensor, which is no truth value
