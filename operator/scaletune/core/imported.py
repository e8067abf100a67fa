"""Imported: trainings that something else has tuned, as a Study that has finished and its Trials.

Nothing was decided on them here, so every step that is known is a milestone of its trial, and the
policy of the Study that describes them is dropped, unless it is `carbs`, which trains all in full.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from scaletune.api.action import Finish
from scaletune.api.model import Metadata
from scaletune.api.policy import Policy
from scaletune.api.record import Failure, Milestone
from scaletune.api.study import BestTrial, Study
from scaletune.api.trial import Trial, TrialSpec, TrialStatus
from scaletune.api.trial_name import trial_name
from scaletune.core.ledger import Ledger
from scaletune.core.prior import best_first
from scaletune.core.samplers.draws import Value, typed
from scaletune.core.summarise import summarise

MILESTONES_MAX = 64


@dataclass(frozen=True)
class Point:
    """A value at a step; not finite: the training has diverged."""

    step: int
    value: float
    seconds: float


@dataclass(frozen=True)
class Training:
    """What was trained, and its values, by rising steps."""

    parameters: dict[str, Value]
    points: list[Point]


def imported(
    study: Study, trainings: Sequence[Training], source: str, now: float
) -> tuple[Study, list[Trial]]:
    """The finished Study, and its Trials."""
    policy = study.spec.policy if study.spec.policy.carbs is not None else Policy()
    study = study.model_copy(update={"spec": study.spec.model_copy(update={"policy": policy})})
    trials, number = [], 0
    for index, training in enumerate(trainings):
        trials.append(_trial(study, index, training, number))
        number += len(trials[-1].status.milestones)
    finish = Finish("Imported", f"{len(trials)} trainings were taken from {source}")
    status = summarise(study, Ledger.of(study, trials), now, finish)
    first = best_first(study, trials)[0]
    record = max(first.status.milestones, key=lambda each: (each.value is not None, each.at))
    assert record.value is not None
    best = BestTrial(
        trial=first.metadata.name, index=first.index, value=record.value, milestone=record.at
    )
    return study.model_copy(update={"status": status.model_copy(update={"best": best})}), trials


def _trial(study: Study, index: int, training: Training, number: int) -> Trial:
    most, records, failure = study.spec.training.most, list[Milestone](), None
    for point in _thinned(training.points):
        number += 1
        good = isfinite(point.value)
        records.append(
            Milestone(
                at=point.step,
                step=point.step,
                value=point.value if good else None,
                outcome="Value" if good else "Diverged",
                device_seconds=point.seconds,
                number=number,
                decision="Complete" if point.step == most or not good else "Continue",
            )
        )
        if not good:
            reason = f"the objective was not finite at step {point.step}"
            failure = Failure(kind="Diverged", reason=reason, number=number, at=point.step)
            break
    ended = "Completed" if records[-1].at == most else "Stopped"
    spec = TrialSpec(
        study=study.metadata.name,
        index=index,
        parameters=typed(study.spec, training.parameters),
        until=most,
        state="Running" if ended == "Completed" else "Stopped",
    )
    status = TrialStatus(
        state="Failed" if failure else ended,
        reason="imported",
        milestones=tuple(records),
        failure=failure,
        device_seconds=records[-1].device_seconds,
    )
    metadata = Metadata(
        name=trial_name(study.metadata.name, index), namespace=study.metadata.namespace
    )
    return Trial(metadata=metadata, spec=spec, status=status)


def _thinned(points: Sequence[Point]) -> list[Point]:
    """As many as a Trial keeps, the last one among them."""
    count = min(len(points), MILESTONES_MAX)
    return [points[(i + 1) * len(points) // count - 1] for i in range(count)]
