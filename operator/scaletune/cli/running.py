"""`scaletune run`: run a Study on this machine, and say what came of it."""

from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path

from rich.console import Console

from scaletune.api.conditions import FINISHED, condition
from scaletune.api.study import Study
from scaletune.cli import report, words
from scaletune.cli.figures import Figures
from scaletune.cli.live import Watcher
from scaletune.cli.refusal import Refusal
from scaletune.cli.study_file import read_study
from scaletune.core.prior import NoPriorError
from scaletune.shells.local import machine
from scaletune.shells.local.edits import ChangedError, Edits
from scaletune.shells.local.folder import Folder, FolderError
from scaletune.shells.local.lock import locked
from scaletune.shells.local.run import StuckError, View, Wish, run

INTERRUPTED = 130


def run_study(
    path: str, directory: str | None, settings: Sequence[str], *, fresh: bool = False
) -> int:
    """Run it; the exit code."""
    edits = Edits(Path(path), partial(_read_again, path, settings))
    study = read_study(path, settings)
    folder = Folder(Path(directory or Path("runs", study.metadata.name)).resolve())
    console = words.screen()
    if fresh:
        _put_aside(console, folder)
    fresh = not folder.study_file.exists()
    console.print(_introduction(study, folder, fresh=fresh), soft_wrap=True)
    try:
        with Watcher(console, fresh=fresh) as watcher:
            view = run(Wish(study, Path(path).parent, folder, edits), watcher)
    except (ChangedError, NoPriorError) as error:
        raise Refusal(f"{path}: {error}") from None
    except (FolderError, machine.UnrunnableError) as error:
        raise Refusal(str(error)) from None
    except StuckError as error:
        console.print(str(error))
        return 1
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        console.print(
            f"cannot write{place}: {error.strerror}. All that was stored is kept; mend this, and"
            " the same command goes on",
            soft_wrap=True,
        )
        return 1
    return _farewell(console, view, folder)


def _read_again(path: str, settings: Sequence[str]) -> Study:
    try:
        return read_study(path, settings)
    except Refusal as refusal:
        raise ChangedError(str(refusal)) from None


def _put_aside(console: Console, folder: Folder) -> None:
    """Rename the folder of an earlier run."""
    if not folder.root.exists():
        return
    places = (folder.root.with_name(f"{folder.root.name}.{number}") for number in count(1))
    aside = next(place for place in places if not place.exists())
    try:
        with locked(folder.lock):
            folder.root.rename(aside)
    except OSError as error:
        raise Refusal(f"cannot rename {folder.root}: {error.strerror}") from None
    except FolderError as error:
        raise Refusal(str(error)) from None
    console.print(f"the earlier run is now in {_short(aside)}", soft_wrap=True)


def _introduction(study: Study, folder: Folder, *, fresh: bool) -> str:
    spec = study.spec
    processes = spec.template.processes_per_node
    at_once = machine.parallelism(spec.parallelism, processes)
    bound = ""
    if at_once < spec.parallelism:
        each = f"of {processes} processes each, " if processes > 1 else ""
        bound = (
            f" (spec.parallelism is {spec.parallelism}: {each}this machine has"
            f" {machine.cores()} cores)"
        )
    goes_on = "" if fresh else ", going on with what is there"
    return f"{study.metadata.name}: {at_once} at once{bound}, in {folder.root}{goes_on}"


def _farewell(console: Console, view: View, folder: Folder) -> int:
    study = view.shell.study
    figures = Figures.of(study, view.shell.trials)
    console.print(report.summary(figures, report.files(study, _short(folder.root))))
    if view.interrupted:
        console.print("paused; the same command goes on from here")
        return INTERRUPTED
    if not view.shell.finished:
        console.print("spec.state is Paused: set it to Running, and run the same command again")
        return 0
    found = condition(study.status.conditions, FINISHED)
    failed = figures.best is None or (found is not None and found.reason == "EndedEarly")
    return 1 if failed else 0


def _short(path: Path) -> Path:
    """Relative where that is shorter."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) and path != here else path
