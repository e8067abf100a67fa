"""Status: what `kubectl get` and `kubectl describe` show of a Study. Pure.

The core's `summarise` tells what became of the study; this adds what only a cluster can know: what
stands in the way of starting, and what to do (`findings`). Cost alone is not worth a write more
often than every ten seconds, since each write wakes everybody who watches.
"""

from typing import Final

from scaletune.api.action import Finish
from scaletune.api.conditions import with_condition
from scaletune.api.study import Study, StudyStatus
from scaletune.core.ledger import Ledger
from scaletune.core.summarise import summarise
from scaletune.shells.kubernetes.hindrances.findings import Findings, conditions

COST_SECONDS: Final = 10.0


def study_status(
    study: Study, ledger: Ledger, now: float, finish: Finish | None, findings: Findings
) -> StudyStatus:
    """The status that the Study should have."""
    status = summarise(study, ledger, now, finish)
    told = status.conditions
    for each in conditions(study, ledger.on("holders"), findings, now):
        told = with_condition(told, each)
    return status.model_copy(update={"conditions": told})


def differs(old: StudyStatus, new: StudyStatus) -> bool:
    """Whether anything has changed at all."""
    return old.to_yaml_fields() != new.to_yaml_fields()
