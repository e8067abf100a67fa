"""In one thread: models of a few hundred trials, in whatever process they are computed.

On busy cores the threads of the library for matrices wait for each other in loops: a fit took ten
times the processor time. And several add up in another order than one, so that the same trials
might not lead to the same suggestion on every machine. The limit holds while a model is computed
and no longer; neither other arrays of this process nor its environment, which trials inherit, are
touched.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy  # noqa: F401, so that its library is there to be found
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

P = ParamSpec("P")
T = TypeVar("T")
_LIBRARIES: Any = ThreadpoolController()


def in_one_thread(call: Callable[P, T]) -> Callable[P, T]:
    """The same call, with one thread for matrices while it lasts."""

    @wraps(call)
    def limited(*arguments: P.args, **named: P.kwargs) -> T:
        with _LIBRARIES.limit(limits=1, user_api="blas"):
            return call(*arguments, **named)

    return limited
