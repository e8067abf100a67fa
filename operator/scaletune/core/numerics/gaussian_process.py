"""A Gaussian process: a smooth guess at a function, and how sure it is, from a few of its values.

Kernel Matern-5/2 with a length-scale for each column, plus noise, and where the priors allow it a
linear trend, which goes on beyond what was seen. The hyperparameters maximise the
posterior under log-normal priors by a fixed number of sign-based gradient steps (iRprop-, Igel and
Huesken 2003), from a fixed start: equal data give equal fits in every process. Fits are remembered
by the content of their data alone, and forgetting one changes nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Factor = NDArray[np.floating[Any]]

STEPS, FIRST_STEP = 18, 0.5
JITTER = 1e-6
SQRT5 = math.sqrt(5.0)
HALVED_FROM = 50  # rows
_BOUNDS = math.log(1e-3), math.log(1e2)


@dataclass(frozen=True)
class Priors:
    """Medians and spreads of log-normal priors: for a unit cube and the normal scores of ranks."""

    length: tuple[float, float] = (0.7, 1.0)
    signal: tuple[float, float] = (1.0, 1.0)
    noise: tuple[float, float] = (0.1, 1.2)
    linear: tuple[float, float] | None = None
    """linear is the variance of a trend's slopes; none means that there is no trend."""

    def logarithms(self, columns: int) -> Array:
        """Medians and spreads of the logarithms, as the fit orders them."""
        each = [*[self.length] * columns, self.signal, self.noise]
        each += [] if self.linear is None else [self.linear]
        return np.array([(math.log(median), spread) for median, spread in each]).T


@dataclass(frozen=True)
class Hyperparameters:
    """What a fit finds."""

    lengths: tuple[float, ...]
    signal: float
    noise: float
    linear: float = 0.0
    rough: bool = False
    """rough is Matern-3/2 instead."""


class Surrogate:
    """The function as the data show it."""

    def __init__(self, rows: Array, values: Array, found: Hyperparameters) -> None:
        self._rows, self._found = rows, found
        self._whitener = self._inverse_factor(self._kernel(rows, rows))
        self._weights = self._whitener.T @ (self._whitener @ values)

    def mean(self, at: Array) -> Array:
        """The expected values."""
        return self._kernel(at, self._rows) @ self._weights

    def expect(self, at: Array, pending: Array) -> tuple[Array, Array]:
        """The expected values, and their standard deviations once the pending rows are known, too.

        Whatever they are going to be, they are expected to be as expected: the mean stays.
        """
        kernel = self._kernel(at, self._rows)
        white = self._whitener @ kernel.T
        variance = self._found.signal + self._found.linear * (at * at).sum(axis=1)
        variance -= np.einsum("ij,ij->j", white, white)
        if len(pending):
            known = self._whitener @ self._kernel(pending, self._rows).T
            left = self._kernel(pending, pending) - known.T @ known
            shared = self._kernel(pending, at) - known.T @ white
            gained = self._inverse_factor(left) @ shared
            variance -= np.einsum("ij,ij->j", gained, gained)
        return kernel @ self._weights, np.sqrt(np.maximum(variance, 1e-9))

    def apart(self, at: Array, others: Array) -> Array:
        """What the nearest of the others leaves open of each, were there no noise: 0 to 1."""
        nearest = self._smoothness(self._distances(at, others).min(axis=1))
        left: Array = np.sqrt(np.maximum(1 - nearest**2, 1e-6))
        return left

    def drawn(self, at: Array, normals: Array) -> Array:
        """Values that are possible together, as these standard normal numbers choose."""
        kernel = self._kernel(at, self._rows)
        white = self._whitener @ kernel.T
        left = self._kernel(at, at) - white.T @ white
        values, vectors = np.linalg.eigh(left)
        scatter = vectors @ (np.sqrt(np.maximum(values, 0.0)) * normals)
        found: Array = kernel @ self._weights + scatter
        return found

    def _inverse_factor(self, kernel: Array) -> Factor:
        """What makes values of this covariance, and noise, independent of each other."""
        noise = (self._found.noise + JITTER) * np.eye(len(kernel))
        return inverse_of_lower(np.linalg.cholesky(kernel + noise))

    def _kernel(self, at: Array, of: Array) -> Array:
        kernel = self._smoothness(self._distances(at, of))
        kernel *= self._found.signal
        return kernel + self._found.linear * at @ of.T if self._found.linear else kernel

    def _distances(self, at: Array, of: Array) -> Array:
        one, other = at / self._found.lengths, of / self._found.lengths
        squares = one @ (-2 * other.T)
        squares += (one * one).sum(axis=1)[:, None]
        squares += (other * other).sum(axis=1)
        found: Array = np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares)
        return found

    def _smoothness(self, distances: Array) -> Array:
        return _rough_matern(distances) if self._found.rough else _matern(distances)


UNIT_CUBE = Priors()


def fit(rows: Array, values: Array, priors: Priors = UNIT_CUBE) -> Hyperparameters:
    """The most likely hyperparameters of these data, remembered by their content."""
    return _fitted(rows.tobytes(), values.tobytes(), rows.shape[1], priors)


def normal_scores(scores: Array) -> Array:
    """The normal quantiles of their ranks; equal ones share their mean rank.

    What remains of the scores is their order: an outlier or an infinity is only the last one.
    """
    return normal_quantile(rank_fractions(scores))


