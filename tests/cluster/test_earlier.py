"""Studies that begin with what an earlier one of the namespace has found, on a real API server."""

from typing import Any

from scaletune.api.conditions import READY, condition
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from tests.cluster import studies
from tests.cluster.connection import Connection
from tests.cluster.operators import Operator, wait_until

STOP = {"asha": {"eta": 3, "min": 1, "mode": "Stop"}}


def test_studies_wait_for_an_earlier_one_and_begin_with_what_it_has_found_as_on_a_laptop(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    small: dict[str, Any] = {"policy": STOP, "budget": {"trials": 3}}
    again, learns = [{"study": "old", "top": 2}], [{"study": "old", "mode": "Observations"}]
    cluster.apply(
        studies.study(namespace, "new", warmStart=again, **small),
        studies.study(namespace, "learner", warmStart=learns, **small),
    )

    def reason(name: str) -> str:
        found = condition(studies.stored(cluster, namespace, name)[0].status.conditions, READY)
        return "" if found is None else found.reason

    wait_until(
        "both say what they wait for",
        lambda: {reason("new"), reason("learner")} == {"EarlierStudyMissing"},
        60,
    )
    cluster.apply(studies.study(namespace, "old", parallelism=3, **small))
    _, before = studies.wait_for_end(cluster, namespace, "old", seconds_max=120)
    ranks = {
        trial.spec.used["x"]: max((each.at, -(each.value or 0)) for each in trial.status.milestones)
        for trial in before
    }
    best = sorted(ranks, key=lambda x: ranks[x], reverse=True)
    study, trials = studies.wait_for_end(cluster, namespace, "new", seconds_max=120)
    learner, learned = studies.wait_for_end(cluster, namespace, "learner", seconds_max=120)

    assert (begun(study), begun(learner)) == (
        "2 configurations from old",
        "3 observations from old",
    )
    assert [trial.spec.used["x"] for trial in trials][:2] == best[:2]
    assert origins(trials) == ["WarmStart", "WarmStart", "Random"]
    assert learned[2].spec.used["x"] == best[0]
    assert origins(learned) == ["Random", "Random", "WarmStart"]
    for one, its in ((study, trials), (learner, learned)):
        assert studies.decisions(its) == studies.replayed(one, its)
    assert operator.complaints() == []


def begun(study: Study) -> str:
    assert study.status.prior is not None
    return study.status.prior.message


def origins(trials: list[Trial]) -> list[str]:
    return [trial.spec.origin.kind for trial in trials if trial.spec.origin]
