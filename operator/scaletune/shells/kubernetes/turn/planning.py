"""Planning: a bug in `plan` for one Study stays with that Study.

A plan that raises an error, or that computes for seconds without an end, is tried again after a
while that doubles each time; from the third on the Study says so in its condition PlanFailed. What
was decided before is still carried out, running trials are heard and their reports stored. Other
Studies notice nothing.

The limit is processor time, by a timer of the system that interrupts what Python computes: none of
today's policies needs numerics that would have to be computed in a process apart.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from scaletune.api.action import LookAgain, Plan
from scaletune.api.conditions import PLAN_FAILED, Condition, condition, with_condition
from scaletune.api.study import Study, StudyStatus
from scaletune.core.ledger import Ledger
from scaletune.core.plan import decide
from scaletune.core.summarise import timestamp
from scaletune.shells.kubernetes.metrics import Metrics

log = logging.getLogger(__name__)

LIMIT_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 5.0
PAUSE_SECONDS_MAX: Final = 300.0
FAILURES_TOLD: Final = 3
REMEDY: Final = (
    "Running trials go on and what was decided is carried out, but nothing new is decided; it is"
    " tried again every few minutes. This is a bug: please report it with the output of"
    " `kubectl get studies,trials -o yaml`; to go on now, change the policy or the sampler in a"
    " new Study"
)


class PlanTookTooLongError(Exception):
    """The plan was interrupted."""


@dataclass(frozen=True)
class _Failure:
    generation: int
    number: int
    until: float
    error: str


class Planner:
    """Calls `decide`, and remembers by the Study's uid how often that has failed in a row."""

    def __init__(
        self,
        metrics: Metrics,
        decide: Callable[[Study, Ledger, float], Plan] = decide,
        limit: float = LIMIT_SECONDS,
    ) -> None:
        self._metrics, self._decide, self._limit = metrics, decide, limit
        self._failures: dict[str, _Failure] = {}

    def plan(self, study: Study, ledger: Callable[[], Ledger], now: float) -> Plan:
        """The plan; after a failure an empty one, until it is time to try again."""
        uid, generation = study.metadata.uid, study.metadata.generation
        last = self._failures.get(uid)
        if last is not None and last.generation == generation and now < last.until:
            return Plan(actions=(LookAgain(last.until, "the plan has failed"),))
        try:
            with _limited(self._limit):
                made = self._decide(study, ledger(), now)
        except Exception as error:
            return self._failed(study, 1 + (last.number if last else 0), error, now)
        self._failures.pop(uid, None)
        return made

    def is_failing(self, study: Study) -> bool:
        """Whether the last plan has failed."""
        return study.metadata.uid in self._failures

    def shown(self, study: Study, status: StudyStatus, now: float) -> StudyStatus:
        """The status with the condition PlanFailed, as soon as there is something to tell."""
        failure = self._failures.get(study.metadata.uid)
        was_told = condition(status.conditions, PLAN_FAILED) is not None
        if failure is not None and failure.number >= FAILURES_TOLD:
            fault, message = "PlanRaisedAnError", f"{failure.error}. {REMEDY}"
        elif was_told and failure is None:
            fault, message = "", ""
        else:
            return status  # not sure yet: as before
        new = Condition(
            type=PLAN_FAILED,
            status="True" if fault else "False",
            reason=fault or "Planned",
            message=message[:2048],
            last_transition_time=timestamp(now),
            observed_generation=study.metadata.generation,
        )
        return status.model_copy(update={"conditions": with_condition(status.conditions, new)})

    def _failed(self, study: Study, number: int, error: Exception, now: float) -> Plan:
        pause = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS * 2.0 ** min(number - 1, 10))
        words = f"{type(error).__name__}: {error}"
        failure = _Failure(study.metadata.generation, number, now + pause, words)
        self._failures[study.metadata.uid] = failure
        self._metrics.plan_failures.inc()
        about = {"namespace": study.metadata.namespace, "study": study.metadata.name}
        log.exception("no plan for this study; again in %.0f s", pause, extra=about)
        return Plan(actions=(LookAgain(failure.until, "the plan has failed"),))


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Interrupt what takes more processor time. Only the main thread can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        raise PlanTookTooLongError(f"it has computed for {seconds:g} s without an end")

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
