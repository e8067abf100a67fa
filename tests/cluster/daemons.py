"""Starting the cluster's long-running programs, each in its namespace, group and log file."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cgroups
from tests.cluster.faults import ClusterError

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Daemon:
    """A program that should live as long as the cluster."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise with the end of its log if it has ended."""
        status = self.process.poll()
        if status is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise ClusterError(f"{self.name} ended with status {status}; {self.log} ends:\n{tail}")


@dataclass(frozen=True)
class Place:
    """Where daemons of one member run.

    `entering` are the words before a command that lead it into the member's namespaces.
    """

    entering: tuple[str, ...]
    group: str
    logs: Path

    def start(self, name: str, command: Sequence[str | Path]) -> Daemon:
        log = self.logs / f"{name}.log"
        words = [*cgroups.entering(self.group), *self.entering]
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*words, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A session of its own: Ctrl-C in the terminal is for us, who end it in order.
                start_new_session=True,
            )
        return Daemon(name, process, log)


def wait(
    what: str, is_done: Callable[[], bool], daemons: Sequence[Daemon], seconds_max: float
) -> None:
    """Wait until something is so; give up early when a daemon it depends on has ended."""
    deadline = time.monotonic() + seconds_max
    while not is_done():
        for daemon in daemons:
            daemon.check()
        if time.monotonic() > deadline:
            logs = ", ".join(str(daemon.log) for daemon in daemons)
            raise ClusterError(f"Waited {seconds_max:.0f} s for {what}; see {logs}")
        time.sleep(0.1)
