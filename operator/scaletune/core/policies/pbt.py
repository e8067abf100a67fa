"""Population based training (Jaderberg et al., arXiv:1711.09846), with truncation selection.

So many trials train side by side, the population. At each milestone the worst part of them gives up
what it has trained and goes on from the checkpoints of the best, with parameters a little changed:
an *exploit*. So hyperparameters follow a schedule that nobody had to write.

Trials of one age are compared: their records at one milestone. Trials that run on never wait for
each other: once half of the population has come, the worst of those give up, however far they got
since, short of the next milestone; who comes later is decided when it comes. (If each were decided
when it comes and never again, the first half would go unpunished: a trial that is slow to get there
is mostly one that has given up before, and so a few would be replaced again and again.) Who has not
given up by then will not later, because others that come can only push it up from the worst. Trials
that pause at a milestone, because they are told to or there are fewer places than trials, wait
until all have come; the one with the fewest milestones runs next. Only a checkpoint of that very
milestone is taken over, weights and parameters of the same trial.

A trial that has failed, or is done, leaves room for another: a child of one of the best at the
latest milestone that half of the population has reached, or a new configuration before the first
one. (One that began where the last of the others are would rarely come to the end.)
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import floor

from scaletune.api.configuration import Checkpoint, Exploit, Origin, ParameterValue
from scaletune.api.policy import Pbt
from scaletune.api.record import DecisionWord, Evidence, Milestone
from scaletune.api.study import StudySpec
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.lifecycle import taken_before
from scaletune.core.ranked import Joined, Key, Ranked
from scaletune.core.samplers.perturb import perturbed
from scaletune.core.scaling import resolve
from scaletune.core.seeds import stream

Rung = Ranked | Joined


@dataclass(frozen=True)
class Population:
    """All train on; the weak from where the strong are."""

    levels: tuple[int, ...]
    spec: StudySpec
    created: int
    limit: int | None
    kept_from: int  # checkpoints of earlier milestones are deleted

    @property
    def pbt(self) -> Pbt:
        """What the user wrote."""
        assert self.spec.policy.pbt is not None
        return self.spec.policy.pbt

    @property
    def size(self) -> int:
        """How many there are at once."""
        return min(self.pbt.population, self.limit or self.pbt.population)

    def judge(
        self, ledger: Ledger, trial: Trial, record: Milestone
    ) -> tuple[DecisionWord, Evidence]:
        """Pause where it waits for the others; else Exploit if it is among the worst."""
        rung, key = ledger.rung_with(trial, record)
        evidence = self._evidence(rung, key)
        if key[0]:
            return "Stop", evidence
        if record.at == self.levels[-1]:
            return "Complete", evidence.model_copy(update={"quota": None})
        if ledger.frame.until(trial) <= record.at:
            return "Pause", evidence
        is_beyond = any(each.at > record.at for each in trial.status.milestones)
        if not is_beyond and self._has_quorum(rung):
            evidence = self._against(ledger, rung, record.at, trial.index, evidence)
        return "Continue" if evidence.against is None else "Exploit", evidence

    def next_promotion(self, ledger: Ledger) -> tuple[Trial, int, Evidence] | None:
        """Who ran on and is to give up; else who waits where all have come, the best first.

        Evidence that names another trial means that this one goes on from there.
        """
        return self._overruled(ledger) or self._awaited(ledger)

    def drain(self, ledger: Ledger) -> None:
        """Nobody waits but for others that run."""

    def freed(self, ledger: Ledger, trials: int | None, *, finishing: bool) -> Iterator[Trial]:
        """Nobody waits in vain."""
        return iter(())

    def exploit(self, ledger: Ledger, trial: Trial, at: int, donor: int) -> Exploit:
        """What a trial takes over from another one at a milestone."""
        giver = ledger.trial(donor)
        checkpoint = _checkpoint(giver, at)
        assert checkpoint is not None
        values = self._explored(ledger, giver, at, trial.index)
        attempts = trial.status.attempts
        return Exploit(
            at=at,
            donor=donor,
            checkpoint=checkpoint,
            parameters=values,
            resolved=resolve(self.spec, values),
            attempt=attempts[-1].number if attempts else 0,
        )

    def has_room(self, ledger: Ledger) -> bool:
        """Whether the population is not complete."""
        return len(ledger.shelf("members")) < self.size

    def all_reached(self, ledger: Ledger) -> int:
        """The milestone that all have reached, and need no checkpoint from before; 0 at first."""
        shelves = [ledger.shelf(name) for name in ("members", "borrowers")]
        if self._is_filling(ledger):
            return 0
        return min((each.at(0)[0][0] for each in shelves if len(each)), default=0)

    def child(
        self, ledger: Ledger, index: int
    ) -> tuple[Checkpoint, tuple[ParameterValue, ...], Origin] | None:
        """Where a new trial begins; None when it begins anew."""
        level = max(self._begun_from(ledger), self.kept_from)
        if level not in self.levels[:-1] or self._is_filling(ledger):
            return None
        donor = self._drawn(ledger, ledger.rung(level, 0), level, index)
        if donor is None:
            return None
        checkpoint = _checkpoint(donor, level)
        assert checkpoint is not None
        values = self._explored(ledger, donor, level, index)
        return checkpoint, values, Origin(kind="Child", of=donor.index)

    def _overruled(self, ledger: Ledger) -> tuple[Trial, int, Evidence] | None:
        """The worst of those that ran on from a milestone before half of the population came."""
        for level in self._latest(ledger):
            rung, running = ledger.rung(level, 0), ledger.shelf(("running on", level))
            if not len(running) or not self._has_quorum(rung):
                continue
            key, _ = running.at(len(running) - 1)
            if rung.rank(key) < len(rung) - self._share(len(rung)):
                continue
            evidence = self._against(ledger, rung, level, key[-1], self._evidence(rung, key))
            if evidence.against is not None:
                trial = ledger.trial(key[-1])
                return trial, ledger.frame.until(trial), evidence
        return None

    def _awaited(self, ledger: Ledger) -> tuple[Trial, int, Evidence] | None:
        """The best of those that wait at the lowest milestone with any, once all are there."""
        level = next((level for level in self._latest(ledger) if len(ledger.waiting(level, 0))), 0)
        if not level or ledger.shelf("members").at(0)[0][0] < level or self._is_filling(ledger):
            return None
        rung, (key, _) = ledger.rung(level, 0), ledger.waiting(level, 0).at(0)
        evidence = self._against(ledger, rung, level, key[-1], self._evidence(rung, key))
        has_none = evidence.against is None and self._is_worst(evidence)
        if has_none and self._is_donor_leaving(ledger, rung, level):
            return None
        return ledger.trial(key[-1]), ledger.frame.above(level), evidence

    def _latest(self, ledger: Ledger) -> Iterator[int]:
        """The milestones that are the latest one of some trial, the lowest first."""
        members, rank = ledger.shelf("members"), 0
        while rank < len(members):
            level = members.at(rank)[0][0]
            if level:
                yield level
            rank = members.rank((level + 1,))

    def _begun_from(self, ledger: Ledger) -> int:
        """The latest milestone before the end that half of the population has reached, or 0."""
        before_end = self.levels[:-1]
        # Who begins at a milestone has its quorum, so that it is there at all earlier ones, too.
        first_without = bisect_left(
            before_end, True, key=lambda level: not self._has_quorum(ledger.rung(level, 0))
        )
        return before_end[first_without - 1] if first_without else 0

    def _has_quorum(self, rung: Rung) -> bool:
        return 2 * len(rung) >= self.size

    def _is_filling(self, ledger: Ledger) -> bool:
        """Whether the first population is not all there yet."""
        return max(self.created, ledger.next_index) < self.size

    def _share(self, n: int) -> int:
        """How many of n give up, and from how many they take."""
        return min(n // 2, _part(self.pbt.fraction, self.size))

    def _evidence(self, rung: Rung, key: Key) -> Evidence:
        n = len(rung)
        return Evidence(n=n, rank=rung.rank(key), quota=n - self._share(n), against=None)

    def _against(
        self, ledger: Ledger, rung: Rung, at: int, index: int, evidence: Evidence
    ) -> Evidence:
        """The same, and from whom a trial goes on if it is among the worst."""
        if not self._is_worst(evidence):
            return evidence
        donor = self._drawn(ledger, rung, at, index)
        return evidence if donor is None else evidence.model_copy(update={"against": donor.index})

    def _is_worst(self, evidence: Evidence) -> bool:
        assert evidence.rank is not None
        assert evidence.quota is not None
        return evidence.rank >= evidence.quota

    def _best(self, rung: Rung) -> range:
        """The ranks of those from whom others take."""
        return range(min(self._share(len(rung)), rung.rank((True,))))  # of finite values

    def _is_donor_leaving(self, ledger: Ledger, rung: Rung, at: int) -> bool:
        """Whether the checkpoint of one of the best may only not be written yet.

        A value is heard before: it is reported first, and large weights take their time.
        """
        donors = (ledger.trial(rung.at(rank)[0][-1]) for rank in self._best(rung))
        return any(
            ledger.frame.state(each) in ("Pending", "Running") and _checkpoint(each, at) is None
            for each in donors
        )

    def _drawn(self, ledger: Ledger, rung: Rung, at: int, index: int) -> Trial | None:
        """One of the best at a milestone; if its checkpoint is not there, the next whose is."""
        count = len(self._best(rung))
        if not count or at < self.kept_from:
            return None
        first = floor(
            stream(self.spec.seed, index, f"exploit {self._generation(at)}").random() * count
        )
        ranks = (*range(first, count), *range(first))
        donors = (ledger.trial(rung.at(rank)[0][-1]) for rank in ranks)
        return next((each for each in donors if _checkpoint(each, at) is not None), None)

    def _explored(
        self, ledger: Ledger, donor: Trial, at: int, index: int
    ) -> tuple[ParameterValue, ...]:
        before = {each.name: each.value for each in values_at(donor, at)}
        if not before:  # a replay knows of no parameters
            return ()
        generation = self._generation(at)
        values = perturbed(self.spec, self.pbt, before, index, generation)
        if self.pbt.explore == "perturb":
            return values
        from scaletune.core.samplers import pb2  # numpy: not every process needs it

        going = pb2.Exploration(index, at, generation, donor, values)
        return pb2.explored(self.spec, self.pbt, ledger, going)

    def _generation(self, at: int) -> int:
        """Which milestone this is, from 1: draws do not depend on the unit in which steps count."""
        return bisect_right(self.levels, at)


@lru_cache(maxsize=64)
def _part(fraction: float, size: int) -> int:
    """How many of a whole population give up: exactly, as the user wrote the fraction."""
    part = Fraction(str(fraction))
    return max(1, floor(part * size)) if part else 0


def values_at(trial: Trial, at: int) -> tuple[ParameterValue, ...]:
    """The parameters with which a trial trained up to a milestone."""
    taken = taken_before(trial, at)
    return trial.spec.parameters if taken is None else taken.parameters


def _checkpoint(trial: Trial, at: int) -> Checkpoint | None:
    """The trial's checkpoint of a milestone, if it is there."""
    record = next((each for each in trial.status.milestones if each.at == at), None)
    latest = trial.status.checkpoint
    if record is not None and record.checkpoint is not None:
        return record.checkpoint.model_copy(update={"trial": trial.index})
    if latest is not None and latest.step == at and latest.trial is None:
        return latest.model_copy(update={"trial": trial.index})
    return None
