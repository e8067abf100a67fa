"""How fast an operator acts, on a real API server and a real kubelet of this machine.

    python -m tests.bench.operator_latency [--trials 60] [--studies 8] [--reports 30]

It starts a cluster of one node and prints, in milliseconds, with the load of the machine beside it:

- trainer's end → next Job: from the end that the trainer's termination message gives, by the one
  clock that all share here, until the API server is asked to create the next trial's Job, by its
  audit log. One trial at a time, so that it is clear which Job is the next one.
- container's end visible → next Job: from the moment at which a watch of ours shows the end.
- apply → first step: from the moment at which `kubectl apply` is begun until the journal's first.
- report → stored: from the journal's time of a milestone's report until a watch of ours shows the
  Trial with its record; read directly each second, and through a Prometheus that scrapes as often.

Trials run a script without torch. What is written for a trial is counted by the audit log, without
the Lease.
"""

import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from scaletune.api.trial import Trial
from scaletune.shells.kubernetes.seen.snapshot import read_trial
from scaletune.shells.kubernetes.seen.views import read_pod
from scaletune.shells.kubernetes.server.client import POD, TRIAL
from scaletune_trainer import wire
from tests.bench.watching import Watch
from tests.cluster import audit, mounts, prometheus, resources, signals, studies
from tests.cluster.cluster import Cluster
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import ACCOUNT, Operator
from tests.cluster.prometheus import Prometheus

Json = dict[str, Any]
Milliseconds = list[float]
SECONDS_MAX = 900


class Bench:
    """A namespace of the cluster, with an operator that serves it."""

    def __init__(self, cluster: Connection, name: str, folder: Path) -> None:
        self.cluster, self.name, self.folder = cluster, name, folder / name
        self.checkpoints = Mount("checkpoints", self.folder / "volume", "/mnt/checkpoints", True)
        self.checkpoints.folder.mkdir(parents=True)
        self.checkpoints.folder.chmod(0o777)
        cluster.kubectl("create", "namespace", name)
        cluster.apply(*mounts.claims(name, [self.checkpoints, *mounts.PYTHON]))
        bound = "--for=jsonpath={.status.phase}=Bound"
        cluster.kubectl("wait", "-n", name, "pvc", "--all", bound, "--timeout=60s")

    def run(self, study: str, command: Sequence[str], **spec: Any) -> list[Trial]:
        """Take a study to its end."""
        given = {"checkpoints": studies.claim(), "parallelism": 1, **spec}
        self.cluster.apply(studies.study(self.name, study, command, **given))
        return studies.wait_for_end(self.cluster, self.name, study, SECONDS_MAX)[1]

    def reports(self) -> Iterator[tuple[str, wire.ReportEntry]]:
        """Every report in the journals, with the name of its trial."""
        for journal in self.checkpoints.folder.glob("*/*/*/journal.jsonl"):
            for entry in wire.entries_of(journal.read_text()):
                if isinstance(entry, wire.ReportEntry):
                    yield journal.parts[-3], entry

    def writes(self) -> Iterator[audit.Request]:
        asked = audit.requests(self.cluster, self.name, ACCOUNT)
        return (each for each in asked if each.is_write and each.resource != "leases")


@contextmanager
def _bench(cluster: Connection, name: str, folder: Path, **settings: str) -> Iterator[Bench]:
    made = Bench(cluster, name, folder)
    with Operator(cluster, name, made.folder, SCALETUNE_ELECTION="1", **settings):
        yield made
    cluster.kubectl("delete", "namespace", name, "--wait=false")
    mounts.release(cluster, name)


def main(
    trials: Annotated[int, typer.Option(help="Trials, one after the other.")] = 60,
    studies: Annotated[int, typer.Option(help="Studies that are applied.")] = 8,
    reports: Annotated[int, typer.Option(help="Reports that are waited for, on each way.")] = 30,
) -> None:
    """Measure how fast an operator acts, on a cluster of its own."""
    table = Table("what", "n", "p50 ms", "p90 ms", "p99 ms", "max ms", "load")
    with (
        tempfile.TemporaryDirectory() as place,
        Cluster(lambda line: print(line, file=sys.stderr)) as own,  # noqa: T201
    ):
        folder = Path(place)
        folder.chmod(0o755)
        own.start()
        own.add_node()
        resources.apply(own.connection)
        with _bench(own.connection, "chain", folder) as bench:
            lines, writes = _chain(bench, trials)
            for name, found in lines.items():
                _tell(table, name, found)
            _tell(table, "apply → first step", _first_steps(bench, studies))
            _tell(table, "report → stored, read directly", _stored(bench, reports))
        with (
            Prometheus(
                folder / "prometheus", [prometheus.trials(own.connection, "scraped")]
            ) as scraper,
            _bench(own.connection, "scraped", folder, **_asking(scraper)) as bench,
        ):
            _tell(table, "report → stored, through Prometheus", _stored(bench, reports))
    Console(width=110).print(table)
    told = ", ".join(f"{count / trials:.2f} {what}" for what, count in writes.most_common())
    print(f"writes per trial: {writes.total() / trials:.2f} ({told})")  # noqa: T201


