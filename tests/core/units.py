"""The same Study and Trials with their steps counted in another unit."""

from collections.abc import Iterator
from typing import Any

from scaletune.api.study import Study
from scaletune.api.trial import Trial


def scaled_study(study: Study, by: int) -> Study:
    """The Study in so much smaller units."""
    document = study.model_dump(by_alias=True, exclude_none=True)
    document["spec"]["training"]["max"] *= by
    for policy in document["spec"]["policy"].values():
        for steps in policy.keys() & {"min", "interval"}:
            policy[steps] *= by
    return Study.model_validate(document)


def scaled_trial(trial: Trial, by: int) -> Trial:
    """The Trial in so much smaller units."""
    document = trial.model_dump(by_alias=True, exclude_none=True)
    if "until" in document["spec"]:
        document["spec"]["until"] *= by
    for record in document["status"]["milestones"]:
        record["at"] *= by
        record["step"] *= by
    if "last" in document["status"]:
        document["status"]["last"]["step"] *= by
    for place in _places(document):
        place["step"] *= by
    for taken in _exploits(document):
        taken["at"] *= by
    return Trial.model_validate(document)


def _exploits(document: dict[str, Any]) -> list[dict[str, Any]]:
    own = document["spec"].get("exploit")
    return [*document["status"]["exploits"], *([own] if own else [])]


def _places(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All checkpoints that a Trial names."""
    of = (document["status"], *document["status"]["milestones"], *_exploits(document))
    parent = document["spec"].get("parent")
    yield from (each["checkpoint"] for each in of if "checkpoint" in each)
    yield from [parent] if parent else []
