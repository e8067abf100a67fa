"""Confirmation: which of the best are trained again, what that may cost, and when it begins.

A search picks the luckiest of many trials, and often by less than a full training. So at its end
the best few that differ, and the configuration of all centers as a control, are trained in full,
from scratch, several times each. The seed depends on the repeat alone: all configurations
meet the same seeds, and their differences are not those of luck.

What the search must leave for this is predicted from the search's own records alone. While it goes
on, none of these change: so what is left over when it turns out cheaper does not start the search
again, and only a raised budget does. Who has a training for confirmation stays a candidate.

What has come of it is said in `confirmed`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scaletune.api.action import Create
from scaletune.api.confirmation import Confirm
from scaletune.api.model import Metadata
from scaletune.api.record import DecisionWord, Evidence, Milestone
from scaletune.api.space import ChoiceSpace, Parameter
from scaletune.api.study import Study, StudySpec
from scaletune.api.trial import Trial, TrialSpec
from scaletune.api.trial_name import Repeat, trial_name
from scaletune.core import budget
from scaletune.core.budget import Purse
from scaletune.core.endings import Ending
from scaletune.core.frame import sign_of
from scaletune.core.ledger import Ledger
from scaletune.core.samplers.draws import Value, all_centers, fraction_of, on_scale, typed
from scaletune.core.scaling import resolve
from scaletune.core.schedule import Course, Parameters, course_of, scheduled
from scaletune.core.seeds import stream
from scaletune.core.starts import Start

DISTINCT = 0.1  # of the space, apart, at least
LOOKED_AT = 300  # of the best, for a few that differ
SHARE_MAX = 0.5  # of a budget
TIME = "the rest of the study's duration is for training the best again"
HOURS = "the rest of the study's gpuHours is for training the best again"

# ---- who


def candidates(study: Study, ledger: Ledger, confirm: Confirm) -> list[int]:
    """The indices of the best few that differ, the best first; then others that have trainings."""
    kept = sorted(_kept(ledger) - {None}, key=lambda index: index or 0)
    taken = {i: _course(study.spec, ledger, i) for i in kept if i is not None}
    found: list[int] = []
    find = finder(ledger)
    for trial in _best_first(ledger):
        if len(found) == confirm.top:
            break
        if trial.index in taken:
            found.append(trial.index)
            continue
        tried = course_of(study.spec, find, trial)
        if not any(_close(study.spec, tried, of) for of in taken.values()):
            taken[trial.index] = tried
            found.append(trial.index)
    return [*found, *(index for index in taken if index not in found)]


def control(spec: StudySpec) -> Course | None:
    """The configuration of all centers; None where a parameter has none."""
    centers = all_centers(spec)
    return None if centers is None else scheduled(spec, typed(spec, centers))


def _kept(ledger: Ledger) -> set[int | None]:
    """Candidates that have trainings; None is the control."""
    return {trial.spec.candidate for trial in ledger.on("confirming")}


def _best_first(ledger: Ledger) -> Iterator[Trial]:
    """Trials with a value, in the order by which the best is chosen, as many as are looked at."""
    seen: set[int] = set()
    for level in reversed(ledger.frame.levels):
        for key, _ in ledger.shelf(("rung", level)).entries():
            if key[0] or len(seen) == LOOKED_AT:
                break
            if key[-1] not in seen:
                seen.add(key[-1])
                yield ledger.trial(key[-1])


def finder(ledger: Ledger) -> Callable[[int], Trial | None]:
    """What gives the Trial of an index, if it is still there."""
    trials = ledger.shelf("trials")
    return lambda index: trials.get((index,))


def _course(spec: StudySpec, ledger: Ledger, candidate: int) -> Course:
    """With what a candidate was trained, even if its own Trial was deleted."""
    again = (each for each in ledger.on("confirming") if each.spec.candidate == candidate)
    trial = next(again, None) or finder(ledger)(candidate)
    assert trial is not None
    return course_of(spec, finder(ledger), trial)


def _close(spec: StudySpec, one: Course, other: Course) -> bool:
    """Whether two trainings are as good as the same, from their first step to their last."""
    steps = {0, *(each.after for each in (*one.schedule, *other.schedule))}
    return all(_are_close(spec, one.at(step), other.at(step)) for step in steps)


def _are_close(spec: StudySpec, one: Parameters, other: Parameters) -> bool:
    """Whether two configurations are as good as the same; other choices never are."""
    mine, its = ({each.name: each.value for each in values} for values in (one, other))
    total = 0.0
    for parameter in spec.parameters:
        if parameter.name not in mine or parameter.name not in its:
            return False  # a snapshot may leave out what they are
        here, there = mine[parameter.name], its[parameter.name]
        total += _gap(parameter, here, there) ** 2
    return math.sqrt(total) <= DISTINCT


def _gap(parameter: Parameter, here: Value, there: Value) -> float:
    """How far two values lie apart: of the range, or without one of what `carbs` takes for it."""
    space = parameter.space
    if isinstance(space, ChoiceSpace):
        return 0.0 if here == there else math.inf
    if space.values is not None or (space.min is not None and space.max is not None):
        return fraction_of(parameter, here) - fraction_of(parameter, there)
    unit = abs(space.center or 1.0) if space.scale == "Linear" else math.log(10)
    return (on_scale(space.scale, float(here)) - on_scale(space.scale, float(there))) / unit


# ---- what is still to be trained


@dataclass(frozen=True)
class Missing:
    """A training that is still to be started."""

    repeat: Repeat
    course: Course


def chosen(study: Study, ledger: Ledger) -> list[tuple[int | None, Course]]:
    """Who is confirmed, and with what parameters; last the control, if it is none of the others."""
    confirm = study.spec.confirm
    if confirm is None:
        return []
    found: list[tuple[int | None, Course]] = [
        (index, _course(study.spec, ledger, index)) for index in candidates(study, ledger, confirm)
    ]
    centers = control(study.spec)
    known = centers in [course for _, course in found]
    if found and centers is not None and (not known or None in _kept(ledger)):
        found.append((None, centers))
    return found


def missing(study: Study, ledger: Ledger) -> list[Missing]:
    """Every first training before every second one, and so on; the best candidates first."""
    return _missing(study, ledger, chosen(study, ledger))


def _missing(
    study: Study, ledger: Ledger, configurations: list[tuple[int | None, Course]]
) -> list[Missing]:
    begun = _begun(study, ledger)
    repeats = 0 if study.spec.confirm is None else study.spec.confirm.repeats
    return [
        Missing(Repeat(candidate, number), course)
        for number in range(repeats)
        for candidate, course in configurations
        if number >= begun.get(candidate, 0)
    ]


def _begun(study: Study, ledger: Ledger) -> dict[int | None, int]:
    """How many trainings each candidate was ever given, those that were deleted included."""
    found: dict[int | None, int] = {}
    known = study.status.confirmation
    for row in () if known is None else known.configurations:
        found[row.candidate] = row.trainings
    for trial in ledger.on("confirming"):
        number, candidate = (trial.spec.repeat or 0) + 1, trial.spec.candidate
        found[candidate] = max(found.get(candidate, 0), number)
    return found


def next_training(study: Study, ledger: Ledger) -> Start | None:
    """The training for confirmation that starts next; None when none is missing."""
    for each in missing(study, ledger):
        return _start(study, ledger, each)
    return None


def _start(study: Study, ledger: Ledger, each: Missing) -> Start:
    index, candidate = each.repeat.index, each.repeat.candidate
    spec = TrialSpec(
        study=study.metadata.name,
        index=index,
        role="Control" if candidate is None else "Confirm",
        candidate=candidate,
        repeat=each.repeat.number,
        parameters=each.course.parameters,
        resolved=resolve(study.spec, each.course.parameters),
        schedule=each.course.schedule,
        seed=stream(study.spec.seed, each.repeat.number, "seed of a repeat").randrange(2**31),
        state="Running",
    )
    name = trial_name(study.metadata.name, index)
    metadata = Metadata(name=name, namespace=study.metadata.namespace)
    full = ledger.frame.full(Trial(metadata=metadata, spec=spec))
    spec = spec.model_copy(update={"until": full})
    whom = "the control"
    if candidate is not None:
        whom = trial_name(study.metadata.name, candidate)
    return Start(
        before=None,
        after=Trial(metadata=metadata, spec=spec),
        cost=_price(ledger),
        action=Create(spec, f"training {each.repeat.number + 1} to confirm {whom}"),
    )


# ---- when, and for how much


def follows(study: Study, end: Ending) -> bool:
    """Whether a study that has ended so is confirmed first."""
    return study.spec.confirm is not None and end.cause == "TargetReached"


@dataclass(frozen=True)
class Reserve:
    """What the search must leave. While confirmation goes on it stays the same."""

    trainings: int = 0
    price: float = 0.0  # predicted device seconds of each


def reserve(study: Study, ledger: Ledger) -> Reserve | None:
    """What confirmation is to take in all, where the budget has a limit that it shares.

    Once for a plan: it looks at many trials.
    """
    limits = study.spec.budget
    if study.spec.confirm is None or (limits.gpu_hours is None and limits.duration is None):
        return None
    trainings = len(ledger.shelf("confirming")) + to_come(study, ledger)
    return Reserve(trainings, _price(ledger))


def search_is_over(study: Study, ledger: Ledger, reserve: Reserve | None, now: float) -> str | None:
    """Why the search must stop for its confirmation, in words; None while it may go on."""
    end, hours = search_ends_at(study, reserve, now), search_left(study, ledger, reserve)
    if end is not None and now >= end:
        return TIME
    return HOURS if hours is not None and hours <= 0 else None


def may_begin(study: Study, ledger: Ledger) -> bool:
    """Whether nothing of the search runs any more. (That it has nothing to start: ask it first.)"""
    if study.spec.confirm is None:
        return False
    return all(trial.spec.role != "Search" for trial in ledger.on("holders"))


def search_left(study: Study, ledger: Ledger, reserve: Reserve | None) -> float | None:
    """Device seconds that the search may still use, less those that confirmation is to take."""
    hours = study.spec.budget.gpu_hours
    if hours is None or reserve is None:
        return None
    kept = min(reserve.trainings * reserve.price, SHARE_MAX * hours * 3600)
    own = sum(trial.status.device_seconds for trial in ledger.on("confirming"))
    return hours * 3600 - kept - (budget.spent_seconds(study, ledger) - own)


def search_purse(study: Study, ledger: Ledger, reserve: Reserve | None) -> Purse:
    """What the search may still promise, of its own hours and of all."""
    whole, left = budget.purse(study, ledger), search_left(study, ledger, reserve)
    if whole.seconds is None or left is None:
        return whole
    running = (trial for trial in ledger.on("holders") if trial.spec.role == "Search")
    left -= sum(budget.reserved(ledger, trial) for trial in running)
    return Purse(min(whole.seconds, left))


def search_ends_at(study: Study, reserve: Reserve | None, now: float) -> float | None:
    """When the search must end, to leave time for its confirmation; None without a duration."""
    end, duration = budget.ends_at(study, now), study.spec.budget.duration
    if end is None or duration is None or reserve is None:
        return None
    rounds = math.ceil(reserve.trainings / study.spec.parallelism)
    seconds = rounds * reserve.price / study.spec.template.devices
    return end - min(seconds, SHARE_MAX * budget.seconds_of(duration))


def to_come(study: Study, ledger: Ledger) -> int:
    """How many trainings confirmation is still to start, those of candidates unknown included."""
    confirm = study.spec.confirm
    if confirm is None:
        return 0
    configurations = chosen(study, ledger)
    found = [index for index, _ in configurations if index is not None]
    unknown = max(0, confirm.top - len(found))
    if not found and control(study.spec) is not None:
        unknown += 1
    return len(_missing(study, ledger, configurations)) + unknown * confirm.repeats


def _price(ledger: Ledger) -> float:
    """Predicted device seconds of a training in full."""
    best = ledger.best() if ledger.frame.horizon else None
    most = ledger.frame.most if best is None else ledger.frame.full(best[0])
    return budget.full_rate(ledger) * most


# ---- what a training says


def judge(
    study: Study, ledger: Ledger, trial: Trial, record: Milestone
) -> tuple[DecisionWord, Evidence]:
    """A value completes; its rank is among those of all trainings for confirmation so far."""
    if record.value is None:
        return "Stop", Evidence()
    sign = sign_of(study.spec.judged_by(trial.spec.role)[1])
    so_far = [
        sign * value
        for (number, _, index), _ in ledger.shelf("confirmed").entries()
        if number < record.number and (value := _value(ledger.trial(index))) is not None
    ]
    rank = sum(value <= sign * record.value for value in so_far)
    return "Complete", Evidence(n=len(so_far) + 1, rank=rank)


def _value(trial: Trial) -> float | None:
    record = max(trial.status.milestones, key=lambda each: each.at, default=None)
    return None if record is None else record.value
