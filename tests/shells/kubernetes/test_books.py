"""What pods say is entered in the Trials: once, together with their end, and for the right one."""

import math
from dataclasses import replace
from typing import Any

import pytest

from scaletune.api.trial import Trial
from scaletune.core.reports import Telemetry
from scaletune.shells.kubernetes.hearing.scraper import Scraper
from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.seen.views import read_pod
from scaletune.shells.kubernetes.turn.books import entered
from scaletune_trainer.wire import Last, MilestoneReport, Reason, Replayed, TerminationMessage
from tests.shells.kubernetes import given
from tests.shells.kubernetes.given import attempt, ended, raw_job, raw_pod, raw_trial

Json = dict[str, Any]
SOON = given.NOW - 55.0  # five seconds after the pods were scheduled


def _report(milestone: int, value: float, sequence: int = 1) -> MilestoneReport:
    return MilestoneReport(milestone, milestone, value, sequence, generation=1, device_seconds=2.0)


def _heard(uid: str, *reports: MilestoneReport) -> dict[str, Telemetry]:
    return {uid: Telemetry(uid, step=3, milestones=reports, sequence=1)}


def _message(reason: Reason, *reports: MilestoneReport, **more: Any) -> TerminationMessage:
    return TerminationMessage(reason, step=3, reports=reports, device_seconds=20.0, **more)


def _entered(
    *pods: Json,
    heard: dict[str, Telemetry] | None = None,
    now: float = SOON,
    trials: list[Json] | None = None,
    jobs: tuple[Json, ...] = (raw_job(),),
) -> list[Trial]:
    trials = trials or [raw_trial(attempts=[attempt()])]
    return entered(given.snapshot(trials=trials, jobs=jobs, pods=pods), heard or {}, now)


def test_a_pod_that_runs_gives_the_attempt_its_incarnation() -> None:
    [trial] = _entered(raw_pod(uid="first"))

    assert trial.status.attempts[-1].incarnation == "first"
    assert trial.status.state == "Running"


def test_a_pod_on_its_way_is_not_worth_a_write() -> None:
    creating = raw_pod(phase="Pending", state={"waiting": {"reason": "ContainerCreating"}})

    assert _entered(creating) == []


def test_a_pod_that_waits_for_a_node_is_nobody_yet() -> None:
    pending = raw_pod(conditions=[], containerStatuses=[], phase="Pending")

    assert _entered(pending) == []


def test_a_report_is_a_record_as_soon_as_it_is_scraped() -> None:
    [trial] = _entered(raw_pod(uid="a"), heard=_heard("a", _report(3, 0.5)))

    assert [(m.at, m.value, m.number) for m in trial.status.milestones] == [(3, 0.5, 1)]


def test_a_value_that_is_no_number_is_news_once() -> None:
    changes: list[object] = []
    scraper = Scraper(list, changes.append, Metrics())
    pod = read_pod(raw_pod(uid="a"))
    for _ in range(3):
        told = Telemetry("a", milestones=(_report(3, float("nan")),))
        scraper.take(given.KEY, pod, told, "direct")

    assert changes == [given.KEY]


def test_what_another_pod_said_at_the_same_address_is_not_heard() -> None:
    [trial] = _entered(raw_pod(uid="a"), heard={"a": Telemetry("b", milestones=(_report(3, 0.5),))})

    assert trial.status.milestones == ()


def test_a_pod_of_somebody_elses_job_is_not_heard() -> None:
    foreign = raw_job(owner="uid-of-another-trial")

    assert _entered(raw_pod(), jobs=(foreign,)) == []


def test_last_reports_and_end_are_stored_together() -> None:
    message = _message(Reason.PAUSED, _report(3, 0.5), checkpoint=3, sequence=4)

    [trial] = _entered(raw_pod(uid="a", state=ended(message), phase="Succeeded"))

    assert trial.status.state == "Paused"
    assert trial.status.attempts[-1].cause == "Paused"
    assert [m.value for m in trial.status.milestones] == [0.5]
    assert trial.status.checkpoint is not None
    assert (trial.status.checkpoint.incarnation, trial.status.checkpoint.step) == ("a", 3)


def test_a_report_that_was_scraped_and_comes_again_with_the_message_counts_once() -> None:
    message = _message(Reason.PAUSED, _report(3, 0.5), last=Last(3, 0.5, 1, 1), sequence=4)
    pod = raw_pod(uid="a", state=ended(message), phase="Succeeded")

    [trial] = _entered(pod, heard=_heard("a", _report(3, 0.5)))

    assert len(trial.status.milestones) == 1


