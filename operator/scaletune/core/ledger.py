"""Ledger: a study's trials and numbered records, sorted the ways that decisions need them.

An immutable value, and nothing but an index: `Ledger.of(study, trials)` makes it from a snapshot,
`replace(old, new)` carries one changed Trial over, as fast with many trials as with few, and any
order of replaces gives what `of` gives. A shell may keep one between plans; dropping it at any
moment changes nothing. It is for one thread, and not to be used again after an error from outside
has interrupted it (see `core.ranked`).

What a trial contributes is said in one place, `_own_facts` and below: items on shelves. Each shelf
is a `Ranked`. Sums are of whole microseconds, because sums of floats depend on their order.

Trials are compared within their bracket. Where a study has several, each has shelves of its own,
and the study's ("rung", level) holds the records of all of them.

Trainings that confirm a configuration hold places and have records, but are on none of the shelves
of the search: they compete with nobody.

Order on a rung: finite before not finite, then the better score, then the lower index. A *score*
is the objective's value, negated when larger is better: smaller scores are better everywhere.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Any

from scaletune.api.record import Milestone
from scaletune.api.study import Study
from scaletune.api.trial import TERMINAL, Trial, TrialState
from scaletune.api.trial_name import CONFIRMING_FROM
from scaletune.core import lifecycle
from scaletune.core.frame import Frame, Whose
from scaletune.core.ranked import Joined, Key, Ranked

Shelf = str | tuple[Any, ...]
Shelves = dict[Whose, dict[Shelf, Ranked]]
Fact = tuple[tuple[Whose, Shelf, Key], Any]  # on this shelf, under this key, there is this item
EMPTY = Ranked()
NONE: dict[Shelf, Ranked] = {}
AT = attrgetter("at")
FIXED = attrgetter("index", "role", "bracket", "parent", "parameters")  # for a Trial's life


@dataclass(frozen=True, eq=True)
class Ledger:
    """The index of one study's trials."""

    frame: Frame
    shelves: Shelves  # by bracket: a change copies the names of one, however many there are
    spent_microseconds: int = 0
    known: dict[int, tuple[Trial, list[Fact]]] = field(
        default_factory=dict, compare=False, repr=False
    )
    """By index, what a Trial that was looked at last contributes, but for its records: only saves
    time, and is shared by all versions."""

    @classmethod
    def of(cls, study: Study, trials: Iterable[Trial]) -> "Ledger":
        """The ledger of a snapshot. Raises ValueError when two Trials have the same index."""
        frame = Frame.of(study)
        entries: dict[Whose, dict[Shelf, list[tuple[Key, Any]]]] = {}
        spent, seen = 0, set()
        for trial in trials:
            if trial.index in seen:
                raise ValueError(f"two Trials of the study have index {trial.index}")
            seen.add(trial.index)
            spent += _microseconds(trial)
            facts = chain(_own_facts(frame, trial), _facts_of_records(frame, trial))
            for (whose, shelf, key), item in facts:
                entries.setdefault(whose, {}).setdefault(shelf, []).append((key, item))
        shelves = {
            whose: {shelf: Ranked.of(each) for shelf, each in own.items()}
            for whose, own in entries.items()
        }
        return cls(frame, shelves, spent)

    def replace(self, old: Trial | None, new: Trial | None) -> "Ledger":
        """The ledger with one Trial changed, added (no old) or removed (no new)."""
        same = _same_records(self.frame, old, new) if old and new else ()
        gone = dict(self._facts(old, but=same)) if old else {}
        changed: Shelves = {}
        for fact, item in self._facts(new, but=same) if new else ():
            if gone.pop(fact, gone) is not item:  # `gone` is no item
                whose, shelf, key = fact
                own = self._changing(changed, whose)
                own[shelf] = own.get(shelf, EMPTY).with_entry(key, item)
        for whose, shelf, key in gone:
            own = self._changing(changed, whose)
            own[shelf] = own[shelf].without(key)
            if not len(own[shelf]):
                del own[shelf]
        shelves = self.shelves | changed
        for whose, own in changed.items():
            if not own:
                del shelves[whose]
        if old and not new:
            self.known.pop(old.index, None)
        spent = self.spent_microseconds
        spent += (_microseconds(new) if new else 0) - (_microseconds(old) if old else 0)
        return Ledger(self.frame, shelves, spent, self.known)

    def _facts(self, trial: Trial, but: Collection[int]) -> Iterator[Fact]:
        """Everything that one Trial contributes, but for some of its records."""
        seen, own = self.known.get(trial.index, (None, []))
        if seen is not trial:
            own = list(_own_facts(self.frame, trial))
            self.known[trial.index] = trial, own
        return chain(own, _facts_of_records(self.frame, trial, but))

    def _changing(self, changed: Shelves, whose: Whose) -> dict[Shelf, Ranked]:
        """The shelves of a bracket, or of the study, to be changed."""
        own = changed.get(whose)
        if own is None:
            own = changed[whose] = self.shelves.get(whose, NONE).copy()
        return own

    def shelf(self, name: Shelf) -> Ranked:
        """One of the study's shelves that `_facts` names."""
        return self.shelves.get(None, NONE).get(name, EMPTY)

    def of_bracket(self, bracket: int, name: Shelf) -> Ranked:
        """One of a bracket's; where there are no brackets it is the study's."""
        return self.shelves.get(self.frame.whose(bracket), NONE).get(name, EMPTY)

    def trial(self, index: int) -> Trial:
        """The Trial with this index. Raises KeyError."""
        trial: Trial | None = self.shelf("trials").get((index,))
        if trial is None:
            raise KeyError(index)
        return trial

    def on(self, name: Shelf) -> Iterator[Trial]:
        """The Trials on a shelf, in its order."""
        return (self.trial(key[-1]) for key, _ in self.shelf(name).entries())

    def rung(self, level: int, bracket: int) -> Ranked:
        """The records of one bracket at a milestone."""
        return self.of_bracket(bracket, ("rung", level))

    def waiting(self, level: int, bracket: int) -> Ranked:
        """Those of them whose trials wait to be promoted."""
        return self.of_bracket(bracket, ("waiting", level))

    def rung_with(self, trial: Trial, record: Milestone) -> tuple[Joined, Key]:
        """The rung as it is with this record the latest by number, and the record's key in it."""
        level, bracket = self.frame.level(trial, record.at), trial.spec.bracket
        rung, key = self.rung(level, bracket), self.frame.rank_key(trial, record)
        arrivals = self.of_bracket(bracket, ("arrivals", level))
        for _, later_key in arrivals.entries(after=(record.number, float("inf"))):
            rung = rung.without(later_key)
        return Joined(rung, key), key

    @property
    def highest_number(self) -> int:
        """The highest number of a record among these trials; 0 without any."""
        shelves = (self.shelf(name) for name in ("undecided", "decided", "confirmed"))
        return max((shelf.at(len(shelf) - 1)[0][0] for shelf in shelves if len(shelf)), default=0)

    @property
    def next_index(self) -> int:
        """One above the highest index among the search's trials."""
        trials = self.shelf("trials")
        searched = trials.rank((CONFIRMING_FROM,))
        return int(trials.at(searched - 1)[0][0]) + 1 if searched else 0

    @property
    def spent_seconds(self) -> float:
        """Device seconds of these trials."""
        return self.spent_microseconds / 1e6

    def best(self) -> tuple[Trial, Milestone] | None:
        """The highest milestone with a finite value first, then the value, then the index."""
        for level in reversed(self.frame.levels):
            rung = self.shelf(("rung", level))
            if len(rung) and not rung.at(0)[0][0]:
                trial = self.trial(rung.at(0)[0][-1])
                return trial, self.record(trial, level)
        return None

    def record(self, trial: Trial, level: int) -> Milestone:
        """The record of a trial at a level that it has one at."""
        records = trial.status.milestones
        return next(each for each in records if self.frame.level(trial, each.at) == level)

    def has_full_training(self) -> bool:
        """Whether some trial has a value at the end of a full training."""
        rung = self.shelf(("rung", self.frame.most))
        return len(rung) > 0 and not rung.at(0)[0][0]


