"""What each study has come to is shown as series, made from what is stored when it is asked for."""

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from scaletune.shells.kubernetes import study_metrics
from scaletune.shells.kubernetes.seen.snapshot import Stores
from scaletune.shells.kubernetes.study_metrics import StudyMetrics
from tests.shells.kubernetes.given import NOW, Json, raw_study, raw_trial

OWN = {"namespace": "ml", "study": "s"}


def _registry(study: Json, *trials: Json) -> CollectorRegistry:
    stores = Stores()
    stores.studies.put(study)
    for each in trials:
        stores.trials.put(each)
    registry = CollectorRegistry()
    registry.register(StudyMetrics(stores, lambda: NOW))
    return registry


def _shown(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"scaletune_study_{name}", {**OWN, **labels})


def _record(at: int, value: float | None, decision: str, **more: Any) -> Json:
    outcome = "Diverged" if value is None else "Value"
    return {"at": at, "step": at, "value": value, "outcome": outcome, "decision": decision, **more}


def _trials() -> list[Json]:
    promotion = {"number": 3, "evidence": {}}
    failure = {"kind": "Diverged", "number": 3, "at": 3}
    attempts = [{"number": 1, "cause": "Paused"}, {"number": 2}]
    best = [_record(3, 0.5, "Pause", promotion=promotion), _record(9, 0.25, "Pause")]
    return [
        raw_trial(0, milestones=best, attempts=attempts),
        raw_trial(1, milestones=[_record(3, 0.75, "Pause")], attempts=attempts[:1]),
        raw_trial(2, milestones=[_record(3, None, "Stop")], failure=failure),
        raw_trial(3, owner="uid-of-an-older-one", milestones=[_record(3, 0.0, "Pause")]),
    ]


def test_a_rung_shows_who_came_and_how_good_they_were() -> None:
    registry = _registry(raw_study(), *_trials())

    assert _shown(registry, "rung_trials", milestone="3") == 3
    assert _shown(registry, "rung_best_value", milestone="3") == 0.5
    assert _shown(registry, "rung_median_value", milestone="3") == 0.625
    assert _shown(registry, "rung_trials", milestone="27") == 0
    assert _shown(registry, "rung_best_value", milestone="27") is None
    decided = {
        (each["milestone"], each["decision"])
        for each in (sample.labels for sample in _samples(registry, "decisions") if sample.value)
    }
    assert decided == {("3", "Pause"), ("3", "Promote"), ("3", "Stop"), ("9", "Pause")}


def test_the_best_of_a_study_that_maximises_is_the_largest() -> None:
    study = raw_study(objectives=[{"metric": "accuracy", "goal": "Maximize"}])

    assert _shown(_registry(study, *_trials()), "rung_best_value", milestone="3") == 0.75


def test_failures_are_shown_by_whose_fault_and_attempts_by_how_they_ended() -> None:
    registry = _registry(raw_study(), *_trials())

    assert _shown(registry, "failures", kind="Diverged") == 1
    assert _shown(registry, "failures", kind="UserError") == 0
    assert _shown(registry, "attempt_ends", cause="Paused") == 2


def test_the_budget_is_shown_beside_what_is_spent_and_only_where_there_is_one() -> None:
    study = raw_study(budget={"gpuHours": 2, "duration": "1h30m"})
    study["status"] = {"spentSeconds": 90.5, "startedAt": "2025-11-24T15:00:00Z", "created": 4}

    registry = _registry(study)

    assert _shown(registry, "device_seconds") == 90.5
    assert _shown(registry, "budget_device_seconds") == 7200
    assert _shown(registry, "budget_elapsed_seconds") == 5400
    assert _shown(registry, "elapsed_seconds") == NOW - 1_763_996_400
    assert _shown(registry, "created_trials") == 4
    assert _shown(registry, "budget_trials") is None
    assert _shown(registry, "finished_timestamp_seconds") is None


def test_the_clock_of_a_finished_study_stands_still() -> None:
    study = raw_study()
    times = {"startedAt": "2025-11-24T15:00:00Z", "finishedAt": "2025-11-24T15:20:00Z"}
    study["status"] = {
        **times,
        "best": {"trial": "s-0004", "index": 4, "value": 0.125, "milestone": 27},
        "conditions": [{"type": "Finished", "status": "True", "reason": "Completed"}],
    }

    registry = _registry(study)

    assert _shown(registry, "elapsed_seconds") == 1200
    assert _shown(registry, "best_value") == 0.125
    assert _shown(registry, "best_info", trial="s-0004", milestone="27") == 1
    ended = {"condition": "Finished", "status": "True", "reason": "Completed"}
    assert _shown(registry, "condition", **ended) == 1


def test_no_number_of_trials_makes_more_series() -> None:
    def lines(count: int) -> int:
        trials = [raw_trial(index, milestones=[_record(3, 0.5, "Pause")]) for index in range(count)]
        return len(generate_latest(_registry(raw_study(), *trials)).splitlines())

    assert lines(300) == lines(study_metrics.LEADING_MAX)


def test_the_curves_of_the_trials_that_have_come_furthest_are_shown() -> None:
    registry = _registry(raw_study(), *_trials())
    curves = {
        (each.labels["trial"], each.labels["milestone"]): each.value
        for each in _samples(registry, "leading_milestone_value")
    }

    assert curves == {("s-0000", "3"): 0.5, ("s-0000", "9"): 0.25, ("s-0001", "3"): 0.75}


def test_of_many_trials_the_best_are_the_leading_ones() -> None:
    values = {index: (index * 7 % 50) / 100 for index in range(50)}
    trials = [raw_trial(i, milestones=[_record(3, value, "Pause")]) for i, value in values.items()]
    shown = [
        each.value for each in _samples(_registry(raw_study(), *trials), "leading_milestone_value")
    ]

    assert shown == sorted(values.values())[: study_metrics.LEADING_MAX]


def test_every_metric_can_be_told_apart_by_its_words() -> None:
    assert len({gauge.words for gauge in study_metrics.ALL}) == len(study_metrics.ALL) > 20


def _samples(registry: CollectorRegistry, name: str) -> list[Any]:
    return [
        sample
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"scaletune_study_{name}"
    ]
