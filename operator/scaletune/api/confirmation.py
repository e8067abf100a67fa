"""Confirmation: training the best of a search again, as a Study asks for it and as it went.

How candidates are chosen and compared is in `core/confirmation.py` and `core/confirmed.py`.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from scaletune.api.model import Int, Model
from scaletune.api.rules import map_by, matching, rule, rules

TOP_MAX: Final = 20
REPEATS_MAX: Final = 100

Goal = Literal["Minimize", "Maximize"]
MetricName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        json_schema_extra=matching(
            "^[A-Za-z_][A-Za-z0-9_./-]*$",
            "a metric's name has letters, digits, '_', '.', '/' and '-', and begins with a"
            " letter or '_'",
        ),
    ),
]


def _kept(field: str) -> Any:
    """What has been confirmed by one metric cannot be compared with what is by another."""
    return rule(
        f"has(self.{field}) == has(oldSelf.{field})"
        f" && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"{field} cannot change once it is given; make a new Study",
        fieldPath=f".{field}",
    )


@rules(_kept("metric"), _kept("goal"))
class Confirm(Model):
    """After the search, the best few configurations are trained again, in full, several times."""

    top: Annotated[Int, Field(ge=1, le=TOP_MAX)] = 3
    """top is how many of the best configurations are trained again. Those that lie closer than a
    tenth of the space to a better one are passed over. Where every parameter has a center, the
    configuration of all centers is trained as well, to compare with."""
    repeats: Annotated[Int, Field(ge=1, le=REPEATS_MAX)] = 3
    """repeats is how many times each of them is trained, with other seeds each time; all
    configurations get the same seeds."""
    metric: MetricName | None = None
    """metric is what they are compared by, as the script reports it: best something that the search
    has not seen, such as the loss on held-out data. Left out, the objective's."""
    goal: Goal | None = None
    """goal says which direction of metric is better. Left out, the objective's."""


class ConfirmedConfiguration(Model):
    """A configuration that is trained again, and what came of it."""

    trial: Annotated[str, Field(max_length=63)]
    """trial is the name of the search's Trial with this configuration; of the control, that of its
    first training."""
    index: int
    """index of that Trial."""
    role: Literal["Candidate", "Control"] = "Candidate"
    """role is Candidate for one that the search has found, Control for all centers."""
    milestone: int | None = None
    """milestone up to which the search has trained it."""
    screened: float | None = None
    """screened is the objective's value there."""
    trainings: int = 0
    """trainings of it that were started for confirmation."""
    values: int = 0
    """values that these have given."""
    failures: int = 0
    """failures of its trainings by its own fault; one with fewer is better."""
    mean: float | None = None
    """mean of the values."""
    standard_error: float | None = None
    """standardError of the mean, from these values alone; none below two."""
    standing: Literal["Open", "Winner", "Tied", "Behind"] = "Open"
    """standing is Open while some are still to be trained. Tied is not worse than the Winner by
    more than the standard error of their difference, for which the spread of all configurations
    counts together."""

    @property
    def candidate(self) -> int | None:
        """The index of the search's Trial with this configuration; none of the control."""
        return self.index if self.role == "Candidate" else None


class Confirmation(Model):
    """What training the best again has shown."""

    metric: Annotated[str, Field(max_length=63)] = ""
    """metric that they are compared by."""
    configurations: Annotated[
        tuple[ConfirmedConfiguration, ...],
        Field(max_length=256, json_schema_extra=map_by("trial")),
    ] = ()
    """configurations that are trained again, the best first."""
    rank_correlation: float | None = None
    """rankCorrelation (Spearman's) between the search's order of the candidates and this one, from
    1, alike, over 0 to -1, opposite. Around 0 and below, what the search goes by is no guide to
    what you confirm by."""
    deviation: float | None = None
    """deviation of one training from its configuration's mean, over all configurations."""
