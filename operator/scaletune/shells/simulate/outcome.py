"""Outcome: what a simulated study has come to, as JSON for scripts.

Trials are named by their index, parameters and values written as in `scaletune plan`. Only
`planMilliseconds` differs from one run with a seed to the next.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from scaletune.api.action import Decide
from scaletune.api.conditions import FINISHED, condition
from scaletune.api.record import Evidence, Milestone
from scaletune.api.trial import Trial
from scaletune.core import budget
from scaletune.core.lineage import Piece, lineage
from scaletune.shells.simulate.shell import Shell

Json = dict[str, Any]


def percentile(values: Sequence[float], fraction: float) -> float:
    """The value below which a fraction of them lies, between two neighbours in proportion."""
    ordered = sorted(values)
    at = fraction * (len(ordered) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return low + (high - low) * (at - math.floor(at))


def outcome(shell: Shell) -> Json:
    """Everything about one seed."""
    study, ledger = shell.study, shell.ledger
    end = condition(study.status.conditions, FINISHED)
    confirmed = study.status.confirmation
    return {
        "seed": study.spec.seed,
        "finished": shell.finished,
        "cause": end.reason if end is not None else None,
        "reason": end.message if end is not None else "",
        "spent": _spent(shell),
        "best": _found(shell),
        "bestReported": _best_reported(shell),
        "rungs": [_rung(shell, level) for level in ledger.frame.levels],
        "trials": [_trial(shell, trial) for trial in ledger.on("trials")],
        "confirm": None if confirmed is None else confirmed.to_yaml_fields(),
        "decisions": [decision(each) for each in ordered(shell.decisions)],
        "curve": [
            {
                "at": each.at,
                "deviceSeconds": each.device_seconds,
                "trial": each.best.index,
                "milestone": each.best.milestone,
                "value": each.best.value,
            }
            for each in shell.curve
        ],
        "planMilliseconds": {
            name: round(1e3 * percentile(shell.plan_seconds, fraction), 3)
            for name, fraction in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
        },
    }


def ordered(decisions: Sequence[Decide]) -> list[Decide]:
    """In the order of their numbers, promotions after records, as `replay` gives them."""
    return sorted(decisions, key=lambda made: (made.number, made.decision == "Promote"))


def decision(made: Decide) -> Json:
    """A decision as `replay` prints it."""
    return {
        "number": made.number,
        "trial": made.trial,
        "milestone": made.milestone,
        "decision": made.decision,
        "evidence": _evidence(made.evidence),
    }


def _spent(shell: Shell) -> Json:
    world, ledger = shell.world, shell.ledger
    last = [key for key, _ in ledger.shelf(("rung", ledger.frame.most)).entries()]
    return {
        "deviceSeconds": budget.spent_seconds(shell.study, ledger),
        "wallSeconds": world.now,
        "trials": len(ledger.shelf("trials")) - len(ledger.shelf("confirming")),
        "confirmingTrials": len(ledger.shelf("confirming")),
        "fullTrainings": sum(not failed for failed, *_ in last),
        "idleFraction": _idle(shell, world.busy_seconds, world.now),
        "idleFractionWhileCreating": _idle(shell, shell.busy_seconds_at_creation, shell.created_at),
    }


def _idle(shell: Shell, busy_seconds: float, wall_seconds: float) -> float:
    """The share of places × time in which no trainer lived."""
    places = shell.study.spec.parallelism * wall_seconds
    return min(1.0, max(0.0, 1 - busy_seconds / places)) if places else 0.0


def _found(shell: Shell) -> Json | None:
    """What the study has found: the best of the search, or of what was confirmed, by mean."""
    best = shell.study.status.best
    if best is None:
        return None
    return _best(shell, best.index, best.milestone, best.value)


def _best(shell: Shell, index: int, milestone: int, value: float | None) -> Json:
    """With the parameters by which it came to its value; how it began, its lineage says."""
    last = lineage(shell.trials.get, shell.trials[index], milestone)[-1]
    return {
        "trial": index,
        "milestone": milestone,
        "value": value,
        "parameters": [each.to_yaml_fields() for each in last.parameters],
    }


def _best_reported(shell: Shell) -> Json | None:
    """The best value at any milestone: what a user would see who looks at values alone."""
    frame = shell.frame
    found = [
        (frame.rank_key(trial, record), -record.at, trial, record)
        for trial in shell.trials.values()
        for record in trial.status.milestones
        if record.value is not None and record.decision != "Void" and trial.spec.role == "Search"
    ]
    best = min(found, key=lambda each: each[:2], default=None)
    if best is None:
        return None
    *_, trial, record = best
    return _best(shell, trial.index, record.at, record.value)


def _rung(shell: Shell, level: int) -> Json:
    ledger = shell.ledger
    keys = [key for key, _ in ledger.shelf(("rung", level)).entries()]
    values = [ledger.frame.sign * score for failed, score, _ in keys if not failed]
    on = sum(_went_on(ledger.trial(index), level) for *_, index in keys)
    is_end = level == ledger.frame.most and ledger.frame.horizon is not None
    return {
        "milestone": None if is_end else level,
        "reached": len(keys),
        "failed": len(keys) - len(values),
        "wentOn": on,
        "best": values[0] if values else None,
    }


def _went_on(trial: Trial, level: int) -> bool:
    return any(
        record.at == level and (record.decision == "Continue" or record.promotion is not None)
        for record in trial.status.milestones
    )


def _trial(shell: Shell, trial: Trial) -> Json:
    document: Json = {
        "trial": trial.index,
        "role": trial.spec.role,
        "state": shell.frame.state(trial),
        "parameters": [each.to_yaml_fields() for each in trial.spec.parameters],
    }
    if trial.spec.role != "Search":
        document |= {"candidate": trial.spec.candidate, "repeat": trial.spec.repeat}
    if trial.spec.resolved:
        document["resolved"] = [each.to_yaml_fields() for each in trial.spec.resolved]
    if trial.status.failure is not None:
        document["failure"] = trial.status.failure.kind
    pieces = lineage(shell.trials.get, trial)
    if len(pieces) > 1:
        document["lineage"] = [_piece(each) for each in pieces]
    attempts = trial.status.attempts
    return {
        **document,
        "attempts": attempts[-1].number if attempts else 0,
        "deviceSeconds": trial.status.device_seconds,
        "milestones": [dict(_record(each)) for each in trial.status.milestones],
    }


def _piece(piece: Piece) -> Json:
    """A part of what its weights were trained with, as which trial."""
    return {
        "after": piece.start,
        "until": piece.until,
        "trial": piece.trial,
        "parameters": [each.to_yaml_fields() for each in piece.parameters],
    }


def _record(record: Milestone) -> Iterator[tuple[str, Any]]:
    yield "at", record.at
    yield "step", record.step
    yield "value", record.value
    yield "outcome", record.outcome
    yield "deviceSeconds", record.device_seconds
    if record.cost is not None:
        yield "cost", record.cost
    yield "number", record.number
    yield "decision", record.decision
    yield "evidence", _evidence(record.evidence or Evidence())
    if record.promotion is not None:
        promotion = record.promotion
        yield (
            "promotion",
            {"number": promotion.number, "evidence": _evidence(promotion.evidence)},
        )


def _evidence(found: Evidence) -> Json:
    return {name: getattr(found, name) for name in ("n", "rank", "quota", "against")}
