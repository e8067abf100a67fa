"""Configurations: the values a trial trains with, whence they come, and what it goes on from."""

from typing import Annotated, Literal

from pydantic import Field

from scaletune.api.model import Model
from scaletune.api.rules import map_by, rules


@rules(
    (
        "[has(self.float), has(self.int), has(self.choice)].filter(x, x).size() == 1",
        "give exactly one of float, int and choice",
    )
)
class ParameterValue(Model):
    """The value of one parameter."""

    name: Annotated[str, Field(max_length=63)]
    """name of the parameter."""
    float_: float | None = Field(default=None, alias="float")
    """float is the value of a real parameter."""
    int_: int | None = Field(default=None, alias="int")
    """int is the value of a whole-number parameter."""
    choice: Annotated[str, Field(max_length=253)] | None = None
    """choice is the value of a parameter without an order."""

    @property
    def value(self) -> float | int | str:
        """The one that is given."""
        for value in (self.float_, self.int_, self.choice):
            if value is not None:
                return value
        raise ValueError(f"parameter {self.name} has no value")


class Origin(Model):
    """Where a configuration comes from."""

    kind: Literal[
        "Initial",
        "WarmStart",
        "Random",
        "Grid",
        "Sobol",
        "List",
        "Center",
        "Mutation",
        "Model",
        "Repeat",
        "Child",
    ]
    """kind is Initial for one of spec.initial, WarmStart for one of an earlier study, else how the
    sampler found it: Random, Grid, Sobol and List saw no other trial, Center was drawn around the
    centers, Mutation changes a good trial, Model was proposed by a model of the trials so far,
    Repeat runs a good trial once more with another seed, Child goes on from the checkpoint of its
    parent, with values that pbt explores around the parent's."""
    of: int | None = None
    """of is the index of the trial that a Mutation changes, a Repeat repeats or a Child goes on
    from."""


class Checkpoint(Model):
    """A checkpoint to go on from."""

    incarnation: Annotated[str, Field(max_length=63)]
    """incarnation that wrote it."""
    step: int
    """step at which it was taken."""
    trial: int | None = None
    """trial is the index of the trial that wrote it, if it was another one."""


Values = Annotated[
    tuple[ParameterValue, ...], Field(max_length=64, json_schema_extra=map_by("name"))
]


class Exploit(Model):
    """A trial gives up what it has trained, and goes on from another one's checkpoint."""

    at: int
    """at is the milestone at which they were compared."""
    donor: int
    """donor is the index of the trial whose checkpoint it takes."""
    checkpoint: Checkpoint
    """checkpoint of the donor at the milestone."""
    parameters: Values = ()
    """parameters from here on, explored around the donor's."""
    resolved: Values = ()
    """resolved holds those that scaling rules change, as they are used."""
    attempt: int = 0
    """attempt is the latest that had begun by then: it has to leave, and what it says does not
    count any more."""


class Change(Model):
    """Other values from a step on, as they were planned."""

    after: Annotated[int, Field(ge=1)]
    """after is the last step before the change."""
    parameters: Values = ()
    """parameters that hold from there on, all of them."""
    resolved: Values = ()
    """resolved holds those that scaling rules change, as they are used."""
