"""Settings of optimizers: what a checkpoint of another trial must not take along.

The state of an optimizer holds its hyperparameters, too: the learning rate, the weight decay. A
trial that goes on from another one's checkpoint, with values of its own, wants its weights and
momenta, and not these. So they are remembered as the script has built them, and put back after the
checkpoint is loaded. Under a scheduler the learning rate keeps its place on the schedule: what is
put back is its start, by whose ratio the present rate changes.

What a script computes from `trial.parameters` at each step needs none of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scaletune_trainer.tracked import Tracked

_NOT_A_SETTING = frozenset({"params", "param_names"})
_RATE, _FIRST_RATE = "lr", "initial_lr"


@dataclass(frozen=True, slots=True)
class Settings:
    """The hyperparameters of what is tracked, as the script has built it."""

    groups: list[tuple[Any, int, dict[str, Any]]]
    """Optimizer, place of the parameter group, and what it held: loading makes new groups."""
    schedulers: list[tuple[Any, list[Any]]]
    """Each scheduler, and its learning rates at the start."""

    @classmethod
    def of(cls, tracked: Tracked) -> Settings:
        groups = [
            (optimizer, place, _settings(group))
            for optimizer in tracked.optimizers
            for place, group in enumerate(optimizer.param_groups)
        ]
        schedulers = [
            (thing, list(thing.base_lrs))
            for thing in tracked.plain.values()
            if hasattr(thing, "base_lrs")
        ]
        return cls(groups, schedulers)

    def apply(self) -> None:
        """Put them back."""
        for optimizer, place, built in self.groups:
            _put_back(optimizer.param_groups[place], built)
        for scheduler, rates in self.schedulers:
            scheduler.base_lrs = rates


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in _NOT_A_SETTING}


def _put_back(group: dict[str, Any], built: dict[str, Any]) -> None:
    first, loaded = built.get(_FIRST_RATE), group.get(_FIRST_RATE)
    rate = group.get(_RATE)
    group.update(built)
    if first is not None and loaded:
        group[_RATE] = rate * first / loaded
