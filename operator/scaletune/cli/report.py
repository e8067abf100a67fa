"""What a person wants to know of a study: while it runs, at its end, and later."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scaletune.api.conditions import FINISHED, condition
from scaletune.api.record import Milestone
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.api.trial_name import trial_name
from scaletune.cli import confirmation, words
from scaletune.cli.figures import Figures
from scaletune.core import confirmed
from scaletune.core.lineage import lineage
from scaletune.core.rungs import eta


def rungs(figures: Figures) -> RenderableType:
    """How far how many trials have come."""
    spec = figures.study.spec
    table = words.table(
        spec.training.unit.lower(), "reached", "went on", f"best {_metric(figures)}"
    )
    for rung in figures.rungs:
        failed = f" ({rung.failed} failed)" if rung.failed else ""
        last = rung.level == figures.ledger.frame.most
        on = "in full" if last and rung.reached > rung.failed else "" if last else str(rung.went_on)
        where = "full" if last and figures.ledger.frame.horizon else str(rung.level)
        table.add_row(where, f"{rung.reached}{failed}", on, words.number(rung.best))
    return table


def best(figures: Figures) -> RenderableType:
    """The best so far with its configuration; once the best are confirmed, the best by mean."""
    winner = confirmed.winner(figures.confirmation)
    if winner is not None:
        return confirmation.best(figures, winner)
    found = figures.best
    if found is None:
        return Text("no value yet")
    trial, record = found
    value, unit = words.number(record.value), figures.study.spec.training.unit.lower()
    where = f"{unit} {record.at}"
    full = ", trained in full" if record.at >= figures.ledger.frame.full(trial) else ""
    head = f"{trial.metadata.name}  {_metric(figures)} {value} at {where}{full}"
    lines = [f"  {each}" for each in (words.parameters(trial), *_past(figures, trial, record.at))]
    return Group(Text(head, style="bold"), *map(Text, lines))


def _past(figures: Figures, trial: Trial, upto: int) -> Iterator[str]:
    """As whom its weights were trained before, if as others: with other values."""
    shelf, name = figures.ledger.shelf("trials"), trial.spec.study
    pieces = lineage(lambda index: shelf.get((index,)), trial, upto)
    as_others = [
        f"up to {piece.until} as {trial_name(name, piece.trial)}"
        for piece, following in pairwise(pieces)
        if piece.trial != following.trial
    ]
    if as_others:
        yield f"trained {', '.join(as_others)}: `scaletune schedule` has the values"


def spent(figures: Figures) -> str:
    """The budget used."""
    spec, ledger = figures.study.spec, figures.ledger
    again = len(ledger.shelf("confirming"))
    created = len(ledger.shelf("trials")) - again
    parts = [
        f"{created} of {spec.budget.trials} trials" if spec.budget.trials else f"{created} trials"
    ]
    parts += [f"{again} to confirm the best"] if again else []
    seconds = f"{words.duration(figures.spent_seconds)} of device time"
    parts.append(f"{seconds} of {spec.budget.gpu_hours:g} h" if spec.budget.gpu_hours else seconds)
    if spec.budget.duration:
        parts.append(f"at most {spec.budget.duration} in all")
    return " · ".join(parts)


def saved(figures: Figures) -> str | None:
    """What not training everything in full has saved."""
    full, used = figures.full_seconds, figures.search_seconds
    is_selective = eta(figures.study) is not None
    if (
        full is None
        or not is_selective
        or len(figures.searched) < 2
        or not figures.ledger.has_full_training()
    ):
        return None
    return f"{max(0.0, 1 - used / full):.0%} of about {words.duration(full)}"


def ending(study: Study) -> str:
    """How the study stands, in a sentence."""
    found = condition(study.status.conditions, FINISHED)
    if found is None:
        return "not started"
    if found.status == "True":
        return f"finished ({found.reason}): {found.message}"
    return found.message


def files(study: Study, folder: Path) -> tuple[str, ...]:
    """Where a run keeps what; one that was simulated has no files but its resources."""
    if not study.metadata.uid:
        return (f"{folder}/: study.yaml, trials/; simulated",)
    return (
        f"{folder}/: study.yaml, trials/, ledger.jsonl, logs in attempts/,",
        f"checkpoints in volume/{study.metadata.uid}/",
    )


def summary(figures: Figures, places: Iterable[str]) -> RenderableType:
    """The whole of it; `places` are where its files are."""
    table = Table.grid(padding=(0, 2))
    table.add_row("study", f"{figures.study.metadata.name}: {ending(figures.study)}")
    if (prior := figures.study.status.prior) is not None:
        table.add_row("begins", f"with {prior.message}")
    table.add_row("best", best(figures))
    if (found := figures.confirmation) is not None:
        table.add_row("confirmed", confirmation.table(found))
    table.add_row("rungs", rungs(figures))
    if figures.study.spec.policy.carbs is not None and figures.ledger.has_full_training():
        table.add_row("front", _front(figures))
    table.add_row("budget", spent(figures))
    if (share := saved(figures)) is not None:
        in_full = f"that training all {len(figures.searched)} trials in full would take"
        table.add_row("saved", f"{share} of device time {in_full}")
    for number, place in enumerate(places):
        table.add_row("" if number else "files", place)
    return table


def _front(figures: Figures) -> RenderableType:
    """The best value at each cost."""
    from scaletune.cli import front  # numpy: not for every study
    from scaletune.core import laws

    return front.table(figures, laws.front(figures.study, figures.ledger))


def trials(figures: Figures) -> RenderableType:
    """All trials, the best first."""
    unit = figures.study.spec.training.unit.lower()
    names = [each.name for each in figures.study.spec.parameters]
    table = words.table("trial", "state", unit, _metric(figures), *names)
    for trial in sorted(figures.searched, key=lambda each: _order(figures, each)):
        record = _highest(trial)
        table.add_row(
            trial.metadata.name,
            figures.ledger.frame.state(trial),
            str(record.at) if record else "",
            words.number(record.value) if record else "",
            *(words.parameter(value) for value in trial.spec.used.values()),
        )
    again = confirmation.trainings(figures)
    return table if again is None else Group(table, "", again)


def comparison(runs: Sequence[tuple[str, Figures]]) -> RenderableType:
    """The best of each run beside each other."""
    columns = [_column(figures) for _, figures in runs]
    table = words.table("", *(directory for directory, _ in runs))
    for name in dict.fromkeys(name for column in columns for name in column):
        table.add_row(name, *(column.get(name, "") for column in columns))
    return table


def _column(figures: Figures) -> dict[str, str]:
    """A run in a comparison: what it found, at what cost, with which parameters."""
    column = {
        "trials": str(len(figures.searched)),
        "device time": words.duration(figures.spent_seconds),
        "compute saved": saved(figures) or "-",
    }
    found = figures.best
    if found is None:
        return {"best trial": "none yet", **column}
    trial, record = found
    return {
        "best trial": trial.metadata.name,
        _metric(figures): words.number(record.value),
        "trained to": f"{figures.study.spec.training.unit.lower()} {record.at}",
        **column,
        **{name: words.parameter(value) for name, value in trial.spec.used.items()},
    }


def _order(figures: Figures, trial: Trial) -> tuple[int, bool, float, int]:
    record = _highest(trial)
    if record is None or record.value is None:
        return (0, True, 0.0, trial.index)
    return (-record.at, False, figures.ledger.frame.sign * record.value, trial.index)


def _highest(trial: Trial) -> Milestone | None:
    counted = (each for each in trial.status.milestones if each.decision != "Void")
    return max(counted, key=lambda record: record.at, default=None)


def _metric(figures: Figures) -> str:
    return figures.study.spec.objectives[0].metric
