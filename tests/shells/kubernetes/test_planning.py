"""A bug in planning stays with its Study, and says so; nothing else is touched by it."""

from collections.abc import Callable

from hypothesis import given as drawn
from hypothesis import strategies as st

from scaletune.api.action import LookAgain, Plan
from scaletune.api.conditions import PLAN_FAILED, condition
from scaletune.api.study import Study
from scaletune.core.ledger import Ledger
from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.turn.ledgers import Ledgers
from scaletune.shells.kubernetes.turn.planning import Planner
from tests.shells.kubernetes import given
from tests.shells.kubernetes.given import NOW

GOOD = Plan(actions=(LookAgain(NOW + 1, "good"),))


def _empty() -> Ledger:
    return Ledger.of(given.study(), [])


def _planner(decide: Callable[[Study, Ledger, float], Plan], limit: float = 60) -> Planner:
    return Planner(Metrics(), decide, limit)


def _raising(study: Study, ledger: Ledger, now: float) -> Plan:
    raise KeyError("a bug")


def _told(planner: Planner, study: Study) -> str | None:
    found = condition(planner.shown(study, study.status, NOW).conditions, PLAN_FAILED)
    return None if found is None else f"{found.status} {found.message}"


def test_a_plan_that_fails_is_tried_again_ever_later_and_told_from_the_third_time_on() -> None:
    planner, study, now = _planner(_raising), given.study(), NOW
    waits = []
    for number in range(1, 5):
        [look] = planner.plan(study, _empty, now).actions
        assert isinstance(look, LookAgain)
        waits.append(look.at - now)
        assert (_told(planner, study) is not None) == (number >= 3)
        now = look.at

    assert waits == [5, 10, 20, 40]
    assert "KeyError: 'a bug'" in str(_told(planner, study))
    assert "please report it" in str(_told(planner, study))


def test_nothing_is_computed_before_it_is_time_unless_the_spec_changes() -> None:
    asked: list[int] = []

    def count(study: Study, ledger: Ledger, now: float) -> Plan:
        asked.append(study.metadata.generation)
        raise KeyError

    planner, study = _planner(count), given.study()
    planner.plan(study, _empty, NOW)
    planner.plan(study, _empty, NOW + 1)
    metadata = study.metadata.model_copy(update={"generation": 2})
    planner.plan(study.model_copy(update={"metadata": metadata}), _empty, NOW + 1)

    assert asked == [1, 2]


def test_what_is_told_is_taken_back_when_a_plan_succeeds() -> None:
    fails = [True, True, True, False]

    def decide(study: Study, ledger: Ledger, now: float) -> Plan:
        if fails.pop(0):
            raise KeyError
        return GOOD

    planner, study = _planner(decide), given.study()
    for each in range(3):
        planner.plan(study, _empty, NOW + 1000 * each)
    failing = study.model_copy(update={"status": planner.shown(study, study.status, NOW)})

    assert planner.plan(failing, _empty, NOW + 4000) == GOOD
    assert str(_told(planner, failing)).startswith("False")
    assert not planner.is_failing(failing)


def test_a_plan_without_an_end_is_interrupted() -> None:
    def forever(study: Study, ledger: Ledger, now: float) -> Plan:
        while True:
            pass

    planner = _planner(forever, limit=0.05)

    [look] = planner.plan(given.study(), _empty, NOW).actions
    assert isinstance(look, LookAgain)
    assert planner.is_failing(given.study())


def test_a_failure_of_one_study_is_no_failure_of_another() -> None:
    def decide(study: Study, ledger: Ledger, now: float) -> Plan:
        if study.metadata.uid == "uid-other":
            raise KeyError
        return GOOD

    planner, study = _planner(decide), given.study()
    metadata = study.metadata.model_copy(update={"uid": "uid-other"})
    other = study.model_copy(update={"metadata": metadata})

    assert planner.plan(other, _empty, NOW) != GOOD
    assert planner.plan(study, _empty, NOW) == GOOD


def test_a_bug_in_the_ledger_is_a_bug_of_the_plan() -> None:
    def broken() -> Ledger:
        raise ValueError("two Trials of the study have index 3")

    planner = _planner(lambda *_: GOOD)

    assert planner.plan(given.study(), broken, NOW) != GOOD


@drawn(st.lists(st.dictionaries(st.integers(0, 7), st.integers(0, 2), max_size=8), max_size=6))
def test_a_kept_ledger_is_that_of_the_snapshot_whatever_changes(
    turns: list[dict[int, int]],
) -> None:
    study, ledgers = given.study(), Ledgers()
    versions = {
        (index, v): given.trial(index, milestones=_records(index, v))
        for index in range(8)
        for v in range(3)
    }
    for turn in turns:
        trials = {index: versions[index, version] for index, version in turn.items()}
        assert ledgers.of(study, trials) == Ledger.of(study, trials.values())


def _records(index: int, count: int) -> list[given.Json]:
    return [
        {"at": at, "step": at, "value": index / at, "number": 100 * at + index, "outcome": "Value"}
        for at in (3, 9)[:count]
    ]


def test_a_study_of_the_same_name_and_another_kind_of_training_has_its_own_ledger() -> None:
    ledgers, trials = Ledgers(), {0: given.trial(0)}
    ledgers.of(given.study(), trials)
    other = given.study(training={"unit": "Step", "max": 81})

    assert ledgers.of(other, trials) == Ledger.of(other, trials.values())


def test_a_plan_that_ends_in_time_is_not_disturbed() -> None:
    assert _planner(lambda *_: GOOD, limit=1.0).plan(given.study(), _empty, NOW) == GOOD
