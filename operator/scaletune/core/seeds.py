"""Random streams: one per (seed, trial, purpose), the same in every process and after a crash.

Nothing else in the core makes randomness. A stream is named, not shared: drawing more numbers for
one purpose never moves the numbers of another.
"""

import random

Stream = random.Random


def stream(seed: int, index: int, purpose: str) -> Stream:
    """The stream of one trial for one purpose, such as the name of a parameter."""
    return Stream(f"{seed}/{index}/{purpose}")


def trial_seed(seed: int, index: int) -> int:
    """The seed that a trial's training gets. (A parameter's name never holds a space.)"""
    return stream(seed, index, "trial seed").randrange(2**31)
