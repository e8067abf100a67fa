"""Perturb: other values close to the ones that a trial has, as population based training explores.

Each parameter takes a step down or up with equal chance: a number by a factor of 0.5 or 2 (whole
numbers by one at least, zero by a tenth of its range), a list of numbers to the neighbouring one,
within the range in any case. A name out of several stays. With some probability a parameter is
drawn anew instead. One stream per parameter: adding one changes no other's values.
"""

from collections.abc import Mapping
from math import floor

from scaletune.api.configuration import ParameterValue
from scaletune.api.policy import Pbt
from scaletune.api.space import ChoiceSpace, IntSpace, Parameter
from scaletune.api.study import StudySpec
from scaletune.core.samplers.draws import Value, ends, typed, value_at
from scaletune.core.seeds import Stream, stream

DOWN, UP = 0.5, 2.0
SHARE_OF_RANGE = 0.1  # of a value of zero, which no factor moves


def perturbed(
    spec: StudySpec, pbt: Pbt, before: Mapping[str, Value], index: int, generation: int
) -> tuple[ParameterValue, ...]:
    """The values of a trial that takes over these at a milestone, its generation."""
    after = {
        each.name: before[each.name]
        if each.name in pbt.fixed
        else _explored(
            each, before[each.name], pbt.resample, _stream(spec, index, generation, each)
        )
        for each in spec.parameters
    }
    return typed(spec, after)


def _stream(spec: StudySpec, index: int, generation: int, parameter: Parameter) -> Stream:
    return stream(spec.seed, index, f"explore {generation} {parameter.name}")


def _explored(parameter: Parameter, value: Value, resample: float, random: Stream) -> Value:
    if random.random() < resample:
        return value_at(parameter, random.random())
    return stepped(parameter, value, up=random.random() >= 0.5)


def stepped(parameter: Parameter, value: Value, *, up: bool) -> Value:
    """The value one step further, within the parameter's range."""
    space = parameter.space
    if isinstance(space, ChoiceSpace) or isinstance(value, str):
        return value
    if space.values is not None:
        return _neighbour(sorted(map(float, space.values)), value, up=up)
    low, high = ends(space)
    sign = 1 if up else -1
    moved = value * (UP if up else DOWN)
    if value == 0:
        moved = sign * SHARE_OF_RANGE * (high - low)
    if isinstance(space, IntSpace):
        moved = floor(moved + 0.5)
        if moved == value:
            moved += sign
        return int(min(max(moved, low), high))
    return min(max(moved, low), high)


def _neighbour(values: list[float], value: float, *, up: bool) -> float:
    """The next one of a list, or the last one in this direction; an unknown one is at its end."""
    place = values.index(value) if value in values else 0
    return values[min(max(place + (1 if up else -1), 0), len(values) - 1)]
