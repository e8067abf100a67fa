"""Reasons: a decision in words and numbers, as `explain`, conditions and events show it."""

from scaletune.api.action import Decide
from scaletune.api.study import Study
from scaletune.api.trial import Evidence, trial_name


def explain(study: Study, decide: Decide) -> str:
    """Why a record was decided as it was, and against whom."""
    where = f"at {study.spec.training.unit.lower()} {decide.milestone}"
    standing = _standing(decide.evidence)
    match decide.decision:
        case "Void":
            return f"the report {where} does not count: the trial had been stopped before it"
        case "Complete":
            return f"trained in full; {standing} {where}"
        case "Continue":
            return f"{standing} {where}: within the {_places(decide.evidence)} that go on"
        case "Promote":
            return f"{standing} {where}: goes on to the next rung"
        case "Pause":
            return f"{standing} {where}: pauses until it is within {_places(decide.evidence)}"
    if decide.evidence.against is not None:
        rival = trial_name(study.metadata.name, decide.evidence.against)
        return (
            f"{standing} {where}: not within the {_places(decide.evidence)} that go on,"
            f" the last of which is {rival}'s"
        )
    return f"failed {where}: counts as worse than every value of its rung"


def _standing(evidence: Evidence) -> str:
    if evidence.n is None or evidence.rank is None:
        return "unranked"
    return f"ranked {evidence.rank + 1} of {evidence.n}"


def _places(evidence: Evidence) -> str:
    if evidence.quota is None:
        return "places"
    return "1 place" if evidence.quota == 1 else f"{evidence.quota} places"
