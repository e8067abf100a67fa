"""The one cluster of a test session: started when the first test asks, and no more than it asks.

It is our own, or, when SCALETUNE_TEST_KUBECONFIG names a kubeconfig, somebody else's, which is used
as it is and neither started nor ended.
"""

import contextlib
import os
import shutil
import tempfile
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from tests.cluster import images, prerequisites, programs
from tests.cluster.cluster import Cluster
from tests.cluster.connection import Connection
from tests.cluster.daemons import Progress
from tests.cluster.faults import Missing

VARIABLE = "SCALETUNE_TEST_KUBECONFIG"


class Standing:
    """Starts at most one cluster, remembers what was missing, and ends what it started."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._leftovers = contextlib.ExitStack()
        self._given = os.environ.get(VARIABLE)
        self._cluster: Cluster | None = None
        self.missing: Missing | None = None
        self.tests: dict[str, str] = {}
        """Which test a namespace was made for."""
        self.deprived: dict[str, str] = {}
        """Since when the operator in a namespace may be without rights, as RFC 3339."""

    def deprive(self, namespace: str) -> None:
        """From now on the operator of this namespace is refused what it asks for, on purpose."""
        self.deprived.setdefault(namespace, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")

    @cached_property
    def _folder(self) -> Path:
        temporary = tempfile.TemporaryDirectory(prefix="scaletune-kubectl-")
        return Path(self._leftovers.enter_context(temporary))

    @property
    def is_given(self) -> bool:
        return self._given is not None

    def prepare(self) -> None:
        """Find or build what takes minutes, before any test's time is counted."""
        try:
            if self._given:
                self._kubectl()
                programs.find(programs.HELM, self.progress)
                return
            prerequisites.demand()
            for program in programs.ALL:
                programs.find(program, self.progress)
            images.archive(self.progress)
        except Missing as missing:
            self.missing = missing

    def control_plane(self) -> Connection:
        """A cluster in which pods need not run."""
        if self.missing:
            raise self.missing
        if self._given:
            return Connection(Path(self._given), self._kubectl(), self._folder / "cache")
        return self.own().connection

    def nodes(self, number: int = 1) -> Connection:
        """A cluster in which pods run, on so many nodes; one that was given has what it has."""
        connection = self.control_plane()
        while not self._given and len(self.own().nodes) < number:
            self.own().add_node()
        return connection

    def own(self) -> Cluster:
        """Our own cluster, for tests that break it."""
        if self._cluster is None:
            self._cluster = Cluster(self.progress)
            self._cluster.start()
        return self._cluster

    def stop(self, is_to_keep_logs: bool) -> None:
        self._leftovers.close()
        if self._cluster is None:
            return
        try:
            if is_to_keep_logs:
                self._cluster.save_logs()
        finally:
            self._cluster.stop()

    def _kubectl(self) -> Path:
        if not Path(str(self._given)).is_file():
            raise Missing([f"{VARIABLE} names {self._given}, which is not a file."])
        if installed := shutil.which("kubectl"):
            return Path(installed)
        link = self._folder / "kubectl"
        if not link.exists():
            link.symlink_to(programs.find(programs.KUBECLUSTER, self.progress).resolve())
        return link
