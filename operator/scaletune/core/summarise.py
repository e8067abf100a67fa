"""Summarise: a Study's status, from its Trials. It decides nothing.

A shell writes it after carrying a plan out; `finish` is the plan's Finish, if it had one. When the
spec has changed since, the plan says Finish again, or the condition Finished is cleared: so a
raised budget continues a finished study, and an edit that changes nothing leaves it finished.

What was spent and stored only grows: what all Trials together have less than last time was deleted
with some of them, and is added to the sums of deleted ones. What such a Trial and the running ones
have used since the status was last written is not known then, and is forgotten.
"""

from datetime import UTC, datetime

from scaletune.api.action import Finish
from scaletune.api.conditions import (
    CONFIRMED,
    FINISHED,
    Condition,
    condition,
    is_true,
    with_condition,
)
from scaletune.api.confirmation import Confirmation
from scaletune.api.study import BestTrial, Study, StudyStatus, TrialCounts
from scaletune.api.trial import TERMINAL
from scaletune.api.trial_name import CONFIRMING_FROM
from scaletune.core import confirmed
from scaletune.core.budget import spent_seconds
from scaletune.core.ledger import Ledger
from scaletune.core.policies.policy import population_of
from scaletune.core.starts import created

STATES = {name: ("state", name.capitalize()) for name in TrialCounts.model_fields}


def summarise(
    study: Study, ledger: Ledger, now: float, finish: Finish | None = None
) -> StudyStatus:
    """The status that the study should have."""
    old, spec = study.status, study.spec
    counts = TrialCounts(**{name: len(ledger.shelf(shelf)) for name, shelf in STATES.items()})
    ended = sum(_searched(ledger, state) for state in TERMINAL)
    limit = "" if spec.budget.trials is None else f"/{spec.budget.trials}"
    hours = "" if spec.budget.gpu_hours is None else f"/{spec.budget.gpu_hours:g}"
    conditions = _conditions(study, now, finish)
    finished, spent = is_true(conditions, FINISHED), spent_seconds(study, ledger)
    number = max(old.highest_number, ledger.highest_number)
    found = confirmed.confirmation(study, ledger, finished=finished)
    best = confirmed.best(study, ledger, found) or _best(ledger)
    return old.model_copy(
        update={
            "conditions": _confirmed(study, conditions, found, now),
            "observed_generation": study.metadata.generation,
            "started_at": old.started_at or timestamp(now),
            "finished_at": (old.finished_at or timestamp(now)) if finished else None,
            "created": created(study, ledger),
            "highest_number": number,
            "trials": counts,
            "running": len(ledger.shelf("holders")),
            "selector": f"scaletune.dev/study={study.metadata.name}",
            "spent_seconds": round(spent, 6),
            **_deleted(study, ledger, found),
            **_reached(study, ledger, finished=finished),
            "policy": policy_words(study),
            "progress": f"{ended}{limit}",
            "gpu_hours": f"{spent / 3600:.2f}{hours}",
            "best": best,
            "found": _found(best, found),
            "confirmation": found,
        }
    )


def _searched(ledger: Ledger, state: str) -> int:
    """How many of the search's trials are in a state."""
    return ledger.shelf(("state", state)).rank((CONFIRMING_FROM,))


def _found(best: BestTrial | None, found: Confirmation | None) -> str:
    """The best value in a few words, as `kubectl get` shows it."""
    if best is None:
        return ""
    row = confirmed.winner(found)
    if row is None:
        return f"{best.value:.4g} at {best.milestone}"
    error = "" if row.standard_error is None else f" ± {row.standard_error:.2g}"
    return f"{best.value:.4g}{error}, confirmed"


def _confirmed(
    study: Study, conditions: tuple[Condition, ...], found: Confirmation | None, now: float
) -> tuple[Condition, ...]:
    """The conditions with what has come of confirmation, where there is one."""
    if study.spec.confirm is None:
        return conditions
    first = confirmed.winner(found)
    reason, message = "Searching", "the best are trained again after the search"
    if found is not None and first is not None:
        tied = any(each.standing == "Tied" for each in found.configurations)
        reason, message = "Tied" if tied else "Clear", confirmed.sentence(found)
    elif is_true(conditions, FINISHED):
        reason, message = "NoValue", "the study has ended before any of the best was trained again"
        message = message if found is None else confirmed.sentence(found)
    elif found is not None:
        reason, message = "Training", "the best of the search are trained again, in full"
    new = Condition(
        type=CONFIRMED,
        status="True" if first is not None else "False",
        reason=reason,
        message=message[:2048],
        last_transition_time=timestamp(now),
        observed_generation=study.metadata.generation,
    )
    return with_condition(conditions, new)


def _deleted(study: Study, ledger: Ledger, found: Confirmation | None) -> dict[str, object]:
    """What deleted Trials have used and stored, if there are any."""
    if len(ledger.shelf("trials")) >= created(study, ledger) + _begun(found):
        return {}
    old, spent = study.status, round(spent_seconds(study, ledger), 6)
    stored = sum(len(ledger.shelf(name)) for name in ("decided", "undecided", "confirmed"))
    number = max(old.highest_number, ledger.highest_number)
    return {
        "device_seconds": round(max(old.device_seconds, spent - ledger.spent_seconds), 6),
        "reports": max(old.reports, number - stored),
    }


def _begun(found: Confirmation | None) -> int:
    """How many trainings for confirmation there have been."""
    return 0 if found is None else sum(each.trainings for each in found.configurations)


def _reached(study: Study, ledger: Ledger, *, finished: bool) -> dict[str, object]:
    """From which milestone on checkpoints are kept for others; from none once all is over."""
    population = population_of(study, ledger.frame)
    if population is None:
        return {}
    is_over = finished and not len(ledger.shelf("members"))
    reached = ledger.frame.most if is_over else population.all_reached(ledger)
    return {"all_reached": max(study.status.all_reached, reached)}


def differs_beyond_cost(old: StudyStatus, new: StudyStatus) -> bool:
    """Whether anything but what the study has cost so far has changed."""
    cost = {"gpu_hours": new.gpu_hours, "spent_seconds": new.spent_seconds}
    return old.model_copy(update=cost).to_yaml_fields() != new.to_yaml_fields()


def timestamp(now: float) -> str:
    """RFC 3339, as Kubernetes writes it."""
    return datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z")


def policy_words(study: Study) -> str:
    """The policy in a few words."""
    policy = study.spec.policy
    if policy.asha is not None:
        asha = policy.asha
        several = f" brackets {asha.brackets}" if asha.brackets > 1 else ""
        return f"asha {asha.mode} eta {asha.eta}{several}"
    if policy.successive_halving is not None:
        return f"successiveHalving eta {policy.successive_halving.eta}"
    if policy.carbs is not None:
        return "carbs" if policy.carbs.surrogate == "Fitted" else "carbs Original"
    if policy.pbt is not None:
        return f"pbt {policy.pbt.explore} population {policy.pbt.population}"
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
    said = None if old is None else (old.status, old.reason, old.message, old.observed_generation)
    if said == (status, reason, message[:2048], generation):
        return conditions
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
