"""Directives: what a running trainer is to do, as an annotation on the pod of its rank 0.

The pod sees the annotation as a file through the downward API. It is desired state: writing it
twice, late or never in the right order is harmless, since the trainer ignores older generations.
A change of the acknowledged sequence alone is worth a write only when a good part of a termination
message would be saved by it.
"""

from typing import Final

from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core import attempts
from scaletune.core.reports import Telemetry
from scaletune.shells.kubernetes.names import DIRECTIVE_ANNOTATION
from scaletune.shells.kubernetes.seen.views import Pod
from scaletune.shells.kubernetes.server.client import Json
from scaletune_trainer import wire

REPORTS_WORTH_A_WRITE: Final = 8


def outdated(study: Study, trial: Trial, pod: Pod, telemetry: Telemetry | None) -> Json | None:
    """The patch that tells the pod what is wanted now; None while it knows."""
    wanted = attempts.directive(study, trial)
    try:
        known = wire.Directive.from_json(pod.directive)
    except wire.WireError:  # removed or overwritten by somebody
        return _patch(wanted)
    same_but_acknowledged = (
        known.generation == wanted.generation
        and known.until == wanted.until
        and known.state == wanted.state
    )
    if same_but_acknowledged and not _much_acknowledged(known, wanted, telemetry):
        return None
    return _patch(wanted)


def _much_acknowledged(
    known: wire.Directive, wanted: wire.Directive, telemetry: Telemetry | None
) -> bool:
    if telemetry is None:
        return False
    stored = [
        report
        for report in telemetry.milestones
        if known.acknowledged < report.sequence <= wanted.acknowledged
    ]
    return len(stored) >= REPORTS_WORTH_A_WRITE


def _patch(wanted: wire.Directive) -> Json:
    return {"metadata": {"annotations": {DIRECTIVE_ANNOTATION: wanted.to_json()}}}
