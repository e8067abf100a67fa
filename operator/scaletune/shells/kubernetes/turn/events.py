"""Events: what happens, as `kubectl describe` and `kubectl get events` show it.

On a Trial: every decision about it, when it is paused, stopped or resumed for another reason, and
when an attempt is taken back that has not started.
On a Study: every change of a condition. Each Event has a name that follows from what it tells, so
saying it twice is a harmless conflict. They are for people alone: losing one changes nothing, and
nothing reads them.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from scaletune.api.action import Decide, Pause, Plan, Resume, Stop
from scaletune.api.conditions import FINISHED, Condition, condition
from scaletune.api.study import Study, StudyStatus
from scaletune.api.trial import Trial
from scaletune.core import reasons
from scaletune.core.summarise import timestamp
from scaletune.shells.kubernetes.server.client import EVENT, EXPECTED, Client, ConflictError, Json

log = logging.getLogger(__name__)

ALARMING = frozenset({"EndedEarly"})
"""Ends of a study that nobody wished for."""


@dataclass(frozen=True)
class Happening:
    """One Event: what it is about, and what there is to say."""

    about: Study | Trial
    key: str
    """Tells it from the others about the same object, for ever."""
    reason: str
    text: str
    is_warning: bool = False

    def manifest(self, now: float) -> Json:
        """The Event, as of now."""
        metadata = self.about.metadata
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "metadata": {
                "name": f"{metadata.name}.{metadata.uid[:8]}.{self.key.lower()}",
                "namespace": metadata.namespace,
            },
            "involvedObject": {
                "apiVersion": self.about.api_version,
                "kind": self.about.kind,
                "name": metadata.name,
                "namespace": metadata.namespace,
                "uid": metadata.uid,
            },
            "type": "Warning" if self.is_warning else "Normal",
            "reason": self.reason,
            "message": self.text[:1024],
            "source": {"component": "scaletune"},
            "firstTimestamp": timestamp(now),
            "lastTimestamp": timestamp(now),
            "count": 1,
        }


async def tell(client: Client, happenings: Iterable[Happening], now: float) -> None:
    """Say it to the log, and to the cluster as far as anybody listens."""
    for each in happenings:
        log.info("%s: %s", each.reason, each.text, extra=_extra(each.about))
        try:
            await client.create(EVENT, each.manifest(now))
        except ConflictError:
            pass
        except EXPECTED as error:
            log.warning("an Event was not accepted: %s", error)


def of_plan(study: Study, trials: Mapping[int, Trial], plan: Plan) -> Iterator[Happening]:
    """What a plan that was carried out did to trials; `trials` are those after it."""
    decided = {made.trial for made in plan.decisions}
    for made in plan.decisions:
        if made.trial in trials:  # else it was deleted meanwhile
            yield _of_decision(study, trials[made.trial], made)
    for action in plan.actions:
        if not isinstance(action, Pause | Stop | Resume) or action.trial in decided:
            continue
        trial = trials.get(action.trial)
        if trial is not None:
            verb = type(action).__name__
            yield Happening(trial, f"{trial.metadata.generation}.{verb}", verb, action.reason)


def of_conditions(study: Study, new: StudyStatus) -> Iterator[Happening]:
    """The conditions of a Study that are about to change; its first ones only if they are bad."""
    for now in new.conditions:
        before = condition(study.status.conditions, now.type)
        if before is not None and (before.status, before.reason) == (now.status, now.reason):
            continue
        is_bad = now.status == "False" and now.type != FINISHED
        if before is not None or is_bad or (now.type, now.status) == (FINISHED, "True"):
            at = (now.last_transition_time or "").replace(":", "")
            key = f"{study.metadata.generation}.{now.type}.{now.reason}.{at}"
            yield Happening(study, key, now.reason, _words(now), is_bad or now.reason in ALARMING)


def _words(now: Condition) -> str:
    return now.message or f"{now.type} is {now.status}"


def _of_decision(study: Study, trial: Trial, made: Decide) -> Happening:
    key = f"{made.milestone}.{made.decision}"
    return Happening(trial, key, made.decision, reasons.explain(study, made))


def _extra(about: Study | Trial) -> dict[str, str]:
    if isinstance(about, Study):
        return {"namespace": about.metadata.namespace, "study": about.metadata.name}
    return {"study": about.spec.study, "trial": about.metadata.name}
