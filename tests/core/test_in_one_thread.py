"""Claims about threads: a model takes one, and nothing else of the process notices."""

import os
from collections.abc import Callable

import numpy as np
import pytest
from threadpoolctl import (  # type: ignore[import-untyped]
    threadpool_info,
    threadpool_limits,
)

from scaletune.core import laws
from scaletune.core.numerics.gaussian_process import Array, Factor
from scaletune.core.policies.policy import population_of
from tests.core import test_adaptive, test_carbs, test_exploring, test_laws, test_pbt


def threads() -> int:
    [library] = [each for each in threadpool_info() if each["user_api"] == "blas"]
    return int(library["num_threads"])


def the_default_sampler() -> None:
    study = test_adaptive.study()
    test_adaptive.proposed(study, test_adaptive.seen(study, 41))


def policy_carbs() -> None:
    study = test_carbs.study(repeatEvery=0)  # a repeat asks no model
    test_carbs.proposed(study, test_carbs.drawn(study, 13), 13)


def pb2() -> None:
    study = test_pbt.study(16, pbt={"explore": "pb2"})
    ledger = test_exploring.planted(study, 16)
    population = population_of(study, ledger.frame)
    assert population is not None
    population.exploit(ledger, ledger.trial(15), 2, 0)


def scaling_laws() -> None:
    study = test_laws.study()
    laws.laws(study, test_laws.snapshot(study, count=30))


@pytest.mark.parametrize("model", [the_default_sampler, policy_carbs, pb2, scaling_laws])
def test_a_model_is_computed_in_one_thread_and_all_else_keeps_its_own(
    model: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, before, cholesky = set(), dict(os.environ), np.linalg.cholesky

    def watched(matrix: Array) -> Factor:
        taken.add(threads())
        return cholesky(matrix)

    monkeypatch.setattr(np.linalg, "cholesky", watched)
    with threadpool_limits(3, "blas"):
        model()
        left = threads()

    assert taken == {1}
    assert left == 3
    assert dict(os.environ) == before  # which trials inherit
