"""Mishaps: Events that say how attempts ended that were not agreed on. For people alone."""

from collections.abc import Iterable, Iterator, Mapping

from scaletune.api.conditions import HEALTHY, condition
from scaletune.api.trial import Trial
from scaletune.shells.kubernetes.turn.events import Happening


def news(before: Mapping[int, Trial], stored: Iterable[Trial]) -> Iterator[Happening]:
    """What is new and bad in the condition Healthy of the Trials just stored.

    It is told apart by the attempt and the cause.
    """
    for trial in stored:
        new = condition(trial.status.conditions, HEALTHY)
        old = condition(before[trial.index].status.conditions, HEALTHY)
        if new is not None and new.status == "False" and (old is None or old != new):
            key = f"a{trial.status.attempts[-1].number}.{new.reason}"
            yield Happening(trial, key, new.reason, new.message, is_warning=True)
