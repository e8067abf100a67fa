"""What a simulated study would cost and find, for people: one column, or percentiles over seeds."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from scaletune.api.configuration import ParameterValue
from scaletune.api.study import Study
from scaletune.cli import words
from scaletune.core import confirmed
from scaletune.shells.simulate.outcome import percentile

Outcome = dict[str, Any]
PERCENTILES = (0.1, 0.5, 0.9)


def forecast(study: Study, outcomes: Sequence[Outcome]) -> RenderableType:
    """The whole of it."""
    table = words.table("")
    columns = [f"{fraction:.0%}" for fraction in PERCENTILES] if len(outcomes) > 1 else [""]
    for column in columns:
        table.add_column(column, justify="right")
    for name, values, show in _rows(study, outcomes):
        table.add_row(name, *_cells(values, show, len(columns)))
    return Group(Text(_title(study, outcomes), style="bold"), table, *_notes(study, outcomes))


def _title(study: Study, outcomes: Sequence[Outcome]) -> str:
    which = f"seed {outcomes[0]['seed']}"
    if len(outcomes) > 1:
        which = f"percentiles over {len(outcomes)} seeds"
    places = study.spec.parallelism
    return f"{study.metadata.name}: {study.status.policy}, {places} at once, {which}"


def _rows(
    study: Study, outcomes: Sequence[Outcome]
) -> Iterator[tuple[str, list[float | None], Callable[[float], str]]]:
    spent = [each["spent"] for each in outcomes]
    role, unit = "Search", study.spec.training.unit.lower()
    if confirmed.winner(study.status.confirmation) is not None:
        role = "Confirm"
    metric = study.spec.judged_by(role)[0]
    yield "GPU-hours", [each["deviceSeconds"] / 3600 for each in spent], words.number
    yield "ends after", [each["wallSeconds"] for each in spent], words.duration
    best = [each["best"] for each in outcomes]
    yield f"best {metric}", [each and each["value"] for each in best], words.number
    yield f"  at {unit}", [each and each["milestone"] for each in best], _count
    yield "trials", [each["trials"] for each in spent], _count
    for number, rung in enumerate(outcomes[0]["rungs"]):
        reached = [each["rungs"][number]["reached"] for each in outcomes]
        yield f"  to {_where(unit, rung)}", reached, _count
    if study.spec.confirm is not None:
        yield "to confirm the best", [each["confirmingTrials"] for each in spent], _count
    yield "trained in full", [each["fullTrainings"] for each in spent], _count
    yield "places idle", [each["idleFraction"] for each in spent], "{:.0%}".format


def _where(unit: str, rung: Outcome) -> str:
    return "the end" if rung["milestone"] is None else f"{unit} {rung['milestone']}"


def _count(value: float) -> str:
    return f"{value:g}"


def _cells(values: Sequence[float | None], show: Callable[[float], str], columns: int) -> list[str]:
    known = [each for each in values if each is not None]
    if not known:
        return ["-"] * columns
    if columns == 1:
        return [show(known[0])]
    return [show(percentile(known, fraction)) for fraction in PERCENTILES]


def _notes(study: Study, outcomes: Sequence[Outcome]) -> Iterator[Text]:
    """Why it ends, and with which configuration."""
    for reason, seeds in Counter(each["reason"] for each in outcomes).most_common(3):
        in_seeds = f"in {seeds} of {len(outcomes)} seeds: " if len(outcomes) > 1 else ""
        yield Text(f"{in_seeds}{reason}")
    best = outcomes[0]["best"]
    if len(outcomes) == 1 and best is not None:
        given = [ParameterValue.model_validate(each) for each in best["parameters"]]
        values = "  ".join(f"{each.name} {words.parameter(each.value)}" for each in given)
        yield Text(f"the best is trial {best['trial']}: {values}")
        trials = {each["trial"]: each for each in outcomes[0]["trials"]}
        if "lineage" in trials[best["trial"]]:
            yield Text("it began with other values: `-o json` has them, in the trial's lineage")
