"""Adaptive: what is tried next follows from what was seen. The sampler where none is named.

A fixed mixture, because each part fails where another does not: draws over the whole space, which
nothing can mislead; mutations of the best (as in PriorBand, arXiv:2306.12370), which need no model;
and a Gaussian process over configuration and length of training, which predicts what a candidate
would come to if it were trained in full. The first trials are all drawn. Where the user has named
centers, a study that begins with nothing else begins with these, and half of the draws among its
first trials lie around them: later the records know better where the good ones are.
Where earlier studies give observations, a third of the first trials are the best of these, and the
model expects what they lead to expect, once own values tell how far they are to be trusted.

The model sees a bounded number of records of every rung, so that its cost does not grow with the
study; of their values only the order counts. What it is fitted on changes at a few record numbers
alone: between them the fit is remembered.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from scaletune.api.configuration import Origin, ParameterValue
from scaletune.api.space import ChoiceSpace, Parameter
from scaletune.api.study import Study, StudySpec
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.numerics.acquisition import Axis, Seen, best_candidate, columns, neighbours
from scaletune.core.numerics.gaussian_process import Array
from scaletune.core.numerics.lessons import Places
from scaletune.core.numerics.threads import in_one_thread
from scaletune.core.ranked import Key, spread
from scaletune.core.samplers import earlier
from scaletune.core.samplers.draws import Value, fraction_of, uniform, value_at
from scaletune.core.samplers.uniforms import uniforms
from scaletune.core.seeds import Stream, stream

DRAWN_FIRST = 16  # trials before anything is learned from
RECORDS_LEAST = 8  # with a finite value
# Of three trials, one is drawn, one a mutation, and one is proposed by the model.
PATTERN = ("Random", "Model", "Mutation")
ROWS, FIT_ROWS, FIT_RECORDS = 160, 100, 200
CANDIDATES, AROUND = 300, 10  # over the whole space, and as many around the ten best
PENDING = 64
POINTS_KEPT = 20_000
BEST, BEST_SHARE = 32, 0.1  # who is mutated
RATE, SPREAD, CLOSE_SPREAD = 0.5, 0.25, 0.1  # of a mutation; of a candidate around the best
CENTER_SPREAD, CENTERED = 0.15, 48  # trials, among which draws lie around the centers
TRIES = 20

Point = tuple[float, ...]  # a fraction for each parameter
Row = tuple[int, Key]  # milestone and key of a record


def point(study: Study, ledger: Ledger, index: int) -> tuple[dict[str, Value], Origin]:
    """The configuration of a trial, by the part of the mixture whose turn it is."""
    spec, random = study.spec, stream(study.spec.seed, index, "what to try next")
    turn = PATTERN[index % len(PATTERN)]
    if index < DRAWN_FIRST:
        return _again(study, index, random) if turn == "Mutation" else _drawn(spec, index, random)
    best = _best(ledger) if turn != "Random" else []
    if not best:
        return _drawn(spec, index, random)
    cube = _cube(spec.parameters)
    if turn == "Mutation":
        return _mutation(cube, ledger, best, random)
    return _proposed(study, cube, ledger, best, random), Origin(kind="Model")


# ---- the parts of the mixture


def _drawn(spec: StudySpec, index: int, random: Stream) -> tuple[dict[str, Value], Origin]:
    """Uniform, or around the centers; the first trial is at these."""
    values = uniform(spec, index)
    centers = [each for each in spec.parameters if each.space.center is not None]
    if not centers or index >= CENTERED or (index > 0 and random.random() < 0.5):
        return values, Origin(kind="Random")
    for parameter in centers:
        center = parameter.space.center
        assert center is not None
        if index > 0:
            around = fraction_of(parameter, center)
            center = value_at(parameter, _near(parameter, around, random))
        values[parameter.name] = center
    return values, Origin(kind="Center")


def _again(study: Study, index: int, random: Stream) -> tuple[dict[str, Value], Origin]:
    """The best of an earlier study, the next best at the next turn; of several by turns."""
    values, origin = _drawn(study.spec, index, random)
    prior, turn = study.status.prior, index // len(PATTERN)
    studies = () if prior is None else prior.observations
    if not studies:
        return values, origin
    of, place = studies[turn % len(studies)], turn // len(studies)
    if place >= len(of.configurations) - of.failed:
        return values, origin
    return {**values, **of.configurations[place]}, Origin(kind="WarmStart")


def _near(parameter: Parameter, around: float, random: Stream) -> float:
    """A fraction around another, within the space; of choices mostly the same."""
    if isinstance(parameter.space, ChoiceSpace):
        return around if random.random() < 0.75 else random.random()
    while not 0 <= (found := random.gauss(around, CENTER_SPREAD)) < 1:
        pass
    return found


def _mutation(
    cube: "Cube", ledger: Ledger, best: Sequence[Trial], random: Stream
) -> tuple[dict[str, Value], Origin]:
    """One of the best, the better the likelier, with some of its parameters moved."""
    of = best[int(len(best) * random.random() ** 2)]
    before = np.array([cube.point(of)])
    values = cube.values(before[0])
    taken = [_given(trial) for trial in (*best, *_pending(ledger))]
    for _ in range(TRIES):  # a step may be rounded to nothing, or two trials take the same
        after = neighbours(cube.axes, before, uniforms(random, 4, 1, cube.size), RATE, SPREAD)
        values = cube.values(after[0])
        if values not in taken:
            break
    return values, Origin(kind="Mutation", of=of.index)


@in_one_thread
def _proposed(
    study: Study, cube: "Cube", ledger: Ledger, best: Sequence[Trial], random: Stream
) -> dict[str, Value]:
    """The candidate that the model thinks most of."""
    anywhere = uniforms(random, CANDIDATES, cube.size)
    points = np.array([cube.point(trial) for trial in best[:AROUND]])
    around = points[np.arange(CANDIDATES) % len(points)]
    drawn = uniforms(random, 4, CANDIDATES, cube.size)
    close = neighbours(cube.axes, around, drawn, RATE, CLOSE_SPREAD)
    candidates = np.vstack([anywhere, close])
    pending = np.array([cube.point(trial) for trial in _pending(ledger)]).reshape(-1, cube.size)
    seen = _seen(cube, ledger, _rows(ledger))
    fitted_on = _seen(cube, ledger, _rows_for_fit(ledger))
    lessons = earlier.lessons(study, cube.view, cube.where)
    chosen = best_candidate(cube.axes, fitted_on, seen, pending, candidates, lessons)
    return cube.values(candidates[chosen])


# ---- what the ledger tells


def _best(ledger: Ledger) -> list[Trial]:
    """The best trials, of the highest rung first; none while there are too few records."""
    first = max((len(ledger.shelf(("rung", level))) for level in ledger.frame.levels), default=0)
    most = min(BEST, max(1, round(BEST_SHARE * first)))
    found: dict[int, None] = {}
    finite = 0
    for level in reversed(ledger.frame.levels):
        for key, _ in ledger.shelf(("rung", level)).entries():
            if key[0] or (len(found) >= most and finite >= RECORDS_LEAST):
                break
            finite += 1
            found.setdefault(key[-1])
    if finite < RECORDS_LEAST:
        return []
    return [ledger.trial(index) for index in list(found)[:most]]


def _rows(ledger: Ledger) -> list[Row]:
    """Records of every rung: its best, and of the others some that are spread evenly."""
    found: list[Row] = []
    levels = [level for level in reversed(ledger.frame.levels) if ledger.shelf(("rung", level))]
    for place, level in enumerate(levels):
        rung = ledger.shelf(("rung", level))
        share = (ROWS - len(found)) // (len(levels) - place)
        found += [(level, rung.at(rank)[0]) for rank in spread(len(rung), share)]
    return found


def _rows_for_fit(ledger: Ledger) -> list[Row]:
    """The latest records that were there at the last of a few numbers, about as many of a rung."""
    upto, following = RECORDS_LEAST, RECORDS_LEAST
    while following <= ledger.highest_number:
        upto, following = following, following * 5 // 4
    decided, share = ledger.shelf("decided"), FIT_ROWS // len(ledger.frame.levels)
    end, count = decided.rank((upto + 1,)), dict.fromkeys(ledger.frame.levels, 0)
    found: list[Row] = []
    for rank in range(end - 1, max(-1, end - 1 - FIT_RECORDS), -1):
        (_, at, index), _ = decided.at(rank)
        trial = ledger.trial(index)
        level = ledger.frame.level(trial, at)
        if count[level] < share:
            record = ledger.record(trial, level)
            if record.decision != "Void":
                count[level] += 1
                found.append((level, ledger.frame.rank_key(trial, record)))
    return found


def _pending(ledger: Ledger) -> Iterator[Trial]:
    """New trials under way, of which nothing is known yet: the latest ones."""
    holders = ledger.shelf("holders")
    for rank in range(max(0, len(holders) - PENDING), len(holders)):
        trial = ledger.trial(holders.at(rank)[0][-1])
        if not trial.status.milestones:
            yield trial


def _seen(cube: "Cube", ledger: Ledger, rows: Sequence[Row]) -> Seen:
    levels = ledger.frame.levels
    trained = {level: (place + 1) / len(levels) for place, level in enumerate(levels)}
    points = [cube.point(ledger.trial(key[-1])) for _, key in rows]
    scores = [math.inf if key[0] else key[1] for _, key in rows]
    return Seen(np.array(points), np.array([trained[at] for at, _ in rows]), np.array(scores))


def _given(trial: Trial) -> dict[str, Value]:
    return {each.name: each.value for each in trial.spec.parameters}


class Cube:
    """The space as a unit cube: a configuration is a point, one fraction for each parameter."""

    def __init__(self, parameters: tuple[Parameter, ...]) -> None:
        self._parameters = parameters
        self._points: dict[int, tuple[tuple[ParameterValue, ...], Point]] = {}
        self.size = len(parameters)
        self.axes = tuple(
            Axis(len(each.space.values or ()), not isinstance(each.space, ChoiceSpace))
            for each in parameters
        )

    def point(self, trial: Trial) -> Point:
        """Where a trial's configuration lies, remembered."""
        values = trial.spec.parameters
        found = self._points.get(id(values))
        if found is None or found[0] is not values:
            of = _given(trial)
            point = tuple(fraction_of(each, of[each.name]) for each in self._parameters)
            if len(self._points) >= POINTS_KEPT:
                self._points.clear()
            found = self._points[id(values)] = values, point
        return found[1]

    def where(self, place: int, value: Value) -> float:
        """The fraction of one value."""
        return fraction_of(self._parameters[place], value)

    def view(self, points: Array, places: Places) -> Array:
        """What a model of earlier observations sees: some of the parameters."""
        return columns([self.axes[place] for place in places], points[:, places], 1.0)

    def values(self, at: Array) -> dict[str, Value]:
        """The configuration at a point."""
        fractions = zip(self._parameters, at, strict=True)
        return {parameter.name: value_at(parameter, float(u)) for parameter, u in fractions}


_cube = lru_cache(maxsize=16)(Cube)
