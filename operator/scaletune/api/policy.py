"""Policies and samplers as a Study names them: one class per key, the key is the class's name.

What each policy does with trials is in `core/policies/`, in the file of the same name.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from scaletune.api.confirmation import MetricName
from scaletune.api.model import Int, Model, Number
from scaletune.api.rules import distinct, map_by, rule, rules
from scaletune.api.space import LARGEST, ParameterName

COST_MAX: Final = 1e15  # device seconds; the API server misreads much larger numbers


class Asha(Model):
    """Asynchronous successive halving (Li et al., arXiv:1810.05934)."""

    eta: Annotated[Int, Field(ge=2, le=64)] = 3
    """eta is how hard the selection is: about one in eta goes on from each rung to the next, which
    lies eta times further."""
    min: Annotated[Int, Field(ge=1, le=10**15)] | None = None
    """min is the first rung, in training.unit. The rungs are min, min*eta, min*eta^2, ... below
    training.max, and training.max. Left out, there are four rungs below training.max. It should
    lie after the learning rate's warm-up."""
    mode: Literal["Promote", "Stop"] = "Stop"
    """mode Stop lets trials run on and stops the weak for ever, which needs no checkpoints; a study
    that begins with the configuration of all centers trains this one in full. Mode Promote pauses
    every trial at each rung with a checkpoint, and resumes the best."""
    brackets: Annotated[Int, Field(ge=1, le=64)] = 1
    """brackets is in how many groups trials are compared; each begins one rung above the one
    before, with fewer trials, in Hyperband's proportions. Several are a hedge against first rungs
    that mislead. There are never more than rungs, the full training included."""


class SuccessiveHalving(Model):
    """Synchronous successive halving (Jamieson and Talwalkar, arXiv:1502.07943)."""

    eta: Annotated[Int, Field(ge=2, le=64)] = 3
    """eta is how hard the selection is: the best one in eta go on from each rung to the next, which
    lies eta times further."""
    min: Annotated[Int, Field(ge=1, le=10**15)] | None = None
    """min is the first rung, in training.unit. The rungs are min, min*eta, min*eta^2, ... below
    training.max, and training.max. Left out, there are four rungs below training.max."""
    configurations: Annotated[Int, Field(ge=1, le=10_000)] | None = None
    """configurations is how many start together and are compared with each other: a bracket. Left
    out, as many as leave one to be trained in full: eta to the power of the rungs below
    training.max. When the budget allows more trials, another bracket follows."""


class Hyperband(Model):
    """Hyperband (Li et al., arXiv:1603.06560): successive halving in brackets, from many trials
    that begin low to a few that are trained in full at once."""

    eta: Annotated[Int, Field(ge=2, le=64)] = 3
    """eta is how hard the selection is: the best one in eta go on from each rung to the next, which
    lies eta times further."""
    min: Annotated[Int, Field(ge=1, le=10**15)] | None = None
    """min is what no rung lies below, in training.unit. The rungs are training.max divided by eta,
    eta^2, ... Left out, there are four rungs below training.max."""


@rules(rule("has(self.width) || has(self.multipleOf)", "give width, multipleOf or both"))
class CarbsStep(Model):
    """How carbs moves one parameter."""

    parameter: ParameterName
    """parameter is the name of a parameter with a range, or without bounds."""
    width: Annotated[Number, Field(gt=0, le=1e15)] | None = None
    """width is what counts as a step of one, of which radius is the usual part: how many factors of
    10 on a Log scale, and of the odds on a Logit scale; so much of the value itself on a Linear
    one."""
    multiple_of: Annotated[Int, Field(ge=1, le=LARGEST)] | None = None
    """multipleOf is what every value of an int is a multiple of, such as 64 for a width."""


class Carbs(Model):
    """Cost-aware Pareto-region search (Fetterman et al., arXiv:2306.08055): the best value at every
    cost, found from cheap trials upwards. Every trial is trained in full, and it decides itself
    what to try next, so no sampler is named beside it."""

    surrogate: Literal["Fitted", "Original"] = "Fitted"
    """surrogate Fitted learns the model's length-scales and noise from the trials, and looks at the
    whole space; Original keeps to the rules and constants of the first implementation, for
    comparison."""
    radius: Annotated[Number, Field(gt=0, le=10)] = 0.3
    """radius is the typical step from a good trial to a new one. The unit is half the range of a
    parameter; of one without a range a factor of 10 on a Log scale, 2.3 logits on a Logit scale,
    and its center on a Linear one."""
    repeat_every: Annotated[Int, Field(ge=0, le=10_000)] = 5
    """repeatEvery is after how many finished trials one of the best is run once more, with another
    seed: a single lucky run must not lead the search. 0 repeats none."""
    cost_max: Annotated[Number, Field(gt=0, le=COST_MAX)] | None = None
    """costMax is the ceiling: no trial is proposed whose predicted cost lies above it, as long as
    a cheaper one is known of. The unit is device seconds, or that of costMetric."""
    cost_metric: MetricName | None = None
    """costMetric is a metric that the script reports as the cost of its training so far, such as
    FLOPs or euros. Left out, cost is device seconds."""
    steps: Annotated[
        tuple[CarbsStep, ...], Field(max_length=64, json_schema_extra=map_by("parameter"))
    ] = ()
    """steps say for single parameters how far a step is, and of what values are multiples. Of the
    others half of the range is a step of one; see radius."""
    milestones: Annotated[
        tuple[Annotated[Int, Field(ge=1, le=10**15)], ...],
        Field(max_length=16, json_schema_extra=distinct()),
    ] = ()
    """milestones below training.max tell the model about a trial before it ends; none is stopped
    there. Left out, only the end counts."""


