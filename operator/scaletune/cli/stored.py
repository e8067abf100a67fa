"""`scaletune status`, `explain` and `compare`: what a folder of a run tells."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from scaletune.api.action import Decide
from scaletune.api.trial import Evidence, Trial
from scaletune.cli import report, words
from scaletune.cli.figures import Figures
from scaletune.cli.refusal import Refusal
from scaletune.core.reasons import explain
from scaletune.shells.local.folder import Folder, FolderError
from scaletune.shells.local.lock import holder

RUNS = Path("runs")


def show_status(directory: str | None) -> None:
    """How the study stands."""
    folder, figures = _figures(directory)
    console = words.screen()
    console.print(report.summary(figures, folder.root))
    if (runner := holder(folder.lock)) is not None:
        console.print(f"being run by {runner}")
    console.print()
    console.print(report.trials(figures))


def show_explanation(arguments: Sequence[str]) -> None:
    """Every decision about a trial, or about all of them."""
    *directory, subject = arguments
    folder, figures = _figures(directory[0] if directory else None)
    console = words.screen()
    if subject in ("study", f"study/{figures.study.metadata.name}"):
        console.print(report.summary(figures, folder.root))
        chosen = figures.trials
    else:
        chosen = [_find(figures, subject.removeprefix("trial/"))]
    lines = [line for trial in chosen for line in _decisions(figures, trial)]
    if len(chosen) == 1:
        for line in _history(folder, chosen[0]):
            console.print(Text(line), soft_wrap=True)
    for _, _, line in sorted(lines):
        console.print(Text(line), soft_wrap=True)


def show_comparison(directories: Sequence[str]) -> None:
    """The best of several runs beside each other."""
    all_figures = [_figures(each)[1] for each in directories]
    metrics = {each.study.spec.objectives[0].metric for each in all_figures}
    if len(metrics) > 1:
        raise Refusal(f"these runs have different objectives: {', '.join(sorted(metrics))}")
    words.screen().print(report.comparison(list(zip(directories, all_figures, strict=True))))


def _figures(directory: str | None) -> tuple[Folder, Figures]:
    folder = Folder(_newest() if directory is None else Path(directory))
    try:
        study = folder.read_study()
        if study is None:
            raise Refusal(f"{folder.root} holds no study.yaml; give the folder of a run")
        return folder, Figures.of(study, folder.read_trials())
    except FolderError as error:
        raise Refusal(str(error)) from None


def _newest() -> Path:
    """The run that was written to last."""
    found = sorted(RUNS.glob("*/study.yaml"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise Refusal(f"there is no run in {RUNS}/; give the folder of one")
    return found[-1].parent


def _find(figures: Figures, name: str) -> Trial:
    for trial in figures.trials:
        if name in (trial.metadata.name, str(trial.index)):
            return trial
    known = ", ".join(trial.metadata.name for trial in figures.trials[:5]) or "none yet"
    raise Refusal(f"there is no trial {name!r}; trials are {known}, ...; or say `study`")


def _history(folder: Folder, trial: Trial) -> Iterator[str]:
    """What the trial is, and how its attempts went."""
    yield f"{trial.metadata.name}: {trial.status.state or 'Pending'}"
    yield f"  {words.parameters(trial)}"
    if trial.spec.resolved:
        sampled = {each.name: each.value for each in trial.spec.parameters}
        for each in trial.spec.resolved:
            drawn, used = words.parameter(sampled[each.name]), words.parameter(each.value)
            yield f"  {each.name}: {drawn} was drawn, {used} is used by the scaling rule"
    for attempt in trial.status.attempts:
        cause = attempt.cause or "running"
        seconds = words.duration(attempt.device_seconds)
        log = folder.attempt(trial, attempt.number) / "log.txt"
        yield f"  attempt {attempt.number}: {cause} after {seconds} of device time, {log}"
    if trial.status.failure is not None:
        yield f"  failed ({trial.status.failure.kind}): {trial.status.failure.reason}"


def _decisions(figures: Figures, trial: Trial) -> Iterator[tuple[int, bool, str]]:
    """Each decision with its number, to be sorted by it."""
    for record in trial.status.milestones:
        value = words.number(record.value) if record.value is not None else record.outcome
        made = []
        if record.decision is not None:
            evidence = record.evidence or Evidence()
            made.append(Decide(trial.index, record.at, record.decision, record.number, evidence))
        if record.promotion is not None:
            number, evidence = record.promotion.number, record.promotion.evidence
            made.append(Decide(trial.index, record.at, "Promote", number, evidence))
        for each in made:
            reason = explain(figures.study, each)
            line = f"{each.number:>5}  {trial.metadata.name}  {value}  {each.decision}: {reason}"
            yield each.number, each.decision == "Promote", line
