"""`scaletune run` and `scaletune simulate` of a Study that begins with an earlier one's results."""

import json
import shutil
from pathlib import Path

import pytest

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from tests.cli.command import scaletune, scaletune_json
from tests.core import given
from tests.core.test_prior import FINISHED
from tests.shells.local.laptop import Laptop
from tests.shells.local.test_run import replayed_decisions, stored_decisions


def stored_earlier(laptop: Laptop, **spec: object) -> Path:
    """The folder of a finished run of `old`, whose best x is .3."""
    root = laptop.home / "runs" / "old"
    (root / "trials").mkdir(parents=True)
    x = {"name": "x", "float": {"min": 0, "max": 1}}
    study = given.study(parameters=[x], status=FINISHED, **spec)
    write(root / "study.yaml", study)
    for index, (value, found) in enumerate([(2.0, 0.2), (1.0, 0.3), (3.0, 0.4)]):
        trial = {
            "metadata": {"name": f"old-{index}"},
            "spec": {"index": index, "parameters": [{"name": "x", "float": found}]},
            "status": {"milestones": [{"at": 4, "value": value}]},
        }
        write(root / "trials" / f"old-{index}.yaml", Trial.model_validate(trial))
    return root


def write(path: Path, resource: Study | Trial) -> None:
    path.write_text(json.dumps(resource.to_yaml_fields()))


def test_a_run_begins_with_the_best_of_an_earlier_one_and_no_longer_needs_it(
    laptop: Laptop,
) -> None:
    earlier = stored_earlier(laptop)
    laptop.write_study(warmStart=[{"study": "old", "top": 2}], budget={"trials": 3})
    paused = laptop.run("--set", "state=Paused")
    assert paused.returncode == 0, paused.stdout + paused.stderr
    shutil.rmtree(earlier)

    done = laptop.run()

    assert done.returncode == 0, done.stdout + done.stderr
    assert "begins  with 2 configurations from old" in done.stdout
    assert [trial.spec.used["x"] for trial in laptop.trials][:2] == [0.3, 0.2]
    origins = [trial.spec.origin.kind for trial in laptop.trials if trial.spec.origin]
    assert origins == ["WarmStart", "WarmStart", "Random"]
    assert replayed_decisions(laptop) == stored_decisions(laptop)


def test_a_run_says_why_an_earlier_one_cannot_be_begun_with(laptop: Laptop) -> None:
    stored_earlier(laptop, goal="Maximize")
    laptop.write_study(warmStart=[{"study": "old"}])
    other = laptop.run()
    assert other.returncode == 2
    assert "old was to Maximize loss, this study is to Minimize loss" in other.stderr

    laptop.write_study(warmStart=[{"study": "older"}])
    missing = laptop.run()
    assert missing.returncode == 2
    assert "there is no study older" in missing.stderr
    assert not laptop.folder.study_file.exists()


def test_a_simulation_begins_with_the_best_of_a_run_too_and_replays_the_same(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_earlier(laptop)
    monkeypatch.chdir(laptop.home)
    begins, grid = [{"study": "old", "top": 2}], {"grid": {"points": 3}}
    laptop.write_study(warmStart=begins, sampler=grid, budget={})
    objective = "return {'value': parameters['x'], 'seconds': 1.0}"
    (laptop.home / "objective.py").write_text(
        f"def f(parameters, start, until, seed, state=None):\n    {objective}\n"
    )

    options = ["--objective", "objective.py:f", "--ledger", "ledgers"]
    [found] = scaletune_json("simulate", laptop.study_file, *options)["seeds"]

    assert len(found["trials"]) == 2 + 3
    replayed = scaletune_json("replay", "ledgers/study.yaml", "ledgers/seed-0.jsonl")
    assert replayed["decisions"] == found["decisions"]


def test_what_an_earlier_run_has_seen_is_learned_from_in_every_shell_and_replays_the_same(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_earlier(laptop)
    monkeypatch.chdir(laptop.home)
    begins = [{"study": "old", "mode": "Observations"}]
    laptop.write_study(warmStart=begins, budget={"trials": 3})
    (laptop.home / "objective.py").write_text(
        "def f(parameters, start, until, seed, state=None):\n"
        "    return {'value': parameters['x'], 'seconds': 1.0}\n"
    )
    options = ["--objective", "objective.py:f", "--ledger", "ledgers"]
    [found] = scaletune_json("simulate", laptop.study_file, *options)["seeds"]
    replayed = scaletune_json("replay", "ledgers/study.yaml", "ledgers/seed-0.jsonl")
    assert replayed["decisions"] == found["decisions"]

    done = laptop.run()

    assert done.returncode == 0, done.stdout + done.stderr
    assert "begins  with 3 observations from old" in done.stdout
    origins = [trial.spec.origin.kind for trial in laptop.trials if trial.spec.origin]
    assert origins == ["Random", "Random", "WarmStart"]
    assert replayed_decisions(laptop) == stored_decisions(laptop)


def test_a_plan_of_a_study_whose_earlier_ones_are_not_read_is_not_made(laptop: Laptop) -> None:
    laptop.write_study(warmStart=[{"study": "old"}])
    done = scaletune("plan", "-f", laptop.study_file)
    assert done.returncode == 2
    assert "give the Study as it is stored" in done.stderr
