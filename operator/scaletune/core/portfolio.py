"""Portfolio: a few configurations of which, over several studies, one is always good.

The best of each study alone would leave studies out that differ from it. Greedily, the next one is
that which lowers most, on average over the studies, the rank of the best one so far (as zero-shot
portfolios do). How a configuration does in a study that has not tried it is taken from the nearest
one that it has tried. Only ranks count, so that studies of any metric and length are comparable.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scaletune.api.space import ChoiceSpace, Parameter
from scaletune.api.study import Study, StudySpec
from scaletune.api.trial import Trial
from scaletune.core.derived import derived, spec_of
from scaletune.core.prior import Given, best_first, fitting, known_values
from scaletune.core.samplers.draws import fraction_of

CANDIDATES = 50  # of each study, its best
SUFFIX: Final = "-portfolio"


@dataclass(frozen=True)
class Choice:
    """One of the portfolio, and what it has come to in each study: 0 is the best, 1 the worst."""

    parameters: Given
    ranks: tuple[float, ...]


@dataclass(frozen=True)
class _Task:
    """A study: configurations in the order of their ranks."""

    tried: list[Given]

    def rank(self, parameters: tuple[Parameter, ...], of: Given) -> float:
        """That of the nearest configuration, of equally near ones the better; 0 to 1."""
        gaps = [_gap(parameters, of, each) for each in self.tried]
        return gaps.index(min(gaps)) / max(1, len(self.tried) - 1)


def portfolio(
    spec: StudySpec, studies: Iterable[tuple[Study, Iterable[Trial]]], size: int
) -> list[Choice]:
    """The portfolio in the space of `spec`, the most useful first.

    A trial that does not fit into that space is not looked at.
    """
    tasks = [_Task(_tried(spec, study, trials)) for study, trials in studies]
    candidates: list[Given] = []
    for task in tasks:
        candidates += [each for each in task.tried[:CANDIDATES] if each not in candidates]
    ranks = [[task.rank(spec.parameters, each) for task in tasks] for each in candidates]
    return [Choice(candidates[i], tuple(ranks[i])) for i in greedy(ranks, size)]


def beginning_with(study: Study, found: Sequence[Choice]) -> dict[str, Any]:
    """The Study once more, beginning with the portfolio, as its YAML would be.

    What it began with itself is left out: the portfolio has taken its place.
    """
    spec = spec_of(study)
    for name in ("warmStart", "state"):
        spec.pop(name, None)
    spec["initial"] = [each.parameters for each in found]
    return derived(study, SUFFIX, spec)


def greedy(ranks: Sequence[Sequence[float]], size: int) -> list[int]:
    """Which rows to take, one after the other: ties go to the lower one."""
    chosen: list[int] = []
    best = [math.inf] * len(ranks[0]) if ranks else []
    while len(chosen) < min(size, len(ranks)):
        rest = [i for i in range(len(ranks)) if i not in chosen]
        following = min(rest, key=lambda i: (math.fsum(map(min, best, ranks[i])), i))
        chosen.append(following)
        best = [*map(min, best, ranks[following])]
    return chosen


def _tried(spec: StudySpec, study: Study, trials: Iterable[Trial]) -> list[Given]:
    """The configurations of a study, in values that mean the same here, the best first."""
    found: list[Given] = []
    for trial in best_first(study, trials):
        known = _in_space(spec, known_values(spec, study.spec, trial))
        if known is not None and known not in found:
            found.append(known)
    return found


def _in_space(spec: StudySpec, known: Given) -> Given | None:
    found: Given = {}
    for parameter in spec.parameters:
        value = fitting(parameter, known[parameter.name]) if parameter.name in known else None
        if value is None or value != known[parameter.name]:
            return None
        found[parameter.name] = value
    return found


def _gap(parameters: tuple[Parameter, ...], one: Given, other: Given) -> float:
    """How far two configurations lie apart in the unit cube; other choices are a side apart."""
    total = 0.0
    for parameter in parameters:
        here, there = one[parameter.name], other[parameter.name]
        if isinstance(parameter.space, ChoiceSpace):
            total += here != there
        else:
            total += (fraction_of(parameter, here) - fraction_of(parameter, there)) ** 2
    return math.sqrt(total)
