"""The command line as a whole: help, start-up, validation."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import scaletune

EXAMPLES = sorted((Path(__file__).parents[2] / "docs/examples").glob("*.yaml"))
COMMANDS = (
    *("plan", "replay", "simulate", "validate", "run"),
    *("status", "explain", "logs", "ledger", "compare", "extrapolate"),
)


def test_help_lists_every_command() -> None:
    done = scaletune("--help")

    assert done.returncode == 0
    for command in COMMANDS:
        assert f"  {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = scaletune(command, "--help")

    assert done.returncode == 0
    assert "Usage: scaletune" in done.stdout


def test_nothing_heavy_is_loaded_before_a_command_is_known() -> None:
    heavy = "pydantic yaml rich.live jsonschema torch kopf kubernetes numpy"
    program = (
        "import sys; from scaletune.cli.app import app;"
        f" print([name for name in {heavy.split()} if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.name))
def test_every_example_is_valid(path: Path) -> None:
    done = scaletune("validate", path)

    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stdout


def test_validate_says_all_that_is_wrong_in_all_files(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("apiVersion: scaletune.dev/v1alpha1\nkind: Study\nmetadata: {name: a}\n")
    other.write_text("kind: [\n")

    wrong = scaletune("validate", one)
    unreadable = scaletune("validate", other)

    assert wrong.returncode == unreadable.returncode == 2
    assert "one.yaml: Study a" in wrong.stderr
    assert "spec: Required value" in wrong.stderr
    assert "other.yaml, line" in unreadable.stderr


def test_a_setting_is_read_as_yaml_and_refused_where_it_is_wrong(tmp_path: Path) -> None:
    wrong = [
        ("budget.trials", "write it as FIELD=VALUE"),
        ("seed.below=1", "seed has no fields"),
        ("budget.trails=4", "spec.budget.trails: unknown field"),
        ("seed=no", "spec.seed: must be of type integer"),
    ]
    for setting, message in wrong:
        done = scaletune("run", EXAMPLES[0], "--set", "seed=1", "--set", setting)

        assert done.returncode == 2, done.stdout
        assert message in done.stderr


def test_status_without_a_run_says_so(tmp_path: Path) -> None:
    done = scaletune("status", tmp_path)

    assert done.returncode == 2
    assert "holds no study.yaml" in done.stderr