class Pbt(Model):
    """Population based training (Jaderberg et al., arXiv:1711.09846): hyperparameters change while
    trials train, and the weak go on from the checkpoints of the strong."""

    population: Annotated[Int, Field(ge=2, le=1000)] = 16
    """population is how many trials train side by side and are compared; 16 to 32 are a good
    number. One that has failed or is done is replaced while budget.trials lasts."""
    interval: Annotated[Int, Field(ge=1, le=10**15)] | None = None
    """interval is after how much training, in training.unit, trials are compared again: every
    multiple of it is a milestone. Left out, a tenth of training.max."""
    fraction: Annotated[Number, Field(ge=0, le=0.5)] = 0.25
    """fraction is which part of the population gives up at each milestone, to go on from the
    checkpoint of one of the equally many best."""
    explore: Literal["perturb", "pb2"] = "perturb"
    """explore is how the values of such a trial follow from those of the better one: perturb makes
    each of them smaller or larger, pb2 chooses what a model of all intervals so far promises most
    of (arXiv:2002.02518), which is for populations of 4 to 8."""
    resample: Annotated[Number, Field(ge=0, le=1)] = 0.25
    """resample is how likely perturb draws a parameter anew instead."""
    fixed: Annotated[
        tuple[ParameterName, ...], Field(max_length=64, json_schema_extra=distinct())
    ] = ()
    """fixed names parameters that cannot change once training has begun, such as a width or an
    optimizer: a trial that goes on from the checkpoint of another takes that one's values."""
    mode: Literal["Async", "Sync"] = "Async"
    """mode Async lets trials run on; once half of the population has reached a milestone, the worst
    of those give up, and who comes later is decided on arrival. Mode Sync lets all wait there for
    the last one. With fewer places than trials it is always Sync."""


@rules(maxProperties=1)
class Policy(Model):
    """Who may train on. At most one; none means that every trial is trained in full."""

    asha: Asha | None = None
    """asha is asynchronous successive halving: many configurations start, and at each rung only the
    best train on."""
    successive_halving: SuccessiveHalving | None = None
    """successiveHalving is its synchronous parent: a rung decides when all of its trials have come,
    so that no early one gets an easy ride."""
    hyperband: Hyperband | None = None
    """hyperband is successiveHalving in several brackets, one after the other, which begin at
    different rungs: a hedge against first rungs that mislead."""
    carbs: Carbs | None = None
    """carbs looks for the best value at every cost, which is what scaling laws are read from."""
    pbt: Pbt | None = None
    """pbt is population based training: at each milestone weak trials go on from the checkpoints of
    strong ones, with their values a little changed, so that what is found is a schedule."""


class RandomSampler(Model):
    """Independent draws from every parameter's range on its scale."""


class GridSampler(Model):
    """Every combination of evenly spaced values, the last parameter varying fastest."""

    points: Annotated[Int, Field(ge=1, le=1000)] = 5
    """points is how many values of each range are tried, both ends among them. Lists of values and
    choices are tried in full. Whole numbers that coincide count once."""


class SobolSampler(Model):
    """A sequence that fills the space evenly, however many of its points are used."""


class ListSampler(Model):
    """Configurations of your own, one after the other."""

    configurations: Annotated[
        tuple[Annotated[dict[str, Any], Field(max_length=64)], ...],
        Field(min_length=1, max_length=500),
    ]
    """configurations are maps from parameter to value, tried in this order. A parameter that one
    leaves out takes its center, else is drawn."""


class AdaptiveSampler(Model):
    """A mixture of draws, mutations of the best, and a model of what was seen."""


@rules(
    rule(
        "[has(self.adaptive), has(self.random), has(self.sobol), has(self.grid), has(self.list)]"
        ".filter(x, x).size() <= 1",
        "give at most one of adaptive, random, sobol, grid and list",
    )
)
class Sampler(Model):
    """What to try next. At most one; none means adaptive."""

    adaptive: AdaptiveSampler | None = None
    """adaptive learns from the trials so far: some configurations are drawn, some change a good
    one, some are proposed by a model. Centers are where it looks first."""
    random: RandomSampler | None = None
    """random draws each configuration independently of all others."""
    sobol: SobolSampler | None = None
    """sobol is random without gaps and clusters."""
    grid: GridSampler | None = None
    """grid tries every combination once, then creates no more trials."""
    list_: ListSampler | None = Field(default=None, alias="list")
    """list tries configurations of your own in their order, then creates no more trials."""