def _asking(scraper: Prometheus) -> dict[str, str]:
    return {
        "SCALETUNE_PROMETHEUS_URL": scraper.url,
        "SCALETUNE_PROMETHEUS_INTERVAL_SECONDS": "1",
    }


def _chain(bench: Bench, number: int) -> tuple[dict[str, Milliseconds], Counter[str]]:
    """Trials one after the other: how long from an end to the next Job, and what was written."""
    ends: dict[str, tuple[float, float]] = {}

    def see(raw: Json) -> None:
        ending = read_pod(raw).ending
        if ending is not None and ending.message and raw["metadata"]["name"] not in ends:
            message = wire.TerminationMessage.from_json(ending.message)
            ends[raw["metadata"]["name"]] = message.times["endMs"] / 1000, time.time()

    with Watch(bench.cluster, POD, bench.name, see):
        bench.run(
            "chain",
            studies.QUADRATIC,
            training={"unit": "Step", "max": 3},
            budget={"trials": number},
        )
    made = sorted(
        _instant(each.at)
        for each in bench.writes()
        if each.verb == "create" and each.resource == "jobs"
    )
    by_trainer, by_watch = [], []
    for ended, seen in ends.values():
        following = next((at for at in made if at > ended), None)
        if following is not None:
            by_trainer.append(1000 * (following - ended))
            by_watch.append(1000 * max(0.0, following - seen))
    lines = {
        "trainer's end → next Job": by_trainer,
        "container's end visible → next Job": by_watch,
    }
    return lines, Counter(f"{each.verb} {each.resource}" for each in bench.writes())


def _first_steps(bench: Bench, number: int) -> Milliseconds:
    begun = {}
    for index in range(number):
        begun[f"first{index}-0000"] = time.time()
        bench.run(
            f"first{index}",
            studies.QUADRATIC,
            training={"unit": "Step", "max": 3},
            budget={"trials": 1},
        )
    first = {
        name: entry.time
        for name, entry in sorted(bench.reports(), key=lambda each: -each[1].sequence)
    }
    return [1000 * (first[name] - since) for name, since in begun.items()]


def _stored(bench: Bench, number: int) -> Milliseconds:
    """Four trials at a time, of which each has a few milestones, seconds apart."""
    seen: dict[tuple[str, int], float] = {}

    def see(raw: Json) -> None:
        trial = read_trial(raw)
        for record in trial.status.milestones:
            seen.setdefault((trial.metadata.name, record.at), time.time())

    with Watch(bench.cluster, TRIAL, bench.name, see):
        bench.run(
            "stored",
            [*studies.QUADRATIC, "--sleep", "2.3"],
            training={"unit": "Step", "max": 16},
            policy={"asha": {"eta": 2, "min": 1, "mode": "Stop"}},
            budget={"trials": -(-number // 4)},
            parallelism=4,
        )
    return [
        1000 * (seen[name, level] - entry.time)
        for name, entry in bench.reports()
        for level in entry.milestone
        if level < 16 and (name, level) in seen  # the last one comes with the end
    ]


def _instant(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _tell(table: Table, name: str, found: Milliseconds) -> None:
    cuts = statistics.quantiles(found, n=100, method="inclusive") if len(found) > 1 else [0.0] * 99
    figures = (statistics.median(found), cuts[89], cuts[98], max(found))
    load = f"{os.getloadavg()[0]:.1f}"
    table.add_row(name, str(len(found)), *(f"{each:.0f}" for each in figures), load)


if __name__ == "__main__":
    signals.end_as_if_interrupted()
    command = typer.Typer(pretty_exceptions_enable=False)
    command.command()(main)
    command()
