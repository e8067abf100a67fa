"""Programs are taken from where the developer says, and otherwise built once."""

import lzma
import os
import shutil
from pathlib import Path

import pytest

from tests.cluster import programs
from tests.cluster.faults import ClusterError, Missing
from tests.cluster.programs import Program

PROGRAM = Program("greeting", minutes=1)
SOURCE = """package main

import "fmt"

func main() { fmt.Println("hello") }
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Not by XDG_CACHE_HOME: Go would take its own cache to be empty and compile its library anew.
    monkeypatch.setattr(programs, "cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(programs, "SOURCES", tmp_path / "go")
    monkeypatch.delenv("SCALETUNE_PROGRAMS", raising=False)
    folder = tmp_path / "go" / PROGRAM.name
    folder.mkdir(parents=True)
    (folder / "main.go").write_text(SOURCE)
    (folder / "go.mod").write_text("module greeting\n\ngo 1.24\n")
    return tmp_path / "cache"


def _say_nothing(line: str) -> None:
    pass


def _file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_variable_of_a_program_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = _file(tmp_path / "named", b"named")
    _file(tmp_path / "folder" / "greeting", b"in the folder")
    monkeypatch.setenv("SCALETUNE_GREETING", str(named))
    monkeypatch.setenv("SCALETUNE_PROGRAMS", str(tmp_path / "folder"))

    assert programs.find(PROGRAM, _say_nothing) == named


def test_a_packed_program_is_unpacked_into_the_cache_and_can_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    _file(tmp_path / "folder" / "greeting.xz", lzma.compress(b"the program"))
    monkeypatch.setenv("SCALETUNE_PROGRAMS", str(tmp_path / "folder"))

    found = programs.find(PROGRAM, _say_nothing)

    assert found.read_bytes() == b"the program"
    assert found.parent == cache
    assert os.access(found, os.X_OK)


def test_a_variable_that_names_nothing_is_told_and_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCALETUNE_GREETING", "/nowhere/greeting")

    with pytest.raises(Missing, match="SCALETUNE_GREETING names /nowhere/greeting"):
        programs.find(PROGRAM, _say_nothing)


def test_without_go_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(Missing, match=r"install Go .* or name a built one in SCALETUNE_GREETING"):
        programs.find(PROGRAM, _say_nothing)


def test_what_is_in_the_cache_is_not_built_again(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    built = _file(cache / f"greeting-{PROGRAM.digest}", b"built before")
    monkeypatch.setenv("PATH", "/nowhere")

    assert programs.find(PROGRAM, _say_nothing) == built


def test_changed_sources_are_another_program() -> None:
    before = PROGRAM.digest
    (PROGRAM.sources / "main.go").write_text(SOURCE.replace("hello", "good morning"))

    assert PROGRAM.digest != before


@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go")
def test_a_failed_build_says_what_the_compiler_said_and_leaves_nothing(cache: Path) -> None:
    (PROGRAM.sources / "main.go").write_text("package main\n\nfunc main() { nonsense }\n")

    with pytest.raises(ClusterError, match="undefined: nonsense"):
        programs.find(PROGRAM, _say_nothing)
    assert list(cache.iterdir()) == []
