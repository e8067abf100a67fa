"""Whether all trials can write their checkpoints is judged before any of them starts."""

from typing import Any

import pytest

from scaletune.shells.kubernetes.hindrances.claims import judged
from tests.shells.kubernetes import given

ALONE = {"spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}}
SHARED = {"spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Bound"}}


def _judged(raw: Any, pod: Any = None, **spec: Any) -> tuple[str, str]:
    study = given.study(pod=pod, **spec)
    found = judged(study, raw)
    assert found.message
    return found.status, found.reason


CASES: dict[str, tuple[Any, tuple[str, str]]] = {
    "missing": (None, ("False", "ClaimMissing")),
    "lost": ({**SHARED, "status": {"phase": "Lost"}}, ("False", "ClaimLost")),
    "read only": ({"spec": {"accessModes": ["ReadOnlyMany"]}}, ("False", "ClaimReadOnly")),
    "of one node": (ALONE, ("False", "ClaimNotShared")),
    "of one pod": ({"spec": {"accessModes": ["ReadWriteOncePod"]}}, ("False", "ClaimNotShared")),
    "being deleted": (
        {**SHARED, "metadata": {"deletionTimestamp": "2025-11-24T15:59:00Z"}},
        ("False", "ClaimDeleted"),
    ),
    "not bound yet": ({**SHARED, "status": {"phase": "Pending"}}, ("Unknown", "ClaimPending")),
    "shared": (SHARED, ("True", "ClaimBound")),
}


@pytest.mark.parametrize("case", CASES)
def test_a_claim_for_two_pods_at_once_must_be_there_and_shared(case: str) -> None:
    raw, said = CASES[case]

    assert _judged(raw, parallelism=2) == said


def test_a_claim_of_one_node_serves_one_pod_at_a_time_or_pods_pinned_to_a_node() -> None:
    container = {"name": "trainer", "image": "example", "command": ["python", "train.py"]}
    pinned = {"containers": [container], "nodeSelector": {"kubernetes.io/hostname": "n1"}}

    assert _judged(ALONE, parallelism=1) == ("True", "ClaimBound")
    assert _judged(ALONE, pod={"spec": pinned}, parallelism=8) == ("True", "ClaimBound")
    two = {"nodes": 2, "pod": {"spec": {"containers": [container]}}}
    assert _judged(ALONE, template=two) == ("False", "ClaimNotShared")
