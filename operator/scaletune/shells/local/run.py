"""A run: from a Study to its end, or to Ctrl-C; the same call goes on from what is stored.

begin     the folder, the lock, what is stored there, changes of the Study taken over
repeat    a turn of the loop about twenty times a second, until nothing more will happen; edits of
          the Study's file are followed
leave     on Ctrl-C or SIGTERM: trainers write checkpoints and go; a second one ends them at once
"""

import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from scaletune.api.study import Study
from scaletune.api.validation import problems
from scaletune.core.summarise import timestamp
from scaletune.shells.local import earlier, machine
from scaletune.shells.local.edits import ChangedError, Edits
from scaletune.shells.local.folder import Folder
from scaletune.shells.local.ledger_file import LedgerFile
from scaletune.shells.local.lock import locked
from scaletune.shells.local.processes import end_leftovers
from scaletune.shells.local.shell import Shell

TURN_SECONDS = 0.05
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StuckError(Exception):
    """Nothing runs, nothing can start, and the study is not finished: an error of ours."""


@dataclass(frozen=True)
class Wish:
    """What to run, and where."""

    study: Study
    study_folder: Path  # where the Study file lies
    folder: Folder
    edits: Edits | None = None
    """The Study's file, when it is to be read again as it changes."""


@dataclass
class Interrupts:
    """How often the user has asked to end."""

    count: int = 0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Count a signal."""
        self.count += 1


@dataclass(frozen=True)
class View:
    """What a watcher may look at, after each turn."""

    shell: Shell
    interrupted: int
    edit: str = ""
    """What came of the latest edit of the Study's file."""


def run(wish: Wish, watch: Callable[[View], None]) -> View:
    """Run the study until nothing more will happen, or it was interrupted.

    Raises FolderError, ChangedError, NoPriorError, machine.UnrunnableError; OSError when the disk
    is full.
    """
    container = machine.Container.of(wish.study, wish.study_folder)
    wish.folder.make()
    with locked(wish.folder.lock), _listening() as interrupts:
        end_leftovers(wish.folder)
        shell = _begin(wish, container)
        try:
            return _repeat(shell, interrupts, watch, wish)
        finally:
            shell.kill()


def _begin(wish: Wish, container: machine.Container) -> Shell:
    folder = wish.folder
    for path in folder.unfinished_writes():
        path.unlink()
    stored = folder.read_study()
    study = _bounded(_new(wish.study) if stored is None else adopted(stored, wish.study))
    study = earlier.begun(study, (folder.root.parent, earlier.RUNS))
    if study != stored:
        folder.write_study(study)
    shell = Shell(folder, study, container, folder.read_trials(), LedgerFile(folder.ledger))
    shell.recover()
    return shell


def _new(study: Study) -> Study:
    metadata = study.metadata.model_copy(
        update={
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creation_timestamp": timestamp(time.time()),
        }
    )
    return study.model_copy(update={"metadata": metadata})


def _bounded(study: Study) -> Study:
    """The Study with no more trials at once than this machine has cores for."""
    processes = study.spec.template.processes_per_node
    bound = machine.parallelism(study.spec.parallelism, processes)
    spec = study.spec.model_copy(update={"parallelism": bound})
    return study.model_copy(update={"spec": spec})


def adopted(stored: Study, wanted: Study) -> Study:
    """The stored Study with the spec of the file, as `kubectl apply` would; ChangedError."""
    if wanted.metadata.name != stored.metadata.name:
        raise ChangedError(
            f"this folder holds the study {stored.metadata.name}, not {wanted.metadata.name};"
            " give another folder with --directory"
        )
    found = problems(_document(wanted), _document(stored))
    if found:
        raise ChangedError("\n  ".join(map(str, found)))
    spec = _bounded(wanted).spec
    if spec == stored.spec:
        return stored
    generation = stored.metadata.generation + 1
    metadata = stored.metadata.model_copy(update={"generation": generation})
    return stored.model_copy(update={"metadata": metadata, "spec": spec})


def _document(study: Study) -> dict[str, Any]:
    fields = study.to_yaml_fields()
    return {"apiVersion": study.api_version, "kind": study.kind, **fields}


def _repeat(
    shell: Shell, interrupts: Interrupts, watch: Callable[[View], None], wish: Wish
) -> View:
    acted = 0
    while True:
        if wish.edits is not None and not interrupts.count:
            _take_over(shell, wish.edits, wish.study_folder)
        shell.turn(starting=not interrupts.count)
        if interrupts.count > acted:
            acted = interrupts.count
            shell.ask_to_leave() if acted == 1 else shell.kill()
        view = View(shell, interrupts.count, "" if wish.edits is None else wish.edits.said)
        watch(view)
        if interrupts.count and not shell.lives:
            return view
        if not interrupts.count and shell.idle and _at_end(shell):
            return view
        time.sleep(TURN_SECONDS)


def _take_over(shell: Shell, edits: Edits, study_folder: Path) -> None:
    """Follow an edit of the file, if there is one that can be followed."""
    try:
        wanted = edits.new()
        if wanted is None:
            return
        study = adopted(shell.study, wanted)
        container = machine.Container.of(study, study_folder)
    except (ChangedError, machine.UnrunnableError) as error:
        edits.said = f"{edits.path} is not followed: {error}"
        return
    if study != shell.study:
        shell.adopt(study, container)
        edits.said = f"follows {edits.path} as it is now"


def _at_end(shell: Shell) -> bool:
    if shell.finished or shell.study.spec.state == "Paused":
        return True
    if shell.still_turns > 100:
        raise StuckError(
            f"nothing of {shell.study.metadata.name} runs, nothing can start, and it is not"
            f" finished; please report this with {shell.folder.root}/study.yaml and trials/"
        )
    return False


@contextmanager
def _listening() -> Iterator[Interrupts]:
    interrupts = Interrupts()
    heeded = [each for each in SIGNALS if not _is_shielded(each)]
    before = {number: signal.signal(number, interrupts.note) for number in heeded}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_shielded(number: signal.Signals) -> bool:
    """Whether we were started with nohup."""
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
