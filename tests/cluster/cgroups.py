"""Control groups: how a test cluster knows which processes are its own.

Every daemon of a cluster starts inside the cluster's control group, and the kubelet puts every pod
below it. So the question "what did we start?" has one exact answer, also after a crash of the test
process: whatever is in that group. Process numbers written to a file could have been taken over by
somebody else since, and processes that a container started were never in such a file.

Works with version 1 (one tree per controller) and version 2 (one tree) of the kernel's interface.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from tests.cluster.faults import ClusterError

# Of version 1's trees, the one in which the daemons are kept: it limits nothing.
TRACKING = ("freezer", "pids")


def hierarchies() -> dict[str, Path]:
    """The mounted trees: by controller for version 1, one named `unified` for version 2."""
    first: dict[str, Path] = {}
    second: dict[str, Path] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options = line.split()[:4]
        if kind == "cgroup":
            first[Path(where).name if "name=" in options else options.split(",")[-1]] = Path(where)
        elif kind == "cgroup2":
            second["unified"] = Path(where)
    return first or second


def _tracking_root() -> Path:
    mounted = hierarchies()
    for name in (*TRACKING, "unified"):
        if name in mounted:
            return mounted[name]
    raise ClusterError("This machine has neither a freezer nor a unified control group tree.")


def group_name(slot: int) -> str:
    return f"scaletune-{slot}"


def make(name: str) -> None:
    """Make a group in every tree; the kubelet wants its root in all of them beforehand."""
    for root in hierarchies().values():
        group = root
        for part in name.split("/"):
            group = group / part
            group.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                # Version 1's cpuset groups start empty and refuse processes until filled.
                if (group / setting).exists() and not (group / setting).read_text().strip():
                    (group / setting).write_text((group.parent / setting).read_text())


def entering(name: str) -> list[str]:
    """The words before a command that make it run in a group."""
    return [
        "sh",
        "-c",
        'echo $$ > "$0" && exec "$@"',
        str(_tracking_root() / name / "cgroup.procs"),
    ]


def processes(name: str) -> set[int]:
    """Every process in a group and in those below it."""
    found: set[int] = set()
    for path in (_tracking_root() / name).rglob("cgroup.procs"):
        with contextlib.suppress(FileNotFoundError, OSError):
            found.update(int(line) for line in path.read_text().split())
    return found


def _is_member(pid: int, name: str) -> bool:
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(f"{line.split(':', 2)[2]}/".startswith(f"/{name}/") for line in lines)


def _kill_member(pid: int, name: str) -> None:
    """Kill one process, through a handle that cannot come to mean another process."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _is_member(pid, name):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)


def kill(name: str, seconds_max: float = 20) -> None:
    """Kill what is in a group and below, until nothing is left."""
    deadline = time.monotonic() + seconds_max
    while members := processes(name):
        if time.monotonic() > deadline:
            raise ClusterError(f"Processes {sorted(members)} of {name} survived SIGKILL.")
        for pid in members:
            _kill_member(pid, name)
        time.sleep(0.02)


def remove(name: str, seconds_max: float = 5) -> None:
    """Remove an empty group and those below it from every tree."""
    deadline = time.monotonic() + seconds_max
    for root in hierarchies().values():
        while (group := root / name).is_dir():
            # The kernel may need a moment to let go of a process that has just ended.
            try:
                for below, _, _ in os.walk(group, topdown=False):
                    Path(below).rmdir()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"Control group {group} cannot be removed: {error}"
                    ) from None
                time.sleep(0.05)


def exists(name: str) -> bool:
    return any((root / name).is_dir() for root in hierarchies().values())
