"""Starts: what would start next if there were a place and money for it.

One at a time, so that each sees those before it: trials that were interrupted by a pause of the
study, promotions that were decided and only not carried out, promotions (highest rung, best first),
new configurations, and at the very end the drain, which lets at least one trial train in full.
"""

from dataclasses import dataclass, replace

from scaletune.api.action import Create, Decide, Exploit, Pause, Resume, Stop
from scaletune.api.model import Metadata
from scaletune.api.record import Evidence, Promotion
from scaletune.api.study import Study
from scaletune.api.trial import Trial, TrialSpec
from scaletune.api.trial_name import trial_name
from scaletune.core import budget, reasons
from scaletune.core.ledger import Ledger
from scaletune.core.lifecycle import highest_milestone, untold
from scaletune.core.policies.policy import policy_of, population_of
from scaletune.core.samplers.sampler import configuration
from scaletune.core.scaling import resolve
from scaletune.core.schedule import scheduled
from scaletune.core.seeds import trial_seed


@dataclass(frozen=True)
class Start:
    """One thing to start: what it does to the snapshot, what it may cost, and how to say it."""

    before: Trial | None
    after: Trial
    cost: float
    action: Create | Resume
    decision: Decide | None = None


def next_start(study: Study, ledger: Ledger) -> Start | None:
    """What starts next; None when nothing can.

    Without a free place only a trial that still holds its own can: nothing new is thought of then.
    """
    is_full = len(ledger.shelf("holders")) >= study.spec.parallelism
    if is_full and not len(ledger.shelf("going on")):
        return None
    on = promoted(study, ledger)
    if on is not None or is_full:
        return on
    return _create(study, ledger) or drained(study, ledger)


def promoted(study: Study, ledger: Ledger) -> Start | None:
    """The next trial that goes on: one that was interrupted, or is promoted."""
    for trial in ledger.on("interrupted"):
        return _resume(ledger, trial, ledger.frame.until(trial), "the study goes on")
    for trial in ledger.on("owed"):
        return _resume(
            ledger,
            trial,
            ledger.frame.above(ledger.frame.until(trial)),
            "was promoted from its rung",
        )
    promotion = policy_of(study, ledger.frame).next_promotion(ledger)
    return None if promotion is None else _promote(study, ledger, *promotion)


def drained(study: Study, ledger: Ledger) -> Start | None:
    """The trial that goes on when nothing runs and all else is done, if the policy wants one."""
    promotion = (
        None if len(ledger.shelf("holders")) else policy_of(study, ledger.frame).drain(ledger)
    )
    return None if promotion is None else _promote(study, ledger, *promotion)


def created(study: Study, ledger: Ledger) -> int:
    """How many trials were ever created; the next one's index."""
    return max(study.status.created, ledger.next_index)


def _resume(ledger: Ledger, trial: Trial, until: int, reason: str) -> Start:
    after = with_intent(trial, until)
    level = ledger.frame.next_level(after)
    assert level is not None, f"trial {trial.index} has nothing to do up to {until}"
    action, taken = Resume(trial.index, until, reason), untold(trial)
    if taken is not None:
        action = Exploit(trial.index, until, reason, taken)
        after = intended(after, action)
    promised = budget.reserved(ledger, trial)  # by one that runs, and goes on from elsewhere
    return Start(trial, after, budget.cost(ledger, trial, level) - promised, action)


def _promote(study: Study, ledger: Ledger, trial: Trial, until: int, evidence: Evidence) -> Start:
    number = max(study.status.highest_number, ledger.highest_number)
    level = highest_milestone(trial)
    decision = exploiting(study, ledger, Decide(trial.index, level, "Promote", number, evidence))
    reason = reasons.explain(study, decision)
    start = _resume(ledger, decided(trial, decision), until, reason)
    return replace(start, before=trial, decision=decision)


