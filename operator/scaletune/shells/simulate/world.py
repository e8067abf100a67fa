"""The world in virtual time: nodes that trainers live on, and what the shell hears of them.

A trainer starts, trains from milestone to milestone, leaves when it has reached `until` or is told
to. A checkpoint lies at each milestone, and wherever `Failures.checkpoint` says: when a node fails,
what was trained since is lost, and the next attempt does it again with the same result. What a
trainer has reported is never lost: a report that no scrape has brought comes with the end of the
attempt.
"""

import copy
import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from scaletune.core.failures import End
from scaletune.core.reports import Telemetry
from scaletune.shells.simulate import faults, objectives
from scaletune.shells.simulate.faults import Circumstances
from scaletune.shells.simulate.objectives import Call, Function, Segment, Values
from scaletune_trainer.wire import MilestoneReport, Reason, State, TerminationMessage

LOSSES_MAX = 1000  # of one segment, one after the other


class Hopeless(Exception):
    """The simulation would never end, and why."""


@dataclass(frozen=True)
class Order:
    """An attempt to start."""

    trial: int
    name: str
    incarnation: str
    parameters: Values
    seed: int
    step: int  # of the checkpoint that it resumes from; 0 without one
    until: int
    levels: tuple[int, ...]  # the trial's milestones
    metric: str | None = None  # that the trial is judged by, if it is not the objective
    source: int | None = None  # the trial whose checkpoint it is, if it is another one's
    changes_at: int | None = None  # the next attempt goes on from there with other parameters
    keep: bool = False  # whether others may read its checkpoints
    costs: bool = False  # whether it says what it costs


@dataclass(frozen=True)
class News:
    """What the shell hears of a trial's latest attempt."""

    trial: int
    telemetry: Telemetry
    device_seconds: float
    end: End | None = None


@dataclass(eq=False)
class _Life:
    """A trainer, from its start to its end."""

    order: Order
    node: int
    began: float
    step: int
    until: int
    reports: list[MilestoneReport] = field(default_factory=list)
    told: int = 0  # how many of its reports the shell has heard
    leaving: Reason | None = None
    left: float | None = None
    training_since: float | None = None  # of the segment under way


@dataclass(frozen=True)
class Site:
    """Where the trainers of one study live."""

    nodes: int
    devices: int  # of a node, all used by one trial
    seed: int
    circumstances: Circumstances
    objective: Function


