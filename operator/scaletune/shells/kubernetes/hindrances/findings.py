"""Findings: all that stands in a study's way, as conditions of the Study. Pure.

`Ready` is False when nothing can be started at all; `CheckpointsReady` tells of the claim;
`TrialsStarted` counts the trials that are to run and do not start, by what is in their way.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import Final

from scaletune.api.action import Create, Plan
from scaletune.api.conditions import (
    CHECKPOINTS_READY,
    READY,
    STARTED,
    TRIALS_STARTED,
    Condition,
    condition,
)
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.summarise import timestamp
from scaletune.shells.kubernetes import workload
from scaletune.shells.kubernetes.hindrances import requeues
from scaletune.shells.kubernetes.hindrances.claims import Claim
from scaletune.shells.kubernetes.hindrances.starting import Obstacle

ALIKE_MIN: Final = 3
CANNOT_START: Final = "CannotStart"


@dataclass(frozen=True)
class Findings:
    """What was found; nothing is in the way where nothing is said."""

    problem: Obstacle | None = None
    claim: Claim | None = None
    held: str | None = None
    """Why no more trials are created, when the first all fail to start alike."""

    @property
    def may_start(self) -> bool:
        """Whether attempts of existing trials may begin."""
        return self.problem is None and (self.claim is None or self.claim.status != "False")

    def with_refusal(self, words: str | None) -> "Findings":
        """These, with why the Study or the Job of a trial is refused, if it is."""
        return self if words is None else replace(self, problem=Obstacle(CANNOT_START, words))

    def allowed(self, plan: Plan) -> Plan:
        """The plan without new trials, when they could not start."""
        if self.may_start and self.held is None:
            return plan
        kept = tuple(each for each in plan.actions if not isinstance(each, Create))
        return Plan(plan.decisions, kept)


def failing_alike(study: Study, trials: dict[int, Trial]) -> str | None:
    """Why another trial is not worth creating; None while it is.

    An edited template counts as untried, so that it is tried by those who wait for it.
    """
    enough, hashed = max(ALIKE_MIN, study.spec.parallelism), workload.template_hash(study)
    first = [trials[index] for index in nsmallest(enough, trials)]
    reasons = {_standing(trial, hashed) for trial in first}
    if len(first) < enough or len(reasons) != 1 or None in reasons:
        return None
    return (
        f"The first {enough} trials all fail to start alike, so no more are created until one"
        " starts or the template is edited"
    )


def _standing(trial: Trial, template_hash: str) -> str | None:
    """What stands in a trial's way under this template; None when it has started, or may."""
    attempts = trial.status.attempts
    if not requeues.is_hindered(trial) or not attempts:
        return None
    found = condition(trial.status.conditions, STARTED)
    is_tried = attempts[-1].template_hash == template_hash
    return found.reason if found is not None and is_tried else None


def conditions(
    study: Study, holders: Iterable[Trial], findings: Findings, now: float
) -> Iterator[Condition]:
    """The Study's conditions on starting; `holders` are the trials that hold a place."""
    problem, claim = findings.problem, findings.claim
    if problem is None:
        yield _condition(study, READY, ("True", "Accepted", ""), now)
    else:
        yield _condition(study, READY, ("False", problem.reason, problem.message), now)
    if claim is not None:
        said = claim.status, claim.reason, claim.message
        yield _condition(study, CHECKPOINTS_READY, said, now)
    yield _condition(study, TRIALS_STARTED, _started(list(holders), findings.held), now)


def _started(holders: list[Trial], held: str | None) -> tuple[str, str, str]:
    hindered: dict[str, list[Trial]] = {}
    for trial in holders:
        found = condition(trial.status.conditions, STARTED)
        if found is not None and found.status == "False":
            hindered.setdefault(found.reason, []).append(trial)
    if not hindered:
        return "True", "NothingInTheWay", held or ""
    counts = Counter({reason: len(trials) for reason, trials in hindered.items()})
    told = [_told(reason, hindered[reason], count) for reason, count in counts.most_common()]
    total = f"{counts.total()} of {len(holders)} trials that are to run have not started"
    message = "; ".join([f"{total}: {told[0]}", *told[1:]])
    return "False", counts.most_common(1)[0][0], f"{held}. {message}" if held else message


def _told(reason: str, trials: list[Trial], count: int) -> str:
    first = min(trials, key=lambda trial: trial.index)
    found = condition(first.status.conditions, STARTED)
    message = "" if found is None else found.message
    return f"{count} {reason} (such as {first.metadata.name}: {message})"


def _condition(study: Study, kind: str, said: tuple[str, str, str], now: float) -> Condition:
    status, reason, message = said
    return Condition.model_validate(
        {
            "type": kind,
            "status": status,
            "reason": reason[:63],
            "message": message[:2048],
            "last_transition_time": timestamp(now),
            "observed_generation": study.metadata.generation,
        }
    )
