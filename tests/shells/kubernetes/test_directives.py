"""A trainer is told what is wanted when that changes, and not for every acknowledgement."""

from typing import Any

from scaletune.core.reports import Telemetry
from scaletune.shells.kubernetes.names import DIRECTIVE_ANNOTATION
from scaletune.shells.kubernetes.seen.snapshot import read_trial
from scaletune.shells.kubernetes.seen.views import Pod, read_pod
from scaletune.shells.kubernetes.turn.directives import REPORTS_WORTH_A_WRITE, outdated
from scaletune_trainer.wire import Directive, MilestoneReport, State
from tests.shells.kubernetes import given


def _pod(directive: str) -> Pod:
    raw = given.raw_pod()
    raw["metadata"]["annotations"][DIRECTIVE_ANNOTATION] = directive
    return read_pod(raw)


def _told(patch: dict[str, Any] | None) -> Directive:
    assert patch is not None
    return Directive.from_json(patch["metadata"]["annotations"][DIRECTIVE_ANNOTATION])


def _telemetry(reports: int) -> Telemetry:
    each = [MilestoneReport(n, n, 0.5, n, 1, 1.0) for n in range(1, reports + 1)]
    return Telemetry("pod-uid", milestones=tuple(each), sequence=reports)


def test_a_pod_that_knows_is_not_told_again() -> None:
    known = Directive(generation=1, until=3).to_json()

    assert outdated(given.study(), given.trial(), _pod(known), None) is None


def test_a_raised_milestone_is_told() -> None:
    known = Directive(generation=1, until=3).to_json()
    raw = given.raw_trial()
    raw["metadata"]["generation"], raw["spec"]["until"] = 2, 9

    told = _told(outdated(given.study(), read_trial(raw), _pod(known), None))

    assert (told.generation, told.until, told.state) == (2, 9, State.RUNNING)


def test_a_directive_that_somebody_damaged_is_told_again() -> None:
    assert _told(outdated(given.study(), given.trial(), _pod("{}"), None)).until == 3


def test_acknowledging_a_few_reports_is_not_worth_a_write() -> None:
    known = Directive(generation=1, until=3).to_json()
    few, many = REPORTS_WORTH_A_WRITE - 1, REPORTS_WORTH_A_WRITE

    study, trial = given.study(), given.trial(acknowledged=many)

    assert outdated(study, trial, _pod(known), _telemetry(few)) is None
    assert _told(outdated(study, trial, _pod(known), _telemetry(many))).acknowledged == many
