"""No policy: every trial is trained in full, and nothing is compared before the end.

What a policy is under which no trial ever waits stands here, too; ASHA's mode Stop is another one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from scaletune.api.record import DecisionWord, Evidence, Milestone
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger


class NobodyWaits:
    """A trial runs or has ended: none is promoted, and none keeps a checkpoint in vain."""

    def next_promotion(self, ledger: Ledger) -> None:
        """Nobody waits to be promoted."""

    def drain(self, ledger: Ledger) -> None:
        """Nobody waits to be promoted."""

    def freed(self, ledger: Ledger, trials: int | None, *, finishing: bool) -> Iterator[Trial]:
        """Nobody waits."""
        return iter(())


@dataclass(frozen=True)
class Full(NobodyWaits):
    """One milestone, the end; its order only says which trial is best."""

    levels: tuple[int, ...]

    def judge(
        self, ledger: Ledger, trial: Trial, record: Milestone
    ) -> tuple[DecisionWord, Evidence]:
        """A value at the end completes; a configuration that failed has stopped."""
        rung, key = ledger.rung_with(trial, record)
        evidence = Evidence(n=len(rung), rank=rung.rank(key), quota=None, against=None)
        return ("Stop" if key[0] else "Complete"), evidence
