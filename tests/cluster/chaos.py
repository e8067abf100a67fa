"""Chaos: parts of a running system are killed at random and come back, until a study has ended.

What is done when is drawn from a seed, which is printed, with everything that was done: so a run
can be had again. Not to the letter, because what the system does meanwhile is not drawn.

Nothing here is gentle: the operator, Prometheus and the API server get SIGKILL, so does the second
node's kubelet; its cable is pulled; pods are deleted with and without grace; and workers are killed
in their pods.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from scaletune.shells.kubernetes.names import STUDY_LABEL
from tests.cluster.connection import Connection, Refused
from tests.cluster.controlplane import ControlPlane
from tests.cluster.node import Node
from tests.cluster.operators import Operator
from tests.cluster.prometheus import Prometheus

KILL_THE_WORKERS: Final = (
    "import psutil; [p.kill() for p in psutil.Process(1).children(recursive=True)]"
)
NOTHING: Final = "nothing to hit"


@dataclass(frozen=True)
class Fault:
    """Something to break, and how to mend it after so many seconds."""

    name: str
    weight: int
    break_: Callable[[], object]
    mend: Callable[[], object] | None = None
    seconds: tuple[float, float] = (0.0, 0.0)


@dataclass
class Chaos:
    """Breaks one thing after the other, about one each `pause_seconds`."""

    seed: int
    faults: list[Fault]
    pause_seconds: float
    done: Counter[str] = field(default_factory=Counter)
    _broken: dict[str, tuple[float, Fault]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._begin = time.monotonic()

    def run(self, is_over: Callable[[], bool], seconds_max: float) -> None:
        """Until it is over, or time is; at the end all is whole again."""
        deadline = self._begin + seconds_max
        try:
            while time.monotonic() < deadline and not is_over():
                self._wait(self._dice.expovariate(1 / self.pause_seconds))
                self._break()
        finally:
            for _, fault in self._broken.values():
                self._mend(fault)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._mend_what_is_due()
            time.sleep(0.1)

    def _mend_what_is_due(self) -> None:
        for name, (due, fault) in list(self._broken.items()):
            if time.monotonic() >= due:
                del self._broken[name]
                self._mend(fault)

    def _mend(self, fault: Fault) -> None:
        assert fault.mend is not None
        fault.mend()
        self._say(f"{fault.name}: mended")

    def _break(self) -> None:
        fault = self._dice.choices(self.faults, [each.weight for each in self.faults])[0]
        seconds = self._dice.uniform(*fault.seconds)
        if fault.name in self._broken:
            return
        what = fault.break_()
        if what == NOTHING:
            return
        self.done[fault.name] += 1
        if fault.mend is None:
            self._say(f"{fault.name}: {what}")
        else:
            self._say(f"{fault.name}: broken for {seconds:.1f} s")
            self._broken[fault.name] = (time.monotonic() + seconds, fault)

    def _say(self, words: str) -> None:
        sys.stderr.write(f"{time.monotonic() - self._begin:7.1f} s  {words}\n")


@dataclass
class Pods:
    """The pods of a study, of which one is hit at a time."""

    connection: Connection
    namespace: str
    study: str
    seed: int

    def __post_init__(self) -> None:
        self._dice = random.Random(f"{self.seed}/pods")

    def delete(self) -> str:
        """With grace: it leaves with a checkpoint."""
        return self._each_way(["delete", "pod", "--wait=false"])

    def force(self) -> str:
        """Without a word, as when its node is given up."""
        return self._each_way(["delete", "pod", "--force", "--grace-period=0", "--wait=false"])

    def kill_workers(self) -> str:
        """In the pod itself, so that it is a crash."""
        return self._each_way(["exec"], ["--", "python3", "-c", KILL_THE_WORKERS])

    def _each_way(self, before: list[str], after: list[str] | None = None) -> str:
        try:
            running = sorted(self._running())
        except Refused:  # the API server is away
            return NOTHING
        if not running:
            return NOTHING
        pod = self._dice.choice(running)
        try:
            words = [*before, pod, "-n", self.namespace, *(after or [])]
            self.connection.kubectl(*words)
        except Refused as refused:  # it was faster, cannot be reached, or has taken us with it
            return f"{pod}: {refused.words[:80]}"
        return pod

    def _running(self) -> Iterator[str]:
        label = f"{STUDY_LABEL}={self.study}"
        for pod in self.connection.get("pods", "-n", self.namespace, "-l", label)["items"]:
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]:
                yield pod["metadata"]["name"]


def of_the_processes(
    operator: Operator, prometheus: Prometheus, operator_max: float, prometheus_max: float
) -> list[Fault]:
    """The operator and Prometheus, killed and started again after so many seconds at most."""
    return [
        Fault("operator", 2, operator.kill, operator.start, (0.0, operator_max)),
        Fault("prometheus", 2, prometheus.kill, prometheus.start, (0.0, prometheus_max)),
    ]


def of_the_api_server(server: ControlPlane, seconds_max: float) -> list[Fault]:
    """The API server, seldom: nothing goes on without it."""
    away, back = server.end_api_server, server.start_api_server
    return [Fault("API server", 1, away, back, (2.0, seconds_max))]


def of_the_pods(pods: Pods) -> list[Fault]:
    """Pods that end before their time."""
    return [
        Fault("pod deleted", 2, pods.delete),
        Fault("pod forced away", 2, pods.force),
        Fault("workers killed", 2, pods.kill_workers),
    ]


def of_a_node(node: Node, seconds_max: float) -> list[Fault]:
    """The kubelet and the cable of a node."""
    return [
        Fault("kubelet", 1, lambda: node.kill("kubelet"), node.start_kubelet, (2.0, seconds_max)),
        Fault("cable", 1, node.cut, node.mend, (2.0, seconds_max)),
    ]
