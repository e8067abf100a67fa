"""Earlier: the observations of earlier studies as lessons for a sampler's model.

How a sampler sees a configuration is its own affair: it says where a value of a parameter lies, and
what its model sees of such points. Lessons are remembered by all that they follow from.
Policy carbs learns nothing here: it seeks the best at every cost, and what an earlier study thinks
of the dear ones lets it spend on these too early.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scaletune.api.space import Parameter
from scaletune.api.study import Study
from scaletune.api.warm_start import Observed
from scaletune.core.numerics.lessons import Lesson, View

KEPT = 16

Where = Callable[[int, Any], float]  # the place of a parameter, and a value of it
_LESSONS: dict[tuple[Any, ...], tuple[Lesson, ...]] = {}


def lessons(study: Study, view: View, where: Where) -> tuple[Lesson, ...]:
    """A lesson of each earlier study that gives observations."""
    prior, spec = study.status.prior, study.spec
    if prior is None or not prior.observations:
        return ()
    texts = tuple(each.model_dump_json() for each in prior.observations)
    key = (spec.parameters, texts)
    found = _LESSONS.get(key)
    if found is None:
        if len(_LESSONS) >= KEPT:
            _LESSONS.clear()
        found = tuple(_lesson(each, spec.parameters, view, where) for each in prior.observations)
        _LESSONS[key] = found
    return found


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
