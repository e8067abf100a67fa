"""Larger: the Study that goes on where another one's scaling laws lead.

It is the same Study at so many times the cost: its parameters lie around what the laws predict, and
what bounds cost in it is multiplied. Configurations that the user gave are left out, as they were
meant for the smaller cost.
"""

import math
from typing import Any

from scaletune.api.policy import COST_MAX
from scaletune.api.space import LARGEST, FloatSpace, IntSpace
from scaletune.api.study import GPU_HOURS_MAX, Study
from scaletune.core.derived import derived, spec_of
from scaletune.core.laws import Law, Laws, Prediction

LEAST_FACTOR = 2.0  # a range reaches at least so far below and above its center, on a Log scale
LEAST_LOGIT = 0.3
LEAST_SHARE = 0.1  # of the old range, on a Linear scale


def larger_study(study: Study, laws: Laws, times: float) -> dict[str, Any]:
    """The Study, as its YAML would be."""
    spec = spec_of(study)
    predicted = laws.predict(times)
    spec["parameters"] = [_parameter(law, predicted[law.parameter.name]) for law in laws.laws]
    spec.pop("initial", None)
    spec.pop("state", None)
    hours = spec.get("budget", {}).get("gpuHours")
    if hours is not None:
        spec["budget"]["gpuHours"] = min(hours * times, GPU_HOURS_MAX)
    carbs = spec.get("policy", {}).get("carbs") or {}
    if carbs.get("costMax") is not None:
        carbs["costMax"] = min(carbs["costMax"] * times, COST_MAX)
    return derived(study, _suffix(times), spec)


def _suffix(times: float) -> str:
    return f"-x{times:.4g}".lower().replace(".", "-").replace("+", "")


def _parameter(law: Law, prediction: Prediction) -> dict[str, Any]:
    document = law.parameter.to_yaml_fields()
    [kind] = [each for each in ("float", "int", "choice") if document.get(each) is not None]
    space, given = document[kind], law.parameter.space
    space["center"] = prediction.value
    if isinstance(given, FloatSpace | IntSpace) and given.values is None:
        low, high = _range(given, prediction)
        if given.min is not None:
            space["min"] = _as(given, low, math.floor)
        if given.max is not None:
            space["max"] = _as(given, high, math.ceil)
        bounded = max(space.get("min", -math.inf), min(space["center"], space.get("max", math.inf)))
        space["center"] = bounded if isinstance(given, IntSpace) else float(f"{bounded:.4g}")
    return document


def _range(space: FloatSpace | IntSpace, prediction: Prediction) -> tuple[float, float]:
    """Where it lies with 90 %, and at least some way around the center."""
    center, low, high = float(prediction.value), prediction.low, prediction.high
    if space.scale == "Log":
        low, high = min(low, center / LEAST_FACTOR), max(high, center * LEAST_FACTOR)
        return (max(1.0, low) if isinstance(space, IntSpace) else low), high
    old_low = -math.inf if space.min is None else float(space.min)
    old_high = math.inf if space.max is None else float(space.max)
    if space.scale == "Logit":
        odds = center / (1 - center)
        least, most = (odds * 10.0**step for step in (-LEAST_LOGIT, LEAST_LOGIT))
        return min(low, least / (1 + least)), max(high, most / (1 + most))
    width = old_high - old_low if math.isfinite(old_high - old_low) else abs(center)
    low, high = min(low, center - LEAST_SHARE * width), max(high, center + LEAST_SHARE * width)
    return max(low, old_low), min(high, old_high)


def _as(space: FloatSpace | IntSpace, value: float, whole: Any) -> float | int:
    """A bound as it is written: whole where it must be, else with four digits."""
    if isinstance(space, IntSpace):
        return max(-LARGEST, min(LARGEST, int(whole(value))))
    return float(f"{value:.4g}")
