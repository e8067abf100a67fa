"""Many fractions of a stream at once, for samplers that work on arrays."""

import math

import numpy as np

from scaletune.core.numerics.gaussian_process import Array
from scaletune.core.seeds import Stream


def uniforms(random: Stream, *shape: int) -> Array:
    """Fractions in [0, 1), of 53 bits as the stream's own."""
    drawn = np.frombuffer(random.randbytes(8 * math.prod(shape)), dtype=np.uint64)
    fractions: Array = (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return fractions.reshape(shape)
