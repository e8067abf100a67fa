"""Laws: how the best configuration grows with the cost of a training, from a study's trials.

For every parameter the line along the front of value over cost, in the parameter's own scale: on a
Log scale a power of the cost. Trials that were trained in full count, whichever policy made them.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scaletune.api.space import Parameter
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.numerics import front_law, pareto
from scaletune.core.numerics.basic_space import Dimension
from scaletune.core.numerics.threads import in_one_thread
from scaletune.core.samplers.carbs import Cube, cube_of, uniforms_of
from scaletune.core.samplers.draws import Value
from scaletune.core.seeds import stream

TRIALS_LEAST = 20
TIMES_LEAST = 8.0  # that the dearest training must have cost the cheapest
TRIALS_MOST = 400
CHEAPEST, DEAREST = 0.1, 0.95  # quantiles of costs between which laws are read
WIDE = 0.3  # an interval of an exponent that is wider and holds 0 tells nothing

Says = Literal["Law", "Constant", "Unknown", "Best"]


class CannotTell(Exception):
    """The trials cannot tell how anything grows with cost; the message says why, and the remedy."""


@dataclass(frozen=True)
class Member:
    """A configuration on the front: its trials, and their mean cost and value."""

    trials: tuple[int, ...]
    cost: float
    value: float


@dataclass(frozen=True)
class Law:
    """How one parameter follows the cost along the front."""

    parameter: Parameter
    says: Says
    """Law: it grows or falls. Constant: hardly. Unknown: the trials cannot tell. Best: it
    is a list, of which the best value is named."""
    exponent: float
    interval: tuple[float, float]
    """interval holds the exponent with 90 %. On a Log scale it is the power of the cost, else how
    much the value (on a Logit scale its logarithm of odds, to base 10) grows by each factor of
    10."""
    fitted: float
    """fitted is the part of the variance along the front that the line explains."""
    now: Value
    """now is the value at the dearest costs that were seen."""


def as_json(law: Law) -> dict[str, Any]:
    """A law for scripts."""
    document = {"name": law.parameter.name, "says": law.says, "now": law.now}
    if law.says == "Best":
        return document
    told = {"exponent": law.exponent, "interval": list(law.interval), "fit": law.fitted}
    return {**document, **told}


@dataclass(frozen=True)
class Prediction:
    """The value of one parameter at another cost."""

    value: Value
    low: float
    high: float
    """low and high hold it with 90 %."""


@dataclass(frozen=True)
class Laws:
    """What a study's trials tell."""

    trials: int
    costs: tuple[float, float]
    """costs are between which the laws were read, in device seconds or costMetric's unit."""
    laws: tuple[Law, ...]
    front: tuple[Member, ...]
    _cube: Cube
    _line: front_law.Line

    def predict(self, times: float) -> dict[str, Prediction]:
        """The best configuration at a cost so many times the dearest one, if the laws go on."""
        at, deviations = self._line.at(math.log(self.costs[1] * times))
        found = {}
        for place, law in enumerate(self.laws):
            one, middle = self._cube.space.dimensions[place], float(at[place])
            if law.says in ("Constant", "Unknown"):
                middle = float(self._line.points[place])
            reach = front_law.SURE * float(deviations[place])
            values = [_outside(law, one, x) for x in (middle - reach, middle, middle + reach)]
            value = law.now if law.says == "Best" else _typed(law.parameter, values[1])
            found[law.parameter.name] = Prediction(value, values[0], values[2])
        return found


def front(study: Study, ledger: Ledger) -> tuple[Member, ...]:
    """The configurations that are better than every cheaper one, the cheapest first."""
    cube = cube_of(study.spec)
    trials, seen = _observed(cube, ledger)
    return _front(ledger, trials, seen) if trials else ()


