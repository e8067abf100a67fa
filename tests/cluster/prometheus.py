"""A real Prometheus on this machine, which discovers and scrapes the pods of a test cluster.

It runs beside the operator of the tests: it asks the API server which pods there are, with the
scrape job that the documentation gives to users, and it may scrape fixed addresses as well, such
as the operator's own metrics. It keeps its port and its data when it is killed and started again,
and ends with the context.

A new pod is scraped five to six seconds after its start: so often, and no oftener, does Prometheus
act on what it has discovered.
"""

import atexit
import json
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import yaml

from tests.cluster import programs
from tests.cluster.connection import Connection
from tests.cluster.faults import ClusterError
from tests.cluster.mounts import REPOSITORY
from tests.cluster.operators import wait_until

Json = dict[str, Any]

EXAMPLE = REPOSITORY / "docs" / "examples" / "prometheus" / "scrape-trials.yaml"


def trials(connection: Connection, namespace: str, **options: Any) -> Json:
    """The scrape job that users are given, for one namespace, every interval of the test's.

    Options are further ones of a scrape_config.
    """
    [job] = yaml.safe_load(EXAMPLE.read_text())["scrape_configs"]
    del job["scrape_interval"]
    [discovery] = job["kubernetes_sd_configs"]
    discovery |= {
        "kubeconfig_file": str(connection.kubeconfig),
        "namespaces": {"names": [namespace]},
    }
    return {**job, **options}


def address(target: str, job: str) -> Json:
    """A scrape job for one address, such as the operator's own metrics."""
    return {"job_name": job, "static_configs": [{"targets": [target]}]}


class Prometheus:
    """A context manager: it scrapes until the end of the context."""

    def __init__(
        self, folder: Path, jobs: Sequence[Json], *, interval: str = "1s", listen: str = "127.0.0.1"
    ) -> None:
        self._program = programs.find(programs.PROMETHEUS, _say_nothing)
        self._folder, self._interval = folder, interval
        folder.mkdir(parents=True, exist_ok=True)
        self._listen = f"{listen}:{free_port(listen)}"
        self.url = f"http://{self._listen}"
        self.log = folder / "prometheus.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._write(jobs)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start, with the data of the time before, and wait until it answers."""
        command = [
            str(self._program),
            f"--config.file={self._configuration}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self._listen}",
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        atexit.register(self.kill)
        wait_until("Prometheus is ready", self._is_ready, seconds_max=60)

    def kill(self) -> None:
        """End it at once. Its data stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        atexit.unregister(self.kill)

    def configure(self, jobs: Sequence[Json]) -> None:
        """Scrape these jobs from now on."""
        self._write(jobs)
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def vector(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and values that an instant query gives."""
        found = self.get("/api/v1/query", query=expression)["data"]["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def get(self, path: str, **query: str) -> Any:
        """What its API answers."""
        address = f"{self.url}{path}?{urlencode(query)}"
        with urllib.request.urlopen(address, timeout=30) as response:
            return json.load(response)

    @property
    def _configuration(self) -> Path:
        return self._folder / "prometheus.yml"

    def _write(self, jobs: Sequence[Json]) -> None:
        every = {"scrape_interval": self._interval, "scrape_timeout": self._interval}
        document = {"global": every, "scrape_configs": list(jobs)}
        self._configuration.write_text(yaml.safe_dump(document))

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise ClusterError(f"Prometheus has ended:\n{self.log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def _say_nothing(line: str) -> None:
    pass
