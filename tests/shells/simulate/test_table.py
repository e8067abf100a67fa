"""Claims about tables of recorded curves."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from scaletune.shells.simulate.table import InvalidTable, Table, read_table
from tests.core import given

PARAMETERS: list[dict[str, Any]] = [
    {"name": "rate", "float": {"min": 1e-4, "max": 1.0, "scale": "Log"}},
    {"name": "width", "int": {"min": 0, "max": 10}},
    {"name": "optimizer", "choice": {"values": ["adamw", "muon"]}},
]


def row(rate: Any, width: Any, optimizer: str, *curve: Any) -> dict[str, Any]:
    return {
        "parameters": {"rate": rate, "width": width, "optimizer": optimizer},
        "curve": [list(point) for point in curve] or [[1, rate, 10]],
    }


def table(folder: Path, *rows: Any) -> Table:
    path = folder / "table.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return read_table(path, given.study(parameters=PARAMETERS).spec)


def value(found: Table, rate: float, width: int, optimizer: str = "adamw") -> Any:
    return found({"rate": rate, "width": width, "optimizer": optimizer}, 0, 1, seed=0)["value"]


def test_the_nearest_row_is_found_on_the_parameters_scales(tmp_path: Path) -> None:
    found = table(tmp_path, row(1e-3, 5, "adamw"), row(0.5, 5, "adamw"))

    assert value(found, 2e-2, 5) == 1e-3
    assert value(found, 3e-2, 5) == 0.5


def test_each_parameter_counts_by_its_own_range(tmp_path: Path) -> None:
    found = table(tmp_path, row(1e-2, 0, "adamw"), row(1e-3, 10, "adamw"))

    assert value(found, 1e-3, 4) == 1e-2
    assert value(found, 1e-3, 7) == 1e-3


def test_choices_must_be_the_same(tmp_path: Path) -> None:
    found = table(tmp_path, row(1e-3, 5, "adamw"), row(0.5, 5, "muon"))

    assert value(found, 1e-3, 5, "muon") == 0.5
    with pytest.raises(LookupError, match="no row with muon"):
        value(table(tmp_path, row(1e-3, 5, "adamw")), 1e-3, 5, "muon")


def test_of_equally_near_rows_the_first_counts(tmp_path: Path) -> None:
    found = table(tmp_path, row(0.1, 5, "adamw", [1, 7.0, 1]), row(0.1, 5, "adamw", [1, 8.0, 1]))

    assert value(found, 0.1, 5) == 7.0


def test_segments_add_up_to_the_curve_and_its_end_is_divergence(tmp_path: Path) -> None:
    found = table(tmp_path, row(0.1, 5, "adamw", [2, 0.9, 20], [4, 0.7, 50], [8, "NaN", 70]))
    where = {"rate": 0.1, "width": 5, "optimizer": "adamw"}

    assert found(where, 0, 1, 0) == {"value": 0.9, "seconds": 20}
    assert found(where, 1, 3, 0) == {"value": 0.7, "seconds": 30}
    diverged, ended = found(where, 3, 8, 0), found(where, 4, 16, 0)
    assert math.isnan(diverged["value"])
    assert diverged["seconds"] == 20
    assert math.isnan(ended["value"])
    assert ended["seconds"] == 20


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "line 2: a row is"),
        ({"parameters": {"rate": 1, "width": 1}, "curve": []}, "line 2: parameters: optimizer"),
        (row("fast", 1, "adamw", [1, 2, 3]), "line 2: parameters: rate must be a number"),
        (row(0, 1, "adamw"), "line 2: parameters: rate 0 is off its Log scale"),
        (row(0.1, 1, "adamw", [1, 2]), r"is not \[step, value, seconds\]"),
        (row(0.1, 1, "adamw", [1, 2, "a"]), "step and seconds must be numbers"),
        (row(0.1, 1, "adamw", [1, "low", 1]), "the value must be a number or NaN"),
        (row(0.1, 1, "adamw", [1, 2, 5], [1, 2, 6]), "steps must rise"),
        (row(0.1, 1, "adamw", [1, 2, 5], [2, 2, 4]), "must not fall"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(tmp_path: Path, wrong: Any, message: str) -> None:
    with pytest.raises(InvalidTable, match=message):
        table(tmp_path, row(0.1, 5, "adamw"), wrong)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match="no row"):
        table(tmp_path)
