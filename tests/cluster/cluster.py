"""A whole test cluster: started step by step, ended in one, whatever happened in between."""

import atexit
import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cluster import images, prerequisites, programs, slots
from tests.cluster.connection import Connection
from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemons import Daemon, Progress
from tests.cluster.node import Node
from tests.cluster.site import Site


class Cluster:
    """A control plane, and as many nodes as were asked for; a context manager that ends it all.

    Leaving the context by an exception keeps the logs and says where they are.
    """

    def __init__(self, progress: Progress) -> None:
        prerequisites.demand()
        self._progress = progress
        self._kubecluster = programs.find(programs.KUBECLUSTER, progress)
        self._slot = slots.take(progress)
        self._is_over = False
        atexit.register(self.stop)
        self.site = Site(self._slot.number)
        self.site.prepare(self._kubecluster)
        self.control_plane = ControlPlane(self.site)
        self.nodes: list[Node] = []

    @property
    def connection(self) -> Connection:
        return self.control_plane.admin

    def start(self) -> None:
        """Start the control plane: enough for every test that needs no pod to run."""
        with self._step(f"control plane {self.site.number}"):
            self.control_plane.start()

    def add_node(self) -> Node:
        """Add a real node; with the first comes the cluster's DNS."""
        image = images.archive(self._progress)
        number = len(self.nodes) + 1
        if number == 1:
            dns = programs.find(programs.COREDNS, self._progress)
        node = Node(self.control_plane, number)
        with self._step(f"node {node.name}"):
            if number == 1:
                self.control_plane.start_dns(dns)
            self.nodes.append(node)
            node.start(image)
        return node

    @contextlib.contextmanager
    def _step(self, what: str) -> Iterator[None]:
        self._progress(f"starting {what} ...")
        begin = time.monotonic()
        yield
        self._progress(f"{what} is ready after {time.monotonic() - begin:.1f} s")

    def keep(self) -> None:
        """Leave it standing when this process ends."""
        self._over()
        self._slot.keep()

    def stop(self) -> None:
        """End it and leave nothing behind. Safe to call twice and at any moment."""
        if self._is_over:
            return
        self._slot.clear()
        for daemon in self._daemons():
            daemon.process.wait()
        self._over()
        self._slot.release()

    def save_logs(self) -> Path:
        """Copy the logs to where they outlive the cluster."""
        kept = Path(tempfile.mkdtemp(prefix="scaletune-cluster-logs-"))
        shutil.copytree(self.site.logs, kept, dirs_exist_ok=True)
        self._progress(f"the logs of the cluster are kept in {kept}")
        return kept

    def _daemons(self) -> Iterator[Daemon]:
        yield from self.control_plane.daemons
        for node in self.nodes:
            yield from node.daemons

    def _over(self) -> None:
        self._is_over = True
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(fault, Exception):
                self.save_logs()
        finally:
            self.stop()
