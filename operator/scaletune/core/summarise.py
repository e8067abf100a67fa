"""Summarise: a Study's status, from its Trials. It decides nothing.

A shell writes it after carrying a plan out; `finish` is the plan's Finish, if it had one. The
condition Finished is cleared when the spec has changed since, so that a raised budget continues a
finished study.
"""

from datetime import UTC, datetime

from scaletune.api.action import Finish
from scaletune.api.conditions import (
    FINISHED,
    Condition,
    condition,
    is_true,
    with_condition,
)
from scaletune.api.study import BestTrial, Study, StudyStatus, TrialCounts
from scaletune.api.trial import TERMINAL
from scaletune.core.budget import spent_seconds
from scaletune.core.ledger import Ledger
from scaletune.core.starts import created


def summarise(
    study: Study, ledger: Ledger, now: float, finish: Finish | None = None
) -> StudyStatus:
    """The status that the study should have."""
    old, spec = study.status, study.spec
    counts = TrialCounts(
        **{
            name: len(ledger.shelf(("state", name.capitalize())))
            for name in TrialCounts.model_fields
        }
    )
    ended = sum(len(ledger.shelf(("state", state))) for state in TERMINAL)
    limit = "" if spec.budget.trials is None else f"/{spec.budget.trials}"
    hours = "" if spec.budget.gpu_hours is None else f"/{spec.budget.gpu_hours:g}"
    conditions = _conditions(study, now, finish)
    finished = is_true(conditions, FINISHED)
    return old.model_copy(
        update={
            "conditions": conditions,
            "observed_generation": study.metadata.generation,
            "started_at": old.started_at or timestamp(now),
            "finished_at": (old.finished_at or timestamp(now)) if finished else None,
            "created": created(study, ledger),
            "highest_number": max(old.highest_number, ledger.highest_number),
            "trials": counts,
            "running": len(ledger.shelf("holders")),
            "selector": f"scaletune.dev/study={study.metadata.name}",
            "policy": policy_words(study),
            "progress": f"{ended}{limit}",
            "gpu_hours": f"{spent_seconds(study, ledger) / 3600:.2f}{hours}",
            "best": _best(ledger),
        }
    )


def timestamp(now: float) -> str:
    """RFC 3339, as Kubernetes writes it."""
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def policy_words(study: Study) -> str:
    """The policy in a few words."""
    policy = study.spec.policy
    if policy.asha is not None:
        asha = policy.asha
        several = f" brackets {asha.brackets}" if asha.brackets > 1 else ""
        return f"asha {asha.mode} eta {asha.eta}{several}"
    if policy.successive_halving is not None:
        return f"successiveHalving eta {policy.successive_halving.eta}"
    return "full" if policy.hyperband is None else f"hyperband eta {policy.hyperband.eta}"


def _best(ledger: Ledger) -> BestTrial | None:
    found = ledger.best()
    if found is None:
        return None
    trial, record = found
    assert record.value is not None
    return BestTrial(
        trial=trial.metadata.name, index=trial.index, value=record.value, milestone=record.at
    )


def _conditions(study: Study, now: float, finish: Finish | None) -> tuple[Condition, ...]:
    conditions, generation = study.status.conditions, study.metadata.generation
    old = condition(conditions, FINISHED)
    if finish is not None:
        status, reason, message = "True", finish.cause, finish.reason
    elif old is not None and old.status == "True" and old.observed_generation == generation:
        return conditions
    else:
        status, reason, message = "False", "InProgress", "the study goes on"
        if study.spec.state == "Paused":
            reason, message = "Paused", "spec.state is Paused; set it to Running to go on"
    new = Condition.model_validate(
        {
            "type": FINISHED,
            "status": status,
            "reason": reason,
            "message": message[:2048],
            "last_transition_time": timestamp(now),
            "observed_generation": generation,
        }
    )
    return with_condition(conditions, new)
