"""Rungs: the milestones at which trials are compared before more is spent on them.

Integers throughout: floor(log(R/r)/log(eta)) in floating point loses a rung at R/r = 243, eta 3.
"""


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
