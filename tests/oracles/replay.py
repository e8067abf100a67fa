"""A ledger replayed by a small simulation of places, written from the rules alone.

Lines of equal `at` are one snapshot: lines make records, records are decided, free places go to
promotions, then `created` lines take theirs. It shares no code with `scaletune.shells.replay`.
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.oracles.asha import Record, Situation, drained, freed, judge, promotable

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Rules:
    """What of a Study bears on a replay."""

    ladder: tuple[int, ...]
    mode: str  # Stop, Promote or Full
    eta: int
    sign: float
    parallelism: int
    trials: int | None
    creatable: int | None
    target: float | None = None


@dataclass
class Runner:
    """One trial, as far as the lines have told."""

    until: int
    reports: dict[int, float] = field(default_factory=dict)
    last: tuple[int, float] | None = None
    records: dict[int, Record] = field(default_factory=dict)
    stopped_at: int | None = None
    gone: bool = False
    freed: bool = False
    fault: str = ""
    fault_number: int = 0


class Replay:
    """The state of one replay."""

    def __init__(self, rules: Rules) -> None:
        """Nothing has happened yet."""
        self.rules = rules
        self.runners: dict[int, Runner] = {}
        self.number = 0
        self.promoted: set[tuple[int, int]] = set()
        self.decisions: list[tuple[tuple[int, int], dict[str, Any]]] = []
        self.ended = False

    def run(self, lines: Iterable[Line]) -> list[dict[str, Any]]:
        """All decisions, in the order of their numbers."""
        for _, group in itertools.groupby(lines, key=lambda line: line["at"]):
            self.snapshot(list(group))
        return [each for _, each in sorted(self.decisions, key=lambda pair: pair[0])]

    def runner(self, trial: int) -> Runner:
        """The trial, which appears with its first line."""
        first = self.rules.ladder[0 if self.rules.mode == "Promote" else -1]
        return self.runners.setdefault(trial, Runner(until=first))

    def snapshot(self, lines: list[Line]) -> None:
        """One instant."""
        told = [line for line in lines if not line.get("created")]
        failures: dict[int, str] = {}
        for line in told:
            runner = self.runner(line["trial"])
            if "failure" not in line:
                runner.reports.setdefault(line["step"], float(line["value"]))
            elif line["failure"] != "Infrastructure":
                failures.setdefault(line["trial"], line["failure"])
        touched = {line["trial"] for line in told}
        while self.turn(touched, failures):
            # The last report of a trial that was promoted may reach its next level already.
            touched, failures = set(self.runners), {}
        for line in lines:
            if line.get("created"):
                self.runner(line["trial"])

    def turn(self, touched: set[int], failures: Mapping[int, str]) -> bool:
        """Records, decisions, promotions; whether somebody was promoted."""
        promoted = len(self.promoted)
        fresh = [
            (trial, record)
            for trial in sorted(touched)
            for record in self.observed(trial, failures.get(trial))
        ]
        for trial, record in fresh:
            self.runners[trial].records[record.level] = record
        for trial, record in fresh:
            self.decide(trial, record)
        self.ended = self.ended or self.over()
        if self.rules.mode == "Promote" and not self.ended:
            self.promote()
            for trial in freed(self.situation()):
                self.runners[trial].gone = self.runners[trial].freed = True
        return len(self.promoted) > promoted

    def observed(self, trial: int, failure: str | None) -> list[Record]:
        """The new records of a trial; a failed configuration makes one, then never another."""
        runner = self.runners[trial]
        reports, runner.reports = runner.reports, {}
        known = dict(reports)
        if runner.last is not None:
            known[runner.last[0]] = runner.last[1]
            reports[runner.last[0]] = runner.last[1]
        if known:
            runner.last = max(known), known[max(known)]
        if runner.fault or any(record.score is None for record in runner.records.values()):
            return []
        left = [x for x in self.rules.ladder if x <= runner.until and x not in runner.records]
        found: list[tuple[int, float | None]] = []
        for step in sorted(known):
            if left and not math.isfinite(known[step]):
                found.append((left[0], None))
                left, failure = [], "Diverged"
            while left and step >= left[0]:
                found.append((left.pop(0), known[step]))
        if failure in ("Diverged", "OutOfMemory") and left:
            found.append((left[0], None))
        made = []
        for level, value in found:
            self.number += 1
            score = None if value is None else self.rules.sign * value
            made.append(Record(trial, level, self.number, score))
        if failure is not None:
            runner.gone, runner.fault, runner.fault_number = True, failure, self.number
        return made

    def counted(self) -> list[Record]:
        """All records that were not void."""
        return [
            record
            for runner in self.runners.values()
            for record in runner.records.values()
            if runner.stopped_at is None or record.level <= runner.stopped_at
        ]

    def decide(self, trial: int, record: Record) -> None:
        """The decision on a new record."""
        runner = self.runners[trial]
        if runner.stopped_at is not None and record.level > runner.stopped_at:
            self.say(record.number, 0, trial, record.level, "Void", {})
            return
        known = [r for r in self.counted() if r.number <= record.number]
        mode = "Stop" if self.rules.mode == "Full" else self.rules.mode
        found = judge(record, known, self.rules.eta, self.rules.ladder[-1], mode)
        if found.word == "Stop":
            runner.stopped_at, runner.gone = record.level, True
        if found.word == "Complete":
            runner.gone = True
        evidence = {"n": found.n, "rank": found.rank, "quota": found.quota}
        if found.against is not None:
            evidence["against"] = found.against
        self.say(record.number, 0, trial, record.level, found.word, evidence)

    def say(
        self, number: int, order: int, trial: int, level: int, word: str, evidence: dict[str, Any]
    ) -> None:
        """Note a decision; `order` puts a promotion after the record's own at the same number."""
        shape = {"n": None, "rank": None, "quota": None, "against": None, **evidence}
        line = {
            "number": number,
            "trial": trial,
            "milestone": level,
            "decision": word,
            "evidence": shape,
        }
        self.decisions.append(((number, order), line))

    def situation(self) -> Situation:
        """What ASHA looks at."""
        gone = {trial for trial, runner in self.runners.items() if runner.gone}
        ladder = self.rules.ladder
        return Situation(
            self.counted(), self.promoted, gone, self.rules.eta, ladder, self.rules.trials
        )

    def held(self) -> int:
        """Places taken."""
        return sum(
            not runner.gone and runner.until not in runner.records
            for runner in self.runners.values()
        )

    def promote(self) -> None:
        """Give the free places, then drain if nothing else can happen."""
        now, order = self.situation(), 0
        top = self.rules.ladder[-1]
        while True:
            ready = promotable(now.records, self.promoted, now.gone, self.rules.eta, top)
            if not ready or self.held() >= self.rules.parallelism:
                break
            order += 1
            self.send(ready[0], order)
        last = self.rules.creatable
        if not ready and self.held() == 0 and last is not None and len(self.runners) >= last:
            best = drained(now.records, self.promoted, now.gone, top)
            if best is not None:
                self.send(best, order + 1)

    def send(self, record: Record, order: int) -> None:
        """Promote one."""
        ladder = self.rules.ladder
        self.promoted.add((record.trial, record.level))
        self.runners[record.trial].until = ladder[ladder.index(record.level) + 1]
        rung = sorted(
            (r for r in self.counted() if r.level == record.level),
            key=lambda r: (r.score is None, r.score or 0.0, r.trial),
        )
        evidence = {
            "n": len(rung),
            "rank": rung.index(record),
            "quota": len(rung) // self.rules.eta,
        }
        self.say(self.number, order, record.trial, record.level, "Promote", evidence)

    def over(self) -> bool:
        """The study has ended before its time: by its target, or by failures alike."""
        target = self.rules.target
        scores = [record.score for record in self.counted() if record.score is not None]
        if target is not None and any(score <= self.rules.sign * target for score in scores):
            return True
        ends = sorted(filter(None, (self.end(trial) for trial in self.runners)))
        kinds = [kind for _, _, kind in ends]
        if len(kinds) >= 3 and set(kinds[:3]) == {"UserError"}:
            return True
        many = max(10, 2 * self.rules.parallelism)
        hopeless = {"Diverged", "OutOfMemory"}
        valued = {record.trial for record in self.counted() if record.score is not None}
        first = {trial for _, trial, _ in ends[:many]}
        return len(ends) >= many and set(kinds[:many]) <= hopeless and not valued & first

    def end(self, trial: int) -> tuple[int, int, str] | None:
        """When and how a trial ended, if it did; who is only not needed any more did not."""
        runner = self.runners[trial]
        if runner.fault:
            return runner.fault_number, trial, runner.fault
        if not runner.gone or runner.freed:
            return None
        at = runner.stopped_at or self.rules.ladder[-1]
        record = runner.records[at]
        return record.number, trial, "Diverged" if record.score is None else "Well"
