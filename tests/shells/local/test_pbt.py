"""`scaletune run` with population based training: real processes that take over checkpoints."""

import json
import sys
from typing import Any

import pytest

from scaletune.api.trial import Trial
from scaletune.core.lineage import lineage
from scaletune.core.plan import plan
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
            for piece in lineage(trials, trial)
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