@in_one_thread
def laws(study: Study, ledger: Ledger) -> Laws:
    """What the trials tell. Raises CannotTell."""
    cube = cube_of(study.spec)
    trials, seen = _observed(cube, ledger)
    _refuse(len(trials), seen)
    low, high = np.quantile(seen.log_costs, (CHEAPEST, DEAREST))
    log_costs = np.linspace(low, high, front_law.COSTS)
    uniforms = uniforms_of(stream(study.spec.seed, 0, "how sure a law is"))
    line = front_law.line(front_law.Landscape(cube.space, seen), log_costs, uniforms)
    now = cube.values(line.at(float(high))[0])
    found = tuple(
        _law(each, cube.space.dimensions[place], line, place, now[each.name])
        for place, each in enumerate(study.spec.parameters)
    )
    costs = math.exp(low), math.exp(high)
    return Laws(len(trials), costs, found, _front(ledger, trials, seen), cube, line)


def _refuse(trials: int, seen: front_law.Observed) -> None:
    if trials < TRIALS_LEAST:
        raise CannotTell(
            f"{trials} trials have a value after a full training; a law needs {TRIALS_LEAST} at"
            " least, and 60 to be of use"
        )
    times = math.exp(float(np.ptp(seen.log_costs)))
    if times < TIMES_LEAST:
        raise CannotTell(
            f"the dearest training cost {times:.2g} times the cheapest; to tell how anything grows"
            f" with cost it takes {TIMES_LEAST:g} times at least: search the size of a training,"
            " with policy carbs"
        )


def _observed(cube: Cube, ledger: Ledger) -> tuple[list[Trial], front_law.Observed]:
    """The latest trials that were trained in full."""
    trials, points, scores, costs = [], [], [], []
    for trial in ledger.on("trials"):
        at = cube.point(trial) if _has_one_configuration(trial) else None
        if at is None:
            continue
        for record in trial.status.milestones:
            whole = (
                ledger.frame.level(trial, record.at) == ledger.frame.most
                and record.decision != "Void"
            )
            cost = ledger.frame.cost(record) or 0.0
            if whole and record.value is not None and cost > 0:
                trials.append(trial)
                points.append(at)
                scores.append(ledger.frame.sign * record.value)
                costs.append(math.log(cost))
    latest = slice(max(0, len(trials) - TRIALS_MOST), len(trials))
    seen = front_law.Observed(
        np.array(points[latest]).reshape(-1, cube.size),
        np.array(scores[latest]),
        np.array(costs[latest]),
    )
    return trials[latest], seen


def _has_one_configuration(trial: Trial) -> bool:
    """Whether it was searched, and trained with the same values from the first step: only then the
    value is theirs, and the cost is that of the whole training."""
    spec = trial.spec
    return spec.role == "Search" and not (spec.parent or spec.exploit or spec.schedule)


def _front(ledger: Ledger, trials: list[Trial], seen: front_law.Observed) -> tuple[Member, ...]:
    costs = np.exp(seen.log_costs)
    found = pareto.groups([tuple(each) for each in seen.points], seen.scores, costs)
    return tuple(
        Member(
            tuple(trials[i].index for i in each.members), each.cost, ledger.frame.sign * each.score
        )
        for each in pareto.front(found, costs, cautious=False, cheap=0.0)
    )


def _law(parameter: Parameter, one: Dimension, line: front_law.Line, place: int, now: Value) -> Law:
    per = one.width * math.log(10)
    exponent = float(line.slopes[place]) * per
    reach = front_law.SURE * float(line.deviations[place]) * per
    interval = exponent - reach, exponent + reach
    return Law(
        parameter=parameter,
        says="Best" if parameter.space.values is not None else _says(one, interval),
        exponent=exponent,
        interval=interval,
        fitted=float(line.fitted[place]),
        now=now,
    )


def _says(one: Dimension, interval: tuple[float, float]) -> Says:
    """In words of the parameter's usual step, where it has no powers."""
    low, high = interval
    if low > 0 or high < 0:
        return "Law"
    unit = one.width if one.scale == "Linear" else 1.0
    return "Constant" if high - low <= WIDE * unit else "Unknown"


def _outside(law: Law, one: Dimension, at: float) -> float:
    """The value at a coordinate, which by a power law may lie beyond what was searched."""
    if one.scale == "Log" and law.says == "Law":
        one = replace(one, low=max(one.whole, 0.0), high=math.inf)
    return float(one.values(np.array([at]))[0])


def _typed(parameter: Parameter, value: float) -> Value:
    return round(value) if parameter.int_ is not None else value
