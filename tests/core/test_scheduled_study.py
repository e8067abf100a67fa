"""Claims about the Study that is made of a schedule: it repeats it from scratch."""

from typing import Any

import pytest

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.api.validation import parse_study
from scaletune.core.lineage import lineage
from scaletune.core.schedule import course
from scaletune.core.scheduled_study import scheduled_study
from scaletune.shells.simulate.shell import Shell
from tests.core import test_schedule as schedules


def schedule_of(shell: Shell, trial: Trial) -> Study:
    found = course(shell.study.spec, lineage(shell.trials.get, trial))
    return parse_study(scheduled_study(shell.study, found))


@pytest.fixture
def pod() -> dict[str, Any]:
    """A template that can be validated."""
    container = {"name": "trainer", "command": ["python", "train.py"]}
    return {"pod": {"spec": {"containers": [container]}}}


@pytest.mark.parametrize("seed", range(4))
def test_the_schedule_that_pbt_found_trains_from_scratch_to_the_same_value(
    seed: int, pod: dict[str, Any]
) -> None:
    shell = schedules.run(schedules.population(seed=seed, template=pod))
    best = shell.study.status.best
    assert best is not None
    trial = shell.trials[best.index]

    again = schedules.run(schedule_of(shell, trial))

    assert len(again.trials) == 1
    assert again.world.state_of(0) == shell.world.state_of(trial.index)
    assert again.study.status.best is not None
    assert again.study.status.best.value == pytest.approx(best.value)
    assert again.trials[0].spec.schedule, "nobody has changed its values: no test"
    assert again.trials[0].spec.seed not in {each.spec.seed for each in shell.trials.values()}
