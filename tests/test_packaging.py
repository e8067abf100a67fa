"""Claims about the package: what it holds, what importing it loads, what it needs."""

import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
HEAVY = ("numpy", "scipy", "torch", "kopf", "kubernetes", "optuna")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    return zipfile.ZipFile(next(WheelBuilder(str(ROOT)).build(directory=str(folder))))


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after a statement."""
    program = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.parametrize("module", ["scaletune", "scaletune.cli", "scaletune.core.plan"])
def test_importing_loads_neither_numerics_nor_a_cluster(module: str) -> None:
    assert loaded_by(f"import {module}") & set(HEAVY) == set()


def test_the_protocol_needs_nothing_but_the_standard_library() -> None:
    assert loaded_by("import scaletune_trainer.wire") & {*HEAVY, "prometheus_client"} == set()


def test_the_operator_loads_no_numerics_at_its_start() -> None:
    loaded = loaded_by("import scaletune.shells.kubernetes.operate")

    assert "kopf" in loaded
    assert loaded & {"numpy", "scipy", "torch"} == set()


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    top = {name.partition("/")[0] for name in wheel.namelist()}

    assert {name for name in top if not name.endswith(".dist-info")} == {
        "scaletune",
        "scaletune_trainer",
    }
    assert not [name for name in wheel.namelist() if "/test" in name or name.endswith(".pyc")]


def test_the_wheel_says_what_it_needs_and_brings_its_license(wheel: zipfile.ZipFile) -> None:
    (name,) = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(wheel.read(name).decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = metadata.get_all("Requires-Dist") or []

    assert (metadata["Name"], metadata["Version"]) == ("scaletune", project["version"])
    assert len([need for need in needs if "extra ==" not in need]) == len(project["dependencies"])
    assert [each for each in wheel.namelist() if each.endswith("licenses/LICENSE")]


def test_the_command_is_there_after_installing(wheel: zipfile.ZipFile) -> None:
    (name,) = [each for each in wheel.namelist() if each.endswith("entry_points.txt")]

    assert "scaletune = scaletune.cli:main" in wheel.read(name).decode()