def rank_fractions(scores: Array) -> Array:
    """Where each lies among all, between 0 and 1; equal ones share their mean rank."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    middle: Array = (last - count / 2) / len(scores)
    return middle[place]


def normal_quantile(fractions: Array) -> Array:
    """The inverse of the normal distribution function (Acklam's rational approximation)."""
    fractions = np.asarray(fractions, dtype=float)
    low, high = fractions < 0.02425, fractions > 1 - 0.02425
    tail = np.sqrt(-2 * np.log(np.where(low, fractions, np.where(high, 1 - fractions, 0.5))))
    outer = np.polyval(_OUTER_TOP, tail) / np.polyval(_OUTER_BOTTOM, tail)
    middle = fractions - 0.5
    inner = middle * np.polyval(_INNER_TOP, middle**2) / np.polyval(_INNER_BOTTOM, middle**2)
    return np.where(low, outer, np.where(high, -outer, inner))


_INNER_TOP = (
    *(-3.969683028665376e01, 2.209460984245205e02, -2.759285104469687e02),
    *(1.383577518672690e02, -3.066479806614716e01, 2.506628277459239e00),
)
_INNER_BOTTOM = (
    *(-5.447609879822406e01, 1.615858368580409e02, -1.556989798598866e02),
    *(6.680131188771972e01, -1.328068155288572e01, 1.0),
)
_OUTER_TOP = (
    *(-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e00),
    *(-2.549732539343734e00, 4.374664141464968e00, 2.938163982698783e00),
)
_OUTER_BOTTOM = (
    *(7.784695709041462e-03, 3.224671290700398e-01),
    *(2.445134137142996e00, 3.754408661907416e00, 1.0),
)


@lru_cache(maxsize=256)
def _fitted(rows: bytes, values: bytes, columns: int, priors: Priors) -> Hyperparameters:
    data = np.frombuffer(rows).reshape(-1, columns)
    median, spread = priors.logarithms(columns)
    slope = _slope(data, np.frombuffer(values), median, spread)
    best = np.exp(_descend(slope, median))
    lengths = tuple(float(length) for length in best[:columns])
    signal, noise, *trend = (float(each) for each in best[columns:])
    return Hyperparameters(lengths, signal, noise, linear=trend[0] if trend else 0.0)


def _descend(slope: Callable[[Array], tuple[float, Array]], start: Array) -> Array:
    """The best of a fixed number of steps, each coordinate's growing while its sign stays."""
    at, best, least = start, start, math.inf
    step, before = np.full(len(start), FIRST_STEP), np.zeros(len(start))
    for _ in range(STEPS):
        value, gradient = slope(at)
        if value < least:
            best, least = at, value
        turned = gradient * before
        step = np.where(turned > 0, np.minimum(step * 1.3, 0.8), step)
        step = np.where(turned < 0, step * 0.5, step)
        at = np.clip(at - np.sign(gradient) * step, *_BOUNDS)
        before = gradient
    return best


def _slope(
    rows: Array, values: Array, median: Array, spread: Array
) -> Callable[[Array], tuple[float, Array]]:
    """The negative log posterior and its gradient, by the logarithms of the hyperparameters.

    All matrices are symmetric: what is looked at are the pairs of rows, and the diagonal.
    """
    count, columns = rows.shape
    one, other = np.tril_indices(count, -1)
    squares = np.ascontiguousarray(((rows[one] - rows[other]) ** 2).T)
    pairs, diagonal = one * count + other, np.arange(count) * (count + 1)
    products = (rows @ rows.T).ravel()
    kernel = np.zeros(count * count)  # its upper part stays empty: nobody reads it

    def slope(at: Array) -> tuple[float, Array]:
        lengths, (signal, noise, *linear) = np.exp(at[:columns]), np.exp(at[columns:])
        scaled = SQRT5 * np.sqrt(lengths**-2 @ squares)
        decay = signal * np.exp(-scaled)
        smooth = (1 + scaled + scaled**2 / 3) * decay  # as in `_matern`
        kernel[pairs], kernel[diagonal] = smooth, signal + noise + JITTER
        if linear:
            kernel[pairs] += linear[0] * products[pairs]
            kernel[diagonal] += linear[0] * products[diagonal]
        factor = np.linalg.cholesky(kernel.reshape(count, count))
        half = inverse_of_lower(factor)
        inverse = (half.T @ half).ravel()
        weights = half.T @ (half @ values)
        off = (at - median) / spread
        value = 0.5 * values @ weights + np.log(np.diag(factor)).sum() + 0.5 * off @ off
        pull = weights[one] * weights[other] - inverse[pairs]
        alone = 0.5 * (weights**2 - inverse[diagonal])
        inner = pull * (5 / 3) * (1 + scaled) * decay
        gradient = np.empty(len(at))
        gradient[:columns] = -(squares @ inner) * lengths**-2
        gradient[columns] = -(pull @ smooth) - signal * alone.sum()
        gradient[columns + 1] = -noise * alone.sum()
        if linear:
            trend = pull @ products[pairs] + alone @ products[diagonal]
            gradient[columns + 2] = -linear[0] * trend
        return float(value), gradient + off / spread

    return slope


def inverse_of_lower(factor: Factor) -> Factor:
    """The inverse of a lower triangular matrix, by halves: nearly all of it is products."""
    if len(factor) <= HALVED_FROM:
        return np.linalg.inv(factor)
    half, found = len(factor) // 2, np.zeros_like(factor)
    first = found[:half, :half] = inverse_of_lower(factor[:half, :half])
    second = found[half:, half:] = inverse_of_lower(factor[half:, half:])
    found[half:, :half] = -second @ (factor[half:, :half] @ first)
    return found


def _matern(distances: Array) -> Array:
    scaled = SQRT5 * distances
    found = np.exp(-scaled)  # from here on in place: a matrix anew costs as much as its sum
    scaled *= 1 + scaled / 3
    scaled += 1
    found *= scaled
    return found


def _rough_matern(distances: Array) -> Array:
    scaled = math.sqrt(3.0) * distances
    found: Array = (1 + scaled) * np.exp(-scaled)
    return found
