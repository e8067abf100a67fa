"""Shows a run while it runs: a line for each decision, and in a terminal a live picture below."""

import time
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scaletune.api.action import Decide
from scaletune.api.trial import Trial
from scaletune.cli import report, words
from scaletune.cli.figures import Figures, trained
from scaletune.core.frame import Frame
from scaletune.core.reasons import explain, stored
from scaletune.shells.local.run import View
from scaletune.shells.local.shell import Shell

REFRESH_SECONDS = 0.5
PLAIN_SECONDS = 30.0

Seen = tuple[int, int, str]


class Watcher:
    """Call it after each turn of the loop."""

    def __init__(self, console: Console, *, fresh: bool) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._seen: set[Seen] | None = set() if fresh else None
        self._drawn, self._said = 0.0, time.monotonic()
        self._asked, self._writes, self._edit = 0, -1, ""

    def __enter__(self) -> "Watcher":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._live.stop()

    def __call__(self, view: View) -> None:
        """Show what is new."""
        if view.shell.writes != self._writes:
            self._writes = view.shell.writes
            self._tell(_events(view.shell))
        self._answer(view)
        if view.edit != self._edit:
            self._edit = view.edit
            self._say(view.edit)
        now = time.monotonic()
        if self._live.is_started and now - self._drawn >= REFRESH_SECONDS:
            self._drawn = now
            self._live.update(picture(view.shell), refresh=True)
        elif not self._live.is_started and now - self._said >= PLAIN_SECONDS:
            self._say(progress(view.shell))

    def _tell(self, events: dict[Seen, str]) -> None:
        """Say what was not seen before; what an earlier run has said is not repeated."""
        if self._seen is not None:
            for seen, line in events.items():
                if seen not in self._seen:
                    self._say(line)
        self._seen = set(events)

    def _answer(self, view: View) -> None:
        """Say what Ctrl-C does."""
        if view.interrupted > self._asked:
            self._asked = view.interrupted
            self._say(
                "pausing: trials are writing their checkpoints (Ctrl-C again to end them at once)"
                if self._asked == 1
                else "ending all trials at once"
            )

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        self._console.print(Text(f"{time.strftime('%H:%M:%S')}  {line}"), soft_wrap=True)


def _events(shell: Shell) -> dict[Seen, str]:
    """Everything that is worth a line."""
    found: dict[Seen, str] = {}
    for index, trial in shell.trials.items():
        found[index, 0, "created"] = f"{trial.metadata.name}  {words.parameters(trial)}"
        for record in trial.status.milestones:
            for made in stored(trial, record):
                found[index, record.at, made.decision] = _decided(shell, trial, made)
        if trial.status.failure is not None:
            found[index, 0, "failed"] = _failed(shell, trial)
        elif trial.status.crashes and trial.status.state == "Pending":
            words_said = f"{trial.metadata.name}  crashed, starts again: {trial.status.reason}"
            found[index, trial.status.attempts[-1].number, "crashed"] = words_said
    return found


def _decided(shell: Shell, trial: Trial, made: Decide) -> str:
    record = next(each for each in trial.status.milestones if each.at == made.milestone)
    metric = shell.study.spec.judged_by(trial.spec.role)[0]
    value = f"{metric} {words.number(record.value)}  " if record.value is not None else ""
    reason = explain(shell.study, made)
    return f"{trial.metadata.name}  {value}{made.decision}: {reason}"


def _failed(shell: Shell, trial: Trial) -> str:
    failure = trial.status.failure
    assert failure is not None
    log = shell.folder.log(trial)
    return f"{trial.metadata.name}  failed ({failure.kind}): {failure.reason} (log: {log})"


def progress(shell: Shell) -> str:
    """One line for a log file."""
    figures = Figures.of(shell.study, shell.trials)
    left = figures.seconds_left(_steps_heard(shell))
    found = figures.best
    best = f" · best {words.number(found[1].value)} ({found[0].metadata.name})" if found else ""
    ahead = f" · about {words.duration(left)} left" if left is not None else ""
    return f"{len(shell.lives)} running · {report.spent(figures)}{best}{ahead}"


def picture(shell: Shell) -> RenderableType:
    """What happens now."""
    figures = Figures.of(shell.study, shell.trials)
    left = figures.seconds_left(_steps_heard(shell))
    ahead = "" if left is None else f" · about {words.duration(left)} left"
    table = Table.grid(padding=(0, 2))
    table.add_row("running", _running(shell))
    table.add_row("rungs", report.rungs(figures))
    table.add_row("best", report.best(figures))
    table.add_row("budget", f"{report.spent(figures)}{ahead}")
    return Group("", table, Text("Ctrl-C pauses; the same command goes on", style="dim"))


def _steps_heard(shell: Shell) -> dict[int, int]:
    return {index: shell.heard[index].step for index in shell.lives if index in shell.heard}


def _running(shell: Shell) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    for column in ("trial", "bar", "step", "value"):
        table.add_column(column)
    for index in sorted(shell.lives):
        table.add_row(*_life(shell, index))
    return table if shell.lives else Text("nothing")


def _life(shell: Shell, index: int) -> tuple[RenderableType, ...]:
    trial = shell.trials[index]
    heard = shell.heard.get(index)
    current = heard is not None and heard.incarnation == shell.lives[index].incarnation
    step = max(heard.step if heard and current else 0, trained(trial))
    metric = shell.study.spec.judged_by(trial.spec.role)[0]
    value = heard.metrics.get(metric) if heard and current else None
    until = Frame.of(shell.study).until(trial)
    shown = "" if value is None else f"{metric} {words.number(value)}"
    bar = ProgressBar(total=until, completed=step, width=20)
    return trial.metadata.name, bar, f"{step}/{until}", shown
