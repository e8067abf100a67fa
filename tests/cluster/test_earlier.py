"""A Study that begins with what an earlier one of its namespace has found, on a real API server."""

from scaletune.api.conditions import READY, condition
from tests.cluster import studies
from tests.cluster.connection import Connection
from tests.cluster.operators import Operator, wait_until

STOP = {"asha": {"eta": 3, "min": 1, "mode": "Stop"}}


def test_a_study_waits_for_an_earlier_one_and_begins_with_its_best_as_on_a_laptop(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    begins = [{"study": "old", "top": 2}]
    cluster.apply(
        studies.study(namespace, "new", warmStart=begins, policy=STOP, budget={"trials": 3})
    )

    def reason() -> str:
        found = condition(studies.stored(cluster, namespace, "new")[0].status.conditions, READY)
        return "" if found is None else found.reason

    wait_until("it says what it waits for", lambda: reason() == "EarlierStudyMissing", 60)
    cluster.apply(studies.study(namespace, "old", policy=STOP, budget={"trials": 3}, parallelism=3))
    _, before = studies.wait_for_end(cluster, namespace, "old", seconds_max=120)
    study, trials = studies.wait_for_end(cluster, namespace, "new", seconds_max=120)

    assert study.status.prior is not None
    assert study.status.prior.message == "2 configurations from old"
    ranks = {
        trial.spec.used["x"]: max((each.at, -(each.value or 0)) for each in trial.status.milestones)
        for trial in before
    }
    best = sorted(ranks, key=lambda x: ranks[x], reverse=True)
    assert [trial.spec.used["x"] for trial in trials][:2] == best[:2]
    assert [trial.spec.origin.kind for trial in trials if trial.spec.origin] == [
        *["WarmStart"] * 2,
        "Random",
    ]
    assert studies.decisions(trials) == studies.replayed(study, trials)
    assert operator.complaints() == []
