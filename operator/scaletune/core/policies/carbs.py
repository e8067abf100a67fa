"""CARBS: cost-aware Pareto-region search (Fetterman et al., arXiv:2306.08055).

Every trial is trained in full: what is saved is saved by what is tried, from cheap configurations
upwards, which is `core.samplers.carbs`' affair. Milestones below the end only tell its model how a
trial is doing; nobody is stopped there.
"""

from dataclasses import dataclass

from scaletune.api.record import DecisionWord, Evidence, Milestone
from scaletune.api.trial import Trial
from scaletune.core.ledger import Ledger
from scaletune.core.policies.full import Full


@dataclass(frozen=True)
class Carbs(Full):
    """All trials go on to the end, unless their configuration fails."""

    def judge(
        self, ledger: Ledger, trial: Trial, record: Milestone
    ) -> tuple[DecisionWord, Evidence]:
        """As without a policy; below the end it only says that the trial goes on."""
        word, evidence = super().judge(ledger, trial, record)
        goes_on = word == "Complete" and record.at < ledger.frame.full(trial)
        return ("Continue" if goes_on else word), evidence
