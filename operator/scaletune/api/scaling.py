"""Scaling rules: which parameter follows which other one, by which law, from which reference.

What the laws compute is `core.scaling`'s affair. Here stands what must hold before one is let in:
every name is that of a parameter, no law can leave its domain, and none depends on itself. The
weight decay may follow a learning rate that is scaled itself; nothing else follows what is scaled,
so that there are no cycles.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from scaletune.api.model import Model, Number
from scaletune.api.rules import Rule, rule, rules
from scaletune.api.space import ParameterName

Law = Literal[
    "Linear", "SquareRoot", "AdamBeta", "AdamEpsilon", "PowerLaw", "MuP", "AdamWTimeScale"
]
_Reference = Annotated[Number, Field(gt=0)]


class Driver(Model):
    """One more parameter that drives a law, and where the sampled value holds."""

    parameter: ParameterName
    """parameter is its name; its values are all above 0."""
    reference: _Reference
    """reference is its value at which the sampled value is used as it is."""


@rules(
    rule(
        "self.parameter != self.with",
        "with must be another parameter than the one that is scaled",
        fieldPath=".with",
    ),
    rule(
        "has(self.exponent) == (self.law == 'PowerLaw')",
        "law PowerLaw needs an exponent, and no other law has one",
        fieldPath=".exponent",
    ),
    rule(
        "self.law == 'AdamWTimeScale' || !has(self.learningRate) && !has(self.dataset)",
        "learningRate and dataset drive law AdamWTimeScale alone; leave them out",
        fieldPath=".law",
    ),
)
class ScalingRule(Model):
    """A law that ties one parameter to another, so that only their relation is searched."""

    parameter: ParameterName
    """parameter is scaled: its sampled value holds where `with` equals `reference`."""
    law: Law
    """law is how, with k = with/reference. Linear: times k, for SGD's learning rate and batch size
    (Goyal et al. 2017). SquareRoot: times the root of k, for Adam's learning rate; beside it stand
    AdamBeta, 1 - k (1 - beta), and AdamEpsilon, divided by the root of k (Malladi et al. 2022).
    PowerLaw: times k to the power of `exponent`. MuP: divided by k, for the learning rate of hidden
    matrices and the width (Yang et al. 2022). AdamWTimeScale: times k, divided by the ratio of
    learningRate and by that of dataset, for the weight decay (Wang and Aitchison 2024). The result
    is not clipped to the parameter's range."""
    with_: ParameterName = Field(alias="with")
    """with names the numeric parameter that drives the law, for example batch_size."""
    reference: _Reference
    """reference is the value of `with` at which the sampled value is used as it is."""
    exponent: Annotated[Number, Field(ge=-8, le=8)] | None = None
    """exponent is that of law PowerLaw; it may be negative."""
    learning_rate: Driver | None = None
    """learningRate is the learning rate that the weight decay of law AdamWTimeScale makes up for,
    as it is used: it may be scaled itself. Left out, it is always the same."""
    dataset: Driver | None = None
    """dataset is how much data law AdamWTimeScale has for one epoch, in tokens or samples. Left
    out, it is always the same."""


# Whether p is a numeric parameter all of whose values are above zero.
_POSITIVE: Final = (
    "(has(p.float) && (has(p.float.values) ? p.float.values.all(v, v > 0.0)"
    " : has(p.float.min) && p.float.min > 0.0))"
    " || (has(p.int) && (has(p.int.values) ? p.int.values.all(v, v > 0)"
    " : has(p.int.min) && p.int.min > 0))"
)


def _scaling(cel: str, message: str) -> Rule:
    return rule(f"self.scalingRules.all(r, {cel})", message, fieldPath=".scalingRules")


SCALING_RULES: Final = (
    _scaling(
        "self.parameters.exists(p, p.name == r.parameter)",
        "parameter must be the name of one of spec.parameters",
    ),
    _scaling(
        "self.parameters.exists(p, p.name == r.with)",
        "with must be the name of one of spec.parameters",
    ),
    _scaling(
        "!self.parameters.exists(p, p.name == r.parameter && !has(p.float))",
        "parameter must be a float parameter, such as learning_rate; int and choice cannot be"
        " scaled",
    ),
    _scaling(
        f"!self.parameters.exists(p, p.name == r.with && !({_POSITIVE}))",
        "with must be an int or float parameter whose values are all above 0, such as batch_size",
    ),
    _scaling(
        "!self.scalingRules.exists(other, other.parameter == r.with)",
        "with must not be scaled by a rule itself; tie both parameters to the same third one",
    ),
)


