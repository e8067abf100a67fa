"""`scaletune run` with carbs: trials that differ in length, and say themselves what they cost."""

import json
import sys
from typing import Any

import pytest

from scaletune.cli.figures import Figures
from scaletune.core import laws
from tests.shells.local.laptop import ROOT, Laptop
from tests.shells.local.test_run import replayed

SCRIPT = ROOT / "tests/trainer/scripts/growing.py"


def write_study(laptop: Laptop, *options: str, **spec: Any) -> None:
    laptop.write_study(
        **{
            "parameters": [
                {"name": "size", "int": {"min": 1, "max": 64, "scale": "Log", "center": 4}},
                {"name": "length", "int": {"min": 2, "max": 40, "scale": "Log", "center": 3}},
            ],
            "training": {"unit": "Step", "max": {"parameter": "length"}},
            "policy": {"carbs": {"milestones": [2], "costMetric": "flops"}},
            "parallelism": 2,
            "budget": {"trials": 6},
            **spec,
        }
    )
    document = json.loads(laptop.study_file.read_text())
    [container] = document["spec"]["template"]["pod"]["spec"]["containers"]
    container["command"] = [sys.executable, str(SCRIPT), *options]
    laptop.study_file.write_text(json.dumps(document))


def test_each_trial_is_as_long_as_it_says_and_costs_what_it_reports(laptop: Laptop) -> None:
    write_study(laptop)

    done = laptop.run()

    assert done.returncode == 0, done.stdout + done.stderr
    for trial in laptop.trials:
        values = trial.spec.used
        last = trial.status.milestones[-1]
        assert trial.status.state == "Completed"
        assert last.at == last.step == trial.spec.until == values["length"]
        assert last.cost == float(values["size"]) * last.step
    front = laws.front(laptop.study, Figures.of(laptop.study, laptop.folder.read_trials()).ledger)
    costs = {trial.index: trial.status.milestones[-1].cost for trial in laptop.trials}
    assert all(member.cost == pytest.approx(costs[member.trials[0]]) for member in front)
    assert "front: flops" in done.stdout
    stored = [
        (record.number, 0, trial.index, record.at, record.decision)
        for trial in laptop.trials
        for record in trial.status.milestones
    ]
    assert replayed(laptop, laptop.folder.ledger.read_text()) == sorted(stored)


def test_a_script_that_does_not_say_what_it_costs_is_told(laptop: Laptop) -> None:
    write_study(laptop, "forgets", budget={"trials": 1}, parallelism=1)

    laptop.run()

    [trial] = laptop.trials
    assert trial.status.failure is not None
    assert trial.status.failure.kind == "UserError"
    assert "flops, the study's costMetric, was not reported" in trial.status.failure.reason
