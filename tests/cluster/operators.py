"""The operator as tests run it: a process of this machine, with no more rights than it has to have.

It connects as the service account of the chart, with the roles that the chart makes for an operator
that serves one namespace, so that two tests, or two runs, never touch each other's studies. It can
be killed and started again like a pod whose node is lost.
"""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster import accounts
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
        self._folder, self._kubeconfig = folder, folder / f"{ACCOUNT}.kubeconfig"
        self.log = folder / "operator.log"
        folder.mkdir(exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        grant(self._connection, self._namespace)
        accounts.connection_of(self._connection, self._namespace, ACCOUNT, self._folder)
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
            "SCALETUNE_OPERATOR_PORT": "0",
            # One at a time. Under a Lease, one started after a kill would wait until it runs out.
            "SCALETUNE_ELECTION": "0",
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
        self.send(signal.SIGTERM)
        return self.wait(30)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds_max: float) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self._process is not None
        return self._process.wait(timeout=seconds_max)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def page(self, name: str) -> tuple[int, str]:
        """Status and text of a page that it serves; (0, "") while it serves none."""
        ports = re.findall(r"on port (\d+)", self.log.read_text())
        if not ports or not self.is_running():
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[-1]}/{name}", timeout=10) as page:
                return page.status, page.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """What it counts under this name, all series that have these labels together."""
        families = text_string_to_metric_families(self.page("metrics")[1])
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    @property
    def credential(self) -> str:
        """How the audit log of the API server calls this very operator's token."""
        token = yaml.safe_load(self._kubeconfig.read_text())["users"][0]["user"]["token"]
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return f"JTI={claims['jti']}"

    def lines(self) -> list[dict[str, Any]]:
        """What it logged, one object a line."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def complaints(self) -> list[str]:
        """What it logged that is not just information."""
        return [line["message"] for line in self.lines() if line["level"] not in ("info", "debug")]


def grant(connection: Connection, namespace: str, left_out: str = "") -> None:
    """Make the chart's service account and its roles; without those on one resource."""
    values = {
        "watch": {"namespaces": [namespace]},
        "crds": {"install": False},
        "rbac": {"aggregate": False},
    }
    manifests = chart.rendered(values, namespace=namespace)
    for role in chart.of_kind(manifests, "Role", "ClusterRole"):
        for rule in role["rules"]:
            rule["resources"] = [each for each in rule["resources"] if each != left_out]
        role["rules"] = [rule for rule in role["rules"] if rule["resources"]]
    connection.apply(*chart.of_kind(manifests, *RIGHTS))


def wait_until(what: str, holds: Callable[[], object], seconds_max: float) -> None:
    """Look until it holds. Raises AssertionError when the time is over."""
    deadline = time.monotonic() + seconds_max
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds_max:g} s"
        time.sleep(0.2)
