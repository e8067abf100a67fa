"""Warm starts: what a study takes over from earlier ones, and what of that is stored.

What an earlier study hands on is `core.prior`'s affair. It is worked out once, before anything is
planned, and kept in the new Study's status: so no plan ever reads another study, and an earlier
one may be deleted.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from scaletune.api.model import Int, Model
from scaletune.api.rules import map_by, rule

Configurations = tuple[Annotated[dict[str, Any], Field(max_length=64)], ...]

CONFIGURATIONS_MAX: Final = 20  # of all earlier studies together
EARLIER_MAX: Final = 10
OBSERVATIONS_MAX: Final = 128  # of all earlier studies together
MESSAGE_MAX: Final = 2048


class WarmStart(Model):
    """An earlier study to learn from. It has the same objective, and has finished."""

    study: Annotated[str, Field(min_length=1, max_length=40)]
    """study is its name. On a cluster it is in the same namespace; `scaletune run` looks for the
    folder of this name beside its own, then in runs/."""
    mode: Literal["Configurations", "Center", "Observations"] = "Configurations"
    """mode says what is taken over. Configurations: the best are the first to be tried, after
    `initial`. Center: the best one's values become the parameters' centers, instead of those that
    stand with the parameters. Observations: a third of the adaptive sampler's first trials
    are its best ones, and the model expects what was good there to be good here, until it sees
    otherwise. Values of the metric are never compared across studies, only ranks within the earlier
    one."""
    top: Annotated[Int, Field(ge=1, le=CONFIGURATIONS_MAX)] = 3
    """top is how many configurations are tried, in mode Configurations."""
    added: Annotated[dict[str, Any], Field(max_length=64)] | None = None
    """added says which values parameters had in the earlier study that it did not search, such as
    those that were added since. One that it does not name takes its center, else is drawn. To mode
    Observations it says nothing."""


WarmStarts = Annotated[
    tuple[WarmStart, ...],
    Field(
        max_length=EARLIER_MAX,
        json_schema_extra={
            **map_by("study"),
            "x-kubernetes-validations": [
                rule(
                    "self.filter(w, w.mode == 'Center').size() <= 1",
                    "only one earlier study can give the centers; use another mode for the others",
                ),
            ],
        },
    ),
]


class Observed(Model):
    """What an earlier study has seen."""

    study: Annotated[str, Field(max_length=40)]
    """study is its name."""
    configurations: Annotated[Configurations, Field(max_length=OBSERVATIONS_MAX)] = ()
    """configurations are those that it has judged, the best first, as far as they are ones of this
    study."""
    failed: Annotated[Int, Field(ge=0)] = 0
    """failed is how many of them, the last, have diverged or failed: none of these is better."""


class Prior(Model):
    """What was taken over from earlier studies."""

    configurations: Annotated[Configurations, Field(max_length=CONFIGURATIONS_MAX)] = ()
    """configurations are tried after spec.initial. One that leaves out a parameter takes its
    center, else a draw."""
    center: Annotated[dict[str, Any], Field(max_length=64)] | None = None
    """center is used instead of the parameters' own."""
    observations: Annotated[
        tuple[Observed, ...], Field(max_length=EARLIER_MAX, json_schema_extra=map_by("study"))
    ] = ()
    """observations are what the sampler's model has learned before it begins."""
    message: Annotated[str, Field(max_length=MESSAGE_MAX)] = ""
    """message says from where, and what could not be taken over as it was."""