def exploiting(study: Study, ledger: Ledger, made: Decide) -> Decide:
    """The decision, with what is taken over if it means that a trial goes on from another one."""
    population, donor = population_of(study, ledger.frame), made.evidence.against
    if population is None or donor is None:
        return made
    taken = population.exploit(ledger, ledger.trial(made.trial), made.milestone, donor)
    waited = made.decision == "Promote"
    return replace(made, decision="Exploit", exploit=taken, waited=waited)


def _create(study: Study, ledger: Ledger) -> Start | None:
    """The next configuration, unless all that the budget or the sampler gives were created."""
    index, population = created(study, ledger), population_of(study, ledger.frame)
    limit = study.spec.budget.trials
    if limit is not None and index >= limit:
        return None
    if population is not None and not population.has_room(ledger):
        return None
    child = None if population is None else population.child(ledger, index)
    found = configuration(study, ledger, index) if child is None else child[1:]
    if found is None:
        return None
    parameters, origin = found
    parent = None if child is None else child[0]
    frame, bracket = ledger.frame, ledger.frame.brackets.of(index)
    until = None if parent is None else frame.above(parent.step)
    spec = TrialSpec(
        study=study.metadata.name,
        index=index,
        parameters=parameters,
        resolved=resolve(study.spec, parameters),
        seed=trial_seed(study.spec.seed, index),
        origin=origin,
        bracket=bracket,
        until=until,
        state="Running",
    )
    if parent is not None:
        spec = spec.model_copy(update={"parent": parent})
    if study.spec.schedule:
        changes = scheduled(study.spec, parameters).schedule
        spec = spec.model_copy(update={"schedule": changes})
    name = trial_name(study.metadata.name, index)
    metadata = Metadata(name=name, namespace=study.metadata.namespace)
    after = Trial(metadata=metadata, spec=spec)
    if until is None:
        spec = spec.model_copy(update={"until": frame.first_of(after)})
        after = after.model_copy(update={"spec": spec})
    level = frame.next_level(after)
    assert level is not None
    return Start(
        before=None,
        after=after,
        cost=budget.cost(ledger, after, level),
        action=Create(spec, f"{origin.kind.lower()} configuration {index}"),
    )


def with_intent(trial: Trial, until: int) -> Trial:
    """The trial, meant to run up to a milestone."""
    spec = trial.spec.model_copy(update={"until": until, "state": "Running"})
    return trial.model_copy(update={"spec": spec})


def intended(trial: Trial, action: Resume | Pause | Stop) -> Trial:
    """The trial with the intent of an action, and with the reason for ending or pausing."""
    if isinstance(action, Exploit):
        spec = trial.spec.model_copy(update={"exploit": action.exploit})
        trial = trial.model_copy(update={"spec": spec})
    if isinstance(action, Resume):
        return with_intent(trial, action.until)
    state = "Paused" if isinstance(action, Pause) else "Stopped"
    spec = trial.spec.model_copy(update={"state": state})
    status = trial.status.model_copy(update={"reason": action.reason[:1024]})
    return trial.model_copy(update={"spec": spec, "status": status})


def renewed(trial: Trial, action: Resume | Pause | Stop) -> Trial:
    """The same, counted as the API server counts: each change of the spec is a generation."""
    changed = intended(trial, action)
    generation = trial.metadata.generation + 1
    metadata = trial.metadata.model_copy(update={"generation": generation})
    return changed.model_copy(update={"metadata": metadata})


def decided(trial: Trial, made: Decide) -> Trial:
    """The trial with a decision stored beside its record."""
    own: dict[str, object] = {"decision": made.decision, "evidence": made.evidence}
    later = {"promotion": Promotion(number=made.number, evidence=made.evidence)}
    milestones = tuple(
        record.model_copy(update=later if made.is_later else own)
        if record.at == made.milestone
        else record
        for record in trial.status.milestones
    )
    update: dict[str, object] = {"milestones": milestones}
    if made.exploit is not None:
        exploits = (*trial.status.exploits, made.exploit)
        update |= {"exploits": exploits, "checkpoint": made.exploit.checkpoint, "last": None}
    return trial.model_copy(update={"status": trial.status.model_copy(update=update)})
