"""Study metrics: what has become of each study, as series, from the mirrored Studies and Trials.

Made at the moment they are asked for, from what is stored: so a restart forgets nothing, and the
process that leads is the only one that shows any. However many trials there are, single ones are
shown of the leading few alone; a study costs a few dozen series. How a trial trains, its own
endpoint shows; but it leaves as soon as it has reached its milestone, mostly unseen by Prometheus.

All of them are gauges: deleting a Trial takes back what it contributed, but never what was spent.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Final, get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scaletune.api.record import DecisionWord, FailureKind, Milestone
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core import budget
from scaletune.core.frame import Frame, sign_of
from scaletune.core.reasons import stored
from scaletune.core.summarise import policy_words
from scaletune.shells.kubernetes.seen.snapshot import Stores, controller

PREFIX: Final = "scaletune_study"
OWN: Final = ("namespace", "study")
LEADING_MAX: Final = 20


@dataclass(frozen=True)
class Gauge:
    """One metric: its name without the prefix, what it says, and its labels after OWN."""

    name: str
    words: str
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{PREFIX}_{self.name}"


INFO: Final = Gauge("info", "What is optimised, and how.", ("metric", "goal", "unit", "policy"))
BEST_VALUE: Final = Gauge("best_value", "The best value so far.")
BEST_INFO: Final = Gauge("best_info", "The trial that has it.", ("trial", "milestone"))
TARGET: Final = Gauge("target", "The value that ends the study.")
TRIALS: Final = Gauge("trials", "Trials by state.", ("state",))
FAILURES: Final = Gauge("failures", "Failed trials by whose fault it was.", ("kind",))
ATTEMPT_ENDS: Final = Gauge(
    "attempt_ends", "Ended starts of trials by cause; of each trial the last few.", ("cause",)
)
RUNG_TRIALS: Final = Gauge("rung_trials", "Trials with a record at the milestone.", ("milestone",))
RUNG_BEST: Final = Gauge("rung_best_value", "The best value at the milestone.", ("milestone",))
RUNG_MEDIAN: Final = Gauge(
    "rung_median_value", "The median of the finite values at the milestone.", ("milestone",)
)
LEADING_VALUE: Final = Gauge(
    "leading_milestone_value",
    "The values at their milestones of the trials that have come furthest, the best first.",
    ("trial", "milestone"),
)
DECISIONS: Final = Gauge(
    "decisions",
    "Decisions on records by milestone; a promotion counts beside the pause before it.",
    ("milestone", "decision"),
)
CREATED: Final = Gauge("created_trials", "Trials ever created.")
DEVICE_SECONDS: Final = Gauge("device_seconds", "Device time spent, deleted Trials included.")
ELAPSED: Final = Gauge("elapsed_seconds", "Time from the start to now, or to the end.")
BUDGET_TRIALS: Final = Gauge("budget_trials", "budget.trials, if bounded.")
BUDGET_DEVICE_SECONDS: Final = Gauge("budget_device_seconds", "budget.gpuHours, if bounded.")
BUDGET_ELAPSED: Final = Gauge("budget_elapsed_seconds", "budget.duration, if bounded.")
PARALLELISM: Final = Gauge("parallelism", "How many trials may run at once.")
PLACES_HELD: Final = Gauge("places_held", "How many trials hold a place.")
CONDITION: Final = Gauge(
    "condition", "1 for what holds now, by type.", ("condition", "status", "reason")
)
FINISHED_AT: Final = Gauge("finished_timestamp_seconds", "When the study ended, if it has.")

ALL: Final = tuple(each for each in globals().values() if isinstance(each, Gauge))

Row = tuple[Gauge, tuple[str, ...], float]


@dataclass
class _Rung:
    """What trials have come to at one milestone."""

    reached: int = 0
    values: list[float] = field(default_factory=list)
    decisions: Counter[str] = field(default_factory=Counter)

    def add(self, trial: Trial, record: Milestone) -> None:
        self.decisions.update(made.decision for made in stored(trial, record))
        if record.decision == "Void":  # counts in no rung
            return
        self.reached += 1
        if record.outcome == "Value" and record.value is not None:
            self.values.append(record.value)


class StudyMetrics(Collector):
    """A collector for a registry; `clock` gives the time in seconds since the epoch."""

    def __init__(self, stores: Stores, clock: Callable[[], float]) -> None:
        self._stores, self._clock = stores, clock

    def collect(self) -> Iterator[Metric]:
        """All series of all studies that are not being deleted."""
        families = {
            gauge: GaugeMetricFamily(str(gauge), gauge.words, labels=[*OWN, *gauge.labels])
            for gauge in ALL
        }
        now = self._clock()
        for study, trials in _studies(self._stores):
            own = (study.metadata.namespace, study.metadata.name)
            for gauge, labels, value in rows(study, trials, now):
                families[gauge].add_metric([*own, *labels], value)
        return iter(families.values())


def _studies(stores: Stores) -> Iterator[tuple[Study, list[Trial]]]:
    for key in stores.studies.groups():
        study = stores.study(key)
        if study is not None and study.metadata.deletion_timestamp is None:
            uid = study.metadata.uid
            yield study, [each for each in stores.trials.of(key) if controller(each) == uid]


def rows(study: Study, trials: Iterable[Trial], now: float) -> Iterator[Row]:
    """What is shown of one study: the metric, its further labels, the value."""
    trials = list(trials)
    yield from _described(study)
    yield from _spent(study, now)
    yield from _trials(study, trials)
    searched = [trial for trial in trials if trial.spec.role == "Search"]
    yield from _rungs(study, searched)
    yield from _leading(study, searched)


def _described(study: Study) -> Iterator[Row]:
    spec, status, objective = study.spec, study.status, study.spec.objectives[0]
    words = (objective.metric, objective.goal, spec.training.unit, policy_words(study))
    yield INFO, words, 1
    if status.best is not None:
        yield BEST_VALUE, (), status.best.value
        yield BEST_INFO, (status.best.trial, str(status.best.milestone)), 1
    if objective.target is not None:
        yield TARGET, (), objective.target
    for each in status.conditions:
        yield CONDITION, (each.type, each.status, each.reason), 1
    yield PARALLELISM, (), spec.parallelism
    yield PLACES_HELD, (), status.running


def _spent(study: Study, now: float) -> Iterator[Row]:
    bounds, status = study.spec.budget, study.status
    yield CREATED, (), status.created
    yield DEVICE_SECONDS, (), status.spent_seconds
    end = now
    if status.finished_at is not None:
        end = budget.instant(status.finished_at)
        yield FINISHED_AT, (), end
    if status.started_at is not None:
        yield ELAPSED, (), max(0.0, end - budget.instant(status.started_at))
    if bounds.trials is not None:
        yield BUDGET_TRIALS, (), bounds.trials
    if bounds.gpu_hours is not None:
        yield BUDGET_DEVICE_SECONDS, (), bounds.gpu_hours * 3600
    if bounds.duration is not None:
        yield BUDGET_ELAPSED, (), budget.seconds_of(bounds.duration)


def _trials(study: Study, trials: Iterable[Trial]) -> Iterator[Row]:
    for state, count in study.status.trials.model_dump().items():
        yield TRIALS, (state.capitalize(),), count
    failures: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for trial in trials:
        if trial.status.failure is not None:
            failures[trial.status.failure.kind] += 1
        causes.update(attempt.cause for attempt in trial.status.attempts if attempt.cause)
    for kind in get_args(FailureKind):
        yield FAILURES, (kind,), failures[kind]
    for cause, count in sorted(causes.items()):
        yield ATTEMPT_ENDS, (cause,), count


def _rungs(study: Study, trials: Iterable[Trial]) -> Iterator[Row]:
    frame = Frame.of(study)
    found = {level: _Rung() for level in frame.levels}
    for trial in trials:
        for record in trial.status.milestones:
            level = frame.level(trial, record.at)
            if level in found:  # a study's milestones never change, but a Trial is only data
                found[level].add(trial, record)
    best = min if study.spec.objectives[0].goal == "Minimize" else max
    for level, rung in found.items():
        name = "full" if frame.horizon and level == frame.most else str(level)
        yield RUNG_TRIALS, (name,), rung.reached
        if rung.values:
            yield RUNG_BEST, (name,), best(rung.values)
            yield RUNG_MEDIAN, (name,), median(rung.values)
        for word in get_args(DecisionWord):
            yield DECISIONS, (name, word), rung.decisions[word]


def _leading(study: Study, trials: Iterable[Trial]) -> Iterator[Row]:
    """The learning curves of the best few: who came furthest first, then by value and index."""
    sign = sign_of(study.spec.objectives[0].goal)
    curves: list[tuple[int, float, int, Trial, list[tuple[int, float]]]] = []
    for trial in trials:
        curve = [(each.at, each.value) for each in _counting(trial) if each.value is not None]
        if curve:
            furthest, value = max(curve)
            curves.append((-furthest, sign * value, trial.index, trial, curve))
    for *_, trial, curve in sorted(curves, key=lambda each: each[:3])[:LEADING_MAX]:
        for at, value in curve:
            yield LEADING_VALUE, (trial.metadata.name, str(at)), value


def _counting(trial: Trial) -> Iterator[Milestone]:
    return (record for record in trial.status.milestones if record.decision != "Void")
