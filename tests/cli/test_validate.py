"""`scaletune validate` names every problem of a file, and what only a cluster would refuse."""

from pathlib import Path
from typing import Any

import pytest

from scaletune.api import reader
from tests.api.studies import example
from tests.cli.command import scaletune


@pytest.fixture
def study(tmp_path: Path) -> Any:
    """Write a right Study with a change to its spec, and say where."""

    def write(**spec: Any) -> Path:
        path = tmp_path / "study.yaml"
        path.write_text(reader.write(example(**spec)), encoding="utf-8")
        return path

    return write


def test_a_right_study_is_valid(study: Any) -> None:
    path = study()

    done = scaletune("validate", path)

    assert (done.returncode, done.stdout) == (0, f"{path}: Study example is valid\n")


def test_a_wrong_one_is_refused_with_all_that_is_wrong(study: Any) -> None:
    done = scaletune("validate", study(paralelism=4, seed=-1))

    assert done.returncode == 2
    assert "spec.paralelism: unknown field; did you mean parallelism?" in done.stderr
    assert "spec.seed: should be greater than or equal to 0, not -1" in done.stderr


def test_what_only_a_cluster_refuses_is_a_hint(study: Any) -> None:
    done = scaletune("validate", study(checkpoints=None))

    assert done.returncode == 0
    assert "but not on a cluster: spec.checkpoints: mode Promote" in done.stdout


def test_a_file_that_is_no_yaml_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("kind: Study\nspec: {a: 1, a: 2}\n", encoding="utf-8")

    done = scaletune("validate", path)

    assert done.returncode == 2
    assert f"{path}, line 2, column 14: the key 'a' is given twice" in done.stderr
