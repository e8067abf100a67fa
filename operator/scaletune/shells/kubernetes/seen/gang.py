"""Gang: the pods that train one trial together, and what their ends mean as one. Pure.

A gang lives and dies as one: no rank goes on without the others, so that when one ends the rest
follow, some with an error that only says that somebody is missing. Whose end explains the others:

1. an end that all agreed on and committed, as rank 0 tells it, whatever came after;
2. a disruption of any pod, which the cluster marks;
3. a lack of memory in any pod;
4. the pod that ended first. The Job's controller tells the survivors to leave, so they come later.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from scaletune.core.failures import End
from scaletune.shells.kubernetes.seen.reports import device_seconds, end_of
from scaletune.shells.kubernetes.seen.views import Pod
from scaletune_trainer.wire import Reason

AGREED: Final = frozenset({Reason.DONE, Reason.PAUSED, Reason.STOPPED, Reason.DIVERGED})


@dataclass(frozen=True)
class Gang:
    """The pods of one attempt, by rank; some may not be there yet, or not any more."""

    first: Pod
    others: tuple[Pod, ...]
    nodes: int

    @property
    def pods(self) -> tuple[Pod, ...]:
        return self.first, *self.others

    @property
    def has_started(self) -> bool:
        """Whether all trainers run or ran."""
        return len(self.pods) >= self.nodes and all(pod.has_started for pod in self.pods)

    @property
    def is_placed(self) -> bool:
        """Whether every pod has a node."""
        placed = [pod for pod in self.pods if pod.scheduled is not None]
        return len(placed) >= self.nodes

    def device_seconds(self, devices: int, now: float) -> float:
        """What it has cost so far, with so many devices on each node."""
        return sum(device_seconds(pod, devices, now) for pod in self.pods)

    @property
    def disruption(self) -> str:
        """Why the cluster takes away any of its pods; nothing while it does not."""
        return next((each.disruption for each in self.pods if each.is_disrupted), "")

    def end(self) -> End | None:
        """How it ended; None while that cannot be told.

        An end that was agreed on counts at once. For any other all pods are waited for, since the
        one whose end is seen first may be a victim of another; nothing is lost by it, because the
        next attempt has to wait for them as well.
        """
        first = end_of(self.first) if self.first.has_ended else None
        if first is not None and (len(self.pods) == self.nodes == 1 or _was_agreed(first)):
            return replace(
                first, disrupted=bool(self.disruption), said=self.disruption or first.said
            )
        if not all(pod.has_ended for pod in self.pods):
            return None
        ends = {pod: end_of(pod) for pod in self.pods}
        return self._explained(ends)

    def _explained(self, ends: dict[Pod, End]) -> End:
        failed = [pod for pod in self.pods if ends[pod].exit_code != 0]
        told = [pod for pod in failed if pod.ending is not None]
        without_memory = [pod for pod in told if _is_out_of_memory(ends[pod])]
        culprit = _earliest(without_memory or told or failed or self.pods)
        end, message = ends[culprit], ends[culprit].message
        if message is not None:
            if message.reason is Reason.USER_ERROR and not self._is_whole(culprit, ends, told):
                message = replace(message, reason=Reason.CRASHED)
            if message.error and self.nodes > 1:
                message = replace(message, error=f"node {culprit.rank}: {message.error}")
        return replace(
            end,
            message=message,
            disrupted=bool(self.disruption),
            said=self.disruption or end.said,
            is_unheard=ends[self.first].is_unheard,
        )

    def _is_whole(self, culprit: Pod, ends: dict[Pod, End], told: list[Pod]) -> bool:
        """Whether a script that failed had nothing to fail by but itself.

        With a pod gone without a trace the others fail for want of it. And a rank other than 0
        cannot tell how far training had come: with any progress it is no error of the script.
        """
        known = ends[self.first].message
        has_progress = culprit is not self.first and known is not None and known.sequence > 0
        failed = [pod for pod in self.pods if ends[pod].exit_code != 0]
        is_complete = len(told) == len(failed) and len(self.pods) >= self.nodes
        return is_complete and not has_progress


def _was_agreed(end: End) -> bool:
    """Whether all ranks left together. Told to leave, they may or may not have come to that; when
    they have, the journal says so and the message knows since when."""
    message = end.message
    if message is None:
        return False
    has_left = message.reason is Reason.TERMINATED and "agreedMs" in message.times
    return has_left or message.reason in AGREED


def _is_out_of_memory(end: End) -> bool:
    told = end.message is not None and end.message.reason is Reason.OUT_OF_MEMORY
    return told or end.out_of_memory


def _earliest(pods: Iterable[Pod]) -> Pod:
    """By the trainers' own clocks, to the millisecond; by the kubelet's where one had no time to
    tell, which knows whole seconds and so puts the one that was killed first, as it should."""
    return min(pods, key=_ended_at)


def _ended_at(pod: Pod) -> tuple[float, int]:
    end = end_of(pod)
    told = end.message.times.get("endMs") if end.message is not None else None
    if told is not None:
        return told / 1000, pod.rank
    return (pod.ending.at if pod.ending is not None else 0.0), pod.rank
