"""Hypothesis strategies: any Study, ledger or snapshot that the API takes."""

from typing import Any

from hypothesis import strategies as st

from scaletune.api.configuration import Checkpoint, Exploit
from scaletune.api.record import Milestone
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.api.trial_name import Repeat
from scaletune.core.samplers.draws import typed, uniform
from tests.core import given

MODES = ("Promote", "Stop", "Full")
GROUPED = ("successiveHalving", "hyperband", "PromoteInBrackets", "StopInBrackets")
EVERY = (*MODES, *GROUPED, "Carbs", "Pbt")
SPACES: list[dict[str, Any]] = [
    {"float": {"min": 1e-5, "max": 1e-1, "scale": "Log", "center": 1e-3}},
    {"float": {"min": -1.0, "max": 1.0}},
    {"float": {"min": 0.01, "max": 0.9, "scale": "Logit"}},
    {"float": {"values": [0.1, 0.2, 0.4]}},
    {"int": {"min": 16, "max": 512, "scale": "Log", "center": 64}},
    {"int": {"min": -3, "max": 3}},
    {"int": {"values": [8, 16]}},
    {"choice": {"values": ["adamw", "muon"]}},
]

# Few values, so that ties are common, and both zeros, which are equal.
finite = st.sampled_from([-1.0, -0.0, 0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1e300])
reported = st.one_of(finite, st.sampled_from([float("nan"), float("inf"), float("-inf")]))


