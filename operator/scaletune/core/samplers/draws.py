"""Draws: values on the scales of their parameters, from fractions of the unit interval and back.

A trial's values come from one stream per parameter, so that adding a parameter changes no other's
values. Whole numbers are drawn from [min - 1/2, max + 1/2] and rounded half to even, so that both
ends are as likely as the rest.
"""

import math
from collections.abc import Mapping

from scaletune.api.configuration import ParameterValue
from scaletune.api.space import ChoiceSpace, FloatSpace, IntSpace, Parameter
from scaletune.api.study import StudySpec
from scaletune.core.seeds import stream

Value = float | int | str


def uniform(spec: StudySpec, index: int) -> dict[str, Value]:
    """The draws of one trial, uniform on the scales."""
    return {parameter.name: draw(spec.seed, index, parameter) for parameter in spec.parameters}


def draw(seed: int, index: int, parameter: Parameter) -> Value:
    """One value from a parameter's space, uniform on its scale."""
    return value_at(parameter, stream(seed, index, parameter.name).random())


def value_at(parameter: Parameter, u: float) -> Value:
    """The value at a fraction u in [0, 1) of a parameter's space."""
    space = parameter.space
    if space.values is not None:
        return space.values[math.floor(u * len(space.values))]
    if isinstance(space, IntSpace):
        low, high = ends(space)
        drawn = round(at_fraction(space.scale, low - 0.5, high + 0.5, u))
        return int(min(max(drawn, low), high))
    assert isinstance(space, FloatSpace)
    return at_fraction(space.scale, *ends(space), u)


def fraction_of(parameter: Parameter, value: Value) -> float:
    """Where a value lies in its parameter's space, 0 to 1: what `value_at` makes it of.

    A value that the space does not have, such as an initial one, lies at the nearer end.
    """
    space = parameter.space
    if space.values is not None:
        place = space.values.index(value) if value in space.values else 0
        return (place + 0.5) / len(space.values)
    assert not isinstance(space, ChoiceSpace)
    low, high = ends(space)
    if isinstance(space, IntSpace):
        low, high = low - 0.5, high + 0.5
    at = min(max(float(value), low), high)
    low, high, at = (on_scale(space.scale, each) for each in (low, high, at))
    if not math.isfinite(high - low):
        low, high, at = low / 2, high / 2, at / 2
    return (at - low) / (high - low)


def at_fraction(scale: str, low: float, high: float, u: float) -> float:
    """The value at fraction u of a range, measured on a scale."""
    if scale == "Log":
        if math.isfinite(high / low):
            return float(low * (high / low) ** u)
        return math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
    if scale == "Logit":
        low, high = (math.log(x / (1 - x)) for x in (low, high))
        logit = low + u * (high - low)
        # exp overflows below -709, where the fraction is its own odds.
        return 1 / (1 + math.exp(-logit)) if logit > -700 else math.exp(logit)
    if math.isfinite(high - low):
        return low + u * (high - low)
    return low * (1 - u) + high * u


def on_scale(scale: str, value: float) -> float:
    """A value as its scale measures it."""
    if scale == "Log":
        return math.log(value)
    return math.log(value / (1 - value)) if scale == "Logit" else value


def ends(space: FloatSpace | IntSpace) -> tuple[float, float]:
    """The range of a parameter that has one."""
    if space.min is None or space.max is None:
        raise ValueError("a range needs min and max")
    return space.min, space.max


def all_centers(spec: StudySpec) -> dict[str, Value] | None:
    """The configuration of all centers; None where a parameter has none."""
    known = {each.name: each.space.center for each in spec.parameters}
    found = {name: center for name, center in known.items() if center is not None}
    return found if len(found) == len(known) else None


def typed(spec: StudySpec, values: Mapping[str, Value]) -> tuple[ParameterValue, ...]:
    """Values in the order of the parameters, each under the key of its kind."""
    return tuple(_typed_value(parameter, values[parameter.name]) for parameter in spec.parameters)


def _typed_value(parameter: Parameter, value: Value) -> ParameterValue:
    if parameter.float_ is not None and not isinstance(value, str):
        return ParameterValue(name=parameter.name, float_=float(value))
    if parameter.int_ is not None and not isinstance(value, str) and value == int(value):
        return ParameterValue(name=parameter.name, int_=int(value))
    if parameter.choice is not None and isinstance(value, str):
        return ParameterValue(name=parameter.name, choice=value)
    raise ValueError(f"{parameter.name}: {value!r} is not a value of this parameter")
