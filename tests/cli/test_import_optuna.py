"""`scaletune import` out of Optuna's database, made by Optuna itself."""

import math
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from scaletune.api.trial import Trial
from scaletune.cli.importing import Wish, import_results
from scaletune.cli.refusal import Refusal
from scaletune.shells.local.folder import Folder
from tests.cli.command import scaletune
from tests.cli.test_import import sweep as sweep  # the fixture

URL = "sqlite:///old.db"
LR = FloatDistribution(1e-5, 1e-1, log=True)
OPTIMIZER = CategoricalDistribution(["adamw", "muon"])
SPACE: dict[str, BaseDistribution] = {"lr": LR, "optimizer": OPTIMIZER}
GOOD = {"lr": 0.01, "optimizer": "muon"}
PLAIN = Wish(None, [], [])


def stored(
    *trials: dict[str, Any],
    name: str = "old",
    direction: Literal["minimize", "maximize"] = "minimize",
) -> None:
    """Put trials into old.db; each took 100 seconds."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(URL)
    study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    for each in trials:
        trial = optuna.trial.create_trial(
            **{"params": GOOD, "distributions": SPACE, "state": TrialState.COMPLETE, **each}
        )
        if trial.state.is_finished():
            start = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
            trial.datetime_start = start
            trial.datetime_complete = start + timedelta(seconds=100)
        study.add_trial(trial)
    storage.remove_session()
    storage.engine.dispose()


def taken() -> list[Trial]:
    """The Trials of runs/sweep, by their index."""
    return [trial for _, trial in sorted(Folder(Path("runs/sweep")).read_trials().items())]


def curve(trial: Trial) -> list[tuple[int, float | None]]:
    return [(each.at, each.value) for each in trial.status.milestones]


def test_a_study_of_optunas_database_becomes_a_finished_run(sweep: Path) -> None:
    pruned = {"lr": 0.0001, "optimizer": "adamw"}
    stored(
        {"value": 2.0, "intermediate_values": {50: 2.4, 100: 2.1}},
        {"state": TrialState.PRUNED, "params": pruned, "intermediate_values": {50: 3.0}},
        {"state": TrialState.FAIL, "intermediate_values": {50: 0.1}},
        {"state": TrialState.RUNNING, "intermediate_values": {50: 0.1}},
        {"state": TrialState.PRUNED, "intermediate_values": {25: 3.0, 50: math.nan}},
    )
    before = (sweep / "old.db").read_bytes()

    done = scaletune("import", f"{URL}#old", "sweep.yaml")

    assert done.returncode == 0, done.stderr
    assert done.stdout == "runs/sweep: 3 trainings; best sweep-0000 with 2 at 100\n"
    assert done.stderr == ("scaletune: 2 of 5 trials left out: they have failed, or not ended\n")
    full, weak, diverged = taken()
    # What Optuna judged it by is its value, whatever it reported last.
    assert curve(full) == [(50, 2.4), (100, 2.0)]
    assert [each.device_seconds for each in full.status.milestones] == [50, 100]
    assert (curve(weak), weak.status.state) == ([(50, 3.0)], "Stopped")
    assert weak.spec.used == pruned
    assert (curve(diverged), diverged.status.state) == ([(25, 3.0), (50, None)], "Failed")
    assert "finished (Imported): 3 trainings were taken from Optuna's old" in (
        scaletune("status").stdout
    )
    assert (sweep / "old.db").read_bytes() == before


def test_steps_that_count_what_has_begun_are_one_more_and_the_only_study_needs_no_name(
    sweep: Path,
) -> None:
    stored({"value": 1.0, "intermediate_values": {0: 3.0, 49: 2.0, 99: 1.5}})
    import_results(URL, "sweep.yaml", PLAIN)
    assert curve(taken()[0]) == [(1, 3.0), (50, 2.0), (100, 1.0)]


def test_a_step_0_before_the_training_tells_nothing(sweep: Path) -> None:
    stored({"value": 1.0, "intermediate_values": {0: 9.0, 50: 2.0, 100: 1.0}})
    import_results(URL, "sweep.yaml", PLAIN)
    assert curve(taken()[0]) == [(50, 2.0), (100, 1.0)]


def test_a_parameter_may_have_another_name_and_others_are_left_out(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"rate": LR, "optimizer": OPTIMIZER, "depth": IntDistribution(0, 9)}
    values = {"rate": 0.01, "optimizer": "muon", "depth": 0}
    stored({"value": 1.0, "params": values, "distributions": names})
    import_results(URL, "sweep.yaml", Wish(None, ["lr=rate"], []))
    assert taken()[0].spec.used == GOOD
    assert capsys.readouterr().err == "scaletune: not in the Study, left out: depth\n"


@pytest.mark.parametrize(
    ("lr", "optimizer", "message"),
    [
        ((FloatDistribution(1e-5, 1), 0.5), None, "lr was 0.5, searched from 1e-05 to 1.0: widen"),
        ((CategoricalDistribution(["low"]), "low"), None, "lr was low, and is a number"),
        (None, (IntDistribution(0, 1), 1), "optimizer was searched as a number, and is a choice"),
        (None, (CategoricalDistribution(["sgd"]), "sgd"), "optimizer was sgd: add it to values"),
    ],
)
def test_distributions_that_do_not_match_the_study_are_named(
    sweep: Path,
    lr: tuple[BaseDistribution, Any] | None,
    optimizer: tuple[BaseDistribution, Any] | None,
    message: str,
) -> None:
    given = {"lr": lr or (LR, 0.01), "optimizer": optimizer or (OPTIMIZER, "muon")}
    stored(
        {
            "value": 1.0,
            "params": {name: value for name, (_, value) in given.items()},
            "distributions": {name: each for name, (each, _) in given.items()},
        }
    )
    with pytest.raises(Refusal, match=f"Optuna's study old does not match.*\n.*{message}"):
        import_results(URL, "sweep.yaml", PLAIN)


def test_all_that_does_not_match_is_said_at_once(sweep: Path) -> None:
    stored({"value": 1.0, "params": {"lr": 1e-2}, "distributions": {"lr": LR}})
    text = (
        (sweep / "sweep.yaml")
        .read_text()
        .replace("float: {min: 1.0e-5, max: 1.0e-1", "int: {min: 1, max: 9")
    )
    (sweep / "sweep.yaml").write_text(text)
    with pytest.raises(Refusal) as refused:
        import_results(URL, "sweep.yaml", PLAIN)
    assert str(refused.value).splitlines()[1:] == [
        "  trial 0: lr was searched as a float, and is an int in the Study",
        "  trial 0: optimizer is none of its parameters, lr",
    ]


def test_a_study_with_another_goal_or_of_another_name_is_refused(sweep: Path) -> None:
    stored({"value": 1.0}, direction="maximize")
    with pytest.raises(Refusal, match="is to maximize, and the Study to Minimize"):
        import_results(f"{URL}#old", "sweep.yaml", PLAIN)
    with pytest.raises(Refusal, match="no study new; there are old"):
        import_results(f"{URL}#new", "sweep.yaml", PLAIN)
    stored(name="other")
    with pytest.raises(Refusal, match=r"say which study, as sqlite:.*#NAME: old, other"):
        import_results(URL, "sweep.yaml", PLAIN)


def test_what_is_no_storage_is_refused_and_left_as_it_is(sweep: Path) -> None:
    with pytest.raises(Refusal, match=r"none\.db: no such file"):
        import_results("sqlite:///none.db", "sweep.yaml", PLAIN)
    assert not (sweep / "none.db").exists()
    with sqlite3.connect("else.db") as other:
        other.execute("create table mine (x)")
    other.close()
    before = (sweep / "else.db").read_bytes()
    with pytest.raises(Refusal, match=r"cannot be read as Optuna's storage: no such table"):
        import_results("sqlite:///else.db", "sweep.yaml", PLAIN)
    assert (sweep / "else.db").read_bytes() == before


def test_without_optuna_the_command_says_what_to_install(sweep: Path) -> None:
    stored({"value": 1.0})
    program = "import sys; sys.modules['optuna'] = None; from scaletune.cli import main; main()"
    words = [sys.executable, "-c", program, "import", URL, "sweep.yaml"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "needs optuna: pip install 'scaletune[optuna]'" in done.stderr