@st.composite
def parameters(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One to four parameters."""
    spaces = draw(st.lists(st.sampled_from(SPACES), min_size=1, max_size=4))
    return [{"name": f"p{number}", **space} for number, space in enumerate(spaces)]


@st.composite
def budgets(draw: st.DrawFn, trials_max: int) -> dict[str, Any]:
    """Any budget that ends a study."""
    budget: dict[str, Any] = {}
    if draw(st.booleans()):
        budget["gpuHours"] = draw(st.sampled_from([0.001, 0.01, 0.1, 1.0]))
    if draw(st.booleans()):
        budget["duration"] = draw(st.sampled_from(["1s", "1m", "1h", "24h", "1h30m"]))
    if not budget or draw(st.booleans()):
        budget["trials"] = draw(st.integers(1, trials_max))
    return budget


@st.composite
def studies(draw: st.DrawFn, modes: tuple[str, ...] = MODES, trials_max: int = 12) -> Study:
    """Any Study: policy, levels, places, budgets, goal, target, sampler, initial, wish."""
    searched = draw(parameters())
    spec: dict[str, Any] = {
        "mode": draw(st.sampled_from(modes)),
        "eta": draw(st.integers(2, 4)),
        "least": draw(st.sampled_from([None, 1, 2, 3])),
        "most": draw(st.sampled_from([4, 5, 9, 16, 20])),
        "goal": draw(st.sampled_from(["Minimize", "Maximize"])),
        "parallelism": draw(st.integers(1, 5)),
        "parameters": searched,
        "seed": draw(st.integers(0, 3)),
        "budget": draw(budgets(trials_max)),
        "sampler": draw(st.sampled_from([{}, {"random": {}}, {"grid": {"points": 2}}])),
        "initial": [{}] * draw(st.sampled_from([0, 0, 1, 3])),
        "state": draw(st.sampled_from(["Running", "Running", "Running", "Paused", "Stopped"])),
    }
    if spec["mode"] == "Carbs":
        spec["sampler"] = {}
    if draw(st.integers(0, 3)) == 0:
        spec["target"] = draw(finite)
    if draw(st.integers(0, 2)) == 0:
        spec["confirm"] = {"top": draw(st.integers(1, 3)), "repeats": draw(st.integers(1, 2))}
        if draw(st.booleans()):
            spec["confirm"]["goal"] = draw(st.sampled_from(["Minimize", "Maximize"]))
    if draw(st.booleans()):
        spec["status"] = {
            "startedAt": "2023-11-14T22:00:00Z",
            "created": draw(st.integers(0, 14)),
            "highestNumber": draw(st.integers(0, 30)),
            "deviceSeconds": draw(st.sampled_from([0.0, 0.1, 30.0, 4000.0])),
            "conditions": [
                {
                    "type": "Finished",
                    "status": draw(st.sampled_from(["True", "False"])),
                    "reason": "Completed",
                }
            ],
        }
    return given.study(**spec)


@st.composite
def records(draw: st.DrawFn, at: int, number: int) -> Milestone:
    """Any record, decided or not, sensible or not."""
    word = draw(st.sampled_from([None, None, "Continue", "Stop", "Pause", "Complete", "Void"]))
    value = draw(st.one_of(finite, st.none()))
    more: dict[str, Any] = {}
    if word == "Pause" and draw(st.booleans()):
        more["promotion"] = {"number": draw(st.integers(0, 40))}
    seconds = draw(st.sampled_from([0.0, 0.1, 10.0, 100.0]))
    return given.record(at, value, number, word, deviceSeconds=seconds, **more)


@st.composite
def trials(draw: st.DrawFn, index: int, levels: tuple[int, ...], bracket: int = 0) -> Trial:
    """Any Trial that the types take, whether or not a shell would ever store it."""
    reached = draw(st.lists(st.sampled_from([*levels, 7]), unique=True, max_size=3))
    found = [draw(records(at, draw(st.integers(0, 30)))) for at in reached]
    status: dict[str, Any] = {
        "state": draw(
            st.sampled_from(
                [None, "Pending", "Running", "Paused", "Stopped", "Completed", "Failed"]
            )
        ),
        "deviceSeconds": draw(st.sampled_from([0.0, 0.1, 7.0, 500.0])),
    }
    if draw(st.integers(0, 4)) == 0:
        kind = draw(st.sampled_from(["Diverged", "OutOfMemory", "UserError", "RetriesExhausted"]))
        status["failure"] = {"kind": kind, "number": draw(st.integers(0, 30))}
    if draw(st.booleans()):
        value = draw(st.one_of(finite, st.none()))
        status["last"] = {"step": draw(st.integers(0, 20)), "value": value}
    if draw(st.booleans()) and reached:
        status["checkpoint"] = {"incarnation": f"life-{index}", "step": max(reached)}
        found = [draw(lending(each, index)) for each in found]
    until = draw(st.sampled_from([None, *levels, 7]))
    intent = draw(st.sampled_from(["Running", "Running", "Paused", "Stopped"]))
    return given.trial(index, *found, until=until, intent=intent, bracket=bracket, **status)


@st.composite
def lending(draw: st.DrawFn, record: Milestone, index: int) -> Milestone:
    """The record, perhaps with a checkpoint that others may go on from."""
    place = {"incarnation": f"life-{index}", "step": record.at}
    update = {"checkpoint": Checkpoint.model_validate(place)}
    return record.model_copy(update=update) if draw(st.booleans()) else record


@st.composite
def borrowing(draw: st.DrawFn, study: Study, trial: Trial) -> Trial:
    """The trial, perhaps after it has gone on from another one, as its intent may say or not."""
    reached = [record.at for record in trial.status.milestones]
    if not reached or draw(st.booleans()):
        return trial
    at, donor = draw(st.sampled_from(reached)), draw(st.integers(0, 12))
    taken = Exploit(
        at=at,
        donor=donor,
        checkpoint=Checkpoint(incarnation=f"life-{donor}", step=at, trial=donor),
        parameters=typed(study.spec, uniform(study.spec, 100 + trial.index)),
        attempt=draw(st.integers(0, 2)),
    )
    told = given.intended(trial, exploit=taken if draw(st.booleans()) else None)
    place = draw(st.sampled_from([taken.checkpoint, trial.status.checkpoint]))
    return given.changed(told, exploits=(taken,), checkpoint=place)


@st.composite
def snapshots(draw: st.DrawFn, modes: tuple[str, ...] = EVERY) -> tuple[Study, list[Trial]]:
    """A Study with any Trials, whose indices may have gaps."""
    from scaletune.core.frame import Frame

    study = draw(studies(modes))
    frame = Frame.of(study)
    indices = draw(st.lists(st.integers(0, 12), unique=True, max_size=8))
    found = [draw(trials(index, frame.levels, frame.brackets.of(index))) for index in indices]
    found = [given.with_parameters(study, each) for each in found]
    if frame.population:
        found = [draw(borrowing(study, each)) for each in found]
    if study.spec.confirm is not None:
        found += draw(confirming(study, indices))
    return study, found


@st.composite
def confirming(draw: st.DrawFn, study: Study, indices: list[int]) -> list[Trial]:
    """Any trainings that confirm these trials or others."""
    from scaletune.core.frame import Frame

    most = Frame.of(study).levels[-1:]
    which = st.tuples(st.sampled_from([None, 20, *indices]), st.integers(0, 2))
    return [
        given.confirming(draw(trials(Repeat(*each).index, most)), *each)
        for each in draw(st.lists(which, unique=True, max_size=3))
    ]


@st.composite
def ledgers(draw: st.DrawFn, levels: tuple[int, ...], trials_max: int) -> list[dict[str, Any]]:
    """Lines of a ledger file: anything that is no contradiction, in any order."""
    lines: list[dict[str, Any]] = []
    at = 0.0
    for _ in range(draw(st.integers(0, 30))):
        at += draw(st.sampled_from([0.0, 1.0, 1.0]))
        index = draw(st.integers(0, trials_max - 1))
        kind = draw(st.integers(0, 9))
        if kind == 0:
            lines.append({"at": at, "trial": index, "created": True})
        elif kind == 1:
            failure = draw(
                st.sampled_from(["Diverged", "OutOfMemory", "UserError", "Infrastructure"])
            )
            lines.append({"at": at, "trial": index, "failure": failure})
        else:
            step = draw(st.sampled_from([0, 1, *levels, levels[-1] + 1]))
            value = draw(st.one_of(finite, finite, finite, reported))
            said = value if value - value == 0 else str(value).replace("inf", "Infinity")
            said = "NaN" if said == "nan" else said
            if not any((x["at"], x["trial"], x.get("step")) == (at, index, step) for x in lines):
                lines.append({"at": at, "trial": index, "step": step, "value": said})
    return lines
