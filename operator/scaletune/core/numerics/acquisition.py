"""What to evaluate next: of many candidates the one that most likely improves on the best.

A candidate is a point of the unit cube, one coordinate for each parameter. The model sees
*columns*: the coordinates, a choice as one column for each of its values, and last how far a
training went.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaletune.core.numerics.gaussian_process import Array, Surrogate, fit, normal_scores
from scaletune.core.numerics.lessons import Expectation, Lesson
from scaletune.core.numerics.normal import normal_distribution

FAR = 12.0  # deviations


@dataclass(frozen=True)
class Axis:
    """One parameter: how many values it has (0: a continuum), and whether they have an order."""

    values: int = 0
    ordered: bool = True


@dataclass(frozen=True)
class Seen:
    """Records: points, how far they were trained (0 to 1), and their scores, smaller is better."""

    points: Array
    trained: Array
    scores: Array


def columns(axes: Sequence[Axis], points: Array, trained: Array | float) -> Array:
    """What the model sees of points."""
    found = []
    for place, axis in enumerate(axes):
        at = points[:, place]
        if not axis.values:
            found.append(at[:, None])
            continue
        chosen = np.minimum((at * axis.values).astype(int), axis.values - 1)
        if axis.ordered:
            found.append((chosen / max(1, axis.values - 1))[:, None])
        else:
            found.append(np.eye(axis.values)[chosen])
    return np.column_stack([*found, np.broadcast_to(trained, len(points))])


def best_candidate(
    axes: Sequence[Axis],
    fitted_on: Seen,
    seen: Seen,
    pending: Array,
    candidates: Array,
    lessons: Sequence[Lesson] = (),
) -> int:
    """Which candidate has the greatest expected improvement, trained in full.

    Points under way count as if they had come out as expected, so that nothing is tried twice at
    once. The closer a candidate is to any that was tried, the less is hoped of it, whatever noise
    the model sees: else, where it takes a rough function for noise, it tries the best over and
    over, and the equally good copies of one configuration are all trained on.

    The hyperparameters, and how far lessons are trusted, are those of `fitted_on`, which changes
    more rarely than what is seen.
    """
    scores = normal_scores(fitted_on.scores)
    expected = Expectation(lessons, fitted_on.points, scores, fitted_on.trained)
    found = fit(
        columns(axes, fitted_on.points, fitted_on.trained), scores - expected.of(fitted_on.points)
    )
    rows, before = columns(axes, seen.points, seen.trained), expected.of(seen.points)
    surrogate = Surrogate(rows, normal_scores(seen.scores) - before, found)
    mean, deviation = surrogate.expect(columns(axes, candidates, 1.0), columns(axes, pending, 1.0))
    mean = mean + expected.of(candidates)
    target = float((surrogate.mean(rows) + before).min())
    tried = columns(axes, np.vstack([seen.points, pending]), 1.0)
    left = np.log(surrogate.apart(columns(axes, candidates, 1.0), tried))
    return int(np.argmax(log_expected_improvement(mean, deviation, target) + left))


def log_expected_improvement(mean: Array, deviation: Array, target: Array | float) -> Array:
    """The logarithm of the expected improvement below a target."""
    z = (target - mean) / deviation
    log_density = -0.5 * z * z - 0.5 * math.log(2 * math.pi)
    near = np.exp(log_density) + z * normal_distribution(z)
    # Far out the difference cancels: there the first terms of its asymptotic series.
    square = 1 / np.minimum(z, -FAR) ** 2
    far = log_density + np.log(square * (1 - square * (3 - square * (15 - square * 105))))
    found: Array = np.log(deviation)
    found = found + np.where(z > -FAR, np.log(np.maximum(near, 1e-300)), far)
    return found


def neighbours(
    axes: Sequence[Axis], around: Array, uniforms: Array, rate: float, spread: float
) -> Array:
    """A mutation of each point: every coordinate moves with probability `rate`, at least one does.

    `uniforms` holds four numbers in [0, 1) for each coordinate. Steps are normal, and reflected at
    the ends; a choice without an order takes any of its values.
    """
    changed, radius, angle, anew = uniforms
    step = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
    spreads = np.array([max(spread, 1 / axis.values if axis.values else 0.0) for axis in axes])
    moved = np.abs(around + spreads * step)
    moved = np.clip(1 - np.abs(1 - moved), 0.0, 1.0 - 1e-12)
    unordered = np.array([bool(axis.values) and not axis.ordered for axis in axes])
    moves = changed <= np.maximum(rate, changed.min(axis=1, keepdims=True))
    mutated: Array = np.where(moves, np.where(unordered, anew, moved), around)
    return mutated
