"""Samplers: what is tried next. A configuration is a pure function of the study and the index.

A trial's values come from one stream per parameter, so that adding a parameter changes no other's
values. Whole numbers are drawn from [min - 1/2, max + 1/2] and rounded half to even, so that both
ends are as likely as the rest.
"""

import math

from scaletune.api.space import ChoiceSpace, FloatSpace, IntSpace, Parameter
from scaletune.api.study import StudySpec
from scaletune.api.trial import Origin, ParameterValue
from scaletune.core.seeds import stream

Value = float | int | str


def configuration(spec: StudySpec, index: int) -> tuple[tuple[ParameterValue, ...], Origin] | None:
    """The configuration of trial `index`, and where it comes from; None when none is left."""
    if index < len(spec.initial):
        given = spec.initial[index]
        values = {
            parameter.name: given.get(parameter.name, _unsaid(spec, index, parameter))
            for parameter in spec.parameters
        }
        return _typed(spec, values), Origin(kind="Initial")
    if spec.sampler.grid is not None:
        point = _grid_point(spec, index - len(spec.initial), spec.sampler.grid.points)
        return None if point is None else (_typed(spec, point), Origin(kind="Grid"))
    values = {parameter.name: draw(spec.seed, index, parameter) for parameter in spec.parameters}
    return _typed(spec, values), Origin(kind="Random")


def _unsaid(spec: StudySpec, index: int, parameter: Parameter) -> Value:
    """What an initial configuration that leaves a parameter out means: its center, or a draw."""
    center = parameter.space.center
    return draw(spec.seed, index, parameter) if center is None else center


def draw(seed: int, index: int, parameter: Parameter) -> Value:
    """One value from a parameter's space, uniform on its scale."""
    u = stream(seed, index, parameter.name).random()
    space = parameter.space
    if space.values is not None:
        return space.values[math.floor(u * len(space.values))]
    if isinstance(space, IntSpace):
        low, high = _ends(space)
        drawn = round(at_fraction(space.scale, low - 0.5, high + 0.5, u))
        return int(min(max(drawn, low), high))
    assert isinstance(space, FloatSpace)
    return at_fraction(space.scale, *_ends(space), u)


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


def grid_size(spec: StudySpec) -> int | None:
    """How many combinations the grid has; None when the sampler is not a grid."""
    grid = spec.sampler.grid
    if grid is None:
        return None
    return math.prod(len(_grid_values(parameter, grid.points)) for parameter in spec.parameters)


def configurations_at_most(spec: StudySpec) -> int | None:
    """How many trials there will be: what the budget allows and the sampler gives, if limited."""
    points = grid_size(spec)
    limits = [spec.budget.trials, points and points + len(spec.initial)]
    return min((limit for limit in limits if limit is not None), default=None)


def _grid_point(spec: StudySpec, number: int, points: int) -> dict[str, Value] | None:
    """The grid's combination with this number, the last parameter varying fastest."""
    point: dict[str, Value] = {}
    for parameter in reversed(spec.parameters):
        values = _grid_values(parameter, points)
        number, position = divmod(number, len(values))
        point[parameter.name] = values[position]
    return point if number == 0 else None


def _grid_values(parameter: Parameter, points: int) -> tuple[Value, ...]:
    space = parameter.space
    if isinstance(space, ChoiceSpace):
        return space.values
    if space.values is not None:
        return space.values
    low, high = _ends(space)
    spread = [
        at_fraction(space.scale, low, high, i / (points - 1) if points > 1 else 0.5)
        for i in range(points)
    ]
    if isinstance(space, IntSpace):
        return tuple(dict.fromkeys(round(value) for value in spread))
    return tuple(min(max(value, low), high) for value in spread)


def _ends(space: FloatSpace | IntSpace) -> tuple[float, float]:
    if space.min is None or space.max is None:
        raise ValueError("a range needs min and max")
    return space.min, space.max


def _typed(spec: StudySpec, values: dict[str, Value]) -> tuple[ParameterValue, ...]:
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
