"""`scaletune run` with population based training: real processes that take over checkpoints."""

import json
import sys
from typing import Any

import pytest

from scaletune.api.trial import Trial
from scaletune.core.lineage import lineage
from scaletune.core.plan import plan
from scaletune.shells.local.folder import Folder
from tests.cli.command import scaletune
from tests.shells.local.laptop import ROOT, Laptop
from tests.shells.local.test_run import replayed

SCRIPT = ROOT / "tests/trainer/scripts/lineage.py"


def write_study(laptop: Laptop, launcher: str, *options: str, **spec: Any) -> None:
    """Rates are summed: the smallest is the best, whatever comes first."""
    laptop.write_study(
        launcher=launcher,
        **{
            "parameters": [{"name": "x", "float": {"min": 0.001, "max": 1}}],
            "initial": [{"x": value} for value in (0.9, 0.1, 0.5, 0.4)],
            **spec,
        },
    )
    document = json.loads(laptop.study_file.read_text())
    [container] = document["spec"]["template"]["pod"]["spec"]["containers"]
    container["command"] = [sys.executable, str(SCRIPT), *options]
    laptop.study_file.write_text(json.dumps(document))


def trained_with(laptop: Laptop, trial: Trial) -> list[float]:
    """The rate of each step, as the trial's last checkpoint holds them."""
    place = trial.status.checkpoint
    assert place is not None
    assert place.trial is None
    files = laptop.folder.files(laptop.study, trial) / place.incarnation
    state = json.loads((files / "checkpoints" / str(place.step) / "state.json").read_text())
    rates: list[float] = state["plain"]["past"]["rates"]
    return rates


def check(laptop: Laptop) -> list[int]:
    """Every trial has trained as its lineage says; who went on from another one."""
    trials = {trial.index: trial for trial in laptop.trials}
    for trial in trials.values():
        assert trial.status.state == "Completed"
        told = [
            piece.used["x"]
            for piece in lineage(trials.get, trial)
            for _ in range(piece.start, piece.until)
        ]
        assert trained_with(laptop, trial) == pytest.approx(told)
    return [trial.index for trial in trials.values() if trial.status.exploits]


def test_with_few_places_all_wait_for_each_other_and_the_worst_goes_on_from_the_best(
    laptop: Laptop,
) -> None:
    pbt = {"population": 4, "interval": 2, "resample": 0}
    write_study(laptop, "plain", parallelism=2, policy={"pbt": pbt})

    done = laptop.run()

    assert done.returncode == 0, done.stdout + done.stderr
    assert check(laptop) == [0]
    [taken] = laptop.trials[0].status.exploits
    assert (taken.donor, taken.at) == (1, 2)
    assert "gives up, and goes on from the checkpoint of quad-0001" in done.stdout
    [rate] = taken.parameters
    assert rate.value in (pytest.approx(0.05), pytest.approx(0.2))
    assert plan(laptop.study, laptop.trials, 0.0).actions == ()
    assert replayed(laptop, laptop.folder.ledger.read_text())
    kept = [path.name for path in laptop.folder.volume.rglob("checkpoints/*")]
    assert sorted(kept) == ["4"] * 4, "nobody goes on from the others any more"


@pytest.mark.slow
def test_an_optimizer_goes_on_with_the_weights_of_another_and_its_own_learning_rate(
    laptop: Laptop,
) -> None:
    pbt = {"population": 2, "interval": 4, "resample": 0, "mode": "Sync"}
    write_study(
        laptop,
        "torchrun",
        "--torch",
        parallelism=2,
        training={"unit": "Step", "max": 8},
        policy={"pbt": pbt},
        budget={"trials": 2},
        initial=[{"x": 0.9}, {"x": 0.1}],
    )

    done = laptop.run()

    assert done.returncode == 0, done.stdout + done.stderr
    assert check(laptop) == [0]


class Again(Laptop):
    """The run of the Study that `scaletune schedule` has made of another one."""

    @property
    def folder(self) -> Folder:
        return Folder(self.home / "runs" / "quad-schedule")


@pytest.mark.parametrize("launcher", ["plain", pytest.param("torchrun", marks=pytest.mark.slow)])
def test_the_schedule_that_was_found_trains_from_scratch(laptop: Laptop, launcher: str) -> None:
    pbt = {"population": 2, "interval": 2, "resample": 0, "mode": "Sync", "fraction": 0.5}
    options = ["--torch"] if launcher == "torchrun" else []
    spec = {"policy": {"pbt": pbt}, "initial": [{"x": 0.9}, {"x": 0.1}], "budget": {"trials": 2}}
    # With this seed the rate that is taken over is halved, so that who gave up becomes the best.
    write_study(laptop, launcher, *options, parallelism=2, seed=3, **spec)
    assert laptop.run().returncode == 0
    check(laptop)
    changed = next(each for each in laptop.trials if each.status.exploits)
    again = Again(laptop.home / "again")
    again.home.mkdir()

    wish = ("--trial", str(changed.index), "--write", str(again.study_file))
    status = scaletune("status", laptop.folder.root).stdout
    told = scaletune("schedule", laptop.folder.root, *wish)
    done = again.run()

    assert told.returncode == 0, told.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"trained up to 2 as quad-{1 - changed.index:04}: `scaletune schedule`" in status
    [trial] = again.trials
    assert trial.status.state == "Completed"
    assert trial.spec.schedule
    assert trained_with(again, trial) == pytest.approx(trained_with(laptop, changed))
