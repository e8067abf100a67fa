"""Tables of recorded trainings as objectives: the nearest row is what a configuration would do.

A line is `{"parameters": {...}, "curve": [[step, value, seconds], ...]}`, seconds counted from the
start of the training. Near is measured in the unit cube, each parameter on its own scale; choices
must be the same. As with reports, the first point at or after a milestone serves it. A curve that
ends before a milestone has diverged where it ends. Of equally near rows the first counts.
"""

import json
import math
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaletune.api.space import ChoiceSpace, FloatSpace, IntSpace, Parameter
from scaletune.api.study import StudySpec

_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
Point = tuple[float, float, float]  # step, value, seconds


class InvalidTable(ValueError):
    """A table that cannot be read, with the line and what is wrong with it."""


class Table:
    """Recorded curves, callable as an objective."""

    def __init__(self, parameters: tuple[Parameter, ...]) -> None:
        self._parameters = parameters
        self._rows: dict[tuple[str, ...], list[tuple[tuple[float, ...], list[Point]]]] = {}
        self._nearest: dict[tuple[Any, ...], list[Point]] = {}

    def add(self, parameters: Mapping[str, Any], curve: list[Point]) -> None:
        """A row. Raises ValueError where a value is not one of its parameter."""
        choices, place = self._place(parameters)
        self._rows.setdefault(choices, []).append((place, curve))

    def __call__(
        self, parameters: Mapping[str, Any], start: int, until: int, seed: int, state: Any = None
    ) -> dict[str, float]:
        """The segment of the nearest row's curve."""
        curve = self._curve(parameters)
        begun = _reached(curve, start)
        reached = _reached(curve, until)
        before = 0.0 if start == 0 else begun[2] if begun else curve[-1][2]
        if reached is None:
            return {"value": math.nan, "seconds": max(0.0, curve[-1][2] - before)}
        return {"value": reached[1], "seconds": reached[2] - before}

    def _curve(self, parameters: Mapping[str, Any]) -> list[Point]:
        key = tuple(parameters[each.name] for each in self._parameters)
        if key not in self._nearest:
            choices, place = self._place(parameters)
            rows = self._rows.get(choices)
            if rows is None:
                raise LookupError(f"the table has no row with {', '.join(choices)}")
            self._nearest[key] = min(rows, key=lambda row: math.dist(row[0], place))[1]
        return self._nearest[key]

    def _place(self, parameters: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[float, ...]]:
        choices, place = [], []
        for each in self._parameters:
            value = parameters[each.name]
            if isinstance(each.space, ChoiceSpace):
                choices.append(str(value))
            else:
                place.append(_fraction(each.name, each.space, value))
        return tuple(choices), tuple(place)


def read_table(path: Path, spec: StudySpec) -> Table:
    """The table in a file. Raises InvalidTable."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidTable(getattr(error, "strerror", None) or str(error)) from None
    table, rows = Table(spec.parameters), 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            table.add(_parameters(row, spec), _points(row))
        except ValueError as error:
            raise InvalidTable(f"line {number}: {error}") from None
        rows += 1
    if not rows:
        raise InvalidTable("there is no row in it")
    return table


def _parameters(row: Any, spec: StudySpec) -> Mapping[str, Any]:
    if not isinstance(row, dict) or not isinstance(row.get("parameters"), dict):
        raise ValueError('a row is {"parameters": {...}, "curve": [[step, value, seconds], ...]}')
    found: dict[str, Any] = row["parameters"]
    missing = [each.name for each in spec.parameters if each.name not in found]
    if missing:
        raise ValueError(f"parameters: {', '.join(missing)} missing")
    return found


def _points(row: dict[str, Any]) -> list[Point]:
    curve = row.get("curve")
    if not isinstance(curve, list) or not curve:
        raise ValueError("curve must be a list of [step, value, seconds], and not empty")
    points: list[Point] = []
    for each in curve:
        if not isinstance(each, list) or len(each) != 3:
            raise ValueError(f"curve: {each!r:.60} is not [step, value, seconds]")
        step, value, seconds = each
        if value is None or value in _NOT_FINITE:
            value = math.nan
        if any(isinstance(x, bool) or not isinstance(x, int | float) for x in (step, seconds)):
            raise ValueError(f"curve: step and seconds must be numbers, not {each!r:.60}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"curve: the value must be a number or NaN, not {value!r:.60}")
        last = points[-1] if points else (0.0, 0.0, 0.0)
        if not last[0] < step or not last[2] <= seconds < math.inf:
            raise ValueError(
                f"curve: steps must rise and seconds, counted from the start of the training, must"
                f" not fall, but {each!r:.60} follows {list(last)}"
            )
        points.append((step, value, seconds))
    return points


def _reached(curve: list[Point], step: float) -> Point | None:
    """The first point at or after a step."""
    at = bisect_left([point[0] for point in curve], step)
    return curve[at] if at < len(curve) else None


def _fraction(name: str, space: FloatSpace | IntSpace, value: Any) -> float:
    """Where a value lies between the ends of its parameter, 0 to 1, measured on its scale."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"parameters: {name} must be a number, not {value!r:.60}")
    if space.values is not None:
        low, high = min(space.values), max(space.values)
    else:
        assert space.min is not None
        assert space.max is not None
        low, high = space.min, space.max
    try:
        low, high, at = (_on_scale(space.scale, float(x)) for x in (low, high, value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"parameters: {name} {value} is off its {space.scale} scale") from None
    return (at - low) / (high - low) if high > low else at - low


def _on_scale(scale: str, value: float) -> float:
    if scale == "Log":
        return math.log(value)
    return math.log(value / (1 - value)) if scale == "Logit" else value
