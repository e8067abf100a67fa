"""The chart as the real helm renders it."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import programs

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "scaletune"


class HelmError(RuntimeError):
    """helm ended with an error; the message is what it said."""


def helm(
    *words: str, values: Mapping[str, Any] | None = None, kubeconfig: Path | None = None
) -> str:
    """What helm printed. Its own files of the user's are left alone."""
    program = programs.find(programs.HELM, lambda line: None)
    given = yaml.safe_dump(dict(values)) if values else None
    environment = {"HELM_NO_PLUGINS": "1"}
    if kubeconfig is not None:
        environment["KUBECONFIG"] = str(kubeconfig)
    done = subprocess.run(
        [program, *words, *(["--values", "-"] if given else [])],
        input=given,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode != 0:
        raise HelmError(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def rendered(
    values: Mapping[str, Any] | None = None,
    release: str = "scaletune",
    namespace: str = "scaletune",
) -> list[Json]:
    """Every manifest of the chart."""
    place = ("--namespace", namespace, "--kube-version", programs.KUBERNETES)
    text = helm("template", release, str(CHART), *place, values=values)
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(manifests: Sequence[Json], *kinds: str) -> list[Json]:
    return [each for each in manifests if each["kind"] in kinds]
