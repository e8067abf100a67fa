"""CARBS's own sampler: what is tried next, from costs and values of the trials so far.

The first trial is the center, the next ones lie around it; once a few have a value, models of
score, cost and failure propose one that is expected to add most to the front of value over cost.
After every few finished trials one of the best is repeated, the one with the fewest runs first.

Everything follows from the study, its records and the index. Models are fitted anew at a few
numbers of finished trials alone, so that a fit is remembered for a while; and they see a bounded
number of trials, so that 10,000 cost no more than a few hundred.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from scaletune.api.configuration import Origin, ParameterValue
from scaletune.api.policy import Carbs, CarbsStep
from scaletune.api.record import Milestone
from scaletune.api.space import ChoiceSpace, FloatSpace, IntSpace, Parameter
from scaletune.api.study import Study, StudySpec
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.numerics import original, pareto, pareto_search
from scaletune.core.numerics.basic_space import Dimension, Space
from scaletune.core.numerics.gaussian_process import Array
from scaletune.core.numerics.pareto_search import Knowledge, Seen
from scaletune.core.numerics.threads import in_one_thread
from scaletune.core.prior import first_configurations
from scaletune.core.samplers.draws import Value
from scaletune.core.samplers.uniforms import uniforms
from scaletune.core.seeds import Stream, stream

FIRST = 4  # trials with a value before a model is asked
ROWS = 400
PENDING = 64
COST_LEAST = 1e-9
TRIALS = 160  # that are reckoned with where the budget names no number

Point = tuple[float, ...]


@dataclass(frozen=True)
class Ended:
    """A trial that has a value, or has failed, and the record that says so."""

    trial: Trial
    record: Milestone
    score: float
    cost: float
    point: Point


@in_one_thread
def point(study: Study, ledger: Ledger, index: int) -> tuple[dict[str, Value], Origin]:
    """The configuration of a trial, and where it comes from."""
    assert study.spec.policy.carbs is not None
    spec, cube = study.spec.policy.carbs, cube_of(study.spec)
    if index == len(first_configurations(study)) == 0:
        return cube.values(np.array(cube.center)), Origin(kind="Center")
    ended = list(_ended(cube, ledger))
    whole = [
        each
        for each in ended
        if each.record.at >= ledger.frame.full(each.trial) and each.score < math.inf
    ]
    again = _repeated(cube, ledger, whole, spec)
    if again is not None:
        of = again.trial
        values = {each.name: each.value for each in of.spec.parameters}
        return values, Origin(kind="Repeat", of=_root(of))
    known = _knowledge(study, cube, ledger, ended)
    draw = uniforms_of(stream(study.spec.seed, index, "what to try next"))
    if len(whole) < FIRST:
        return cube.values(pareto_search.around_center(known, draw)), Origin(kind="Center")
    search = original if spec.surrogate == "Original" else pareto_search
    return cube.values(search.best_point(known, draw)), Origin(kind="Model")


# ---- repeats


def _root(trial: Trial) -> int:
    """The trial that this one repeats, else itself."""
    origin = trial.spec.origin
    if origin is None or origin.kind != "Repeat" or origin.of is None:
        return trial.index
    return origin.of


def _repeated(cube: "Cube", ledger: Ledger, whole: Sequence[Ended], spec: Carbs) -> Ended | None:
    """The trial whose turn it is to be repeated, if it is the time for one."""
    repeats = sum(_root(trial) != trial.index for trial in ledger.on("trials"))
    if not spec.repeat_every or len(whole) <= (repeats + 1) * spec.repeat_every:
        return None
    whole = [each for each in whole if each.cost <= (spec.cost_max or math.inf)]
    costs = np.array([each.cost for each in whole])
    scores = np.array([each.score for each in whole])
    found = pareto.groups([each.point for each in whole], scores, costs)
    leading = pareto.front(found, costs, cautious=False)
    under_way = _pending(cube, ledger)
    if not leading:
        return None
    outstanding = [under_way.count(whole[each.members[0]].point) for each in leading]
    return whole[leading[pareto.to_repeat(leading, outstanding)].members[0]]


# ---- what the ledger tells


def _ended(cube: "Cube", ledger: Ledger) -> Iterator[Ended]:
    """The last record of every trial that has one, in the order of their numbers."""
    last: dict[int, tuple[int, int]] = {}
    for level in ledger.frame.levels:
        for key, number in ledger.shelf(("rung", level)).entries():
            last[key[-1]] = max(last.get(key[-1], (0, 0)), (level, number))
    for index, (level, _) in sorted(last.items(), key=lambda each: each[1][1]):
        trial = ledger.trial(index)
        record = ledger.record(trial, level)
        failed, score, _ = ledger.frame.rank_key(trial, record)
        at, said = cube.point(trial), ledger.frame.cost(record)
        if at is not None and (failed or said is not None):
            cost = max((said or 0.0) * ledger.frame.full(trial) / record.at, COST_LEAST)
            yield Ended(trial, record, math.inf if failed else score, cost, at)


def _pending(cube: "Cube", ledger: Ledger) -> list[Point]:
    """Where trials are under way of which nothing is known yet: the latest ones."""
    holders = ledger.shelf("holders")
    first = max(0, len(holders) - PENDING)
    trials = (ledger.trial(holders.at(rank)[0][-1]) for rank in range(first, len(holders)))
    points = (cube.point(trial) for trial in trials if not trial.status.milestones)
    return [each for each in points if each is not None]


def _knowledge(study: Study, cube: "Cube", ledger: Ledger, ended: Sequence[Ended]) -> Knowledge:
    spec = study.spec.policy.carbs
    assert spec is not None
    good = [each for each in ended if each.score < math.inf]
    bad = [each.point for each in ended if each.score == math.inf]
    count, count_bad = _fitted_on(len(good)), _fitted_on(len(bad))
    chosen, chosen_bad = _rows(good, count), _rows_of_failed(len(bad), count_bad)
    rows = [good[i] for i in chosen]
    seen = Seen(
        _array([each.point for each in rows], cube.size),
        np.array([each.score for each in rows]),
        np.log([each.cost for each in rows]),
        np.log([each.record.at / ledger.frame.full(each.trial) for each in rows]),
    )
    return Knowledge(
        space=cube.space,
        center=np.array(cube.center),
        radius=spec.radius,
        seen=seen,
        fitted_on=sum(i < count for i in chosen),
        failed=_array([bad[i] for i in chosen_bad], cube.size),
        failed_fitted_on=sum(i < count_bad for i in chosen_bad),
        pending=_array(_pending(cube, ledger), cube.size),
        spent=math.fsum(ledger.frame.cost(each.record) or 0.0 for each in ended),
        pace=_pace(study.spec.budget.trials),
        cost_max=spec.cost_max or math.inf,
    )


def _pace(trials: int | None) -> float:
    """How fast costs grow: by a fifth of it a trial, about, which is e to the 8 in all of them."""
    return min(1.0, max(0.1, 40 / (trials or TRIALS)))


def _fitted_on(count: int) -> int:
    """On how many of so many trials models are fitted: between two such numbers fits stay."""
    found = FIRST
    while (following := math.ceil(found * 1.4)) <= count:
        found = following
    return found


def _rows_of_failed(count: int, fitted_on: int) -> list[int]:
    """Which failed trials the models see: the latest, and those that they are fitted on."""
    each = ROWS // 4
    earlier = range(max(0, fitted_on - each), min(fitted_on, count))
    return sorted({*earlier, *range(max(0, count - each), count)})


def _rows(good: Sequence[Ended], fitted_on: int) -> list[int]:
    """Which trials the models see: all, or the best at every cost, the latest, and some others."""
    if len(good) <= ROWS:
        return list(range(len(good)))
    order = sorted(range(len(good)), key=lambda i: (good[i].cost, i))
    best: list[int] = []
    for i in order:
        if not best or good[i].score < good[best[-1]].score:
            best.append(i)
    chosen = dict.fromkeys(best[-100:])
    chosen |= dict.fromkeys(range(max(0, fitted_on - 100), fitted_on))
    chosen |= dict.fromkeys(range(len(good) - 100, len(good)))
    rest = [i for i in order if i not in chosen]
    share = ROWS - len(chosen)
    chosen |= dict.fromkeys(rest[i * len(rest) // share] for i in range(share))
    return sorted(chosen)


def _array(points: Sequence[Point], size: int) -> Array:
    return np.array(points, dtype=float).reshape(-1, size)


# ---- the space


class Cube:
    """The parameters of a study in basic space."""

    def __init__(self, parameters: tuple[Parameter, ...], steps: tuple[CarbsStep, ...]) -> None:
        self._parameters, self.size = parameters, len(parameters)
        own = {each.parameter: each for each in steps}
        self.space = Space([_dimension(each, own.get(each.name)) for each in parameters])
        self._points: dict[int, tuple[tuple[ParameterValue, ...], Point | None]] = {}
        self.center = tuple(
            _center(each, one) for each, one in zip(parameters, self.space.dimensions, strict=True)
        )

    def point(self, trial: Trial) -> Point | None:
        """Where a trial's configuration lies, remembered; None when it does not say."""
        given = trial.spec.parameters
        found = self._points.get(id(given))
        if found is None or found[0] is not given:
            if len(self._points) >= 20_000:
                self._points.clear()
            found = self._points[id(given)] = given, self._point(given)
        return found[1]

    def _point(self, given: tuple[ParameterValue, ...]) -> Point | None:
        values = {each.name: each.value for each in given}
        if any(each.name not in values for each in self._parameters):
            return None
        each = zip(self._parameters, self.space.dimensions, strict=True)
        return tuple(_basic(parameter, one, values[parameter.name]) for parameter, one in each)

    def values(self, at: Array) -> dict[str, Value]:
        """The configuration at a point."""
        each = zip(self._parameters, self.space.dimensions, at, strict=True)
        return {parameter.name: _value(parameter, one, x) for parameter, one, x in each}


