"""Grid: every combination of evenly spaced values, once, the last parameter varying fastest."""

import math

from scaletune.api.space import ChoiceSpace, IntSpace, Parameter
from scaletune.api.study import StudySpec
from scaletune.core.samplers.draws import Value, at_fraction, ends


def size(spec: StudySpec, points: int) -> int:
    """How many combinations there are."""
    return math.prod(len(_values(parameter, points)) for parameter in spec.parameters)


def point(spec: StudySpec, number: int, points: int) -> dict[str, Value] | None:
    """The combination with this number; None beyond the last."""
    found: dict[str, Value] = {}
    for parameter in reversed(spec.parameters):
        values = _values(parameter, points)
        number, position = divmod(number, len(values))
        found[parameter.name] = values[position]
    return found if number == 0 else None


def _values(parameter: Parameter, points: int) -> tuple[Value, ...]:
    space = parameter.space
    if isinstance(space, ChoiceSpace):
        return space.values
    if space.values is not None:
        return space.values
    low, high = ends(space)
    spread = [
        at_fraction(space.scale, low, high, i / (points - 1) if points > 1 else 0.5)
        for i in range(points)
    ]
    if isinstance(space, IntSpace):
        return tuple(dict.fromkeys(round(value) for value in spread))
    return tuple(min(max(value, low), high) for value in spread)
