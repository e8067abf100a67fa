"""The front in a table: the configurations that are better than every cheaper one."""

from collections.abc import Iterable

from rich.table import Table

from scaletune.cli import words
from scaletune.cli.figures import Figures
from scaletune.core.frame import cost_metric_of
from scaletune.core.laws import Member


def table(figures: Figures, members: Iterable[Member]) -> Table:
    """One row a configuration, the cheapest first."""
    spec = figures.study.spec
    names = [each.name for each in spec.parameters]
    name = cost_metric_of(figures.study) or "device time"
    found = words.table(f"front: {name}", spec.objectives[0].metric, "trials", *names)
    for member in members:
        trial = figures.ledger.trial(member.trials[0])
        values = {each.name: each.value for each in trial.spec.parameters}
        found.add_row(
            cost(figures, member.cost),
            words.number(member.value),
            ", ".join(str(index) for index in member.trials),
            *(words.parameter(values[name]) for name in names),
        )
    return found


def cost(figures: Figures, value: float) -> str:
    """What a training costs, in the study's unit."""
    return words.number(value) if cost_metric_of(figures.study) else words.duration(value)
