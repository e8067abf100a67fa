"""Scaling laws between parameters: from sampled values to the values that are used.

The sampled value holds at the reference; models see it, users see both.
"""

from scaletune.api.space import ScalingRule
from scaletune.api.study import StudySpec
from scaletune.api.trial import ParameterValue


def linear(value: float, variable: float, reference: float) -> float:
    """Linear scaling (Goyal et al., arXiv:1706.02677): value * variable / reference."""
    return value * variable / reference


LAWS = {"Linear": linear}


def resolve(spec: StudySpec, parameters: tuple[ParameterValue, ...]) -> tuple[ParameterValue, ...]:
    """The values that the Study's scaling rules change, in the order of the parameters."""
    rules = {rule.parameter: rule for rule in spec.scaling_rules}
    values = {parameter.name: parameter.value for parameter in parameters}
    resolved = []
    for parameter in parameters:
        if parameter.name in rules:
            value = _apply(rules[parameter.name], values)
            if value != parameter.value:
                resolved.append(ParameterValue(name=parameter.name, float_=value))
    return tuple(resolved)


def _apply(rule: ScalingRule, values: dict[str, float | int | str]) -> float:
    value, variable = values[rule.parameter], values[rule.with_]
    if isinstance(value, str) or isinstance(variable, str):
        raise ValueError(
            f"scalingRules: {rule.parameter} and {rule.with_} must both be numbers for a law"
        )
    return LAWS[rule.law](value, variable, rule.reference)
