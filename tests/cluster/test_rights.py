"""The operator has the rights that it uses, no more and no fewer.

The rights are the chart's rules as helm renders them. Their uses are what the API server wrote down
of every operator that any test of this run has started, on the machine or in pods; nothing is
listed by hand. So these tests come last, and whether a right is used by nobody can only be said
when all the others were run. `pytest -rP` shows which test used what.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from scaletune.api.model import API_VERSION
from scaletune.shells.kubernetes import workload
from tests.cluster import accounts, audit, operators
from tests.cluster.audit import Request
from tests.cluster.connection import Connection, Refused
from tests.cluster.operators import wait_until
from tests.cluster.standing import Standing
from tests.helm import chart

pytestmark = pytest.mark.usefixtures("own_clusters")

Right = tuple[str, str, str]
"""API group, resource and verb."""


def _granted() -> set[Right]:
    manifests = chart.rendered({"rbac": {"aggregate": False}})
    return {
        (group, resource, verb)
        for role in chart.of_kind(manifests, "Role", "ClusterRole")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _is_seen(right: Right) -> bool:
    """Whether its use is a request; owner references are checked within that of another object."""
    return not right[1].endswith("/finalizers")


def _uses(requests: Iterable[Request], tests: Mapping[str, str]) -> dict[Right, set[str]]:
    """In which tests each right was used."""
    found: dict[Right, set[str]] = {}
    for each in requests:
        if each.resource and not each.is_refused:
            right = (each.group, each.resource, each.verb)
            found.setdefault(right, set()).add(tests.get(each.by, each.by))
    return found


def test_no_operator_was_refused_anything(control_plane: Connection, standing: Standing) -> None:
    requests = list(audit.of_all(control_plane, operators.ACCOUNT))
    for right, tests in sorted(_uses(requests, standing.tests).items()):
        sys.stdout.write(f"{' '.join(right)}: {', '.join(sorted(tests))}\n")
    refused = [each for each in requests if each.is_refused]

    assert [each for each in refused if each.at < standing.deprived.get(each.by, "now")] == []


def test_no_right_is_granted_that_is_never_used(
    control_plane: Connection, standing: Standing, is_whole_run: bool
) -> None:
    uses = _uses(audit.of_all(control_plane, operators.ACCOUNT), standing.tests)
    if not is_whole_run:
        pytest.skip("only a run of all tests in tests/cluster can tell")

    assert {right for right in _granted() if _is_seen(right)} - uses.keys() == set()


@pytest.mark.parametrize(
    ("resource", "owner"),
    [("studies/finalizers", "Study"), ("trials/finalizers", "Trial")],
    ids=["of a Study", "of a Trial"],
)
def test_owner_references_that_block_a_deletion_need_their_right(
    control_plane: Connection,
    crds: list[str],
    namespace: str,
    tmp_path: Path,
    resource: str,
    owner: str,
) -> None:
    owned = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "owned",
            "namespace": namespace,
            "ownerReferences": [workload.owned_by(API_VERSION, owner, "any", "0-0")],
        },
        "spec": {"clusterIP": "None"},
    }

    def words() -> str:
        try:
            return asking.kubectl(
                *("create", "--dry-run=server", "--validate=false", "-f", "-"),
                stdin=json.dumps(owned),
            )
        except Refused as refused:
            return refused.words

    operators.grant(control_plane, namespace)
    asking = accounts.connection_of(control_plane, namespace, operators.ACCOUNT, tmp_path)
    wait_until("it is allowed", lambda: "service/owned created" in words(), 30)

    operators.grant(control_plane, namespace, left_out=resource)
    wait_until("it is refused", lambda: "cannot set blockOwnerDeletion" in words(), 30)
