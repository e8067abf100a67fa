"""What training the best again has shown, as a person reads it."""

from rich.console import Group, RenderableType
from rich.text import Text

from scaletune.api.confirmation import Confirmation, ConfirmedConfiguration
from scaletune.cli import words
from scaletune.cli.figures import Figures
from scaletune.core.lifecycle import highest_milestone

STANDINGS = {
    "Open": "is being trained",
    "Winner": "the best",
    "Tied": "not told apart",
    "Behind": "",
}


def best(figures: Figures, winner: ConfirmedConfiguration) -> RenderableType:
    """The winner with its configuration."""
    metric = figures.study.spec.judged_by("Confirm")[0]
    times = f"{winner.values} trainings" if winner.values > 1 else "1 training"
    head = f"{winner.trial}  {metric} {_mean(winner)} over {times}"
    configuration = next(
        trial
        for trial in figures.trials
        if winner.index in (trial.index, trial.spec.candidate) or trial.spec.role == winner.role
    )
    return Group(Text(head, style="bold"), Text("  " + words.parameters(configuration)))


def table(found: Confirmation) -> RenderableType:
    """Every configuration that was trained again, the best first, and what the search was worth."""
    rows = words.table("", f"mean {found.metric}", "values", "failed", "in the search", "")
    for each in found.configurations:
        name = f"{each.trial} (all centers)" if each.role == "Control" else each.trial
        screened = "" if each.screened is None else words.number(each.screened)
        at = "" if each.milestone is None else f" at {each.milestone}"
        values, failures = f"{each.values} of {each.trainings}", str(each.failures or "")
        standing = STANDINGS[each.standing]
        rows.add_row(name, _mean(each), values, failures, f"{screened}{at}", standing)
    return Group(rows, *([_worth(found)] if found.rank_correlation is not None else []))


def trainings(figures: Figures) -> RenderableType | None:
    """All trainings of the best again, if there are any."""
    found = list(figures.ledger.on("confirming"))
    if not found:
        return None
    metric, unit = figures.study.spec.judged_by("Confirm")[0], figures.study.spec.training.unit
    rows = words.table("trained again", "state", unit.lower(), metric)
    for trial in found:
        values = [each.value for each in trial.status.milestones]
        state, reached = figures.ledger.frame.state(trial), highest_milestone(trial)
        value = words.number(values[-1]) if values else ""
        rows.add_row(trial.metadata.name, state, str(reached or ""), value)
    return rows


def _mean(row: ConfirmedConfiguration) -> str:
    if row.mean is None:
        return "-"
    error = row.standard_error
    return words.number(row.mean) + ("" if error is None else f" ± {error:.2g}")


def _worth(found: Confirmation) -> Text:
    assert found.rank_correlation is not None
    count = sum(each.role == "Candidate" for each in found.configurations)
    said = f"rank correlation with the search {found.rank_correlation:.2f} ({count} candidates)"
    return Text(f"{said}: -1 opposite, 0 no guide, 1 alike")
