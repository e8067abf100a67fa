"""Parameters: what is searched, and on which scale.

A parameter is exactly one of `float`, `int`, `choice`. How a value is drawn from one is
`core.samplers.draws`' affair; which definitions make sense is said here, once, as CEL rules
that the API server and `scaletune validate` both evaluate.
"""

from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field

from scaletune.api.model import Int, Model, Number
from scaletune.api.rules import distinct, matching, rule, rules

LARGEST: Final = 2**53  # whole numbers beyond it are not exact in every YAML and JSON library

ParameterName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        json_schema_extra=matching(
            "^[A-Za-z_][A-Za-z0-9_.-]*$",
            "a parameter's name has letters, digits, '_', '-' and '.', and begins with a letter or"
            " '_'",
        ),
    ),
]
ChoiceValue = Annotated[str, Field(min_length=1, max_length=253)]
V = TypeVar("V")
_Values = Annotated[
    tuple[V, ...], Field(min_length=1, max_length=256, json_schema_extra=distinct())
]
Whole = Annotated[Int, Field(ge=-LARGEST, le=LARGEST)]

_RANGE_OR_VALUES = (
    "has(self.values) ? !has(self.min) && !has(self.max)"
    " : has(self.min) && has(self.max) || has(self.center)",
    "give either min and max, or values",
)
_MIN_BELOW_MAX = rule(
    "!has(self.min) || !has(self.max) || self.min < self.max",
    "min must be below max; a parameter with one value belongs into the command line",
    fieldPath=".min",
)
_CENTER_INSIDE = rule(
    "!has(self.center) || !has(self.min) || !has(self.max)"
    " || (self.center >= self.min && self.center <= self.max)",
    "center must lie between min and max: it is where the search is expected to end",
    fieldPath=".center",
)
_CENTER_AMONG = rule(
    "!has(self.center) || !has(self.values) || self.center in self.values",
    "center must be one of values",
    fieldPath=".center",
)
_NO_SCALE_FOR_VALUES = rule(
    "!has(self.values) || self.scale == 'Linear'",
    "scale has no meaning for a list of values; leave it out",
    fieldPath=".scale",
)


@rules(
    _RANGE_OR_VALUES,
    _MIN_BELOW_MAX,
    _CENTER_INSIDE,
    _CENTER_AMONG,
    _NO_SCALE_FOR_VALUES,
    rule(
        "self.scale != 'Log' || !has(self.min) || self.min > 0.0",
        "a Log scale needs min > 0; use a Linear scale, or a small positive min",
        fieldPath=".min",
    ),
    rule(
        "!has(self.center) || has(self.values) || (self.scale != 'Log' || self.center > 0.0)"
        " && (self.scale != 'Logit' || self.center > 0.0 && self.center < 1.0)",
        "center must be above 0 on a Log scale, and between 0 and 1 on a Logit scale",
        fieldPath=".center",
    ),
    rule(
        "self.scale != 'Logit' || !has(self.min) || !has(self.max)"
        " || (self.min > 0.0 && self.max < 1.0)",
        "a Logit scale needs 0 < min and max < 1; it is for fractions such as dropout",
        fieldPath=".scale",
    ),
)
class FloatSpace(Model):
    """A real parameter: a range with a scale, or a list of values."""

    min: Number | None = None
    """min is the smallest value that may be drawn."""
    max: Number | None = None
    """max is the upper end of the range."""
    scale: Literal["Linear", "Log", "Logit"] = "Linear"
    """scale is how the range is measured: Log for values that matter by their ratio, such as
    learning rates; Logit for fractions close to 0 or 1; Linear otherwise."""
    center: Number | None = None
    """center is the best guess before the search, also used where an initial configuration
    leaves this parameter out."""
    values: _Values[Number] | None = None
    """values are the only values to try, instead of a range."""


@rules(
    _RANGE_OR_VALUES,
    _MIN_BELOW_MAX,
    _CENTER_INSIDE,
    _CENTER_AMONG,
    _NO_SCALE_FOR_VALUES,
    rule(
        "self.scale != 'Log' || !has(self.min) || self.min > 0",
        "a Log scale needs min >= 1; use a Linear scale to include 0",
        fieldPath=".min",
    ),
    rule(
        "self.scale != 'Log' || !has(self.center) || self.center > 0",
        "a Log scale needs center >= 1; use a Linear scale to include 0",
        fieldPath=".center",
    ),
)
class IntSpace(Model):
    """A whole-number parameter: a range with a scale, or a list of values."""

    min: Whole | None = None
    """min is the smallest value; it belongs to the range."""
    max: Whole | None = None
    """max is the largest value; it belongs to the range."""
    scale: Literal["Linear", "Log"] = "Linear"
    """scale is how the range is measured: Log for values that matter by their ratio, such as
    batch sizes and widths; Linear otherwise."""
    center: Whole | None = None
    """center is the best guess before the search, also used where an initial configuration
    leaves this parameter out."""
    values: _Values[Whole] | None = None
    """values are the only values to try, for example [64, 128, 256]."""


@rules(_CENTER_AMONG)
class ChoiceSpace(Model):
    """A parameter without an order, such as the name of an optimizer."""

    values: _Values[ChoiceValue]
    """values are the names to choose from. Quote the ones that YAML reads as something else:
    "on", "1"."""
    center: ChoiceValue | None = None
    """center is the best guess before the search, also used where an initial configuration
    leaves this parameter out."""


@rules(
    (
        "[has(self.float), has(self.int), has(self.choice)].filter(x, x).size() == 1",
        "give exactly one of float, int and choice",
    )
)
class Parameter(Model):
    """One searched hyperparameter."""

    name: ParameterName
    """name is how the training script reads it: trial.parameters["learning_rate"], or
    $(params.learning_rate) in the command line."""
    float_: FloatSpace | None = Field(default=None, alias="float")
    """float makes this a real parameter: a range on a scale, or a list of values."""
    int_: IntSpace | None = Field(default=None, alias="int")
    """int makes this a whole-number parameter: a range on a scale, or a list of values."""
    choice: ChoiceSpace | None = None
    """choice makes this a parameter without an order: one of several names."""

    @property
    def space(self) -> FloatSpace | IntSpace | ChoiceSpace:
        """The one kind that is given."""
        space = self.float_ or self.int_ or self.choice
        if space is None:
            raise ValueError(f"parameter {self.name}: give exactly one of float, int and choice")
        return space