def _microseconds(trial: Trial) -> int:
    return round(trial.status.device_seconds * 1e6)


def _same_records(frame: Frame, old: Trial, new: Trial) -> Collection[int]:
    """The identities of the records that contribute the same to both: most of them, mostly."""
    if not old.status.milestones or FIXED(old.spec) != FIXED(new.spec):
        return ()
    low, high = sorted((frame.until(old), frame.until(new)))
    known = {id(record) for record in old.status.milestones}
    return {
        id(record)
        for record in new.status.milestones
        if id(record) in known and not low <= record.at < high  # it goes on from there, or not
    }


def _facts_of_records(frame: Frame, trial: Trial, but: Collection[int] = ()) -> Iterator[Fact]:
    """What the records of a Trial contribute, all but some."""
    facts = _record_facts if trial.spec.role == "Search" else _confirming_facts
    return chain.from_iterable(
        facts(frame, trial, record) for record in trial.status.milestones if id(record) not in but
    )


def _own_facts(frame: Frame, trial: Trial) -> Iterator[Fact]:
    """Everything that one Trial contributes beside what its records do."""
    key, state, level = (trial.index,), frame.state(trial), frame.next_level(trial)
    records, is_search = trial.status.milestones, trial.spec.role == "Search"
    yield (None, "trials", key), trial
    yield (None, ("state", state), key), None
    end = _own_end(trial, state)
    if not is_search:
        yield (None, "confirming", key), None
    elif end is not None:
        yield (None, "ended", (end, trial.index)), None
    if state in TERMINAL:
        return
    is_placed = lifecycle.holds_place(trial, state, has_work=level is not None)
    if is_placed:
        yield (None, "holders", key), None
    if trial.spec.state == "Stopped":
        return
    if is_placed and (level is None or frame.population or trial.spec.state == "Paused"):
        yield (None, "going on", key), None  # perhaps: all that may without another place
    if frame.population and trial.status.failure is None and is_search:
        yield from _member_facts(frame, trial, goes_on=level is not None)
    if any(record.decision == "Stop" for record in records):
        yield (None, "unstopped", key), None
    elif trial.status.failure is None:
        if level is not None:
            if trial.spec.state == "Paused":
                yield (None, "interrupted", key), None
            if is_search and not frame.brackets.woven:
                yield (trial.spec.bracket, "underway", (level, trial.index)), None
        elif records:
            yield from _promotion_facts(frame, trial)


