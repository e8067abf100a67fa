"""`scaletune extrapolate`: what it prints, and the Study it writes."""

import json
from pathlib import Path

from scaletune.api.model import Metadata
from scaletune.shells.local.folder import Folder
from tests.cli.command import scaletune
from tests.core import test_laws as law


def run_folder(path: Path, count: int) -> Path:
    folder = Folder(path)
    folder.make()
    study = law.study(template={"pod": law.POD})
    metadata = Metadata(name="model")
    folder.write_study(study.model_copy(update={"metadata": metadata}))
    for trial in law.snapshot(study, count=count).on("trials"):
        folder.write_trial(trial)
    return path


def test_it_prints_the_laws_and_writes_a_study_that_is_valid(tmp_path: Path) -> None:
    folder, larger = run_folder(tmp_path / "run", 40), tmp_path / "larger.yaml"

    done = scaletune("extrapolate", folder, "--compute", "10", "--write", larger)

    assert done.returncode == 0, done.stderr
    assert "cost^" in done.stdout
    assert "at 10 x" in done.stdout
    assert scaletune("validate", larger).returncode == 0


def test_it_says_why_the_trials_cannot_tell_and_leaves_files_alone(tmp_path: Path) -> None:
    folder, larger = run_folder(tmp_path / "run", 10), tmp_path / "larger.yaml"

    done = scaletune("extrapolate", folder, "--write", larger, "-o", "json")

    assert done.returncode == 2
    assert "a law needs 20" in done.stderr
    assert not larger.exists()


def test_json_has_every_parameter_with_its_interval(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", 40)

    done = scaletune("extrapolate", folder, "-o", "json", "-w", tmp_path / "larger.yaml")

    document = json.loads(done.stdout)
    assert [each["name"] for each in document["parameters"]] == ["N", "D", "lr", "wd"]
    assert all(len(each["interval"]) == 2 for each in document["parameters"])


def test_status_shows_the_front_of_a_search_for_one(tmp_path: Path) -> None:
    done = scaletune("status", run_folder(tmp_path / "run", 20))

    assert done.returncode == 0, done.stderr
    assert "front: device time" in done.stdout
