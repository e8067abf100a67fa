"""`scaletune status`, `explain`, `ledger` and `compare`: what is stored of a study tells."""

import json
import sys
from collections.abc import Iterator, Sequence

from rich.text import Text

from scaletune.api.trial import Trial
from scaletune.api.trial_name import trial_name
from scaletune.cli import report, words
from scaletune.cli.figures import Figures
from scaletune.cli.found import Found, find
from scaletune.cli.refusal import Refusal
from scaletune.cli.subject import Cluster, Subject, subject_of
from scaletune.core.lineage import lineage
from scaletune.core.reasons import explain, stored


def show_status(subject: Sequence[str], cluster: Cluster) -> None:
    """How the study stands."""
    found = find(subject_of([*subject], cluster, "study"), cluster)
    console = words.screen()
    console.print(report.summary(found.figures, found.places))
    if found.note:
        console.print(found.note)
    console.print()
    console.print(report.trials(found.figures))


def show_explanation(subject: Sequence[str], cluster: Cluster) -> None:
    """Every decision about a trial, or about all of them."""
    meant = subject_of([*subject], cluster, "trial")
    found = find(meant, cluster)
    console = words.screen()
    chosen = _chosen(found, meant)
    if meant.kind == "study":
        console.print(report.summary(found.figures, found.places))
    lines = [line for trial in chosen for line in _decisions(found.figures, trial)]
    if len(chosen) == 1:
        for line in _history(found, chosen[0]):
            console.print(Text(line), soft_wrap=True)
    for _, _, line in sorted(lines):
        console.print(Text(line), soft_wrap=True)


def print_ledger(subject: Sequence[str], cluster: Cluster) -> None:
    """The ledger that is stored in a study's Trials, for `scaletune replay`."""
    from scaletune.shells.recorded import ledger_lines

    found = find(subject_of([*subject], cluster, "study"), cluster)
    trials = found.figures.trials
    missing = max(0, found.figures.study.status.created - len(found.figures.searched))
    if missing:
        sys.stderr.write(
            f"scaletune: {missing} Trials were deleted; what was compared with them, when they were"
            " there, may be decided otherwise in a replay\n"
        )
    frame = found.figures.ledger.frame
    lines = ledger_lines(trials, frame.population, lengths=frame.horizon is not None)
    sys.stdout.write("".join(json.dumps(line) + "\n" for line in lines))


def show_comparison(directories: Sequence[str]) -> None:
    """The best of several runs beside each other."""
    nowhere = Cluster()
    all_figures = [
        find(subject_of([each], nowhere, "study"), nowhere).figures for each in directories
    ]
    metrics = {each.study.spec.objectives[0].metric for each in all_figures}
    if len(metrics) > 1:
        raise Refusal(f"these runs have different objectives: {', '.join(sorted(metrics))}")
    words.screen().print(report.comparison(list(zip(directories, all_figures, strict=True))))


def _chosen(found: Found, meant: Subject) -> list[Trial]:
    if meant.kind == "study" or meant.name is None:
        return found.figures.trials
    return [found.trial(meant.name)]


def _history(found: Found, trial: Trial) -> Iterator[str]:
    """What the trial is, and how its attempts went."""
    state = trial.status.state or "Pending"
    yield f"{trial.metadata.name}: {state}" + (
        f": {trial.status.reason}" if trial.status.reason else ""
    )
    yield f"  {words.parameters(trial)}"
    if trial.spec.resolved:
        sampled = {each.name: each.value for each in trial.spec.parameters}
        for each in trial.spec.resolved:
            drawn, used = words.parameter(sampled[each.name]), words.parameter(each.value)
            yield f"  {each.name}: {drawn} was drawn, {used} is used by the scaling rule"
    yield from _lineage(found, trial)
    for attempt in trial.status.attempts:
        cause = attempt.cause or "running"
        seconds = words.duration(attempt.device_seconds)
        log = found.log(trial, attempt.number)
        yield f"  attempt {attempt.number}: {cause} after {seconds} of device time, {log}"
    if trial.status.failure is not None:
        yield f"  failed ({trial.status.failure.kind}): {trial.status.failure.reason}"


def _lineage(found: Found, trial: Trial) -> Iterator[str]:
    """With what it was trained piece by piece, if it went on from other trials."""
    trials = {each.index: each for each in found.figures.trials}
    pieces = lineage(trials.get, trial)
    if len(pieces) < 2:
        return
    for piece in pieces:
        name = trial_name(trial.spec.study, piece.trial)
        values = "  ".join(f"{key} {words.parameter(each)}" for key, each in piece.used.items())
        yield f"  after {piece.start} up to {piece.until} as {name}: {values}"


def _decisions(figures: Figures, trial: Trial) -> Iterator[tuple[int, bool, str]]:
    """Each decision with its number, to be sorted by it."""
    for record in trial.status.milestones:
        value = words.number(record.value) if record.value is not None else record.outcome
        for each in stored(trial, record):
            reason = explain(figures.study, each)
            line = f"{each.number:>5}  {trial.metadata.name}  {value}  {each.decision}: {reason}"
            yield each.number, each.is_later, line
