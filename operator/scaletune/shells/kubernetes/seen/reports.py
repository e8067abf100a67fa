"""Reports: what pods say of their trials, as the core takes it. Pure.

A pod speaks by its metrics endpoint while it runs, and by its termination message when it has
ended. What it says counts only for the incarnation that is its own uid.
"""

from collections.abc import Iterator
from typing import Final

from scaletune.core.failures import End
from scaletune.core.reports import Telemetry, from_message, without_reports
from scaletune.shells.kubernetes.seen.views import Ending, Pod
from scaletune_trainer.wire import (
    ERROR_CHARACTERS_MAX,
    ExitCode,
    Reason,
    TerminationMessage,
    VersionError,
    WireError,
)

OUT_OF_MEMORY: Final = "OOMKilled"
_REASONS: Final[dict[int, Reason]] = {
    ExitCode.of(reason): reason
    for reason in (
        Reason.USER_ERROR,
        Reason.OUT_OF_MEMORY,
        Reason.STALLED,
        Reason.TERMINATED,
    )
}


def telemetry_of(
    pod: Pod, scraped: Telemetry | None, has_journal: bool = True
) -> Iterator[Telemetry]:
    """Everything heard from a pod, the oldest first.

    The reports of a message that was cut are left to the journal: the first of them would be taken
    for those that gave way.
    """
    if scraped is not None and scraped.incarnation == pod.uid:
        yield scraped
    message = message_of(pod)
    if message is not None:
        told = from_message(pod.uid, message)
        yield without_reports(told) if message.truncated and has_journal else told


def message_of(pod: Pod) -> TerminationMessage | None:
    """The pod's last words, if it could say any."""
    if pod.ending is None or not pod.ending.message:
        return None
    try:
        return TerminationMessage.from_json(pod.ending.message)
    except WireError:
        return None  # the container's last lines: PID 1 did not come to write


def _refusal(message: str) -> str | None:
    """Why the last words cannot be understood, when they are of a trainer of another release."""
    try:
        TerminationMessage.from_json(message)
    except VersionError as error:
        return str(error)
    except WireError:
        pass
    return None


def end_of(pod: Pod) -> End:
    """How the attempt of a pod that is over has ended."""
    if pod.ending is None:
        return End(
            exit_code=None,
            disrupted=pod.is_disrupted,
            is_unheard=True,
            said=pod.disruption or pod.overuse or _gone(pod),
            is_overusing=bool(pod.overuse),
        )
    message = message_of(pod)
    return End(
        exit_code=pod.ending.exit_code,
        message=message or _explained(pod.ending),
        is_unheard=message is None or message.truncated,
        disrupted=pod.is_disrupted,
        said=pod.disruption or pod.overuse,
        is_overusing=bool(pod.overuse),
        # The runtime says so of a container that recovered from it, too.
        out_of_memory=pod.ending.reason == OUT_OF_MEMORY and pod.ending.exit_code != 0,
    )


def _gone(pod: Pod) -> str:
    where = f"pod {pod.name} on node {pod.node} is gone without a word"
    return f"{where}: {pod.last_words}" if pod.last_words else where


def _explained(ending: Ending) -> TerminationMessage | None:
    """What the last lines of a container mean whose PID 1 did not come to write its message."""
    text = ending.message.strip()
    if not text:
        return None
    if (refusal := _refusal(text)) is not None:
        return TerminationMessage(Reason.USER_ERROR, step=0, error=refusal)
    reason = _REASONS.get(ending.exit_code, Reason.CRASHED)
    return TerminationMessage(reason, step=0, error=text[-ERROR_CHARACTERS_MAX:])


def device_seconds(pod: Pod, devices: int, now: float) -> float:
    """Devices times seconds, from scheduled to the trainer's end."""
    if pod.scheduled is None:
        return 0.0
    devices = devices if pod.devices is None else pod.devices
    end = pod.ending.at if pod.ending is not None and pod.ending.at else now
    return devices * max(0.0, end - pod.scheduled)