def test_a_trial_is_charged_from_its_scheduling_to_its_trainers_end() -> None:
    message = _message(Reason.PAUSED, _report(3, 0.5))

    [trial] = _entered(raw_pod(state=ended(message), phase="Succeeded"), now=given.NOW + 900)

    assert trial.status.device_seconds == 30.0


def test_the_trainers_end_is_the_attempts_whatever_runs_beside_it() -> None:
    message = _message(Reason.PAUSED, _report(3, 0.5), checkpoint=3)
    pod = raw_pod(state=ended(message))
    pod["status"]["containerStatuses"].append({"name": "proxy", "state": {"running": {}}})

    [trial] = _entered(pod)

    assert trial.status.state == "Paused"
    assert given.snapshot(trials=[raw_trial()], pods=(pod,)).has_live_pods(trial)


@pytest.mark.parametrize(
    ("budget", "seconds"), [({"gpuHours": 1, "trials": 9}, 10), ({"trials": 9}, 60)], ids=str
)
def test_cost_alone_is_stored_each_minute_and_oftener_where_it_is_bounded(
    budget: Json, seconds: int
) -> None:
    known = attempt(1, "pod-uid", deviceSeconds=5.0)
    trials = [raw_trial(attempts=[known], state="Running", deviceSeconds=5.0)]
    taken = given.snapshot(trials=trials, jobs=(raw_job(),), pods=(raw_pod(),))
    taken = replace(taken, study=given.study(budget=budget))

    assert entered(taken, {}, SOON + seconds - 1) == []
    [trial] = entered(taken, {}, SOON + seconds)
    assert trial.status.device_seconds == 5.0 + seconds


def test_a_newer_checkpoint_is_stored_as_soon_as_ten_seconds_of_cost_are() -> None:
    known = attempt(1, "pod-uid", deviceSeconds=5.0)
    trials = [raw_trial(attempts=[known], state="Running", deviceSeconds=5.0)]
    heard = {"pod-uid": Telemetry("pod-uid", checkpoint=3)}

    assert _entered(raw_pod(), heard=heard, trials=trials, now=SOON + 9) == []
    [trial] = _entered(raw_pod(), heard=heard, trials=trials, now=SOON + 10)
    assert trial.status.checkpoint is not None


def test_a_diverged_trial_has_failed_by_its_own_fault() -> None:
    message = _message(Reason.DIVERGED, _report(3, math.nan))

    [trial] = _entered(raw_pod(state=ended(message), phase="Succeeded"))

    assert trial.status.state == "Failed"
    assert trial.status.failure is not None
    assert trial.status.failure.kind == "Diverged"
    assert [m.outcome for m in trial.status.milestones] == ["Diverged"]


def test_a_container_killed_for_memory_without_a_word_has_failed_once_its_journal_is_read() -> None:
    state = ended("", exit_code=137, reason="OOMKilled")

    [killed] = _entered(raw_pod(state=state, phase="Failed"))
    assert (killed.status.state, killed.status.failure) == ("Pending", None)

    cause = {"number": 1, "cause": "OutOfMemory", "incarnation": "before"}
    message = TerminationMessage(Reason.REPLAYED, step=0, replayed=[Replayed("before")])
    reader = raw_pod(state=ended(message, exit_code=1), phase="Failed", number=2)
    trials = [raw_trial(attempts=[cause, attempt(2)])]
    [read] = _entered(reader, trials=trials, jobs=(raw_job(number=2),))
    assert read.status.failure is not None
    assert read.status.failure.kind == "OutOfMemory"


def test_without_a_volume_there_is_no_journal_to_be_read() -> None:
    state = ended("", exit_code=137, reason="OOMKilled")
    pods = (raw_pod(state=state, phase="Failed"),)
    usual = given.snapshot(trials=[raw_trial(attempts=[attempt()])], jobs=(raw_job(),), pods=pods)
    spec = usual.study.spec.model_copy(update={"checkpoints": None})
    bare = replace(usual, study=usual.study.model_copy(update={"spec": spec}))

    [trial] = entered(bare, {}, SOON)
    assert trial.status.state == "Failed"


def test_a_container_that_outlived_a_kill_for_memory_ended_as_it_says() -> None:
    state = ended(_message(Reason.PAUSED, _report(3, 0.5)), reason="OOMKilled")

    [trial] = _entered(raw_pod(state=state, phase="Succeeded"))

    assert trial.status.state == "Paused"


