"""Reasons: a decision in words and numbers, as `explain`, conditions and events show it."""

from collections.abc import Iterator

from scaletune.api.action import Decide
from scaletune.api.record import DecisionWord, Evidence, Milestone
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.api.trial_name import trial_name


def stored(trial: Trial, record: Milestone) -> Iterator[Decide]:
    """The decisions on a record: its own, and the later one with which the trial went on."""
    if record.decision is not None:
        evidence = record.evidence or Evidence()
        yield Decide(trial.index, record.at, record.decision, record.number, evidence)
    if (later := record.promotion) is not None:
        takes_over = later.evidence.against is not None
        word: DecisionWord = "Exploit" if takes_over else "Promote"
        yield Decide(trial.index, record.at, word, later.number, later.evidence, waited=takes_over)


def explain(study: Study, decide: Decide) -> str:
    """Why a record was decided as it was, and against whom."""
    where = f"at {study.spec.training.unit.lower()} {decide.milestone}"
    standing = _standing(decide.evidence)
    match decide.decision:
        case "Void":
            return f"the report {where} does not count: the trial had been stopped before it"
        case "Complete":
            return f"trained in full; {standing} {where}"
        case "Continue" if decide.evidence.quota is None:
            return f"{standing} {where}: goes on, as every trial does"
        case "Continue" if not _is_within(decide.evidence):
            others = _who_goes_on(decide.evidence)
            return f"{standing} {where}: {others}, and this one, which is at all centers"
        case "Continue":
            return f"{standing} {where}: {_who_goes_on(decide.evidence)}"
        case "Promote":
            return f"{standing} {where}: goes on to the next rung"
        case "Exploit":
            donor = trial_name(study.metadata.name, decide.evidence.against or 0)
            return f"{standing} {where}: gives up, and goes on from the checkpoint of {donor}"
        case "Pause":
            return f"{standing} {where}: pauses; {_who_goes_on(decide.evidence)}"
    if decide.evidence.against is not None:
        rival = trial_name(study.metadata.name, decide.evidence.against)
        return f"{standing} {where}: {_who_goes_on(decide.evidence)}, down to {rival}"
    return f"failed {where}: counts as worse than every value of its rung"


def _standing(evidence: Evidence) -> str:
    if evidence.n is None or evidence.rank is None:
        return "unranked"
    return f"ranked {evidence.rank + 1} of {evidence.n}"


def _is_within(evidence: Evidence) -> bool:
    return evidence.rank is None or evidence.quota is None or evidence.rank < evidence.quota


def _who_goes_on(evidence: Evidence) -> str:
    match evidence.quota:
        case None | 0:
            return "none goes on before more have come"
        case 1:
            return "the best 1 goes on"
    return f"the best {evidence.quota} go on"