class World:
    """Nodes and trainers. Time goes on only by `advance`."""

    def __init__(self, site: Site) -> None:
        self.site, self.now = site, 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._free = list(range(site.nodes))
        self._down: set[int] = set()
        self._on: dict[int, _Life] = {}
        self._lives: dict[int, _Life] = {}
        self._next: list[_Life] = []
        self._news: list[News] = []
        self._states: dict[int, dict[int, object]] = {}
        """By trial and step."""
        self._segments: dict[int, tuple[int, Segment]] = {}
        self._costs: dict[tuple[int, int], float] = {}
        """By trial and step, of those that say what they cost."""
        self._losses: dict[int, int] = {}
        self._left_seconds = self._began_seconds = 0.0
        if site.circumstances.failures.mtbf < math.inf:
            for node in range(site.nodes):
                self._age(node, faults.lives(site.circumstances.failures, site.seed, node))

    # ---- what the shell may ask and do

    @property
    def next_at(self) -> float | None:
        """When something happens next."""
        return self._events[0][0] if self._events else None

    @property
    def running(self) -> int:
        """How many nodes are in use."""
        return len(self._on)

    @property
    def busy_seconds(self) -> float:
        """Node seconds used so far."""
        return self._left_seconds + len(self._on) * self.now - self._began_seconds

    @property
    def has_free_node(self) -> bool:
        """Whether an attempt can start now."""
        while self._free and self._free[0] in self._down:
            heapq.heappop(self._free)
        return bool(self._free)

    def advance(self, at: float) -> list[News]:
        """Let time go on to `at`; what the shell has heard by then."""
        self.now, self._news = at, []
        while self._events and self._events[0][0] <= at:
            heapq.heappop(self._events)[2]()
        return self._news

    def start(self, order: Order) -> None:
        """Start an attempt on a free node."""
        assert self.has_free_node
        assert order.trial not in self._lives
        until = min(order.until, order.changes_at or order.until)
        life = _Life(order, heapq.heappop(self._free), self.now, order.step, until)
        self._on[life.node] = self._lives[order.trial] = life
        if order.source is not None:
            self._states.setdefault(order.trial, {})[order.step] = self._given(order)
            self._segments.pop(order.trial, None)
        self._began_seconds += self.now
        overhead = self.site.circumstances.overhead
        self._after(overhead.resume if order.step else overhead.start, partial(self._ready, life))

    def _given(self, order: Order) -> object:
        assert order.source is not None
        return copy.deepcopy(self._states.get(order.source, {}).get(order.step))

    def direct(self, trial: int, until: int, state: State) -> None:
        """What a running trainer is to do from now on."""
        life = self._lives.get(trial)
        if life is None or life.leaving or life.left is not None:
            return
        life.until = min(until, life.order.changes_at or until)
        if state is not State.RUNNING:
            self._leave(life, Reason.PAUSED if state is State.PAUSED else Reason.STOPPED)

    def go_on(self) -> None:
        """Let trainers begin what comes next: the shell has said what it wants of them."""
        ready, self._next = self._next, []
        for life in ready:
            if life.left is None and not life.leaving:
                self._train(life)

    def look(self) -> list[News]:
        """What every trainer has used so far."""
        return [self._heard_of(life, life.told) for life in self._lives.values()]

    def state_of(self, trial: int) -> object:
        """What the trial's latest checkpoint holds."""
        kept = self._states.get(trial)
        return kept[max(kept)] if kept else None

    # ---- the lives of trainers

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), event))

    def _ready(self, life: _Life) -> None:
        self._next.append(life)

    def _train(self, life: _Life) -> None:
        order = life.order
        target = next(level for level in order.levels if level > life.step)
        known = self._segments.get(order.trial)
        if known is None or known[0] != life.step:
            state = self._states.get(order.trial, {}).get(life.step)
            call = Call(
                order.name, order.parameters, life.step, target, order.seed, state, order.costs
            )
            known = (life.step, objectives.evaluate(self.site.objective, call))
            self._segments[order.trial] = known
        segment = known[1]
        if segment.out_of_memory:
            self._leave(life, Reason.OUT_OF_MEMORY)
        else:
            life.training_since = self.now
            self._after(segment.seconds, partial(self._reach, life, target, segment))

    def _reach(self, life: _Life, target: int, segment: Segment) -> None:
        if life.left is not None or life.leaving:
            return
        life.training_since = None
        trial = life.order.trial
        value = segment.judged_by(life.order.metric)
        cost = None
        if life.order.costs:
            cost = self._costs.get((trial, life.step), 0.0) + (segment.cost or 0.0)
            self._costs[trial, target] = cost
        self._report(life, target, value, cost)
        if not math.isfinite(value):
            self._leave(life, Reason.DIVERGED)
            return
        life.step = target
        if segment.state is not None:
            kept = self._states.get(trial, {}) if life.order.keep else {}
            self._states[trial] = {**kept, target: segment.state}
        self._segments.pop(trial, None)
        self._losses.pop(trial, None)
        if target < life.until:
            self._next.append(life)
        else:
            done = target == life.order.levels[-1]
            self._leave(life, Reason.DONE if done else Reason.PAUSED)

    def _report(self, life: _Life, step: int, value: float, cost: float | None) -> None:
        number = len(life.reports) + 1
        seconds = (self.now - life.began) * self.site.devices
        life.reports.append(MilestoneReport(step, step, value, number, 0, seconds, cost=cost))
        name = f"{life.order.incarnation} {number}"
        where = self.site.circumstances
        delay = faults.delay_of_report(where, self.site.seed, life.order.trial, name)
        self._after(delay, partial(self._scraped, life, number))

    def _scraped(self, life: _Life, number: int) -> None:
        """Reports stay to be seen until the end; then they come with it."""
        if life.left is None and life.told < number:
            self._news.append(self._heard_of(life, number))

    def _leave(self, life: _Life, reason: Reason) -> None:
        life.leaving = reason
        pause = self.site.circumstances.overhead.pause if reason is Reason.PAUSED else 0.0
        self._after(pause, partial(self._gone, life))

    def _gone(self, life: _Life) -> None:
        if life.left is None:
            heapq.heappush(self._free, life.node)
            assert life.leaving is not None
            error = (
                f"the objective raised MemoryError after step {life.step}"
                if life.leaving is Reason.OUT_OF_MEMORY
                else ""
            )
            message = TerminationMessage(reason=life.leaving, step=life.step, error=error)
            self._end(life, End(0, message))

    def _end(self, life: _Life, end: End) -> None:
        life.left = self.now
        del self._on[life.node]
        self._began_seconds -= life.began
        self._left_seconds += self.now - life.began
        trial, name = life.order.trial, life.order.incarnation
        delay = faults.delay_of_end(self.site.circumstances, self.site.seed, trial, name)
        self._after(delay, partial(self._buried, life, end))

    def _buried(self, life: _Life, end: End) -> None:
        del self._lives[life.order.trial]
        self._news.append(self._heard_of(life, len(life.reports), end))

    def _heard_of(self, life: _Life, upto: int, end: End | None = None) -> News:
        new = tuple(life.reports[life.told : upto])
        life.told = max(life.told, upto)
        telemetry = Telemetry(
            incarnation=life.order.incarnation,
            step=life.step,
            milestones=new,
            sequence=life.told,
            checkpoint=life.step if life.step > life.order.step else None,
        )
        until = self.now if life.left is None else life.left
        seconds = (until - life.began) * self.site.devices
        return News(life.order.trial, telemetry, seconds, end)

    # ---- the lives of nodes

    def _age(self, node: int, lives: Iterator[tuple[float, float]]) -> None:
        seconds, repair = next(lives)
        self._after(seconds, partial(self._fail, node, repair, lives))

    def _fail(self, node: int, repair: float, lives: Iterator[tuple[float, float]]) -> None:
        self._down.add(node)
        life = self._on.get(node)
        if life is not None:
            self._lose(life)
        self._after(repair, partial(self._repaired, node, lives))

    def _lose(self, life: _Life) -> None:
        trial = life.order.trial
        losses = self._losses[trial] = self._losses.get(trial, 0) + 1
        if losses > LOSSES_MAX:
            raise Hopeless(
                f"{life.order.name} lost its node {losses} times before the milestone after"
                f" {life.step}: with this mtbf it will not get there; milestones must lie closer"
            )
        self._keep(life)
        self._end(life, End(None, disrupted=True))

    def _keep(self, life: _Life) -> None:
        """What the latest checkpoint has of the segment under way, whose steps take equal times."""
        every, trial = self.site.circumstances.failures.checkpoint, life.order.trial
        if not every or life.training_since is None or life.leaving:
            return
        target = next(level for level in life.order.levels if level > life.step)
        segment = self._segments[trial][1]
        each = segment.seconds / (target - life.step)
        trained = int((self.now - life.training_since) / each) if each else 0
        kept = min(life.step + trained, target - 1) // every * every
        if kept > life.step:
            life.step = kept
            self._segments[trial] = kept, replace(segment, seconds=each * (target - kept))

    def _repaired(self, node: int, lives: Iterator[tuple[float, float]]) -> None:
        self._down.discard(node)
        if node not in self._free:  # it was not in use
            heapq.heappush(self._free, node)
        self._age(node, lives)
