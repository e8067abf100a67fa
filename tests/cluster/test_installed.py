"""What happens to pods of an installed operator: bugs, new tokens, a hang, a node that is lost."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from scaletune.api.conditions import PLAN_FAILED, condition
from tests.cluster import audit, mounts, releases, studies
from tests.cluster.connection import Connection, Refused
from tests.cluster.mounts import Mount
from tests.cluster.operators import wait_until
from tests.cluster.releases import CONTAINER, NAME, Release
from tests.helm import chart

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_clusters")]

Json = dict[str, Any]

ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
BUG: Final = """
import scaletune.core.plan as plan

decide = plan.decide


def planted(study, ledger, now):
    if study.metadata.name == "broken":
        raise RuntimeError("a bug that a test has planted")
    return decide(study, ledger, now)


plan.decide = planted
"""


def _deployment(account: Mount) -> Json:
    """Two replicas with a bug, a token that the test renews, and probes that act sooner."""
    container = {
        "name": CONTAINER,
        "env": [{"name": "PYTHONPATH", "value": "/etc/bug"}],
        "volumeMounts": [
            {"name": "bug", "mountPath": "/etc/bug"},
            {"name": account.name, "mountPath": ACCOUNT, "readOnly": True},
        ],
        "livenessProbe": {"periodSeconds": 2, "failureThreshold": 3},
        "readinessProbe": {"periodSeconds": 2},
    }
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 5,
        "volumes": [{"name": "bug", "configMap": {"name": "bug"}}, *mounts.volumes([account])],
        "containers": [container],
    }
    return {"spec": {"replicas": 2, "template": {"spec": pod}}}


class Tokens:
    """The account's files, of which each new token puts an end to the one before."""

    def __init__(self, connection: Connection, namespace: str, folder: Path) -> None:
        self._connection, self._namespace, self._folder = connection, namespace, folder
        self._number = 0
        config = yaml.safe_load(connection.kubeconfig.read_text())
        authority = Path(config["clusters"][0]["cluster"]["certificate-authority"])
        self._write("ca.crt", authority.read_text())
        self._write("namespace", namespace)

    def renew(self) -> str:
        """A new token, after which the old one, which is returned, is refused."""
        file, place = self._folder / "token", ("-n", self._namespace)
        old = file.read_text() if file.exists() else ""
        self._number += 1
        name = f"token-{self._number}"
        self._connection.kubectl("create", "secret", "generic", name, *place)
        bound = (f"--bound-object-name={name}", "--bound-object-kind=Secret")
        self._write("token", self._connection.kubectl("create", "token", NAME, *place, *bound))
        if old:
            self._connection.kubectl("delete", "secret", f"token-{self._number - 1}", *place)
        return old

    def _write(self, name: str, text: str) -> None:
        new = self._folder / f".{name}"
        new.write_text(text)
        new.chmod(0o644)
        new.replace(self._folder / name)


def _is_refused(cluster: Connection, token: str, folder: Path) -> bool:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": "test", "user": {"token": token}}]
    kubeconfig = folder / "old.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    try:
        replace(cluster, kubeconfig=kubeconfig).kubectl("get", "--raw", "/version")
    except Refused as refused:
        return "Unauthorized" in refused.words or "logged in" in refused.words
    return False


def _apply(cluster: Connection, namespace: str, name: str) -> None:
    policy = {"asha": {"eta": 3, "min": 1, "mode": "Promote"}}
    bounds: Json = {"parallelism": 2, "budget": {"trials": 2}, "checkpoints": studies.claim()}
    cluster.apply(studies.study(namespace, name, policy=policy, **bounds))


def _serves(cluster: Connection, namespace: str, name: str) -> None:
    """A Study is taken to its end."""
    _apply(cluster, namespace, name)
    _, trials = studies.wait_for_end(cluster, namespace, name, seconds_max=180)
    assert "Completed" in {trial.status.state for trial in trials}


@pytest.fixture
def tokens(
    cluster: Connection, namespace: str, release: Release, tmp_path: Path
) -> Iterator[Tokens]:
    """Those of an installation of two replicas with the bug, which is there as well."""
    folder = tmp_path / "account"
    folder.mkdir(mode=0o755)
    account = Mount("account", folder, ACCOUNT)
    bug = {"kind": "ConfigMap", "metadata": {"name": "bug", "namespace": namespace}}
    data = {"sitecustomize.py": BUG}
    cluster.apply(*mounts.claims(namespace, [account]), {"apiVersion": "v1", **bug, "data": data})
    values = {"watch": {"namespaces": [namespace]}, "replicas": 0, "rbac": {"aggregate": False}}
    release.helm("install", str(chart.CHART), "--take-ownership", values=values)
    made = Tokens(cluster, namespace, folder)
    made.renew()
    release.patch(_deployment(account))
    yield made
    sys.stderr.write("\n".join(release.complaints()))


def test_pods_of_the_operator_outlive_a_bug_new_tokens_a_hang_and_the_loss_of_the_leader(
    cluster: Connection, namespace: str, release: Release, tokens: Tokens, tmp_path: Path
) -> None:
    two = {pod["metadata"]["name"] for pod in release.pods()}
    assert len(two) == 2

    _apply(cluster, namespace, "broken")
    _serves(cluster, namespace, "s1")
    wait_until("the bug is told", lambda: _told_of_the_bug(cluster, namespace), 120)
    assert studies.stored(cluster, namespace, "broken")[1] == []
    about = f'condition="PlanFailed",namespace="{namespace}",reason="PlanRaisedAnError"'
    shown = f'scaletune_study_condition{{{about},status="True",study="broken"}} 1.0'
    assert shown in releases.metrics(_leader(release)).splitlines()

    old = tokens.renew()
    wait_until("the old token is refused", lambda: _is_refused(cluster, old, tmp_path), 60)
    _serves(cluster, namespace, "s2")

    frozen = _leader(release)["metadata"]
    releases.freeze(_leader(release))
    _serves(cluster, namespace, "s3")
    assert release.leader() != frozen["name"]
    wait_until("it is restarted", lambda: _restarted(release) == {frozen["name"]: 1}, 120)
    wait_until("both are ready", lambda: _are_ready(release, 2), 120)

    _apply(cluster, namespace, "s4")
    lost = release.leader()
    assert lost in two - {frozen["name"]}
    cluster.kubectl("delete", "pod", lost, "-n", namespace, "--force", "--grace-period=0")
    _serves(cluster, namespace, "s4")
    assert release.leader() != lost
    wait_until("another is ready in its place", lambda: _are_ready(release, 2), 120)

    started = [
        each.name
        for each in audit.requests(cluster, namespace, NAME)
        if each.is_write and (each.verb, each.resource) == ("create", "jobs")
    ]
    assert sorted(started) == sorted(set(started))
    assert {words for words in release.complaints() if "no plan for" not in words} == set()


def _leader(release: Release) -> Json:
    [found] = [pod for pod in release.pods() if pod["metadata"]["name"] == release.leader()]
    return found


def _are_ready(release: Release, count: int) -> bool:
    return sum(map(releases.is_ready, release.pods())) == count


def _told_of_the_bug(cluster: Connection, namespace: str) -> bool:
    study, _ = studies.stored(cluster, namespace, "broken")
    told = condition(study.status.conditions, PLAN_FAILED)
    return told is not None and "a bug that a test has planted" in told.message


def _restarted(release: Release) -> dict[str, int]:
    """How often the kubelet has started pods anew, by their names."""
    found = {pod["metadata"]["name"]: releases.restarts(pod) for pod in release.pods()}
    return {name: times for name, times in found.items() if times}
