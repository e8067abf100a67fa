"""Claims about a cost that the training script reports, in place of device seconds."""

from dataclasses import replace

import numpy as np
import pytest

from scaletune.api.study import Study
from scaletune.core.ledger import Ledger
from scaletune.core.reports import from_exposition
from scaletune.core.samplers import carbs
from scaletune.shells.simulate.faults import Circumstances, Failures
from scaletune.shells.simulate.objectives import ObjectiveError
from scaletune.shells.simulate.simulation import Setting, simulate
from scaletune_trainer.record import Record
from scaletune_trainer.wire import MilestoneReport, ReportEntry, entry_from_json
from scaletune_trainer.wire.fields import Fields
from tests.core import given

SIZE = {"name": "size", "int": {"min": 1, "max": 64, "scale": "Log", "center": 4}}


def study(**options: object) -> Study:
    return given.study(
        policy={"carbs": {"costMetric": "euros", "milestones": [2], **options}},
        parameters=[SIZE],
        most=4,
        budget={"trials": 16},
    )


def trained(parameters, start, until, seed, state=None):  # type: ignore[no-untyped-def]
    """Every training takes as long, whatever it costs."""
    euros = parameters["size"] * (until - start)
    return {"value": 1 / parameters["size"] + 1 / until, "seconds": 100.0, "cost": euros}


def test_costs_add_up_from_segment_to_segment_also_when_a_node_is_lost() -> None:
    rough = Circumstances(failures=Failures(mtbf=600.0, repair=10.0))
    shell = simulate(Setting(study(), trained, rough), 0)

    assert any(trial.status.attempts[-1].number > 1 for trial in shell.trials.values())
    for trial in shell.trials.values():
        size = given.values(trial.spec.parameters)["size"]
        assert [(each.at, each.cost) for each in trial.status.milestones] == [
            (2, 2 * size),
            (4, 4 * size),
        ]


def test_the_ceiling_is_of_the_cost_that_is_reported() -> None:
    shell = simulate(Setting(study(costMax=40.0, repeatEvery=0), trained, Circumstances()), 0)
    costs = [trial.status.milestones[-1].cost or 0.0 for trial in shell.trials.values()]

    assert max(costs[6:]) <= 44.0


def test_the_models_learn_what_a_whole_training_costs() -> None:
    one = study()
    shell = simulate(Setting(one, trained, Circumstances()), 0)
    cube, ledger = carbs.cube_of(one.spec), Ledger.of(one, shell.trials.values())
    known = carbs._knowledge(one, cube, ledger, list(carbs._ended(cube, ledger)))
    sizes = [given.values(trial.spec.parameters)["size"] for trial in shell.trials.values()]

    assert sorted(np.exp(known.seen.log_costs)) == pytest.approx(sorted(4.0 * x for x in sizes))


def test_a_simulated_training_must_say_its_cost() -> None:
    def silent(*call, state=None):  # type: ignore[no-untyped-def]
        return {"value": 1.0, "seconds": 1.0}

    with pytest.raises(ObjectiveError, match=r"policy\.carbs\.costMetric"):
        simulate(Setting(study(), silent, Circumstances()), 0)


def test_a_cost_comes_as_it_was_reported_by_every_way() -> None:
    entry = ReportEntry(1, 1.0, 4, 0, {"loss": 0.5, "euros": 7.0}, 3.0, (4,), 7.0)
    record = Record("loss")
    record.apply(entry)
    report = record.milestones[4]
    document = Fields.of(report.document(), "a report")

    assert entry_from_json(entry.to_json()) == entry
    assert report.cost == 7.0
    assert MilestoneReport.read(document) == report
    assert MilestoneReport.read(Fields.of(replace(report, cost=None).document(), "")).cost is None


def test_a_scrape_tells_the_cost() -> None:
    own = 'study="s",trial="t",incarnation="u",attempt="1"'
    text = "\n".join(
        [
            f'scaletune_trial_info{{{own},wire="1"}} 1',
            f"scaletune_trial_milestone_value{{{own},"
            'milestone="4",step="4",sequence="1",generation="0"} 0.5',
            f'scaletune_trial_milestone_cost{{{own},milestone="4"}} 7',
        ]
    )

    assert [each.cost for each in from_exposition(text + "\n").milestones] == [7.0]
