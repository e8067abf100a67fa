"""Faults: what goes otherwise than wished, each drawn from a stream with a name of its own.

The node's lives depend on (seed, node) alone and a delay on (seed, trial, report), so that two
policies meet the same weather.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scaletune.core.seeds import stream

SCRAPE_SECONDS = 15.0  # Prometheus' usual interval: a report that a scrape missed is in the next


@dataclass(frozen=True)
class Overhead:
    """Seconds beside the training itself."""

    start: float = 0.0
    resume: float = 0.0
    pause: float = 0.0


@dataclass(frozen=True)
class Failures:
    """Nodes fail after `mtbf` seconds and are repaired within `repair`, on average."""

    mtbf: float = math.inf
    repair: float = 0.0
    checkpoint: int = 0
    """checkpoint is every how many steps trainers write one; 0: at milestones alone."""


@dataclass(frozen=True)
class Circumstances:
    """Under which a study is simulated."""

    overhead: Overhead = Overhead()
    failures: Failures = Failures()
    late_seconds: float = 0.0
    """late_seconds is how much later the shell hears of anything, on average."""
    lost: float = 0.0
    """lost is the fraction of scrapes that fail; what they missed, the next one has."""


def lives(failures: Failures, seed: int, node: int) -> Iterator[tuple[float, float]]:
    """How long a node lives and how long its repair takes, again and again."""
    random = stream(seed, node, "life of a node")
    while True:
        repair = random.expovariate(1 / failures.repair) if failures.repair else 0.0
        yield random.expovariate(1 / failures.mtbf), repair


def delay_of_report(where: Circumstances, seed: int, trial: int, name: str) -> float:
    """Seconds until the shell hears of a report by a scrape."""
    if not where.late_seconds and not where.lost:
        return 0.0
    random, seconds = stream(seed, trial, f"report {name}"), 0.0
    if where.late_seconds:
        seconds = random.expovariate(1 / where.late_seconds)
    while random.random() < where.lost:
        seconds += SCRAPE_SECONDS
    return seconds


def delay_of_end(where: Circumstances, seed: int, trial: int, name: str) -> float:
    """Seconds until the shell hears that an attempt has ended."""
    if not where.late_seconds:
        return 0.0
    return stream(seed, trial, f"end {name}").expovariate(1 / where.late_seconds)
