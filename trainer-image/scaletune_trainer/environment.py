"""What the shell said when it started us: the environment, read once.

Errors name the variable. Everything here is the shell's doing, never the user's script's.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scaletune_trainer import wire
from scaletune_trainer.wire import Variable, WireError


@dataclass(frozen=True, slots=True)
class Environment:
    """A trial's processes and where they find things."""

    spec: wire.TrialSpec
    volume: Path
    incarnation: str
    directive: Path | None
    metrics_port: int
    termination_message: Path
    stall_seconds: float
    shutdown_seconds: int
    launcher: str
    node_rank: int

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Environment:
        spec = wire.TrialSpec.from_json(_required(variables, Variable.TRIAL))
        incarnation = _required(variables, Variable.INCARNATION)
        wire.Place.parse(f"{incarnation}/0")  # becomes a folder's name
        directive = variables.get(Variable.DIRECTIVE)
        return cls(
            spec=spec,
            volume=Path(_required(variables, Variable.VOLUME)),
            incarnation=incarnation,
            directive=Path(directive) if directive else None,
            metrics_port=int(_number(variables, Variable.METRICS_PORT, wire.METRICS_PORT)),
            termination_message=Path(
                variables.get(Variable.TERMINATION_MESSAGE, wire.TERMINATION_MESSAGE)
            ),
            stall_seconds=_number(variables, Variable.STALL_SECONDS, math.inf),
            shutdown_seconds=int(
                _number(variables, Variable.SHUTDOWN_SECONDS, wire.SHUTDOWN_SECONDS)
            ),
            launcher=_launcher(variables.get(Variable.LAUNCHER), spec.processes),
            node_rank=int(_number(variables, "PET_NODE_RANK", 0)),
        )

    @property
    def folder(self) -> Path:
        """Everything this incarnation writes on the volume."""
        return self.spec.incarnation_folder(self.volume, self.incarnation)


def _required(variables: Mapping[str, str], name: str) -> str:
    if not variables.get(name):
        raise WireError(f"{name} is not set: a shell of Scaletune starts this program, not a hand")
    return variables[name]


def _number(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise WireError(f"{name} must be a number of at least 0, but is {text!r}")
    return value


def _launcher(wanted: str | None, processes: int) -> str:
    if wanted not in (None, "", "torchrun", "plain"):
        raise WireError(f"{Variable.LAUNCHER} must be torchrun or plain, but is {wanted!r}")
    has_torch = importlib.util.find_spec("torch") is not None
    launcher = wanted or ("torchrun" if has_torch else "plain")
    if launcher == "torchrun" and not has_torch:
        raise WireError(
            f"{Variable.LAUNCHER}=torchrun needs torch: use an image with scaletune[trainer]"
        )
    if launcher == "plain" and processes != 1:
        raise WireError(
            f"the trial wants {processes} processes, but without torchrun there is only one: "
            "use an image with scaletune[trainer]"
        )
    return launcher
