"""The chart as the real helm renders it, and ways to render it."""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import programs

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "scaletune"

VALUES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "one replica for one namespace": {"replicas": 1, "watch": {"namespaces": ["team"]}},
    "everything on": {
        "watch": {"namespaces": ["scaletune", "team"]},
        "networkPolicy": {"enabled": True},
        "prometheus": {"url": "http://prometheus:9090", "tokenSecret": {"name": "token"}},
        "metrics": {
            "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "trials": {"podMonitor": {"enabled": True}},
        },
        "dashboards": {"enabled": True, "namespace": "monitoring"},
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "podLabels": {"team": "ml"},
        "podAnnotations": {"a": "b"},
        "serviceAccount": {"name": "own", "annotations": {"a": "b"}},
    },
    "everything off": {
        "replicas": 1,
        "crds": {"install": False},
        "rbac": {"create": False},
        "podDisruptionBudget": {"enabled": False},
        "metrics": {"annotations": False},
    },
}
"""What users may choose, in a few ways that differ as much as possible."""


class HelmError(RuntimeError):
    """helm ended with an error; the message is what it said."""


def helm(
    *words: str, values: Mapping[str, Any] | None = None, kubeconfig: Path | None = None
) -> str:
    """What helm printed. Of its user's files and settings it sees none."""
    program = programs.find(programs.HELM, lambda line: None)
    given = yaml.safe_dump(dict(values)) if values else None
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "KUBECONFIG": str(kubeconfig or "")}
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
