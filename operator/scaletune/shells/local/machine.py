"""What this machine gives to a study: how many trials at once, and the environment of each."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scaletune.api.study import Study

_OURS = ("SCALETUNE_", "PET_", "TORCHELASTIC_")
_OF_A_GANG = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class UnrunnableError(Exception):
    """The Study cannot be run on this machine; says what to change."""


@dataclass(frozen=True)
class Container:
    """What of the pod template a laptop can use: the first container's command and environment."""

    command: tuple[str, ...]
    variables: Mapping[str, str]
    working_directory: Path

    @classmethod
    def of(cls, study: Study, study_folder: Path) -> "Container":
        """Raises UnrunnableError."""
        containers = (study.spec.template.pod.get("spec") or {}).get("containers") or [{}]
        first: dict[str, Any] = containers[0]
        command = [*(first.get("command") or ()), *(first.get("args") or ())]
        if not command:
            raise UnrunnableError(
                "spec.template.pod.spec.containers[0] has no command; `scaletune run` does not"
                " use the image, so say there what to start, such as command: [python, train.py]"
            )
        nodes = study.spec.template.nodes
        if nodes > 1:
            raise UnrunnableError(
                f"spec.template.nodes is {nodes}, but this is one machine: run it on a cluster with"
                " `kubectl apply`, or here with --set template.nodes=1"
            )
        processes = study.spec.template.processes_per_node
        if processes > 1 and find_spec("torch") is None:
            raise UnrunnableError(
                f"spec.template.processesPerNode is {processes}, which needs torchrun:"
                " pip install 'scaletune[trainer]'"
            )
        variables = _variables(first)
        words = tuple(_expanded(str(word), variables) for word in command)
        return cls(words, variables, _working_directory(first, study_folder))


def _variables(container: dict[str, Any]) -> dict[str, str]:
    """The variables with a value; what comes from a secret must be in our own environment."""
    variables: dict[str, str] = {}
    for each in container.get("env") or ():
        name = each["name"]
        if "valueFrom" not in each:
            variables[name] = _expanded(str(each.get("value", "")), variables)
        elif name not in os.environ:
            raise UnrunnableError(
                f"the variable {name} of the container has valueFrom, which only a cluster can"
                f" look up; set {name} in the environment of `scaletune run`"
            )
    return variables


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """$(NAME) becomes the variable's value, as the kubelet does it; others stay, $$ is a $."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)", value, text)


def _working_directory(container: dict[str, Any], study_folder: Path) -> Path:
    """workingDir where this machine has it, else where the Study file lies."""
    wanted = study_folder / str(container.get("workingDir") or ".")
    return wanted.resolve() if wanted.is_dir() else study_folder.resolve()


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallelism(wanted: int, processes: int) -> int:
    """How many trials of so many processes at once: no more than there are cores."""
    return max(1, min(wanted, cores() // processes))


def environment(container: Container, trials_at_once: int, processes: int) -> dict[str, str]:
    """The environment of a trial's PID 1, less what is said to it in particular."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OURS) and name not in _OF_A_GANG
    }
    threads = max(1, cores() // (trials_at_once * processes))
    programs = str(Path(sys.executable).parent)
    return {
        "OMP_NUM_THREADS": str(threads),
        **inherited,
        "PATH": os.pathsep.join([programs, inherited.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        **container.variables,
    }
