"""Plain builders for Studies, Trials and records: what a claim does not say is a default."""

from collections.abc import Sequence
from typing import Any

from scaletune.api.action import Create, Decide, Pause, Plan, Resume, Stop
from scaletune.api.configuration import ParameterValue
from scaletune.api.model import Metadata
from scaletune.api.record import Milestone
from scaletune.api.study import Study
from scaletune.api.trial import Trial, TrialSpec, TrialStatus
from scaletune.api.trial_name import trial_name
from scaletune.core.samplers.draws import typed, uniform

LEARNING_RATE = {"name": "learning_rate", "float": {"min": 1e-4, "max": 1e-1, "scale": "Log"}}
NOW = 1_700_000_000.0


def study(**spec: Any) -> Study:
    """A Study with ASHA over one parameter, eta 2, levels 1, 2 and 4, unless it says otherwise.

    `mode`, `eta`, `least`, `most`, `goal` and `target` are put where they belong; `status` and
    `generation` too; all else is a field of spec, in Python's or in YAML's writing.
    """
    mode, most = spec.pop("mode", "Promote"), spec.pop("most", 4)
    policy = _policy(mode, {"eta": spec.pop("eta", 2), "min": spec.pop("least", 1)})
    objective = {"metric": "loss", "goal": spec.pop("goal", "Minimize")}
    target = spec.pop("target", None)
    status, generation = spec.pop("status", {}), spec.pop("generation", 1)
    return Study.model_validate(
        {
            "metadata": {"name": "s", "generation": generation},
            "spec": {
                "objectives": [objective if target is None else {**objective, "target": target}],
                "parameters": [LEARNING_RATE],
                "training": {"unit": "Step", "max": most},
                "policy": policy,
                "budget": {"trials": 8},
                "parallelism": 2,
                "template": {"pod": {}},
                **spec,
            },
            "status": status,
        }
    )


def _policy(mode: str, rungs: dict[str, Any]) -> dict[str, Any]:
    """A policy; with brackets, ASHA promotes or stops in three."""
    if mode in ("successiveHalving", "hyperband"):
        return {mode: rungs}
    if mode.endswith("InBrackets"):
        return {"asha": {**rungs, "mode": mode.removesuffix("InBrackets"), "brackets": 3}}
    if mode == "Pbt":
        return {"pbt": {"population": 4, "interval": rungs["min"] or 1, "resample": 0.1}}
    if mode == "Carbs":
        return {"carbs": {}}
    return {} if mode == "Full" else {"asha": {**rungs, "mode": mode}}


def record(
    at: int, value: float | None, number: int, decision: Any = None, **more: Any
) -> Milestone:
    """A record; without a value its configuration has diverged."""
    outcome = "Diverged" if value is None else "Value"
    fields = {"at": at, "step": at, "value": value, "outcome": outcome, "number": number}
    return Milestone.model_validate({**fields, "decision": decision, **more})


def trial(
    index: int,
    *records: Milestone,
    until: int | None = None,
    intent: str = "Running",
    bracket: int = 0,
    **status: Any,
) -> Trial:
    """A Trial with these records."""
    spec = TrialSpec.model_validate(
        {"study": "s", "index": index, "until": until, "state": intent, "bracket": bracket}
    )
    found = TrialStatus.model_validate({"milestones": records, **status})
    return Trial(metadata=Metadata(name=trial_name("s", index)), spec=spec, status=found)


def with_parameters(study: Study, before: Trial) -> Trial:
    """The Trial with the configuration that a random sampler gives its index."""
    values = uniform(study.spec, before.index)
    return intended(before, parameters=typed(study.spec, values))


def confirming(before: Trial, candidate: int | None, repeat: int) -> Trial:
    """The Trial as a training for confirmation; of the control without a candidate."""
    role = "Control" if candidate is None else "Confirm"
    return intended(before, role=role, candidate=candidate, repeat=repeat)


def changed(before: Trial, **update: Any) -> Trial:
    """The Trial with another status."""
    return before.model_copy(update={"status": before.status.model_copy(update=update)})


def intended(before: Trial, **update: Any) -> Trial:
    """The Trial with another spec."""
    return before.model_copy(update={"spec": before.spec.model_copy(update=update)})


def words(plan: Plan) -> list[tuple[int, int, str]]:
    """The decisions as (trial, milestone, word)."""
    return [(made.trial, made.milestone, made.decision) for made in plan.decisions]


def acts(plan: Plan) -> list[tuple[str, int | None]]:
    """The actions as (kind, trial)."""
    return [(type(each).__name__, getattr(each, "trial", None)) for each in plan.actions]


def of_kind(plan: Plan, kind: type[Create | Resume | Pause | Stop]) -> list[int]:
    """The trials of all actions of a kind."""
    return [each.trial for each in plan.actions if isinstance(each, kind)]


def evidence(made: Decide) -> tuple[int | None, ...]:
    """n, rank, quota and against."""
    found = made.evidence
    return found.n, found.rank, found.quota, found.against


def values(parameters: Sequence[ParameterValue]) -> dict[str, Any]:
    """Parameters as a map."""
    return {each.name: each.value for each in parameters}
