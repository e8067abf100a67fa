"""Talking to a cluster: the real kubectl with one kubeconfig.

Tests see a cluster through this alone, so they run unchanged against one that somebody else
started. `kubectl` returns what it printed and raises `Refused` with the server's own words.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.faults import ClusterError


class Refused(ClusterError):
    """kubectl ended with an error; `words` is what it said."""

    def __init__(self, arguments: Sequence[str], words: str) -> None:
        self.words = words.strip()
        super().__init__(f"kubectl {' '.join(arguments)}: {self.words}")


@dataclass(frozen=True)
class Connection:
    """A kubeconfig and the kubectl to use it with.

    The cache is its own: kubectl remembers by a server's address which kinds the server knows, and
    another cluster may have had this address a minute ago.
    """

    kubeconfig: Path
    program: Path
    cache: Path

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds_max: float = 120) -> str:
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.cache),
        }
        done = subprocess.run(
            [self.program, *arguments],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds_max,
        )
        if done.returncode != 0:
            raise Refused(arguments, done.stderr or done.stdout)
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """An object, or a list of them, as the API server holds it."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, *manifests: Mapping[str, Any]) -> str:
        return self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def is_ready(self) -> bool:
        try:
            return self.kubectl("get", "--raw", "/readyz") == "ok"
        except (Refused, subprocess.TimeoutExpired):
            return False


def write_kubeconfig(path: Path, server: str, authority: Path, client: tuple[Path, Path]) -> Path:
    """A kubeconfig that leads to one server as one client, with paths of files, not their text."""
    certificate, key = client
    credentials = {"client-certificate": str(certificate), "client-key": str(key)}
    cluster = {"server": server, "certificate-authority": str(authority)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": credentials}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(config))
    return path