@lru_cache(maxsize=16)
def _cube_of(parameters: tuple[Parameter, ...], steps: tuple[CarbsStep, ...]) -> Cube:
    return Cube(parameters, steps)


def cube_of(spec: StudySpec) -> Cube:
    """The space of a study, whatever its policy."""
    return _cube_of(spec.parameters, spec.policy.carbs.steps if spec.policy.carbs else ())


def _dimension(parameter: Parameter, step: CarbsStep | None) -> Dimension:
    """Half of a range is a step; without one, a decade, a logit's factor of 10, or the center."""
    space = parameter.space
    if space.values is not None:
        last = len(space.values) - 1
        unordered = len(space.values) if isinstance(space, ChoiceSpace) else 0
        width = max(last, 1) / 2
        return Dimension("Linear", width, 1.0, 0.0, float(last), unordered)
    assert isinstance(space, FloatSpace | IntSpace)
    low = -math.inf if space.min is None else float(space.min)
    high = math.inf if space.max is None else float(space.max)
    whole = 1.0 if isinstance(space, IntSpace) else 0.0
    if step is not None and step.multiple_of is not None:
        whole = float(step.multiple_of)
        low, high = np.ceil(low / whole) * whole, np.floor(high / whole) * whole
    if space.scale == "Log":
        low = max(low, whole)
    elif space.scale == "Logit":
        low, high = max(low, 0.0), min(high, 1.0)
    one = Dimension(space.scale, 1.0, whole, low, high)
    width = 1.0
    if step is not None and step.width is not None:
        width = step.width
    elif space.min is not None and space.max is not None:
        width = (one.bounds[1] - one.bounds[0]) / 2
    elif space.scale == "Linear" and space.center:
        width = abs(float(space.center))
    return Dimension(space.scale, width, whole, low, high)


def _center(parameter: Parameter, one: Dimension) -> float:
    center = parameter.space.center
    if center is not None:
        return _basic(parameter, one, center)
    if one.unordered:
        return 0.0
    middle = sum(one.bounds) / 2
    return float(one.basic(one.values(np.array([middle])))[0])


def _basic(parameter: Parameter, one: Dimension, value: Value) -> float:
    values = parameter.space.values
    if values is not None:
        value = values.index(value) if value in values else 0
    return float(one.basic(np.array([float(value)]))[0])


def _value(parameter: Parameter, one: Dimension, at: float) -> Value:
    found = float(one.values(np.array([at]))[0])
    if parameter.space.values is not None:
        return parameter.space.values[round(found)]
    return round(found) if isinstance(parameter.space, IntSpace) else found


def uniforms_of(random: Stream) -> pareto_search.Uniforms:
    """Fractions in [0, 1) of a stream, in arrays."""
    return partial(uniforms, random)
