"""Claims about checkpoints: whose can go when a study has ended."""

from collections.abc import Sequence
from typing import Any

import pytest

from scaletune.api.trial import Trial
from scaletune.core.discarded import discarded, freed
from scaletune.core.plan import FREED
from tests.core import given

CHECKPOINT = {"incarnation": "life", "step": 2}
CLAIM = {"persistentVolumeClaim": {"claimName": "c"}}


def _trial(index: int, state: str, decision: str = "Pause", **status: Any) -> Trial:
    records = [given.record(1, 0.5, index + 1, decision)]
    return given.trial(
        index, state=state, milestones=records, **{"checkpoint": CHECKPOINT, **status}
    )


TRIALS = [
    _trial(0, "Completed", "Complete"),
    _trial(1, "Paused"),
    _trial(2, "Stopped", "Stop"),
    _trial(3, "Stopped", reason=FREED),
    _trial(4, "Stopped", reason="spec.state is Stopped"),
    _trial(5, "Failed"),
]


def _discarded(trials: Sequence[Trial], **study: Any) -> list[int]:
    found = discarded(given.study(**study), trials)
    return [trial.index for trial in found]


def test_those_that_lost_or_failed_can_go_and_no_others() -> None:
    assert _discarded(TRIALS[::-1]) == [2, 3, 5]
    assert _discarded([freed(trial) for trial in TRIALS]) == [2, 3, 5], "it is a fact for ever"


@pytest.mark.parametrize(("keep", "gone"), [("Needed", [2, 3, 5]), ("All", [])])
def test_a_study_may_keep_them_all(keep: str, gone: list[int]) -> None:
    assert _discarded(TRIALS, checkpoints={**CLAIM, "keep": keep}) == gone


def test_the_best_keeps_its_checkpoint_whatever_became_of_it() -> None:
    best = {"trial": "s-0005", "index": 5, "value": 0.5, "milestone": 1}

    assert _discarded(TRIALS, status={"best": best}) == [2, 3]


def test_whoever_others_are_still_to_go_on_from_keeps_its_checkpoint() -> None:
    taken = {**CHECKPOINT, "trial": 5}

    assert _discarded([*TRIALS, _trial(7, "Paused", checkpoint=taken)]) == [2, 3]
    assert _discarded([*TRIALS, _trial(7, "Completed", checkpoint=taken)]) == [2, 3, 5]
