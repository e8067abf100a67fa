"""Synchronous successive halving, written from the paper: all at once, rung by rung."""

from collections.abc import Callable, Sequence

Value = Callable[[int, int], float | None]


def rung(values: dict[int, float | None], quota: int) -> list[int]:
    """Who goes on, best first: the first `quota` that have a value; ties go to the lower index."""
    finite = [(value, trial) for trial, value in values.items() if value is not None]
    return [trial for _, trial in sorted(finite)][:quota]


def bracket(
    trials: Sequence[int], ladder: Sequence[int], eta: int, value: Value
) -> dict[int, list[int]]:
    """Who comes to each milestone. `value(trial, milestone)` is None where that fails."""
    there, slots, found = list(trials), len(trials), {}
    for level in ladder:
        found[level] = sorted(there)
        slots //= eta
        there = rung({trial: value(trial, level) for trial in there}, slots)
    return found