def _confirming_facts(frame: Frame, trial: Trial, record: Milestone) -> Iterator[Fact]:
    """A record of a training for confirmation: it competes on no rung."""
    shelf = "undecided" if record.decision is None else "confirmed"
    yield (None, shelf, (record.number, record.at, trial.index)), None


def _member_facts(frame: Frame, trial: Trial, *, goes_on: bool) -> Iterator[Fact]:
    """How far one of the population is, and whether it has to learn where to go on from."""
    index, from_ = trial.index, lifecycle.resumes_from(trial)
    latest = max(trial.status.milestones, key=AT, default=None)
    yield (None, "members", (latest.at if latest else trial.spec.began_at, index)), None
    is_on = latest is not None and latest.decision == "Continue" and latest.promotion is None
    if latest is not None and is_on and frame.until(trial) > latest.at:
        yield (None, ("running on", latest.at), frame.rank_key(trial, latest)), None
    if from_ is not None and from_.trial is not None:
        yield (None, "borrowers", (from_.step, index)), None
    if goes_on and trial.spec.state == "Running" and lifecycle.untold(trial) is not None:
        yield (None, "exploited", (index,)), None


def _record_facts(frame: Frame, trial: Trial, record: Milestone) -> Iterator[Fact]:
    at, number = record.at, record.number
    if record.decision is None:
        yield (None, "undecided", (number, at, trial.index)), None
        return
    yield (None, "decided", (number, at, trial.index)), None
    if record.decision == "Void":
        return
    key, whose = frame.rank_key(trial, record), frame.whose(trial.spec.bracket)
    at = frame.level(trial, at)
    yield (None, ("rung", at), key), number
    if whose is not None:
        yield (whose, ("rung", at), key), number
    yield (whose, ("arrivals", at), (number, trial.index)), key
    if record.promotion is not None or frame.until(trial) > record.at:
        yield (whose, ("promoted", at), key), None
    trained = record.step - trial.spec.began_at
    if record.device_seconds > 0 and trained > 0:
        yield (None, ("rates", at), (record.device_seconds / trained, trial.index)), None


def _promotion_facts(frame: Frame, trial: Trial) -> Iterator[Fact]:
    """Whether the trial waits at its milestone, to be promoted, or was and only is to be told."""
    record = max(trial.status.milestones, key=AT)
    if record.decision != "Pause" or frame.until(trial) != record.at or record.at >= frame.most:
        return
    key, whose = frame.rank_key(trial, record), frame.whose(trial.spec.bracket)
    if record.promotion is not None:
        yield (None, "owed", (trial.index,)), None
        if not frame.brackets.woven:
            above = next(level for level in frame.levels if level > record.at)
            yield (whose, "underway", (above, trial.index)), None
    elif not key[0]:
        yield (whose, ("waiting", record.at), key), None
        if not frame.brackets.woven:
            yield (None, "queues", (whose, trial.index)), None


def _own_end(trial: Trial, state: TrialState) -> int | None:
    """Orders the ends of trials: the number of the failure, or of the record that ended it.

    A decision counts at once, not only when the processes have left, and a trial that was stopped
    because the study ended or nobody needs it any more counts never: so what comes first stays
    first, and a study that has ended by its first failures does not go on once the others left.
    """
    if trial.status.failure is not None:
        return trial.status.failure.number
    records = trial.status.milestones
    ends = [record.number for record in records if record.decision in ("Stop", "Complete")]
    if not ends and state in ("Completed", "Failed"):
        return max((record.number for record in records), default=0)
    return min(ends, default=None)
