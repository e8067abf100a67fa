"""What an operator asks of the API server can be counted at the server."""

from pathlib import Path

import pytest

from tests.cluster import accounts, audit
from tests.cluster.connection import Connection, Refused
from tests.cluster.operators import wait_until

pytestmark = pytest.mark.usefixtures("own_clusters")


def test_the_server_writes_down_what_a_service_account_asks_and_what_it_is_refused(
    control_plane: Connection, namespace: str, tmp_path: Path
) -> None:
    account = ("--serviceaccount", f"{namespace}:default")
    may = ("--verb=create", "--resource=configmaps")
    control_plane.kubectl("create", "role", "asking", "-n", namespace, *may)
    control_plane.kubectl(
        "create", "rolebinding", "asking", "-n", namespace, "--role=asking", *account
    )
    asking = accounts.connection_of(control_plane, namespace, "default", tmp_path)
    create = ("create", "configmap", "words", "-n", namespace, "--validate=false")

    wait_until("it may ask", lambda: _is_done(asking, *create, "--dry-run=server"), 30)
    asking.kubectl(*create)
    with pytest.raises(Refused, match="forbidden"):
        asking.kubectl("get", "secrets", "-n", namespace)

    requests = audit.requests(control_plane, namespace, "default")
    seen = [each for each in requests if each.resource]
    made = ("create", "configmaps", 201)
    assert [(each.verb, each.resource, each.code, each.is_write) for each in seen[-3:]] == [
        (*made, False),
        (*made, True),
        ("list", "secrets", 403, False),
    ]


def _is_done(asking: Connection, *words: str) -> bool:
    try:
        asking.kubectl(*words)
    except Refused:
        return False
    return True
