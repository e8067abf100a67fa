"""The house rules a machine can check: each failure names file, line and what to write instead."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = tuple(ROOT / "operator/scaletune" / layer for layer in ("api", "core"))
TOP_LEVEL = {
    *(".ci", ".gitattributes", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
    *("Makefile", "README.md", "pyproject.toml", "crds", "docs", "helm", "operator"),
    *("tests", "trainer-image"),
}

RECORDED = ROOT / "tests/bench/data"  # arrays of numbers, with their licences
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
PARAMETERS_MAX = 6
COLUMNS_MAX = 120  # of prose; ruff sees to code
SAYS_NOTHING = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc", "tools"}

# Import contracts keep clocks and sockets out of the core. These calls they cannot see.
BANNED_IN_CORE = {
    "datetime.now": "take `now` as an argument",
    "datetime.utcnow": "take `now` as an argument",
    "default_rng": "use the stream of (seed, index, purpose)",
    "hash": "use zlib.crc32: hash() of a str differs between processes",
    "open": "let a shell read it and pass the content",
    "print": "return it and let a shell show it",
}

# Paths and hosts of one machine or one workplace have no business in a product.
FOREIGN = {
    re.compile(r"(?<![\w.])/(?:home|Users|work)/\w"): "a path of one machine; take it as an option",
    re.compile(r"\b(?:pypi\.org|files\.pythonhosted\.org|proxy\.golang\.org|deb\.debian\.org)\b"): (
        "a registry's host; the client's own configuration knows it"
    ),
    re.compile(r"\b(?:artifactory|nexus|codeartifact|pkg\.dev)\b[^`\s]*/simple"): (
        "a registry's host; the client's own configuration knows it"
    ),
    re.compile(
        r"(?<![\w-])--?(?:index-url|extra-index-url)\b"
    ): "an index; pip's configuration knows",
}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = listed.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


TRACKED = tracked()
SOURCES = [path for path in TRACKED if path.suffix == ".py"]
PROSE = [path for path in TRACKED if path.suffix == ".md"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_source_is_tidy(path: Path) -> None:
    assert list(untidy(path)) == []


@pytest.mark.parametrize("path", PROSE, ids=name_of)
def test_prose_is_tidy(path: Path) -> None:
    text = path.read_text()
    wide = [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > COLUMNS_MAX and not re.search(r"^\||https?://|^\s*(?:\$ |[├└│┃])", line)
    ]

    assert text.startswith(("# ", "<")), "begins with its title"
    assert wide == [], f"lines of more than {COLUMNS_MAX} columns"
    assert list(broken_links(path, text)) == []


@pytest.mark.parametrize("path", TRACKED, ids=name_of)
def test_no_file_speaks_of_the_machine_it_was_written_on(path: Path) -> None:
    if path == Path(__file__) or (path.parent == RECORDED and path.suffix == ".npz"):
        return
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError:
        pytest.fail("not text: nothing binary is committed, but recorded trainings")
    found = [
        f"{number}: {match.group()}: {instead}"
        for number, line in enumerate(lines, 1)
        for pattern, instead in FOREIGN.items()
        if (match := pattern.search(line))
    ]

    assert found == []


def test_operator_is_a_folder_and_never_a_package() -> None:
    """An __init__.py there shadows the standard library for a Python started with PYTHONPATH=."""
    assert not (ROOT / "operator/__init__.py").exists()


def test_names_say_what_is_inside() -> None:
    parts = {part for path in TRACKED for part in path.relative_to(ROOT).with_suffix("").parts}

    assert parts & SAYS_NOTHING == set()


def test_the_top_level_is_what_the_readme_shows() -> None:
    found = {path.relative_to(ROOT).parts[0] for path in TRACKED}

    assert found - TOP_LEVEL == set()
    assert {"LICENSE", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"} <= found


def test_the_license_is_the_one_that_the_package_names() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()


def test_every_test_of_a_core_module_lies_where_it_is_looked_for() -> None:
    modules = {path.stem for path in (ROOT / "operator/scaletune/core").glob("*.py")}
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests/core").glob("test_*.py")}
    by_way_of = {"__init__": "", "endings": "plan_ends", "starts": "plan", "frame": "ledger"}

    assert {name for name in modules if by_way_of.get(name, name) not in tested | {""}} == set()


def test_every_make_target_is_explained() -> None:
    targets = re.findall(r"^([a-z][a-z-]*):(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert [name for name, rest in targets if "##" not in rest] == []


def untidy(path: Path) -> Iterator[str]:
    text = path.read_text()
    tree = ast.parse(text)
    if (lines := text.count("\n")) > FILE_LINES_MAX:
        yield f"{lines} lines; at most {FILE_LINES_MAX}: split it by noun"
    if not ast.get_docstring(tree):
        yield "1: no docstring: say what this is, why it is here, and what it does not do"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from untidy_function(node)
        elif isinstance(node, ast.Call) and any(path.is_relative_to(layer) for layer in CORE):
            yield from untidy_call(node)


def untidy_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    start = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0].lineno
    lines = (node.end_lineno or start) - start + 1
    given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    parameters = [arg.arg for arg in given if arg.arg not in ("self", "cls")]
    if lines > FUNCTION_LINES_MAX:
        yield f"{node.lineno}: {node.name} has {lines} lines; at most {FUNCTION_LINES_MAX}"
    is_command = any("command" in ast.unparse(each) for each in node.decorator_list)
    if len(parameters) > PARAMETERS_MAX and not is_command:  # Typer makes options of parameters
        yield f"{node.lineno}: {node.name} takes {len(parameters)}; name what they are together"


def untidy_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    for banned, instead in BANNED_IN_CORE.items():
        if f".{name}".endswith(f".{banned}"):
            yield f"{node.lineno}: {name} in the core; {instead}"


def broken_links(path: Path, text: str) -> Iterator[str]:
    """Links to files of the repository that are not there."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not (path.parent / target).exists():
            yield target
