"""Claims about ASHA in several brackets: each is an ASHA of its own, further up."""

import pytest

from scaletune.core.frame import Frame
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import simulate
from tests.core import given
from tests.oracles import asha
from tests.shells.simulate import drawn


def records_of(shell: Shell, bracket: int) -> list[asha.Record]:
    """The decided records of one bracket that count, as the oracle has them."""
    sign = Frame.of(shell.study).sign
    return [
        asha.Record(
            trial.index, made.at, made.number, None if made.value is None else sign * made.value
        )
        for trial in shell.trials.values()
        for made in trial.status.milestones
        if (trial.spec.role, trial.spec.bracket) == ("Search", bracket)
        if made.decision not in (None, "Void")
    ]


@pytest.mark.parametrize("mode", ["PromoteInBrackets", "StopInBrackets"])
def test_every_record_is_judged_among_its_own_bracket(mode: str) -> None:
    for number in range(40):
        shell = simulate(drawn.setting(number, mode), seed=number)
        spec = shell.study.spec.policy.asha
        assert spec is not None
        for bracket in range(3):
            records = records_of(shell, bracket)
            for record in records:
                found = asha.judge(record, records, spec.eta, shell.frame.most, spec.mode)
                milestones = shell.trials[record.trial].status.milestones
                made = next(each for each in milestones if each.at == record.level)
                assert made.evidence is not None
                assert (
                    made.decision,
                    made.evidence.n,
                    made.evidence.rank,
                    made.evidence.quota,
                ) == (
                    found.word,
                    found.n,
                    found.rank,
                    found.quota,
                )


def test_each_bracket_begins_one_rung_above_the_one_before() -> None:
    shell = simulate(drawn.setting(3, "PromoteInBrackets"), seed=0)
    levels = shell.frame.levels

    for trial in shell.trials.values():
        first = min(record.at for record in trial.status.milestones)
        assert first == levels[trial.spec.bracket]


def test_there_are_never_more_brackets_than_rungs() -> None:
    study = given.study(policy={"asha": {"eta": 2, "min": 2, "brackets": 9}}, most=4)

    assert Frame.of(study).brackets.sizes == (2, 2)
