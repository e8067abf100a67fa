"""What an operator asked of the API server, as the server itself wrote it down.

The control plane keeps an audit log of every answered request of a service account that is not one
of its own controllers'. A request is there at the latest when its answer is: the log is not
buffered. So a test can count an operator's writes, name the verbs that it uses, and find every call
that was refused for want of rights.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.cluster.connection import Connection

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted", "Panic"],
    "rules": [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
    ],
}
_LOG: Final = "audit.log"
_BLOCKS: Final = "cannot set blockOwnerDeletion"


@dataclass(frozen=True)
class Request:
    """One answered request."""

    verb: str
    group: str
    resource: str
    """With its subresource, if there is one, as RBAC writes it: trials/status."""
    namespace: str
    name: str
    code: int
    is_refused: bool
    """Whether the one who asked has not the right to."""
    is_dry_run: bool
    credential: str
    """Of whom it was, as the server calls the token."""
    by: str
    """The namespace of the service account that asked."""
    at: str
    """When it came, as RFC 3339 with microseconds: later ones compare greater."""

    @property
    def is_write(self) -> bool:
        """Whether it changed something that is stored."""
        return self.verb in WRITES and not self.is_dry_run and self.code < 300


def flags(folder: Path) -> dict[str, object]:
    """Make an API server keep the log in its cluster's folder."""
    policy = folder / "audit-policy.yaml"
    policy.write_text(yaml.safe_dump(POLICY))
    return {"audit-policy-file": policy, "audit-log-path": folder / _LOG}


def requests(connection: Connection, namespace: str, account: str) -> Iterator[Request]:
    """All requests of a service account so far, the oldest first."""
    return (each for each in of_all(connection, account) if each.by == namespace)


def of_all(connection: Connection, account: str) -> Iterator[Request]:
    """All requests so far of the service accounts of this name, in whatever namespace.

    Raises FileNotFoundError for a cluster that the tests did not start.
    """
    log = connection.kubeconfig.parent.parent / _LOG
    with log.open() as lines:
        for line in lines:
            if f':{account}"' in line and line.endswith("\n"):
                event = json.loads(line)
                if event["user"]["username"].endswith(f":{account}"):
                    yield _request(event)


def _request(event: dict[str, Any]) -> Request:
    what, answer = event.get("objectRef") or {}, event.get("responseStatus") or {}
    extra = event["user"].get("extra") or {}
    decision = (event.get("annotations") or {}).get("authorization.k8s.io/decision")
    parts = [what.get("resource", ""), what.get("subresource", "")]
    return Request(
        verb=event["verb"],
        group=what.get("apiGroup", ""),
        resource="/".join(part for part in parts if part),
        namespace=what.get("namespace", ""),
        name=what.get("name", ""),
        code=answer.get("code", 0),
        # That owner references need a right is found out later than the others.
        is_refused=decision == "forbid" or _BLOCKS in answer.get("message", ""),
        is_dry_run="dryRun" in parse_qs(urlsplit(event["requestURI"]).query),
        credential=extra.get("authentication.kubernetes.io/credential-id", [""])[0],
        by=event["user"]["username"].split(":")[-2],
        at=event["requestReceivedTimestamp"],
    )
