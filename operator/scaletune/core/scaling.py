"""Scaling laws between parameters: from sampled values to the values that are used.

The sampled value holds at the reference; models see it, users see both. Every law leaves it as it
is where what drives the law equals the reference.
"""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Final

from scaletune.api.configuration import ParameterValue
from scaletune.api.scaling import ScalingRule
from scaletune.api.study import StudySpec

_WIDEST: Final = 1e30  # ratios beyond it are absurd; powers of this one are still finite
_Values = Mapping[str, float | int | str]


def linear(value: float, k: float) -> float:
    """SGD's learning rate and the batch size (Goyal et al., arXiv:1706.02677)."""
    return value * k


def square_root(value: float, k: float) -> float:
    """Adam's learning rate and the batch size (Malladi et al., arXiv:2205.10287)."""
    return value * math.sqrt(k)


def adam_beta(value: float, k: float) -> float:
    """Adam's averages forget as fast in samples, whatever the batch size (ibid.)."""
    # Not 1 - k (1 - value), which for k = 1 differs from the value by a rounding.
    return value + (1 - k) * (1 - value)


def adam_epsilon(value: float, k: float) -> float:
    """Adam's epsilon stays as large beside the noise of a gradient (ibid.)."""
    return value / math.sqrt(k)


def mup(value: float, k: float) -> float:
    """The learning rate of hidden matrices and the width (Yang et al., arXiv:2203.03466)."""
    return value / k


def power_law(value: float, k: float, exponent: float) -> float:
    """A power of the ratio, as fitted elsewhere."""
    return float(value * k**exponent)


LAWS: Final[Mapping[str, Callable[[float, float], float]]] = {
    "Linear": linear,
    "SquareRoot": square_root,
    "AdamBeta": adam_beta,
    "AdamEpsilon": adam_epsilon,
    "MuP": mup,
}


def resolve(spec: StudySpec, parameters: tuple[ParameterValue, ...]) -> tuple[ParameterValue, ...]:
    """The values that the Study's scaling rules change, in the order of the parameters."""
    used = {parameter.name: parameter.value for parameter in parameters}
    scaled: dict[str, float] = {}
    # The time scale comes last: it follows a learning rate that may be scaled itself.
    for rule in sorted(spec.scaling_rules, key=lambda rule: rule.law == "AdamWTimeScale"):
        value = _finite(_apply(rule, used))
        if value != used[rule.parameter]:
            used[rule.parameter] = scaled[rule.parameter] = value
    return tuple(
        ParameterValue(name=parameter.name, float_=scaled[parameter.name])
        for parameter in parameters
        if parameter.name in scaled
    )


def _apply(rule: ScalingRule, used: _Values) -> float:
    value, k = _number(used, rule.parameter), _ratio(used, rule.with_, rule.reference)
    if rule.law == "AdamWTimeScale":
        return _time_scale(rule, used, value * k)
    if rule.law == "PowerLaw":
        return power_law(value, k, rule.exponent or 0)
    return LAWS[rule.law](value, k)


def _time_scale(rule: ScalingRule, used: _Values, value: float) -> float:
    """AdamW's memory of batch / (learning rate * weight decay * data) epochs stays as long.

    Wang and Aitchison, arXiv:2405.13698.
    """
    for driver in (rule.learning_rate, rule.dataset):
        if driver:
            value /= _ratio(used, driver.parameter, driver.reference)
    return value


def _number(used: _Values, name: str) -> float | int:
    value = used[name]
    if isinstance(value, str):
        raise ValueError(f"scalingRules: {name} must be a number for a law")
    return value


def _ratio(used: _Values, name: str, reference: float) -> float:
    return min(max(_number(used, name) / reference, 1 / _WIDEST), _WIDEST)


def _finite(value: float) -> float:
    """What is too large for a number becomes the largest: a trial that diverges, not an error."""
    return min(max(value, -sys.float_info.max), sys.float_info.max)
