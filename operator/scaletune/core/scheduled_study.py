"""The Study that trains one trial from its first step on as another one's weights were trained.

What population based training finds is a schedule; whether it is one that holds, and not the luck
of those that were copied, a training from scratch shows.
"""

from typing import Any, Final

from scaletune.api.study import Study
from scaletune.core.derived import derived, spec_of
from scaletune.core.schedule import Course

SEED_MAX: Final = 2**53
SUFFIX: Final = "-schedule"
_OF_THE_SEARCH: Final = ("policy", "sampler", "confirm", "warmStart", "state", "parallelism")


def scheduled_study(study: Study, found: Course) -> dict[str, Any]:
    """The Study, as its YAML would be."""
    spec = spec_of(study)
    for name in _OF_THE_SEARCH:
        spec.pop(name, None)
    before = {each.name: each.value for each in found.parameters}
    spec |= {"initial": [before], "budget": {"trials": 1}}
    spec["seed"] = (study.spec.seed + 1) % SEED_MAX  # no luck of the population's once more
    schedule = []
    for each in found.schedule:
        after = {value.name: value.value for value in each.parameters}
        changed = {name: value for name, value in after.items() if value != before[name]}
        schedule.append({"after": each.after, "values": changed})
        before = after
    spec["schedule"] = schedule
    return derived(study, SUFFIX, spec)
