"""Budgets, wishes and troubles of a machine: what ends a run early, and how it goes on."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from scaletune.shells.local.folder import Folder
from scaletune.shells.local.processes import end_leftovers
from scaletune_trainer.wire import Variable
from tests.shells.local.laptop import ROOT, Laptop, eventually


def test_at_the_end_of_gpu_hours_trials_pause_with_a_checkpoint_and_go_on_with_more(
    laptop: Laptop,
) -> None:
    laptop.write_study(
        *("--sleep", "0.1"),
        policy={},
        training={"unit": "Step", "max": 40},
        budget={"trials": 1, "gpuHours": 0.0005},
    )

    done = laptop.run()

    assert "BudgetExhausted" in done.stdout
    (trial,) = laptop.trials
    assert trial.status.state == "Paused"
    assert trial.status.checkpoint is not None

    more = laptop.run("--set", "budget.gpuHours=1")

    assert more.returncode == 0
    (trial,) = laptop.trials
    assert trial.status.state == "Completed"


def test_a_target_ends_the_study(laptop: Laptop) -> None:
    objectives = [{"metric": "loss", "goal": "Minimize", "target": 2.0}]
    laptop.write_study(objectives=objectives)

    done = laptop.run()

    assert done.returncode == 0
    assert "TargetReached" in done.stdout
    assert len(laptop.trials) == 1


def test_a_fresh_run_puts_the_earlier_one_aside(laptop: Laptop) -> None:
    laptop.write_study(budget={"trials": 1}, training={"unit": "Step", "max": 2})
    laptop.run()
    uid = laptop.study.metadata.uid

    done = laptop.run("--fresh")

    assert done.returncode == 0
    assert laptop.study.metadata.uid != uid
    aside = Folder(laptop.folder.root.with_name("quad.1")).read_study()
    assert aside is not None
    assert aside.metadata.uid == uid


def test_a_full_disk_is_said_and_what_was_stored_stays(laptop: Laptop) -> None:
    laptop.write_study("--sleep", "0.3")

    def limit() -> None:  # of any file's size, as a full disk would
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    done = subprocess.run(
        [sys.executable, "-m", "scaletune", "run", laptop.study_file],
        cwd=laptop.home,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "cannot write" in done.stdout
    assert "the same command goes on" in done.stdout
    assert laptop.processes() == []
    assert laptop.run().returncode == 0


def test_processes_that_an_earlier_run_left_are_ended(laptop: Laptop) -> None:
    laptop.folder.make()
    environment = {**os.environ, Variable.VOLUME: str(laptop.folder.volume)}
    with subprocess.Popen(["sleep", "600"], env=environment):
        eventually(laptop.processes, "it runs")

        assert end_leftovers(laptop.folder) == 1
        assert laptop.processes() == []


def test_a_torn_line_of_the_ledger_is_cut_off(laptop: Laptop) -> None:
    laptop.write_study(budget={"trials": 1}, training={"unit": "Step", "max": 2})
    laptop.run()
    whole = laptop.folder.ledger.read_text()
    laptop.folder.ledger.write_text(whole + '{"at": 1, "tri')

    done = laptop.run("--set", "budget.trials=2")

    assert done.returncode == 0
    assert laptop.folder.ledger.read_text().startswith(whole)


@pytest.mark.parametrize("name", ["study.yaml", "ledger.jsonl", "trials/quad-0000.yaml"])
def test_a_file_that_was_changed_by_hand_is_named(laptop: Laptop, name: str) -> None:
    laptop.write_study(budget={"trials": 1}, training={"unit": "Step", "max": 2})
    laptop.run()
    (laptop.folder.root / name).write_text("[nonsense\n")

    done = laptop.run()

    assert done.returncode == 2
    assert name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_demo_makes_sense(tmp_path: Path) -> None:
    study = ROOT / "docs/examples/gpt-demo.yaml"
    folder = Folder(tmp_path / "demo")

    done = subprocess.run(
        [
            *(sys.executable, "-m", "scaletune", "run", str(study)),
            *("--directory", str(folder.root), "--trials", "5", "--steps", "40"),
        ],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    stored, trials = folder.read_study(), folder.read_trials()
    assert stored is not None
    assert stored.status.best is not None
    first = sorted(trial.status.milestones[0].value or float("inf") for trial in trials.values())
    assert len(first) == 5
    assert stored.status.best.value < first[2], "no better than the median trial at its first rung"
    assert trials[stored.status.best.index].status.failure is None
