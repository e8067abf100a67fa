"""Intake: what was heard of trials becomes records and states, and lines of the ledger.

Pure: the books are kept by `core.attempts`, records made by `core.observe`, ends judged by
`core.failures`; here is only the order in which they are asked. Nothing is stored here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core import attempts, failures
from scaletune.core.frame import Frame
from scaletune.core.observe import Fault, Report, observe
from scaletune.core.reports import ForeignTelemetry, Telemetry, reports_of
from scaletune.shells.local.ledger_file import Line
from scaletune_trainer.wire import number_from_json, number_to_json


@dataclass(frozen=True)
class News:
    """What is new of a trial's latest attempt."""

    trial: int
    telemetry: Telemetry | None = None
    device_seconds: float | None = None
    end: failures.End | None = None


@dataclass
class Intake:
    """All trials after the news, those that changed, and what the ledger is to say of it."""

    trials: dict[int, Trial]
    changed: list[int] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


def take_in(
    study: Study, trials: Mapping[int, Trial], news: Sequence[News], alive: Iterable[int]
) -> Intake:
    """The trials after the news; `alive` are those whose processes live."""
    reports = [report for each in news for report in _new_reports(trials[each.trial], each)]
    return _settle(study, trials, news, reports, set(alive))


def take_in_again(
    study: Study, trials: Mapping[int, Trial], lines: Sequence[Line], ends: Sequence[News]
) -> Intake:
    """The trials after the ledger's last turn, which a killed run may not have stored."""
    known = [line for line in lines if line["trial"] in trials]
    left = {line["trial"] for line in known if line.get("left")}
    reports = [
        Report(line["trial"], line["step"], number_from_json(line["value"], "value"))
        for line in known
        if "value" in line
    ]
    faults = [Fault(line["trial"], line["failure"]) for line in known if "failure" in line]
    news = [
        News(each.trial, None, each.device_seconds, each.end) for each in ends if each.trial in left
    ]
    return _settle(study, trials, news, reports, {each.trial for each in ends}, faults)


def _new_reports(trial: Trial, news: News) -> list[Report]:
    """Reports of the objective that are not stored; of one step the first."""
    if news.telemetry is None:
        return []
    try:
        found = reports_of(trial, news.telemetry)
    except ForeignTelemetry:
        return []
    by_step: dict[int, Report] = {}
    for report in sorted(found, key=lambda each: each.sequence):
        by_step.setdefault(report.step, report)
    return [each for each in by_step.values() if each.sequence > trial.status.acknowledged]


def _settle(
    study: Study,
    trials: Mapping[int, Trial],
    news: Sequence[News],
    reports: list[Report],
    alive: set[int],
    faults: Sequence[Fault] = (),
) -> Intake:
    frame, after, verdicts = Frame.of(study), dict(trials), {}
    for each in news:
        trial = _booked(after[each.trial], each)
        if each.end is not None:
            made = failures.verdict(trial, each.end, study.spec.template.retries)
            verdicts[each.trial] = made
        after[each.trial] = trial
    found = (attempts.fault_of(after[index], made) for index, made in verdicts.items())
    faults = [*faults, *(fault for fault in found if fault is not None)]
    for trial in observe(study, after.values(), reports, faults):
        after[trial.index] = trial
    for index, made in verdicts.items():
        words = made.reason or after[index].status.reason  # else those of the last decision stay
        after[index] = attempts.ended(after[index], replace(made, reason=words))
    for index, trial in after.items():
        if (index not in alive or index in verdicts) and not attempts.is_open(trial):
            after[index] = attempts.at_rest(frame, trial)
    changed = [index for index, trial in after.items() if trial is not trials[index]]
    lines = list(_lines(frame, trials, after, reports, faults))
    return Intake(after, changed, lines)


def _booked(trial: Trial, news: News) -> Trial:
    if news.device_seconds is not None:
        trial = attempts.charged(trial, news.device_seconds)
    return trial if news.telemetry is None else attempts.heard(trial, news.telemetry)


def _lines(
    frame: Frame,
    before: Mapping[int, Trial],
    after: Mapping[int, Trial],
    reports: list[Report],
    faults: Sequence[Fault],
) -> Iterator[Line]:
    for report in sorted(reports, key=lambda each: (each.trial, each.step)):
        value = number_to_json(report.value)
        yield {"trial": report.trial, "step": report.step, "value": value, "leaving": True}
    for fault in faults:
        if before[fault.trial].status.failure is None:
            yield {"trial": fault.trial, "failure": fault.kind, "leaving": True}
    for index, trial in after.items():
        if frame.holds_place(before[index]) and not frame.holds_place(trial):
            yield {"trial": index, "left": True}
