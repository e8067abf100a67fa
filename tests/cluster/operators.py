"""The operator as tests run it: a process of this machine, with no more rights than it has to have.

It connects as the service account of the chart, with the roles that the chart makes for an operator
that serves one namespace, so that two tests, or two runs, never touch each other's studies. It can
be killed and started again like a pod whose node is lost.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.cluster.connection import Connection
from tests.helm import chart

ACCOUNT = "scaletune"
RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


class Operator:
    """A context manager: the operator serves one namespace until the end of the context.

    Further keywords are its settings, by the names of environment variables.
    """

    def __init__(
        self, connection: Connection, namespace: str, folder: Path, **settings: str
    ) -> None:
        self._connection, self._namespace, self.settings = connection, namespace, settings
        self._kubeconfig = folder / "operator.kubeconfig"
        self.log = folder / "operator.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        _grant(self._connection, self._namespace, self._kubeconfig)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        # What belongs to no namespace would outlive the test's.
        name = f"{self._namespace}-{ACCOUNT}"
        kinds = "clusterroles,clusterrolebindings"
        self._connection.kubectl("delete", kinds, name, "--ignore-not-found")
        if fault is not None:
            sys.stderr.write(f"the operator's last words:\n{self.log.read_text()[-8000:]}\n")

    def start(self) -> None:
        environment = {
            **os.environ,
            "KUBECONFIG": str(self._kubeconfig),
            "SCALETUNE_NAMESPACE": self._namespace,
            "SCALETUNE_LEASE_NAME": ACCOUNT,  # as the chart calls it
            "SCALETUNE_OPERATOR_PORT": "0",
            "PYTHONWARNINGS": "error::RuntimeWarning",
            **self.settings,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scaletune.shells.kubernetes.operate"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """End it at once, without a chance to say or write anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def end(self) -> int:
        """Ask it to end, as the kubelet does; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=30)

    def lines(self) -> list[dict[str, Any]]:
        """What it logged, one object a line."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def complaints(self) -> list[str]:
        """What it logged that is not just information."""
        return [line["message"] for line in self.lines() if line["level"] not in ("info", "debug")]


def _grant(connection: Connection, namespace: str, kubeconfig: Path) -> None:
    """Make the service account, and a kubeconfig that is it."""
    values = {
        "watch": {"namespaces": [namespace]},
        "crds": {"install": False},
        "rbac": {"aggregate": False},
    }
    manifests = chart.rendered(values, namespace=namespace)
    connection.apply(*chart.of_kind(manifests, *RIGHTS))
    token = connection.kubectl("create", "token", ACCOUNT, "-n", namespace, "--duration=1h")
    config = yaml.safe_load(connection.kubeconfig.read_text())
    config["users"] = [{"name": "test", "user": {"token": token}}]
    kubeconfig.write_text(yaml.safe_dump(config))
    kubeconfig.chmod(0o600)


def wait_until(what: str, holds: Callable[[], object], seconds_max: float) -> None:
    """Look until it holds. Raises AssertionError when the time is over."""
    deadline = time.monotonic() + seconds_max
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds_max:g} s"
        time.sleep(0.2)
