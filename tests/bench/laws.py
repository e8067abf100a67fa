"""The `laws` suite: whether scaling laws are found again where they are known.

Policy carbs on law_lm and on planted surfaces with other exponents, 120 trials each. Of each study
`scaletune extrapolate`'s law of the model's size is compared with the truth.
"""

from collections.abc import Mapping
from statistics import median
from typing import Any

from scaletune.api.study import Study
from scaletune.core import laws
from scaletune.core.ledger import Ledger
from scaletune.shells.simulate.faults import Circumstances
from scaletune.shells.simulate.simulation import Setting, simulate
from tests.bench.law import Law
from tests.bench.planted import Planted

TRIALS = 120
HEAD = ("", "studies", "truth", "median", "90 % interval covers", "its median width")
PLANTED = (Planted(0.34, 0.28), Planted(0.3, 0.45), Planted(0.45, 0.25))
BOXES: dict[str, tuple[Law | Planted, dict[str, float]]] = {
    "law_lm": (Law(), {"N": 0.4516, "D": 0.5484}),
    **{each.name: (each, each.exponents) for each in PLANTED},
}

Found = dict[str, tuple[float, float, float]]


def run(box: str, seed: int) -> Found:
    """Exponents with the ends of their intervals, by parameter, of one study."""
    shell = simulate(Setting(_study(BOXES[box][0]), _Objective(box), Circumstances()), seed)
    found = laws.laws(shell.study, Ledger.of(shell.study, shell.trials.values()))
    return {each.parameter.name: (each.exponent, *each.interval) for each in found.laws}


def table(found: Mapping[str, list[Found]], parameter: str) -> list[list[str]]:
    """What came out, box by box and all together."""
    lines: list[list[str]] = []
    errors: list[float] = []
    covers: list[bool] = []
    widths: list[float] = []
    for box, studies in found.items():
        truth = BOXES[box][1].get(parameter)
        if truth is None:
            continue
        each = [study[parameter] for study in studies]
        covered = [low <= truth <= high for _, low, high in each]
        spans = [high - low for _, low, high in each]
        middle = median(exponent for exponent, _, _ in each)
        lines.append(_row(f"{box}, {parameter}", truth, middle, covered, spans))
        errors += [exponent - truth for exponent, _, _ in each]
        covers, widths = covers + covered, widths + spans
    return [*lines, _row(f"all, {parameter}, less the truth", 0.0, median(errors), covers, widths)]


def _row(
    name: str, truth: float, middle: float, covered: list[bool], spans: list[float]
) -> list[str]:
    share = sum(covered) / len(covered)
    figures = f"{truth:.3f}", f"{middle:.3f}", f"{share:.0%}", f"{median(spans):.3f}"
    return [name, str(len(covered)), *figures]


class _Objective:
    def __init__(self, box: str) -> None:
        self._box = BOXES[box][0]

    def __call__(
        self, parameters: Mapping[str, Any], start: int, until: int, seed: int, state: Any = None
    ) -> dict[str, Any]:
        values, seconds = self._box.curve(parameters, seed)
        value = float(values[0]) if len(values) else float("nan")
        return {"value": value, "seconds": float(seconds[0])}


def _study(box: Law | Planted) -> Study:
    spec = {
        "parallelism": 4,
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": list(box.parameters),
        "training": {"unit": "Step", "max": 1},
        "policy": {"carbs": {}},
        "budget": {"trials": TRIALS},
        "template": {"pod": {}},
    }
    return Study.model_validate({"metadata": {"name": "laws"}, "spec": spec})
