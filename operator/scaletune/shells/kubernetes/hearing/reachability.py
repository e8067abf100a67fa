"""Reachability: whether reports come through Prometheus, as a Study shows it. Pure.

A single scrape that fails is nothing that people need to hear of, and neither is a single one that
comes through between failures: a verdict is told once it has held for a while, a good one for
longer than a single scrape can make it last. So a Prometheus on the edge leads to one write, not to
one a minute. Nothing waits for a verdict: pods of which Prometheus knows nothing new are read
directly at once.
"""

from dataclasses import dataclass
from typing import Final

from scaletune.api.conditions import (
    FINISHED,
    METRICS_REACHABLE,
    Condition,
    condition,
    is_true,
    with_condition,
)
from scaletune.api.study import Study, StudyStatus
from scaletune.core.summarise import timestamp

HOLDS_SECONDS: Final = 10.0
MESSAGE_MAX: Final = 2048


@dataclass(frozen=True)
class Verdict:
    """How it is; only a change of the reason is one."""

    reason: str
    words: str = ""
    is_good: bool = False


GOOD: Final = Verdict("ThroughPrometheus", is_good=True)


def late(seconds: float) -> Verdict:
    """Prometheus answers, and knows nothing new of running trials."""
    return Verdict(
        "ScrapesMissing",
        f"Prometheus has no sample younger than {seconds:g} s of running trials. Does it scrape the"
        " pods of this namespace on port metrics, often enough, and within its sampleLimit?"
        " Until then the operator reads the pods itself, which loses nothing.",
    )


MISPLACED: Final = Verdict(
    "TargetLabelsMissing",
    "Prometheus knows series of this study's trials whose labels namespace and pod do not name the"
    " pod that they come from, so they do not count. The scrape configuration must set both from"
    " the target, as a PodMonitor does. Until then the operator reads the pods itself.",
)


def failed(reason: str, words: str) -> Verdict:
    """Prometheus gives no answer that can be used."""
    return Verdict(reason, f"{words}. Until then the operator reads the pods itself.")


class Steady:
    """The verdict that has held for long enough; None before the first has.

    `lasting` is for how many seconds a single scrape counts as good.
    """

    def __init__(self, lasting: float) -> None:
        self._lasting = lasting
        self.verdict: Verdict | None = None
        self._next: Verdict | None = None
        self._since = 0.0

    def note(self, verdict: Verdict, now: float) -> bool:
        """Take in how it is now; whether that changes what is told."""
        known = self.verdict
        if known is not None and known.reason == verdict.reason:
            self._next = None
            return False
        if self._next is None or self._next.reason != verdict.reason:
            self._next, self._since = verdict, now
        is_better = verdict.is_good and known is not None
        needed = HOLDS_SECONDS + (self._lasting if is_better else 0.0)
        if now - self._since < needed:
            return False
        self.verdict, self._next = self._next, None
        return True


def shown(study: Study, status: StudyStatus, verdict: Verdict | None, now: float) -> StudyStatus:
    """The status with the condition that tells of the verdict; without one it stays as it is.

    Of a study that rests nothing is heard, so it has no trouble with being heard either.
    """
    if _rests(study, status):
        found = condition(status.conditions, METRICS_REACHABLE)
        return forgotten(status) if found and found.status == "False" else status
    if verdict is None:
        return status
    new = Condition(
        type=METRICS_REACHABLE,
        status="True" if verdict.is_good else "False",
        reason=verdict.reason,
        message=verdict.words[:MESSAGE_MAX],
        last_transition_time=timestamp(now),
        observed_generation=study.metadata.generation,
    )
    return status.model_copy(update={"conditions": with_condition(status.conditions, new)})


def _rests(study: Study, status: StudyStatus) -> bool:
    """Whether no trial runs and none will before people say so."""
    is_wanted = study.spec.state == "Running" and not is_true(status.conditions, FINISHED)
    return status.running == 0 and not is_wanted


def forgotten(status: StudyStatus) -> StudyStatus:
    """The status without the condition: no Prometheus is asked any more."""
    kept = tuple(each for each in status.conditions if each.type != METRICS_REACHABLE)
    return status.model_copy(update={"conditions": kept})
