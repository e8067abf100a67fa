"""What every policy is: a few pure questions about a ledger.

A policy never sees a clock, a budget or a place: `plan` asks it in turn who has ended, who is to
go on next, and who waits in vain, and spends the budget and the places itself.
"""

from collections.abc import Iterator
from typing import Protocol

from scaletune.api.record import DecisionWord, Evidence, Milestone
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core.frame import Frame
from scaletune.core.ledger import Ledger
from scaletune.core.policies import asha, carbs, full, hyperband
from scaletune.core.policies.pbt import Population
from scaletune.core.policies.successive_halving import Coming, Synchronous
from scaletune.core.samplers.sampler import configurations_at_most


class Policy(Protocol):
    """The promises: pure, total, and blind to everything numbered above what is judged."""

    @property
    def levels(self) -> tuple[int, ...]:
        """The milestones; the last one is a full training."""

    def judge(
        self, ledger: Ledger, trial: Trial, record: Milestone
    ) -> tuple[DecisionWord, Evidence]:
        """What a record means for its trial. It uses records numbered up to its own."""

    def next_promotion(self, ledger: Ledger) -> tuple[Trial, int, Evidence] | None:
        """The trial to go on next, up to which milestone, on what evidence."""

    def drain(self, ledger: Ledger) -> tuple[Trial, int, Evidence] | None:
        """The same, when nothing else is left to do and no trial was trained in full."""

    def freed(self, ledger: Ledger, trials: int | None, *, finishing: bool) -> Iterator[Trial]:
        """Paused trials that wait in vain, if `trials` are all that will be created."""


def policy_of(study: Study, frame: Frame) -> Policy:
    """The policy that a Study names, whose frame this is."""
    if (population := population_of(study, frame)) is not None:
        return population
    levels, brackets, spec = frame.levels, frame.brackets, study.spec.policy
    if spec.asha is not None:
        return asha.policy(study, levels, brackets)
    coming = Coming(study.status.created, configurations_at_most(study))
    if spec.successive_halving is not None:
        return Synchronous(levels, spec.successive_halving.eta, brackets, coming)
    if spec.hyperband is not None:
        return hyperband.policy(levels, spec.hyperband.eta, coming)
    if spec.carbs is not None:
        return carbs.Carbs(levels)
    return full.Full(levels)


def population_of(study: Study, frame: Frame) -> Population | None:
    """The policy of a Study whose trials may go on from each other's checkpoints."""
    if study.spec.policy.pbt is None:
        return None
    limit = configurations_at_most(study)
    return Population(
        levels=frame.levels,
        spec=study.spec,
        created=study.status.created,
        limit=limit,
        kept_from=study.status.all_reached,
    )
