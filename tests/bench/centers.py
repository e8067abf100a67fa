"""Centers: a box whose Study says where its user expects the good values, rightly or not.

The kinds are those of mf-prior-bench, on which PriorBand (arXiv:2306.12370) was tried: of
many random configurations, trained in full, the best a little or further off, and the worst.
Beside them guesses that are known by how many configurations are better. Every seed has its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaletune.api.space import ChoiceSpace
from scaletune.api.study import StudySpec
from scaletune.core.samplers.draws import Value, fraction_of, uniform, value_at
from tests.bench.boxes import Box, Facts, Floats, Values

DRAWN = 1000  # configurations, none of which a measured study draws
SEED = 1_000_003


@dataclass(frozen=True)
class Guess:
    """What a user knows."""

    name: str
    share: float
    """share of random configurations that are better, trained in full."""
    spread: float = 0.0
    """spread is the standard deviation of what is then added, as a fraction of each range."""


GUESSES = (
    Guess("the best, .01 off", 0.0, 0.01),
    Guess("the best, .125 off", 0.0, 0.125),
    Guess("2 % are better", 0.02),
    Guess("90 % are better", 0.9),
    Guess("the worst", 1.0),
)


class Centered:
    """A box with a center for each of its parameters; otherwise the box itself."""

    def __init__(self, box: Box, center: Mapping[str, Any]) -> None:
        self._box, self.name = box, box.name
        self.units: int = box.units
        self.facts: Facts = box.facts
        self.parameters = tuple(_with_center(each, center) for each in box.parameters)

    def curve(self, values: Values, seed: int) -> tuple[Floats, Floats]:
        """What the box says."""
        return self._box.curve(values, seed)


def centered(
    box: Box, spec: StudySpec, guesses: Iterable[Guess], seed: int
) -> Iterator[tuple[Guess, Box]]:
    """The box with what the users of this seed guess as its center."""
    spec = spec.model_copy(update={"seed": SEED + seed})
    drawn = [uniform(spec, index) for index in range(DRAWN)]
    trained = sorted(_in_full(box, drawn), key=lambda each: each[0])
    for guess in guesses:
        rank = min(len(trained) - 1, int(guess.share * len(trained)))
        random = np.random.default_rng(spec.seed)
        center = _moved(spec, drawn[trained[rank][1]], guess.spread, random)
        yield guess, Centered(box, center)


def _in_full(box: Box, drawn: list[dict[str, Any]]) -> Iterator[tuple[float, int]]:
    """(last value, place) of those that come to their end: nobody centers on what fails."""
    for place, values in enumerate(drawn):
        found, _ = box.curve(values, place)
        if len(found) == box.units and np.isfinite(found[-1]):
            yield float(found[-1]), place


def _moved(
    spec: StudySpec, values: Mapping[str, Value], spread: float, random: np.random.Generator
) -> dict[str, Value]:
    """The values somewhere else on their scales; choices stay."""
    found = dict(values)
    for parameter in spec.parameters:
        if not isinstance(parameter.space, ChoiceSpace):
            step = random.normal(0.0, spread)
            fraction = fraction_of(parameter, values[parameter.name]) + step
            found[parameter.name] = value_at(parameter, min(max(fraction, 0.0), 1.0 - 1e-9))
    return found


def _with_center(parameter: dict[str, Any], center: Mapping[str, Any]) -> dict[str, Any]:
    [kind] = parameter.keys() - {"name"}
    space = {**parameter[kind], "center": center[parameter["name"]]}
    return {"name": parameter["name"], kind: space}
