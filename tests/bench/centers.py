"""Centers: a box whose Study says where its user expects the good values, rightly or not."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from scaletune.api.study import Study
from scaletune.core.samplers.draws import uniform
from tests.bench.boxes import Box, Facts, Floats, Values

DRAWN = 200  # configurations, none of which a measured study draws
SEED = 1_000_003


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


def centered(box: Box, study: Study, share: float) -> Box:
    """The box with a center that, trained in full, beats all but this share of random ones."""
    drawn = [uniform(study.spec.model_copy(update={"seed": SEED}), i) for i in range(DRAWN)]
    trained = sorted(_in_full(box, drawn), key=lambda each: each[0])
    return Centered(box, drawn[trained[int(share * len(trained))][1]])


def _in_full(box: Box, drawn: list[dict[str, Any]]) -> Iterator[tuple[float, int]]:
    """(last value, place) of those that come to their end: nobody centers on what fails."""
    for place, values in enumerate(drawn):
        found, _ = box.curve(values, place)
        if len(found) == box.units and np.isfinite(found[-1]):
            yield float(found[-1]), place


def _with_center(parameter: dict[str, Any], center: Mapping[str, Any]) -> dict[str, Any]:
    [kind] = parameter.keys() - {"name"}
    space = {**parameter[kind], "center": center[parameter["name"]]}
    return {"name": parameter["name"], kind: space}
