"""LCBench: small neural networks on tabular data, as a neural surrogate of 2,000 real trainings.

LCBench is by Zimmer, Lindauer and Hutter (arXiv:2006.13799), the surrogate by the authors of YAHPO
Gym (arXiv:2109.03670): a residual network of three gated blocks, fitted on all tasks at once. Its
weights are data (see data/NOTICE.md); this module evaluates them.
"""

from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.boxes import Facts, Floats, Values

UNITS = 50
TASKS = {"3945": 34, "126026": 2, "168868": 21, "189862": 25}  # the rows of the task's embedding
# Inputs after the task: name, kind and range as a Study has them, and whether the network wants the
# logarithm. What is subtracted and divided by stands in the weights, under these two numbers.
_INPUTS: tuple[tuple[str, dict[str, Any], bool, tuple[str, str]], ...] = (
    ("batch_size", {"int": {"min": 16, "max": 512, "scale": "Log"}}, False, ("58", "60")),
    ("learning_rate", {"float": {"min": 1e-4, "max": 1e-1, "scale": "Log"}}, True, ("71", "73")),
    ("momentum", {"float": {"min": 0.1, "max": 0.99}}, False, ("80", "82")),
    ("weight_decay", {"float": {"min": 1e-5, "max": 1e-1}}, True, ("93", "95")),
    ("num_layers", {"int": {"min": 1, "max": 5}}, False, ("102", "104")),
    ("max_units", {"int": {"min": 64, "max": 1024, "scale": "Log"}}, False, ("111", "113")),
    ("max_dropout", {"float": {"min": 0.0, "max": 1.0}}, False, ("120", "122")),
)
_EPOCH = ("49", "51")
_SECONDS, _ACCURACY = ("196", "198"), ("205", "207")


class LcBench:
    """One task of it."""

    units = UNITS
    parameters = tuple({"name": name, **space} for name, space, _, _ in _INPUTS)

    def __init__(self, folder: Path, task: str, facts: Facts) -> None:
        self.name, self.facts = f"lcbench_{task}", facts
        with np.load(folder / "lcbench.npz") as weights:
            self._weights = {
                name.removeprefix("a_"): weights[name]
                for name in weights.files
                if name.startswith("a_")
            }
        self._curves: dict[tuple[Any, ...], tuple[Floats, Floats]] = {}
        self._task = self._weights["embds_fct.0.weight"][TASKS[task]]

    def curve(self, values: Values, seed: int) -> tuple[Floats, Floats]:
        """Validation error after each epoch, and the seconds until then; remembered."""
        key = tuple(values[name] for name, *_ in _INPUTS)
        if key not in self._curves:
            self._curves[key] = self._curve(values)
        return self._curves[key]

    def _curve(self, values: Values) -> tuple[Floats, Floats]:
        epochs = np.arange(1, UNITS + 1)
        columns = [self._scaled(np.log(epochs), _EPOCH)]
        for name, _, logarithm, scaling in _INPUTS:
            value = np.float32(values[name])
            scaled = self._scaled(np.log(value) if logarithm else value, scaling)
            columns.append(np.full(UNITS, scaled))
        task = np.tile(self._task, (UNITS, 1))
        out = self._network(np.column_stack([task, *columns]).astype(np.float32))
        # The two outputs that matter: seconds, and the logarithm of the accuracy in per cent.
        seconds = out[:, 0] * self._weights["196"] + self._weights["198"]
        accuracy = np.exp(out[:, 1] * self._weights["205"] + self._weights["207"])
        least = 1e-3 * epochs
        return 1 - accuracy / 100.0, np.maximum.accumulate(np.maximum(seconds, least))

    def _scaled(self, value: Any, names: tuple[str, str]) -> Any:
        shift, scale = (self._weights[name] for name in names)
        return (value - shift) / scale

    def _network(self, rows: Any) -> Any:
        rows = self._linear(rows, "first_layer")
        for block in ("layers.0", "layers.1", "layers.2"):
            hidden = self._linear(self._normed(rows, f"{block}.norm"), f"{block}.linear0")
            value, gate = np.split(hidden, 2, axis=1)
            rows = rows + self._linear(value * np.maximum(gate, 0), f"{block}.linear1")
        last = np.maximum(self._normed(rows, "last_normalization"), 0)
        return 1 / (1 + np.exp(-self._linear(last, "head")))

    def _linear(self, rows: Any, name: str) -> Any:
        return rows @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _normed(self, rows: Any, name: str) -> Any:
        mean, variance, weight, bias = (
            self._weights[f"{name}.{part}"]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (rows - mean) / np.sqrt(variance + 1e-5) * weight + bias
