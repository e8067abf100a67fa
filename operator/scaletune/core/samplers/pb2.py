"""Pb2: the values with which a trial goes on are those that promise the best next interval.

Population based bandits (Parker-Holder et al., arXiv:2002.02518): a Gaussian process learns how
much an interval of training gains, from the parameters, from when it is, and from where it began;
the values with the highest upper confidence bound are taken. It needs fewer trials than random
steps do. Gains are compared with those over the same interval only, by their order, so that those
of late intervals, which are small, count as much. What others explore at the same milestone counts
as known, so that they try different values. Choices out of names are left to chance, as `perturb`
does. Only the latest records are looked at: the cost does not grow with the study.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from scaletune.api.configuration import ParameterValue
from scaletune.api.policy import Pbt
from scaletune.api.record import Milestone
from scaletune.api.space import ChoiceSpace, Parameter
from scaletune.api.study import StudySpec
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.lifecycle import taken_before
from scaletune.core.numerics.basic_space import normals
from scaletune.core.numerics.gaussian_process import (
    Array,
    Surrogate,
    fit,
    normal_quantile,
    rank_fractions,
)
from scaletune.core.numerics.threads import in_one_thread
from scaletune.core.samplers.draws import Value, fraction_of, typed, value_at
from scaletune.core.samplers.uniforms import uniforms
from scaletune.core.seeds import Stream, stream

ROWS_LEAST, ROWS, FIT_ROWS = 8, 64, 40
PENDING = 32
UNIFORM, AROUND, SPREAD = 200, 100, 0.1  # candidates
OPTIMISM = 1.0  # standard deviations


@dataclass(frozen=True)
class Exploration:
    """Which trial goes on at which milestone, from whom, and with what if nothing is known."""

    index: int
    at: int
    generation: int  # which milestone that is, from 1
    donor: Trial
    perturbed: tuple[ParameterValue, ...]


@dataclass(frozen=True)
class _Interval:
    """One interval of training: from a milestone to the next one."""

    until: int
    values: Mapping[str, Value]
    began: float  # score
    ended: float


@in_one_thread
def explored(
    spec: StudySpec, pbt: Pbt, ledger: Ledger, going: Exploration
) -> tuple[ParameterValue, ...]:
    """The values of a trial that goes on; a perturbation of the donor's while little is known."""
    free = [each for each in spec.parameters if _is_modelled(each, pbt)]
    seen = list(islice(_intervals(ledger), ROWS))
    if len(seen) < ROWS_LEAST or not free:
        return going.perturbed
    began, gained = _ranked(seen)
    rows = np.column_stack(
        [
            np.array([_cube(free, each.values) for each in seen]),
            [each.until / ledger.frame.most for each in seen],
            began,
        ]
    )
    model = Surrogate(rows, gained, fit(rows[:FIT_ROWS], gained[:FIT_ROWS]))
    following = next(level for level in ledger.frame.levels if level > going.at)
    now = following / ledger.frame.most
    before = _values(going.donor, going.at)
    random = stream(spec.seed, going.index, f"explore {going.generation} pb2")
    candidates = _candidates(np.array(_cube(free, before)), random)
    ahead = [_cube(free, each) for each in islice(_outstanding(ledger, going), PENDING)]
    mean, deviation = model.expect(
        _at(candidates, now), _at(np.array(ahead).reshape(-1, len(free)), now)
    )
    best = candidates[int(np.argmax(mean + OPTIMISM * deviation))]
    values: dict[str, Value] = {each.name: each.value for each in going.perturbed}
    for parameter, fraction in zip(free, best, strict=True):
        values[parameter.name] = value_at(parameter, float(fraction))
    return typed(spec, values)


def _is_modelled(parameter: Parameter, pbt: Pbt) -> bool:
    return parameter.name not in pbt.fixed and not isinstance(parameter.space, ChoiceSpace)


def _cube(free: list[Parameter], values: Mapping[str, Value]) -> list[float]:
    return [fraction_of(each, values[each.name]) for each in free]


def _at(points: Array, now: float) -> Array:
    """Rows of the next interval, for trials that begin it as one of the best."""
    return np.column_stack([points, np.full(len(points), now), np.zeros(len(points))])


def _candidates(donor: Array, random: Stream) -> Array:
    everywhere = uniforms(random, UNIFORM, len(donor))
    close = donor + SPREAD * normals(uniforms(random, 2, AROUND, len(donor)))
    found: Array = np.clip(np.vstack([everywhere, close]), 0.0, np.nextafter(1.0, 0.0))
    return found


def _ranked(seen: list[_Interval]) -> tuple[Array, Array]:
    """Where each began and how much it gained, beside those that ended at the same milestone."""
    untils = np.array([each.until for each in seen])
    starts = np.array([each.began for each in seen])
    gains = starts - np.array([each.ended for each in seen])
    began, gained = np.zeros(len(seen)), np.zeros(len(seen))
    for until in np.unique(untils):
        same = untils == until
        order = np.argsort(np.argsort(starts[same], kind="stable"), kind="stable")
        began[same] = order / max(1, same.sum() - 1)
        gained[same] = rank_fractions(gains[same])
    return began, normal_quantile(gained)


def _intervals(ledger: Ledger) -> Iterator[_Interval]:
    """The intervals that were trained, the latest first."""
    for (_, at, index), _ in ledger.shelf("decided").backwards():
        trial = ledger.trial(index)
        start = max((level for level in ledger.frame.levels if level < at), default=0)
        record, before = _record(trial, at), _before(ledger, trial, start)
        if record is None or before is None or not trial.spec.parameters:
            continue
        _, began, _ = ledger.frame.rank_key(trial, before)
        failed, ended, _ = ledger.frame.rank_key(trial, record)
        yield _Interval(at, _values(trial, at), began, np.inf if failed else ended)


def _before(ledger: Ledger, trial: Trial, start: int) -> Milestone | None:
    """The record of the weights with which an interval began."""
    taken = next((each for each in trial.status.exploits if each.at == start), None)
    giver = None if taken is None else taken.donor
    if giver is None and trial.spec.parent is not None and start == trial.spec.began_at:
        giver = trial.spec.parent.trial
    if giver is None:
        return _record(trial, start)
    found: Trial | None = ledger.shelf("trials").get((giver,))
    return None if found is None else _record(found, start)


def _record(trial: Trial, at: int) -> Milestone | None:
    return next((each for each in trial.status.milestones if each.at == at), None)


def _values(trial: Trial, at: int) -> dict[str, Value]:
    taken = taken_before(trial, at)
    parameters = trial.spec.parameters if taken is None else taken.parameters
    return {each.name: each.value for each in parameters}


def _outstanding(ledger: Ledger, going: Exploration) -> Iterator[dict[str, Value]]:
    """With what others have gone on from the same milestone, and not yet come to the next."""
    members = ledger.shelf("members")
    for (level, index), _ in members.entries(after=(going.at, -1)):
        trial = ledger.trial(index)
        if level > going.at:
            return
        if any(each.at == level for each in trial.status.exploits):
            yield _values(trial, level + 1)
