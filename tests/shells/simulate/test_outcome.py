"""Claims about what a simulated study says it has come to."""

import math
from typing import Any

from scaletune.shells.simulate.outcome import outcome
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.simulation import Setting, simulate
from tests.core import given
from tests.shells.simulate.drawn import CALM, even


def simulated(objective: Any, **spec: Any) -> Shell:
    return simulate(Setting(given.study(**spec), objective, CALM), seed=0)


def test_the_best_of_a_population_is_told_with_the_values_that_brought_its_value() -> None:
    shell = simulated(even, mode="Pbt", most=8, parallelism=4)
    found = outcome(shell)
    lineages = [each["lineage"] for each in found["trials"] if "lineage" in each]

    for best in (found["best"], found["bestReported"]):
        assert best["parameters"] == [{"name": "learning_rate", "float": best["value"]}]
    assert lineages
    for pieces in lineages:
        assert [each["after"] for each in pieces] == [0, *(each["until"] for each in pieces[:-1])]


def test_a_trial_that_ran_out_of_memory_says_where() -> None:
    def too_large(*arguments: Any, **named: Any) -> Any:
        raise MemoryError

    failure = simulated(too_large).trials[0].status.failure

    assert failure is not None
    assert failure.reason == "the objective raised MemoryError after step 0"


def test_half_of_the_trials_may_diverge_while_the_others_wait() -> None:
    def half(parameters: Any, start: int, until: int, *_: Any, **__: Any) -> Any:
        rate = parameters["learning_rate"]
        return {"value": rate if rate < 3e-3 else math.nan, "seconds": until - start}

    for mode in ("Promote", "successiveHalving", "hyperband"):
        shell = simulated(half, mode=mode, most=27, eta=3, budget={"trials": 40})
        assert outcome(shell)["cause"] == "Completed", mode
