"""The chart installed in a namespace, and the operator's pods that come of it."""

import json
import os
import signal
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.cluster.connection import Connection
from tests.helm import chart

Json = dict[str, Any]

NAME: Final = "scaletune"
CONTAINER: Final = "operator"


class Release:
    """The chart in a namespace of a test."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection, self.namespace = connection, namespace

    def helm(self, verb: str, *words: str, values: Mapping[str, Any] | None = None) -> str:
        place = ("--namespace", self.namespace)
        kubeconfig = self._connection.kubeconfig
        return chart.helm(verb, NAME, *words, *place, values=values, kubeconfig=kubeconfig)

    def pods(self) -> list[Json]:
        """The operator's pods that are not on their way out."""
        selector = f"app.kubernetes.io/instance={NAME}"
        found = self._connection.get("pods", "-n", self.namespace, "-l", selector)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def patch(self, change: Json) -> None:
        """Change the Deployment as somebody would by hand, and wait until its pods are ready."""
        where = ("-n", self.namespace, f"deployment/{NAME}")
        self._connection.kubectl("patch", *where, "-p", json.dumps(change))
        self._connection.kubectl("rollout", "status", *where, "--timeout=100s")

    def leader(self) -> str:
        """The name of the pod that holds the Lease; nothing while nobody does."""
        lease = self._connection.get("lease", NAME, "-n", self.namespace)
        return (lease["spec"].get("holderIdentity") or "").rpartition("_")[0]

    def complaints(self) -> list[str]:
        """What the operators that run now have logged as wrong; who only starts has no log."""
        lines = [
            json.loads(line)
            for pod in self.pods()
            if is_running(pod)
            for line in self._log(pod["metadata"]["name"]).splitlines()
        ]
        return [each["message"] for each in lines if each["level"] not in ("info", "debug")]

    def _log(self, pod: str) -> str:
        return self._connection.kubectl("logs", "-n", self.namespace, pod)


def metrics(pod: Json) -> str:
    """What the operator in a pod shows."""
    with urllib.request.urlopen(
        f"http://{pod['status']['podIP']}:8080/metrics", timeout=20
    ) as page:
        text: str = page.read().decode()
    return text


def is_ready(pod: Json) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True"


def is_running(pod: Json) -> bool:
    """Whether the operator in it runs, ready or not."""
    found = pod["status"].get("containerStatuses", ())
    return bool(found) and all("running" in each["state"] for each in found)


def restarts(pod: Json) -> int:
    """How often the kubelet has started the operator in it anew."""
    return sum(each["restartCount"] for each in pod["status"]["containerStatuses"])


def freeze(pod: Json) -> None:
    """Stop the operator in a pod of this machine, as a kernel that hangs would."""
    for number in _processes(pod["metadata"]["uid"]):
        os.kill(number, signal.SIGSTOP)


def _processes(uid: str) -> Iterator[int]:
    """The processes of an operator's pod, by the control group that they are in."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_its = uid in (folder / "cgroup").read_text()
            command = (folder / "cmdline").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if is_its and "scaletune" in command:
            yield int(folder.name)
