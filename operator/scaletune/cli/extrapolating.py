"""`scaletune extrapolate`: how the best configuration grows with cost, and the Study for more."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scaletune.cli import front, words
from scaletune.cli.figures import Figures
from scaletune.cli.found import find
from scaletune.cli.refusal import Refusal
from scaletune.cli.study_file import write_new_study
from scaletune.cli.subject import Cluster, subject_of
from scaletune.core.frame import cost_metric_of
from scaletune.core.larger import larger_study
from scaletune.core.laws import CannotTell, Law, Laws, Prediction, as_json, laws

_WORDS = {
    "Law": "",
    "Constant": "hardly changes",
    "Unknown": "unknown",
    "Best": "the best in the list",
}


@dataclass(frozen=True)
class Wish:
    """The options as they were given."""

    compute: float
    write: str | None
    output: str


def extrapolate(subject: Sequence[str], cluster: Cluster, wish: Wish) -> None:
    """Print the laws and write the Study. Raises Refusal."""
    figures = find(subject_of([*subject], cluster, "study"), cluster).figures
    try:
        found = laws(figures.study, figures.ledger)
    except CannotTell as reason:
        raise Refusal(f"{figures.study.metadata.name}: {reason}") from None
    predicted = found.predict(wish.compute)
    study = larger_study(figures.study, found, wish.compute)
    path = Path(wish.write or f"{study['metadata']['name']}.yaml")
    write_new_study(path, study)
    if wish.output == "json":
        sys.stdout.write(
            json.dumps(_json(figures, found, predicted, wish.compute), allow_nan=False) + "\n"
        )
    else:
        words.screen().print(_report(figures, found, predicted, wish.compute))
    sys.stderr.write(f"wrote {path}: look it over, then `scaletune validate {path}`\n")


def _report(
    figures: Figures, found: Laws, predicted: dict[str, Prediction], times: float
) -> RenderableType:
    low, high = found.costs
    name, metric = figures.study.metadata.name, figures.study.spec.objectives[0].metric
    cost = cost_metric_of(figures.study) or "device time"
    head = (
        f"{name}: {metric} over cost, from {found.trials} trials trained in full, between"
        f" {front.cost(figures, low)} and {front.cost(figures, high)} of {cost}"
    )
    parts: list[RenderableType] = [
        Text(head, style="bold"),
        front.table(figures, found.front),
        Text(""),
    ]
    parts.append(_laws(found, predicted, times))
    parts += [Text(each) for each in _warnings(found, times)]
    return Group(*parts)


def _laws(found: Laws, predicted: dict[str, Prediction], times: float) -> Table:
    table = words.table("parameter", "law", "90 %", "fit", "now", f"at {times:g} x", "90 %", "")
    for law in found.laws:
        prediction = predicted[law.parameter.name]
        is_best = law.says == "Best"
        low, high = law.interval
        table.add_row(
            law.parameter.name,
            "" if is_best else _exponent(law),
            "" if is_best else f"{low:.3g} to {high:.3g}",
            "" if is_best else f"{law.fitted:.2f}",
            words.parameter(law.now),
            words.parameter(prediction.value),
            "" if is_best else f"{words.number(prediction.low)} to {words.number(prediction.high)}",
            _WORDS[law.says],
        )
    return table


def _exponent(law: Law) -> str:
    scale = getattr(law.parameter.space, "scale", "Linear")
    if scale == "Log":
        return f"cost^{law.exponent:.3f}"
    return f"{law.exponent:+.3g} a decade{' (logit)' if scale == 'Logit' else ''}"


def _warnings(found: Laws, times: float) -> list[str]:
    low, high = found.costs
    lines = []
    unknown = [law.parameter.name for law in found.laws if law.says == "Unknown"]
    if unknown:
        lines.append(
            f"These trials cannot tell how {', '.join(unknown)} should change with cost: more"
            " trials, or a wider span of costs, would."
        )
    if times > high / low:
        lines.append(
            f"{times:g} x reaches further than the factor of {high / low:.3g} that was seen; a law"
            " may end on the way."
        )
    return lines


def _json(
    figures: Figures, found: Laws, predicted: dict[str, Prediction], times: float
) -> dict[str, Any]:
    low, high = found.costs
    unit = "cost" if cost_metric_of(figures.study) else "deviceSeconds"
    return {
        "trials": found.trials,
        unit: {"low": low, "high": high, "predicted": high * times},
        "parameters": [_parameter(law, predicted[law.parameter.name]) for law in found.laws],
        "front": [
            {"trials": each.trials, unit: each.cost, "value": each.value} for each in found.front
        ],
    }


def _parameter(law: Law, prediction: Prediction) -> dict[str, Any]:
    document = {**as_json(law), "predicted": prediction.value}
    if law.says == "Best":
        return document
    return {**document, "predictedInterval": [prediction.low, prediction.high]}