def _check(cel: str, message: str) -> tuple[str, str]:
    return f"object.spec.scalingRules.all(r, {cel})", message


def _driver(name: str) -> tuple[tuple[str, str], ...]:
    """The checks on a further parameter that drives a law."""
    return (
        _check(
            f"!has(r.{name}) || r.{name}.parameter in variables.names",
            f"{name}.parameter must be the name of one of spec.parameters",
        ),
        _check(
            f"!has(r.{name}) || !object.spec.parameters.exists(p, p.name == r.{name}.parameter"
            f" && !({_POSITIVE}))",
            f"{name}.parameter must be an int or float parameter whose values are all above 0",
        ),
    )


def _somewhere(outside: str, without_end: str) -> str:
    """Whether the law of r on p is outside at some value <v> of the parameter w that drives it."""

    def of(kind: str) -> str:
        return (
            f"(has(w.{kind}) && (has(w.{kind}.values)"
            f" ? w.{kind}.values.exists(v, {outside.replace('<v>', 'v')})"
            f" : has(w.{kind}.min) && ({outside.replace('<v>', f'w.{kind}.min')})"
            f" || (has(w.{kind}.max) ? ({outside.replace('<v>', f'w.{kind}.max')})"
            f" : {without_end})))"
        )

    return f"object.spec.parameters.exists(w, w.name == r.with && ({of('float')} || {of('int')}))"


# What a law makes of the largest value of a Logit parameter, squared where the law takes a root.
_LIFTED: Final = (
    "(r.law in ['Linear', 'SquareRoot'] ? double(<v>) / double(r.reference)"
    " : double(r.reference) / double(<v>))"
    " * (has(p.float.max) ? double(p.float.max) : 1.0)"
    " * (has(p.float.max) && r.law in ['SquareRoot', 'AdamEpsilon'] ? double(p.float.max) : 1.0)"
    " >= 1.0"
)
_FALLEN: Final = "double(<v>) / double(r.reference) * (1.0 - double(<b>)) >= 1.0"
_ANY_FALLEN: Final = (
    f"(has(p.float.values) ? p.float.values.exists(b, {_FALLEN.replace('<b>', 'b')})"
    f" : !has(p.float.min) || {_FALLEN.replace('<b>', 'p.float.min')})"
)
_BELOW_ONE: Final = (
    "p.float.scale == 'Logit' || (has(p.float.values) ? p.float.values.all(b, b < 1.0)"
    " : has(p.float.max) && p.float.max < 1.0)"
)


def _of_scaled(laws: str, bad: str) -> str:
    """None of the float parameters that one of these laws scales is bad."""
    return (
        f"!(r.law in {laws}) || !object.spec.parameters.exists(p, p.name == r.parameter"
        f" && has(p.float) && {bad})"
    )


# Too dear for the schema: those that look at two parameters at once; the others keep them company.
SCALING_CHECKS: Final = (
    *_driver("learningRate"),
    *_driver("dataset"),
    _check(
        "!has(r.learningRate) || !object.spec.scalingRules.exists(other, other.law =="
        " 'AdamWTimeScale' && other.parameter == r.learningRate.parameter)",
        "learningRate.parameter must not be scaled by law AdamWTimeScale itself: rules must not go"
        " in a circle",
    ),
    _check(
        "!has(r.dataset) || !object.spec.scalingRules.exists(other, other.parameter =="
        " r.dataset.parameter)",
        "dataset.parameter must not be scaled by a rule itself",
    ),
    _check(
        _of_scaled(
            "['Linear', 'SquareRoot', 'MuP', 'AdamEpsilon']",
            "p.float.scale == 'Logit' && "
            + _somewhere(_LIFTED, "r.law in ['Linear', 'SquareRoot']"),
        ),
        "the law can lift a Logit parameter to 1 or above: lower its max, choose another"
        " reference, or use another scale",
    ),
    _check(
        _of_scaled("['PowerLaw', 'AdamWTimeScale']", "p.float.scale == 'Logit'"),
        "laws PowerLaw and AdamWTimeScale do not keep a Logit parameter below 1; use another scale",
    ),
    _check(
        _of_scaled("['AdamBeta']", f"!({_BELOW_ONE})"),
        "law AdamBeta needs a parameter whose values are all below 1, such as beta2",
    ),
    _check(
        _of_scaled("['AdamBeta']", _somewhere(_ANY_FALLEN, "true")),
        "the law can let beta fall to 0 or below: raise its min, raise reference, or lower the"
        " largest value of with",
    ),
)
