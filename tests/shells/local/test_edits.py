"""Claims about a Study's file that is edited while `scaletune run` goes on."""

import json
import subprocess
from typing import Any

import pytest

from tests.shells.local.laptop import Laptop, eventually


def _edit(laptop: Laptop, **spec: Any) -> None:
    document = json.loads(laptop.study_file.read_text())
    document["spec"].update(spec)
    beside = laptop.study_file.with_suffix(".new")
    beside.write_text(json.dumps(document))
    beside.replace(laptop.study_file)  # as editors do


def _to_its_end(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    said = "".join(process.stdout)
    process.wait()
    return said


@pytest.mark.slow
def test_wishes_hold_while_the_study_runs(laptop: Laptop) -> None:
    laptop.write_study(
        *("--sleep", "0.1"),
        policy={},
        training={"unit": "Step", "max": 30},
        budget={"trials": 1},
    )
    with laptop.running() as process:
        eventually(lambda: laptop.processes(), "a trial runs")
        _edit(laptop, budget={"trials": 2})
        eventually(lambda: laptop.study.spec.budget.trials == 2, "the budget is raised")
        eventually(lambda: len(laptop.trials) == 2, "a second trial is made")
        _edit(laptop, budget={"trials": 2}, state="Paused")
        said = _to_its_end(process)

    assert process.returncode == 0
    assert "follows" in said
    assert "spec.state is Paused" in said
    assert laptop.trials[1].status.state == "Paused"
    assert laptop.study.metadata.generation == 3

    _edit(laptop, state="Running")
    assert laptop.run().returncode == 0
    assert [trial.status.state for trial in laptop.trials] == ["Completed", "Completed"]


@pytest.mark.slow
def test_an_edit_that_is_wrong_changes_nothing_and_is_told(laptop: Laptop) -> None:
    laptop.write_study(
        *("--sleep", "0.1"),
        policy={},
        training={"unit": "Step", "max": 40},
        budget={"trials": 1},
    )
    with laptop.running() as process:
        eventually(lambda: laptop.processes(), "a trial runs")
        _edit(laptop, seed=7)
        said = _to_its_end(process)

    assert process.returncode == 0
    assert "is not followed: spec.seed: seed cannot change after creation" in said
    assert (laptop.study.metadata.generation, laptop.study.spec.seed) == (1, 0)
