"""How numbers and trials are written for people, and on how wide a screen."""

import math
import sys

from rich.console import Console
from rich.table import Table

from scaletune.api.trial import Trial

WIDTH_OF_A_FILE = 120


def screen() -> Console:
    """Where to print: a terminal with its width, or a file with a fixed one."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)


def table(*columns: str) -> Table:
    """One without lines, under faint heads."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        made.add_column(column)
    return made


def number(value: float | None) -> str:
    """A value of the objective, or a parameter."""
    if value is None:
        return "-"
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def parameters(trial: Trial) -> str:
    """The configuration on one line, as the training script sees it."""
    found = "  ".join(f"{name} {parameter(value)}" for name, value in trial.spec.used.items())
    later = ", ".join(str(each.after) for each in trial.spec.schedule)
    return f"{found}, other values after {later}" if later else found


def parameter(value: float | int | str) -> str:
    """One parameter's value."""
    return number(value) if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
