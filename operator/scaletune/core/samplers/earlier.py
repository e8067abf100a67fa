"""Earlier: the observations of earlier studies as lessons for a sampler's model.

How a sampler sees a configuration is its own affair: it says where a value of a parameter lies, and
what its model sees of such points. Lessons are remembered by all that they follow from.
Policy carbs learns nothing here: it seeks the best at every cost, and what an earlier study thinks
of the dear ones lets it spend on these too early.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from scaletune.api.space import Parameter
from scaletune.api.study import Study
from scaletune.api.warm_start import Observed
from scaletune.core.numerics.lessons import Lesson, View

Where = Callable[[int, Any], float]  # the place of a parameter, and a value of it


def lessons(study: Study, view: View, where: Where) -> tuple[Lesson, ...]:
    """A lesson of each earlier study that gives observations."""
    prior = study.status.prior
    if prior is None or not prior.observations:
        return ()
    texts = tuple(each.model_dump_json() for each in prior.observations)
    return _lessons(study.spec.parameters, texts, view, where)


@lru_cache(maxsize=16)
def _lessons(
    parameters: tuple[Parameter, ...], observed: tuple[str, ...], view: View, where: Where
) -> tuple[Lesson, ...]:
    found = map(Observed.model_validate_json, observed)
    return tuple(_lesson(each, parameters, view, where) for each in found)


def _lesson(
    observed: Observed, parameters: Sequence[Parameter], view: View, where: Where
) -> Lesson:
    points = [
        [
            where(place, values[each.name]) if each.name in values else np.nan
            for place, each in enumerate(parameters)
        ]
        for values in observed.configurations
    ]
    return Lesson(view, np.array(points), observed.failed)
