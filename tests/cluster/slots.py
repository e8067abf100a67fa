"""Slots: which numbers are taken by clusters that live now, and what crashed ones left behind.

A cluster holds its slot by a lock on a file for as long as its process lives; the kernel lets go of
the lock when the process ends, however it ends. So a folder whose lock is free belongs to a run
that crashed (or to a cluster that was left standing on purpose, which says so by a file `kept` and
by living processes), and whoever takes the slot next clears it away first.

Ending a cluster and clearing after a crash are the same function, so the second is exercised at
every run.
"""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cgroups, network
from tests.cluster.daemons import Progress
from tests.cluster.faults import ClusterError

# Short, because the sockets inside must have paths of less than 108 bytes.
ROOT = Path("/var/lib/scaletune-test")
SLOTS = range(16)


@dataclass(frozen=True)
class Slot:
    """One number, held by a lock."""

    number: int
    lock: int

    @property
    def folder(self) -> Path:
        return folder_of(self.number)

    def keep(self) -> None:
        """Let the cluster stand when this process ends."""
        (self.folder / "kept").touch()
        os.close(self.lock)

    def clear(self) -> None:
        clear(self.number)

    def release(self) -> None:
        os.close(self.lock)


def folder_of(number: int) -> Path:
    return ROOT / str(number)


def is_kept(number: int) -> bool:
    """Whether a cluster was left standing here on purpose and still lives."""
    marked = (folder_of(number) / "kept").exists()
    return marked and bool(cgroups.processes(cgroups.group_name(number)))


def kept() -> list[int]:
    return [number for number in SLOTS if is_kept(number)]


def _lock(number: int) -> int | None:
    ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(ROOT / f"{number}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def take(progress: Progress) -> Slot:
    """Take the first free slot and clear away what a crashed run left in any of the free ones."""
    taken: Slot | None = None
    for number in SLOTS:
        is_used = folder_of(number).exists() or cgroups.exists(cgroups.group_name(number))
        if taken is not None and not is_used:
            continue
        descriptor = _lock(number)
        if descriptor is None:
            continue
        if not is_kept(number):
            if is_used:
                progress(f"clearing away what a run that did not end in order left of {number}")
                clear(number)
            if taken is None and network.is_free(network.Addresses(number)):
                folder_of(number).mkdir()
                taken = Slot(number, descriptor)
                continue
        os.close(descriptor)
    if taken is None:
        raise ClusterError(
            f"All {len(SLOTS)} places for a test cluster are taken. "
            "End clusters left standing with `make cluster-down`."
        )
    return taken


def retake(number: int) -> Slot:
    """Take the slot of a cluster that was left standing, to end it."""
    descriptor = _lock(number)
    if descriptor is None:
        raise ClusterError(f"Test cluster {number} is in use by another process.")
    return Slot(number, descriptor)


def clear(number: int) -> None:
    """End every process of a slot, then take away its network, groups and folder.

    Nodes mount in views of the file system of their own, which end with their last process. Should
    something be mounted below the folder all the same, deleting could lead out of it: refuse.
    """
    group, folder = cgroups.group_name(number), folder_of(number)
    cgroups.kill(group)
    network.remove(number)
    cgroups.remove(group)
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    if left := [where for where in mounts if where.startswith(f"{folder}/")]:
        raise ClusterError(
            f"Unmount these by hand, test cluster {number} cannot be removed: {left}"
        )
    if folder.exists():
        shutil.rmtree(folder)