def test_a_disrupted_pod_is_nobodys_fault() -> None:
    pod = raw_pod(state=ended("", exit_code=137, reason="Error"), phase="Failed")
    pod["status"]["conditions"].append({"type": "DisruptionTarget", "status": "True"})

    [trial] = _entered(pod)

    assert trial.status.attempts[-1].cause == "Disrupted"
    assert (trial.status.state, trial.status.crashes) == ("Pending", 0)


def test_a_pod_gone_with_its_job_was_taken_away_by_somebody_and_is_no_crash() -> None:
    trials = [raw_trial(attempts=[attempt(1, "gone")], state="Running")]

    [trial] = _entered(trials=trials, jobs=())

    assert (trial.status.state, trial.status.crashes) == ("Pending", 0)
    assert trial.status.attempts[-1].cause == "Disrupted"


def test_an_attempt_whose_job_is_still_to_be_made_has_not_ended() -> None:
    assert _entered(jobs=()) == []


def test_records_of_one_look_are_numbered_by_the_trials_indices() -> None:
    trials = [raw_trial(index, attempts=[attempt()]) for index in (0, 1)]
    pods = [raw_pod(index, uid=f"pod-{index}") for index in (1, 0)]
    heard = {f"pod-{i}": _heard(f"pod-{i}", _report(3, 0.1))[f"pod-{i}"] for i in (0, 1)}

    read = _entered(*pods, trials=trials, jobs=(raw_job(0), raw_job(1)), heard=heard)

    assert [(t.index, t.status.milestones[0].number) for t in read] == [(0, 1), (1, 2)]


def test_without_a_message_the_last_lines_of_a_container_are_the_words_of_a_crash() -> None:
    lines = "Segmentation fault in libcudart"

    [trial] = _entered(raw_pod(state=ended(lines, exit_code=139), phase="Failed"))

    assert trial.status.attempts[-1].cause == "Crashed"
    assert trial.status.reason == lines


def test_a_container_that_left_on_a_signal_without_a_word_is_not_to_blame() -> None:
    [trial] = _entered(raw_pod(state=ended("leaving", exit_code=143), phase="Failed"))

    assert trial.status.attempts[-1].cause == "Terminated"
    assert trial.status.crashes == 0


def test_a_trainer_of_another_release_fails_the_trial_while_it_runs() -> None:
    heard = {"a": Telemetry("a", refusal="use a trainer image of the same release")}

    [trial] = _entered(raw_pod(uid="a"), heard=heard)

    assert trial.status.state == "Failed"
    assert trial.status.failure is not None
    assert trial.status.failure.kind == "UserError"
    assert "the same release" in trial.status.failure.reason
    assert trial.status.attempts[-1].cause == "OtherVersion"


def test_last_words_of_another_release_are_an_error_of_the_image_and_not_retried() -> None:
    said = _message(Reason.CRASHED).to_json().replace('"wire":1', '"wire":2')

    [trial] = _entered(raw_pod(uid="a", phase="Failed", state=ended(said, exit_code=1)))

    assert trial.status.state == "Failed"
    assert trial.status.failure is not None
    assert trial.status.failure.kind == "UserError"
    assert "speaks version 2" in trial.status.failure.reason


def test_a_script_that_logs_objects_is_not_taken_for_another_release() -> None:
    said = '{"severity": "error", "message": "no data"}'

    [trial] = _entered(raw_pod(uid="a", phase="Failed", state=ended(said, exit_code=1)))

    assert trial.status.state == "Pending"  # a crash, and retried


def test_last_words_that_were_cut_leave_the_reports_to_the_next_attempt_and_the_journal() -> None:
    cut = _message(Reason.DONE, _report(3, 0.5, sequence=9), sequence=9, truncated=True)
    pod = raw_pod(state=ended(replace(cut, checkpoint=3)), phase="Succeeded")

    [trial] = _entered(pod)

    assert trial.status.milestones == ()
    assert (trial.status.state, trial.status.crashes) == ("Pending", 0)
    assert (trial.status.attempts[-1].cause, trial.status.attempts[-1].unheard_after) == ("Done", 0)
    assert trial.status.checkpoint is not None


def test_last_words_that_were_cut_are_an_end_once_all_reports_were_heard() -> None:
    cut = _message(Reason.DONE, sequence=1, truncated=True)
    pod = raw_pod(uid="pod-uid", state=ended(cut), phase="Succeeded")

    [trial] = _entered(pod, heard=_heard("pod-uid", _report(3, 0.5)))

    assert [record.at for record in trial.status.milestones] == [3]
    assert trial.status.state != "Pending"
