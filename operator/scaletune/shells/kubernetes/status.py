"""Status: what `kubectl get` and `kubectl describe` show of a Study. Pure.

The core's `summarise` tells what became of the study; this adds what only a cluster can know: that
nothing can be started, why, and what to do. Cost alone is not worth a write more often than every
ten seconds, since each write wakes everybody who watches.
"""

from typing import Final

from scaletune.api.action import Finish
from scaletune.api.conditions import READY, Condition, with_condition
from scaletune.api.study import Study, StudyStatus
from scaletune.core.ledger import Ledger
from scaletune.core.summarise import summarise, timestamp

COST_SECONDS: Final = 10.0


def study_status(  # what is known, and what stands in the way
    study: Study, ledger: Ledger, now: float, finish: Finish | None, problem: str | None
) -> StudyStatus:
    """The status that the Study should have."""
    status = summarise(study, ledger, now, finish)
    conditions = with_condition(status.conditions, _ready(study, now, problem))
    return status.model_copy(update={"conditions": conditions})


def _ready(study: Study, now: float, problem: str | None) -> Condition:
    return Condition(
        type=READY,
        status="True" if problem is None else "False",
        reason="Accepted" if problem is None else "CannotStart",
        message=(problem or "")[:2048],
        last_transition_time=timestamp(now),
        observed_generation=study.metadata.generation,
    )


def differs(old: StudyStatus, new: StudyStatus) -> bool:
    """Whether anything has changed at all."""
    return old.to_yaml_fields() != new.to_yaml_fields()
