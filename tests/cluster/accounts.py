"""Being a service account of the test cluster, with its rights and no others."""

from dataclasses import replace
from pathlib import Path

import yaml

from tests.cluster.connection import Connection


def connection_of(connection: Connection, namespace: str, account: str, folder: Path) -> Connection:
    """A connection to the same cluster as a service account; its files lie in the folder."""
    token = connection.kubectl("create", "token", account, "-n", namespace, "--duration=24h")
    config = yaml.safe_load(connection.kubeconfig.read_text())
    config["users"] = [{"name": "test", "user": {"token": token}}]
    kubeconfig = folder / f"{account}.kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(config))
    return replace(connection, kubeconfig=kubeconfig, cache=folder / f"{account}.cache")
