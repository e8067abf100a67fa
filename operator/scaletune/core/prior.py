"""Prior: what an earlier study hands on to a new one, as configurations of the new one's space.

A pure function of both, meant to be asked once, before the first plan, and its answer stored: then
`plan` never reads another study. A configuration may leave parameters out, as one of `initial` may:
those that were added since, and those whose value the new space does not have. They take their
center, else a draw. Parameters that were removed are dropped.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Final

from scaletune.api.space import ChoiceSpace, FloatSpace, IntSpace, Parameter
from scaletune.api.study import Study, StudySpec
from scaletune.api.trial import Trial
from scaletune.core.samplers.draws import Value

TOP_MAX: Final = 20  # configurations; they are stored in the new Study's status

Configuration = dict[str, Value]


def handed_on(
    spec: StudySpec, earlier: Study, trials: Iterable[Trial], top: int
) -> tuple[Configuration, ...]:
    """The best distinct configurations of an earlier study, best first, in this one's space."""
    found: dict[str, Configuration] = {}
    for trial in _best_first(earlier, trials):
        if len(found) == min(top, TOP_MAX):
            break
        # As sampled: this study's own scaling rules are applied to them again.
        kept = _kept(spec, {each.name: each.value for each in trial.spec.values})
        if kept:
            found.setdefault(json.dumps(kept, sort_keys=True), kept)
    return tuple(found.values())


def digest(configurations: Iterable[Configuration]) -> str:
    """What tells one answer from another."""
    said = json.dumps(list(configurations), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _best_first(earlier: Study, trials: Iterable[Trial]) -> list[Trial]:
    """As `best` in a Study's status: the highest milestone, the value, then the lower index."""
    sign = 1.0 if earlier.spec.objectives[0].goal == "Minimize" else -1.0
    judged = []
    for trial in trials:
        if trial.spec.role != "Search":
            continue
        reached = [(each.at, each.value) for each in trial.status.milestones]
        values = [(at, value) for at, value in reached if value is not None]
        if values:
            at, value = max(values)
            judged.append(((-at, sign * value, trial.spec.index), trial))
    return [trial for _, trial in sorted(judged, key=lambda each: each[0])]


def _kept(spec: StudySpec, values: Configuration) -> Configuration:
    return {
        parameter.name: values[parameter.name]
        for parameter in spec.parameters
        if parameter.name in values and _has(parameter, values[parameter.name])
    }


def _has(parameter: Parameter, value: Value) -> bool:
    """Whether a value belongs to a parameter's space; one with a fraction is no whole number."""
    space = parameter.space
    if isinstance(space, ChoiceSpace) or isinstance(value, str):
        return space.values is not None and value in space.values
    if isinstance(space, IntSpace) and value != int(value):
        return False
    if space.values is not None:
        return value in space.values
    assert isinstance(space, FloatSpace | IntSpace)
    low, high = space.min, space.max
    inside = (low is None or value >= low) and (high is None or value <= high)
    positive = space.scale == "Linear" or value > 0
    return inside and positive and (space.scale != "Logit" or value < 1)
