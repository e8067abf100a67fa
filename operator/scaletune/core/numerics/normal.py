"""The normal distribution, where the standard library has it for single numbers only."""

import math

import numpy as np

from scaletune.core.numerics.gaussian_process import Array

_ERFC = np.vectorize(math.erfc, otypes=[float])


def normal_distribution(z: Array) -> Array:
    """The probability of less than z."""
    found: Array = 0.5 * _ERFC(-z / math.sqrt(2))
    return found


def log_normal_distribution(z: Array) -> Array:
    """Its logarithm, also where the probability is too small for a number."""
    z = np.asarray(z, dtype=float)
    near = np.log(np.maximum(normal_distribution(np.maximum(z, -30.0)), 1e-300))
    below = np.minimum(z, -1.0)
    far = -0.5 * below * below - np.log(-below) - 0.5 * math.log(2 * math.pi)
    found: Array = np.where(z > -30.0, near, far)
    return found
