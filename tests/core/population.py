"""What must hold of a population at any moment, whatever the rule by which its weak give up.

The world's checkpoints hold what their weights were trained with, so that what is stored can be
compared with what was done.
"""

from collections.abc import Sequence

from scaletune.api.configuration import Exploit
from scaletune.api.record import Milestone
from scaletune.api.trial import Trial
from scaletune.core.frame import Frame
from scaletune.core.lineage import lineage
from scaletune.core.policies.pbt import values_at
from tests.core.given import values
from tests.core.world import World


def check(world: World) -> None:
    """Raises AssertionError."""
    frame = Frame.of(world.study)
    for trial in world.trials.values():
        if trial.spec.role != "Search":
            continue
        for taken in trial.status.exploits:
            _check_exploit(world, frame, trial, taken)
        assert trial.spec.exploit in (None, *trial.status.exploits)
        check_past(world, trial)
    live = [t for t in world.trials.values() if frame.holds_place(t) and t.spec.role == "Search"]
    assert len(live) <= frame.population


def _check_exploit(world: World, frame: Frame, trial: Trial, taken: Exploit) -> None:
    """From a better one of the same age, its checkpoint of that milestone, values around its."""
    donor = world.trials[taken.donor]
    mine, its = _record(trial, taken.at), _record(donor, taken.at)
    assert donor.index != trial.index
    assert its.value is not None
    assert frame.rank_key(donor, its) < frame.rank_key(trial, mine)
    assert its.checkpoint is not None
    assert taken.checkpoint == its.checkpoint.model_copy(update={"trial": donor.index})
    before, after = (values(each) for each in (values_at(donor, taken.at), taken.parameters))
    assert before.keys() == after.keys()
    said = {(r.step, r.value) for r in world.said[trial.index] if r.attempt > taken.attempt}
    later = [each for each in trial.status.milestones if each.at > taken.at and each.value]
    assert {(each.step, each.value) for each in later} <= said
    fixed = () if world.study.spec.policy.pbt is None else world.study.spec.policy.pbt.fixed
    assert all(before[name] == after[name] for name in fixed)


def _record(trial: Trial, at: int) -> Milestone:
    return next(each for each in trial.status.milestones if each.at == at)


def check_past(world: World, trial: Trial) -> None:
    """What its checkpoint holds was trained as its lineage says, from the first step on."""
    place = trial.status.checkpoint
    if place is None or place.trial is not None:
        return
    pieces = lineage(world.trials.get, trial, place.step)
    ends = [0, *(each.until for each in pieces)]
    assert [each.start for each in pieces] == ends[:-1]
    told = [(each.start, each.until, tuple(each.used.items())) for each in pieces]
    assert _merged(world.checkpoints[place.incarnation, place.step]) == _merged(told)


def _merged(past: Sequence[tuple[int, int, object]]) -> list[tuple[int, int, object]]:
    """Pieces as if nothing had been interrupted."""
    merged: list[tuple[int, int, object]] = []
    for start, until, used in past:
        if merged and merged[-1][1:] == (start, used):
            start = merged.pop()[0]
        merged.append((start, until, used))
    return merged
