"""Rungs: the milestones at which trials are compared before more is spent on them.

Integers throughout: floor(log(R/r)/log(eta)) in floating point loses a rung at R/r = 243, eta 3.
"""

from scaletune.api.study import Study


def milestones(study: Study) -> tuple[int, ...]:
    """All milestones of a study's trials; the last one is a full training."""
    most, asha = study.spec.training.max, study.spec.policy.asha
    if asha is None:
        return (most,)
    return levels(asha.min or default_least(most, asha.eta), most, asha.eta)


def first_until(study: Study) -> int:
    """How far a new trial is told to train: to its first pause, or in full."""
    asha, ladder = study.spec.policy.asha, milestones(study)
    return ladder[0] if asha is not None and asha.mode == "Promote" else ladder[-1]


def levels(least: int, most: int, eta: int) -> tuple[int, ...]:
    """Milestones least, least*eta, least*eta^2, ... below most, and most itself."""
    steps, step = [], least
    while step < most:
        steps.append(step)
        step *= eta
    return (*steps, most)


def default_least(most: int, eta: int) -> int:
    """The smallest first level that gives four rungs below most, or as many as fit from 1 up."""
    return max(1, -(-most // eta**4))
