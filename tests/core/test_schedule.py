"""Claims about schedules: values change at the steps that were given, whatever else happens."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from scaletune.api.configuration import Change
from scaletune.api.study import Study
from scaletune.core import attempts, confirmation
from scaletune.core.ledger import Ledger
from scaletune.core.lineage import Piece, lineage
from scaletune.core.samplers.draws import typed
from scaletune.core.schedule import course, leg, scheduled
from scaletune.shells.simulate.faults import Circumstances, Failures, Overhead
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, simulate
from tests.core import given

RATE = {"name": "rate", "float": {"min": 0.01, "max": 1.0, "scale": "Log"}}
SCHEDULE = [{"after": 5, "values": {"rate": 0.2}}, {"after": 2, "values": {"rate": 0.4}}]


def trained(
    parameters: Mapping[str, Any], start: int, until: int, seed: int, state: Any = None
) -> dict[str, Any]:
    """A loss that falls fastest at a falling rate; its state is the rate of each step."""
    rates = [*(state or []), *[parameters["rate"]] * (until - start)]
    loss = sum(abs(math.log(rate / 0.7**step)) for step, rate in enumerate(rates))
    return {"value": loss, "seconds": float(until - start), "state": rates}


def run(of: Study, failures: Failures | None = None) -> Shell:
    where = Circumstances(Overhead(0.5, 0.5, 0.1), failures or Failures())
    return simulate(Setting(of, trained, where), of.spec.seed)


def one(**more: Any) -> Study:
    """A Study of a single trial, whose rate changes twice."""
    fields = {"parameters": [RATE], "initial": [{"rate": 0.8}], "schedule": SCHEDULE}
    return given.study(**{"mode": "Full", "most": 9, "budget": {"trials": 1}, **fields, **more})


def told(pieces: list[Piece]) -> list[Any]:
    """The rate of each step."""
    return [each.used["rate"] for each in pieces for _ in range(each.start, each.until)]


@pytest.mark.parametrize("failures", [Failures(), Failures(4.0, 1.0)], ids=["calm", "nodes fail"])
@pytest.mark.parametrize("mode", ["Full", "Stop", "Promote"])
def test_a_trial_trains_with_the_values_of_its_schedule(mode: str, failures: Failures) -> None:
    shell = run(one(mode=mode), failures)
    trial = shell.trials[0]

    assert trial.status.state == "Completed"
    assert shell.world.state_of(0) == [0.8] * 2 + [0.4] * 3 + [0.2] * 4
    assert told(lineage(shell.trials.get, trial)) == shell.world.state_of(0)
    assert len(trial.status.attempts) >= 3 or failures.mtbf < math.inf


def test_scaling_rules_hold_for_every_value_of_a_schedule() -> None:
    rule = {"parameter": "rate", "law": "Linear", "with": "batch", "reference": 8}
    batch = {"name": "batch", "int": {"min": 1, "max": 64}}
    of = one(
        parameters=[RATE, batch],
        initial=[{"rate": 0.8, "batch": 8}],
        schedule=[{"after": 3, "values": {"batch": 4}}],
        scaling_rules=[rule],
    )

    [change] = scheduled(
        of.spec, given.with_parameters(of, given.trial(0)).spec.parameters
    ).schedule

    rate = given.values(change.parameters)["rate"]
    assert given.values(change.resolved)["rate"] == pytest.approx(rate / 2)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(None, (0.8, 2, False)), (1, (0.8, 2, False)), (2, (0.4, 5, True)), (3, (0.4, 5, False)),
     (5, (0.2, None, True)), (7, (0.2, None, False))],
)  # fmt: skip
def test_an_attempt_is_told_its_values_and_when_they_change(
    step: int | None, expected: Any
) -> None:
    of = one()
    place = None if step is None else {"incarnation": "life", "step": step}
    made = given.trial(0, checkpoint=place, attempts=[{"number": 1}])
    parameters = typed(of.spec, of.spec.initial[0])
    changes = scheduled(of.spec, parameters).schedule
    trial = given.intended(made, parameters=parameters, schedule=changes, until=9)
    spec = attempts.trial_spec(of, trial)

    assert (spec.parameters["rate"], spec.changes_at, spec.changed) == expected
    assert leg(trial).used == spec.parameters


def population(**more: Any) -> Study:
    pbt = {"population": 6, "interval": 2, "fraction": 0.4, "resample": 0}
    fields = {"parameters": [RATE], "budget": {"trials": 6}, "parallelism": 3}
    return given.study(**{"most": 12, "policy": {"pbt": pbt}, **fields, **more})


def test_what_is_confirmed_of_a_population_is_the_schedule_of_the_best() -> None:
    shell = run(population(confirm={"top": 2, "repeats": 2}))
    again = [each for each in shell.trials.values() if each.spec.role == "Confirm"]

    assert len(again) == 4
    assert any(each.spec.schedule for each in again)
    for each in again:
        assert each.spec.candidate is not None
        assert shell.world.state_of(each.index) == shell.world.state_of(each.spec.candidate)


def test_a_candidate_that_is_confirmed_keeps_its_schedule_when_its_trial_is_deleted() -> None:
    of = population(confirm={"top": 1, "repeats": 2})
    shell = run(of)
    again = [each for each in shell.trials.values() if each.spec.repeat == 0]
    left = Ledger.of(of, again)

    [missing] = confirmation.missing(of, left)
    assert missing.course.schedule == again[0].spec.schedule
    assert missing.course.parameters == again[0].spec.parameters


def test_a_beginning_that_was_deleted_is_taken_to_be_as_what_follows() -> None:
    of = one(schedule=[])
    low, high = (typed(of.spec, {"rate": rate}) for rate in (0.1, 0.9))
    found = course(of.spec, [Piece(3, 5, 4, low, ()), Piece(5, 9, 1, high, ())])

    assert (found.parameters, found.at(4), found.at(5)) == (low, low, high)
    assert found.schedule == (Change(after=5, parameters=high),)
