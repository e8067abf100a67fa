"""How often the kernel's out-of-memory killer struck in our control group.

A worker that it kills looks like any `kill -9`; only this counter tells the configuration's fault
from the node's. Both versions of cgroups; where neither can be read, the count stays 0.
"""

from __future__ import annotations

from pathlib import Path

_CGROUP_OF_SELF = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")


def _candidates(membership: str, mount: Path) -> list[Path]:
    """The files to try, the most specific first; in a container the mount itself is our group."""
    files: list[Path] = []
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if not controllers:
            files += [mount / inside / "memory.events", mount / "memory.events"]
        elif "memory" in controllers.split(","):
            v1 = mount / "memory"
            files += [v1 / inside / "memory.oom_control", v1 / "memory.oom_control"]
    return files


def oom_kills(membership: Path = _CGROUP_OF_SELF, mount: Path = _MOUNT) -> int:
    try:
        candidates = _candidates(membership.read_text(), mount)
    except (OSError, ValueError):
        return 0
    for file in candidates:
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.strip().isdigit():
                return int(count)
    return 0
