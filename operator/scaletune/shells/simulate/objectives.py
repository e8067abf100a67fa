"""Objectives: what a training would report, as a pure function of the user's.

    objective(parameters, start, until, seed, state=None)
        -> {"value": ..., "seconds": ..., "state"?: ..., "cost"?: ..., "metrics"?: {name: ...}}

It is called once for each segment between milestones, so that pausing and resuming cost what they
would: `state` is what the segment before gave back, `cost` is what this one costs, where the policy
names a costMetric. `metrics` are what else it would report: where
spec.confirm names one of them, confirmation goes by it instead of the value. A value that is not
finite has diverged, MemoryError is out of memory; anything else that it raises is its author's
error and ends the simulation.
"""

import importlib
import importlib.util
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaletune.api.study import StudySpec
from scaletune.shells.simulate.table import InvalidTable, read_table

Values = Mapping[str, float | int | str]
Function = Callable[..., Any]
_KEYS = frozenset({"value", "seconds", "state", "cost", "metrics"})


class InvalidObjective(ValueError):
    """There is no such objective, or it cannot be loaded."""


class ObjectiveError(Exception):
    """The objective raised, or gave something that is no result; with the trial it was called for.

    It is the user's own error: the simulation ends.
    """


@dataclass(frozen=True)
class Call:
    """One segment of one trial's training."""

    trial: str
    parameters: Values
    start: int
    until: int
    seed: int
    state: Any = None
    costs: bool = False
    """costs says that the result must have a cost."""


@dataclass(frozen=True)
class Segment:
    """What a segment comes to."""

    value: float
    seconds: float
    state: Any = None
    out_of_memory: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    cost: float | None = None

    def judged_by(self, metric: str | None) -> float:
        """The value that counts: of this metric, if it is reported."""
        return self.value if metric is None else self.metrics.get(metric, self.value)


def load(name: str, spec: StudySpec) -> Function:
    """The objective named FILE.py:NAME, package.module:NAME or TABLE.jsonl."""
    if name.endswith(".jsonl"):
        try:
            return read_table(Path(name), spec)
        except InvalidTable as error:
            raise InvalidObjective(f"{name}: {error}") from None
    place, colon, function = name.rpartition(":")
    if not colon or not place or not function:
        raise InvalidObjective(
            f"--objective {name}: give FILE.py:NAME, package.module:NAME or TABLE.jsonl"
        )
    module = _module(place, name)
    found = getattr(module, function, None)
    if not callable(found):
        raise InvalidObjective(f"--objective {name}: {place} has no function {function}")
    return found  # type: ignore[no-any-return]


def _module(place: str, name: str) -> Any:
    is_file = place.endswith(".py")
    if is_file and not Path(place).is_file():
        raise InvalidObjective(f"--objective {name}: there is no file {place}")
    folder = str(Path(place).resolve().parent if is_file else Path.cwd())
    if folder not in sys.path:  # what stands beside it can be imported, as for any script
        sys.path.insert(0, folder)
    try:
        if not is_file:
            return importlib.import_module(place)
        own_name = f"objective {Path(place).stem}"  # no module of that name can be imported
        located = importlib.util.spec_from_file_location(own_name, place)
        assert located is not None
        assert located.loader is not None
        module = importlib.util.module_from_spec(located)
        sys.modules[own_name] = module
        located.loader.exec_module(module)
        return module
    except Exception as error:  # whatever a user's file may raise
        raise InvalidObjective(f"--objective {name}: cannot import {place}: {error!r}") from None


def evaluate(function: Function, call: Call) -> Segment:
    """One call. Raises ObjectiveError."""
    arguments = (dict(call.parameters), call.start, call.until, call.seed)
    try:
        result = function(*arguments, state=call.state)
    except MemoryError:
        return Segment(math.nan, 0.0, out_of_memory=True)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        words = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
        raise ObjectiveError(_complaint(call, f"raised {words}")) from error
    if not isinstance(result, Mapping) or not {"value", "seconds"} <= set(result) <= _KEYS:
        shown = f"{sorted(map(str, result))}" if isinstance(result, Mapping) else f"{result!r:.80}"
        raise ObjectiveError(
            _complaint(
                call, f"gave {shown}, not value, seconds and perhaps state, cost and metrics"
            )
        )
    value, seconds = (_number(call, name, result[name]) for name in ("value", "seconds"))
    if not 0 <= seconds < math.inf:
        raise ObjectiveError(_complaint(call, f"gave {seconds} seconds; they must be 0 or more"))
    cost = None if result.get("cost") is None else _number(call, "cost", result["cost"])
    if cost is None and call.costs and math.isfinite(value):
        raise ObjectiveError(_complaint(call, "gave no cost, which policy.carbs.costMetric needs"))
    metrics = result.get("metrics") or {}
    if not isinstance(metrics, Mapping):
        raise ObjectiveError(_complaint(call, f"gave metrics {metrics!r:.60}; it must be a map"))
    known = {str(name): _number(call, str(name), each) for name, each in metrics.items()}
    return Segment(value, seconds, result.get("state"), metrics=known, cost=cost)


def _number(call: Call, name: str, value: Any) -> float:
    if isinstance(value, str):
        raise ObjectiveError(_complaint(call, f"gave {name} {value!r}; it must be a number"))
    try:
        return float(value)
    except (TypeError, ValueError):
        complaint = _complaint(call, f"gave {name} {value!r:.80}; it must be a number")
        raise ObjectiveError(complaint) from None


def _complaint(call: Call, what: str) -> str:
    parameters = ", ".join(f"{name} {value}" for name, value in call.parameters.items())
    return (
        f"the objective {what}, called for trial {call.trial} from {call.start} to {call.until}"
        f" with {parameters}"
    )
