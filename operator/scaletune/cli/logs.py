"""`scaletune logs`: what a trial's script has printed, from its pod or from its run's folder."""

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scaletune.cli.found import find
from scaletune.cli.refusal import Refusal
from scaletune.cli.subject import Cluster, Subject, subject_of
from scaletune.shells.local.folder import Folder
from scaletune.shells.local.lock import holder

POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Wish:
    """Which log, and how to read it."""

    attempt: int | None = None
    """None: the latest that there is."""
    node: int = 0
    follow: bool = False


def show_logs(words: Sequence[str], cluster: Cluster, wish: Wish) -> None:
    """Copy the log to standard output."""
    subject = subject_of([*words], cluster, "trial")
    if subject.kind != "trial" or subject.name is None:
        raise Refusal("give one trial: scaletune logs trial/NAME")
    try:
        if subject.folder is not None:
            _from_a_folder(subject, wish)
        else:
            _from_a_pod(subject.name, cluster, wish)
    except (BrokenPipeError, KeyboardInterrupt):
        sys.stderr.close()  # whoever read has had enough


def _from_a_folder(subject: Subject, wish: Wish) -> None:
    assert subject.folder is not None
    assert subject.name is not None
    folder = Folder(subject.folder)
    trial = find(subject, Cluster()).trial(subject.name)
    attempts = folder.attempt(trial, 1).parent
    there = sorted(int(path.name) for path in attempts.glob("[0-9]*"))
    if not there:
        raise Refusal(f"{trial.metadata.name} has not started yet")
    number = there[-1] if wish.attempt is None else wish.attempt
    if number not in there:
        raise Refusal(_no_attempt(trial.metadata.name, number, there))
    _copy(folder.attempt(trial, number) / "log.txt", folder if wish.follow else None)


def _copy(path: Path, followed: Folder | None) -> None:
    """What a file holds, and what comes while somebody runs the study."""
    with path.open("rb") as file:
        while True:
            is_run = followed is not None and holder(followed.lock) is not None
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            if not is_run:
                return
            time.sleep(POLL_SECONDS)


def _from_a_pod(name: str, cluster: Cluster, wish: Wish) -> None:
    from scaletune.cli.cluster import ask
    from scaletune.shells.kubernetes.reading import NothingFoundError, Reader

    async def copy(reader: Reader) -> None:
        pods = await reader.pods(name)
        there = sorted({pod.place.attempt for pod, _ in pods})
        if not there:
            raise NothingFoundError(
                f"{name} has no pod in namespace {reader.namespace}: it waits, is paused, or its"
                " result is stored. Failed trials alone keep theirs"
            )
        number = there[-1] if wish.attempt is None else wish.attempt
        own = [
            each for each in pods if (each[0].place.attempt, each[0].rank) == (number, wish.node)
        ]
        if not own:
            node = f" on node {wish.node}" if wish.node else ""
            raise NothingFoundError(_no_attempt(name, number, there, node))
        pod, container = own[-1]
        async for piece in reader.log(pod.name, container, follow=wish.follow):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()

    ask(cluster, copy)


def _no_attempt(name: str, number: int, there: list[int], node: str = "") -> str:
    known = ", ".join(map(str, there))
    return f"there is no log of attempt {number} of {name}{node}; there is one of attempt {known}"
