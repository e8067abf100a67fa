"""Claims about the fit of a Gaussian process: it goes where the data are more likely."""

import math

import numpy as np
import pytest

from scaletune.core.numerics import gaussian_process
from scaletune.core.numerics.gaussian_process import Array, Hyperparameters, Priors, Surrogate, fit

TREND = Priors(linear=(0.1, 1.0))


def data(count: int = 30, columns: int = 3) -> tuple[Array, Array]:
    """A wave along the first column, a slope along the second, nothing along the others."""
    random = np.random.default_rng(1)
    rows = random.random((count, columns))
    return rows, np.sin(6 * rows[:, 0]) + rows[:, 1] + 0.05 * random.normal(size=count)


def posterior(rows: Array, values: Array, at: Array, priors: Priors) -> float:
    """Its negative logarithm but for constants, written down as in a textbook."""
    columns = rows.shape[1]
    median, spread = priors.logarithms(columns)
    lengths, signal, noise = np.exp(at[:columns]), math.exp(at[columns]), math.exp(at[columns + 1])
    far = np.sqrt(5 * (((rows[:, None] - rows[None]) / lengths) ** 2).sum(axis=2))
    kernel = signal * (1 + far + far**2 / 3) * np.exp(-far)
    kernel += (noise + gaussian_process.JITTER) * np.eye(len(rows))
    if priors.linear:
        kernel += math.exp(at[-1]) * rows @ rows.T
    fitting = 0.5 * values @ np.linalg.solve(kernel, values)
    off = (at - median) / spread
    return float(fitting + 0.5 * np.linalg.slogdet(kernel)[1] + 0.5 * off @ off)


@pytest.mark.parametrize("priors", [Priors(), TREND])
def test_value_and_gradient_are_those_of_the_posterior(priors: Priors) -> None:
    rows, values = data()
    median, spread = priors.logarithms(3)
    slope = gaussian_process._slope(rows, values, median, spread)
    at = median + 0.3 * np.arange(len(median)) - 0.5
    value, gradient = slope(at)

    assert value == pytest.approx(posterior(rows, values, at, priors))
    for place, each in enumerate(1e-5 * np.eye(len(at))):
        up, down = (posterior(rows, values, at + sign * each, priors) for sign in (1, -1))
        assert gradient[place] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("count", [1, 2, 10, 70])
def test_a_fit_is_nearly_as_likely_as_the_best_of_many_steps(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, values = data(count)

    def off(found: Hyperparameters) -> float:
        at = np.log([*found.lengths, found.signal, found.noise])
        return posterior(rows, values, at, Priors())

    few = fit(rows, values)
    monkeypatch.setattr(gaussian_process, "STEPS", 300)
    gaussian_process._fitted.cache_clear()
    many = fit(rows, values)
    gaussian_process._fitted.cache_clear()

    assert off(many) <= off(few) < off(many) + 0.5


def test_what_does_not_matter_gets_a_length_scale_that_says_so() -> None:
    rows, values = data(60)
    found = fit(rows, values)

    assert found.lengths[0] < found.lengths[2]
    error = Surrogate(rows, values, found).mean(rows) - values
    assert float(np.abs(error).max()) < 0.3
