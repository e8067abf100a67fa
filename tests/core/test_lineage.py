"""Claims about lineage: whose parameters the weights of a trial were trained with."""

from typing import Any

from scaletune.api.trial import Trial
from scaletune.core.lineage import lineage
from tests.core import given


def trained(index: int, x: float, *exploits: Any, parent: Any = None, upto: int = 3) -> Trial:
    """A Trial with records up to a milestone."""
    records = [given.record(at, 0.1, at, "Continue") for at in range(1, upto + 1)]
    made = given.trial(index, *records, exploits=exploits)
    spec: dict[str, Any] = {"index": index, "parameters": [{"name": "x", "float": x}]}
    if parent is not None:
        spec["parent"] = parent
    return Trial.model_validate({**made.model_dump(by_alias=True), "spec": spec})


def taken(at: int, donor: int, x: float) -> dict[str, Any]:
    """What a trial takes over from another one at a milestone."""
    checkpoint = {"incarnation": "life", "step": at, "trial": donor}
    parameters = [{"name": "x", "float": x}]
    return {"at": at, "donor": donor, "checkpoint": checkpoint, "parameters": parameters}


def pieces(trials: list[Trial], of: int) -> list[tuple[int, int, int, Any]]:
    known = {each.index: each for each in trials}
    return [
        (each.start, each.until, each.trial, each.used["x"])
        for each in lineage(known.get, known[of])
    ]


def test_a_trial_of_its_own_is_one_piece() -> None:
    assert pieces([trained(0, 0.5)], 0) == [(0, 3, 0, 0.5)]


def test_what_was_taken_over_has_the_past_that_it_had_then() -> None:
    donor = trained(0, 0.5, taken(2, 1, 0.9))  # later it gave up itself
    loser = trained(1, 0.1, taken(1, 0, 0.6))

    assert pieces([donor, loser], 1) == [(0, 1, 0, 0.5), (1, 3, 1, 0.6)]
    assert pieces([donor, loser], 0) == [(0, 1, 0, 0.5), (1, 2, 1, 0.6), (2, 3, 0, 0.9)]


def test_a_child_has_the_past_of_its_parent_and_a_deleted_one_is_left_out() -> None:
    parent = trained(0, 0.5)
    child = trained(7, 0.4, parent={"incarnation": "life", "step": 2, "trial": 0})

    assert pieces([parent, child], 7) == [(0, 2, 0, 0.5), (2, 3, 7, 0.4)]
    assert pieces([child], 7) == [(2, 3, 7, 0.4)]
