"""What an operator costs that has nothing to do: memory, processor, requests.

    python -m tests.bench.operator_idle [--seconds 60] [--trials 10000]

It starts a control plane of its own, and for each case a fresh operator, as one process of this
machine under a Lease; no pod runs, and all studies are paused. It prints what was measured and
judges nothing.
"""

import asyncio
import contextlib
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.table import Table

from scaletune.shells.kubernetes.server.client import TRIAL, Client
from tests.cluster import audit, resources, signals, studies
from tests.cluster.cluster import Cluster
from tests.cluster.connection import Connection
from tests.cluster.operators import ACCOUNT, Operator, wait_until

Json = dict[str, Any]
READY_SECONDS_MAX = 300


@dataclass(frozen=True)
class Case:
    """So many paused studies, each with so many trials."""

    name: str
    studies: int
    trials: int


@dataclass(frozen=True)
class Figures:
    """Of one case."""

    ready_seconds: float
    ready_cpu_seconds: float
    memory_mib: float
    cpu_percent: float
    requests: int
    writes: int


def main(
    seconds: Annotated[float, typer.Option(help="How long each case is watched.")] = 60.0,
    trials: Annotated[int, typer.Option(help="How many Trials the last case has.")] = 10_000,
) -> None:
    """Measure what an idle operator costs, on a control plane of its own."""
    cases = [
        Case("no study", 0, 0),
        Case("1 study, 20 trials", 1, 20),
        Case("50 studies, 1,000 trials", 50, 20),
        Case(f"50 studies, {trials:,} trials", 50, trials // 50),
        Case(f"1 study, {trials:,} trials", 1, trials),
    ]
    table = Table("case", "ready s", "of CPU", "RSS MiB", "CPU %", "requests/min", "writes/min")
    with Cluster(lambda line: print(line, file=sys.stderr)) as cluster:  # noqa: T201
        cluster.start()
        resources.apply(cluster.connection)
        for number, case in enumerate(cases):
            found = _measured(cluster.connection, f"bench-{number}", case, seconds)
            print(case.name, found, file=sys.stderr)  # noqa: T201
            per_minute = 60 / seconds
            table.add_row(
                case.name,
                f"{found.ready_seconds:.1f}",
                f"{found.ready_cpu_seconds:.1f}",
                f"{found.memory_mib:.0f}",
                f"{found.cpu_percent:.2f}",
                f"{found.requests * per_minute:.0f}",
                f"{found.writes * per_minute:.0f}",
            )
    Console(width=110).print(table)


def _measured(cluster: Connection, namespace: str, case: Case, seconds: float) -> Figures:
    cluster.kubectl("create", "namespace", namespace)
    for number in range(case.studies):
        _make(cluster, namespace, f"s{number}", case.trials)
    with _running(cluster, namespace) as operator:
        begin = time.monotonic()
        wait_until(case.name, lambda: _is_ready(cluster, namespace, operator), READY_SECONDS_MAX)
        ready, process = time.monotonic() - begin, psutil.Process(operator.pid)
        ready_cpu = sum(process.cpu_times()[:2])
        time.sleep(min(20.0, seconds))  # what was begun at the start is over
        since, before = _now(), sum(process.cpu_times()[:2])
        time.sleep(seconds)
        spent = sum(process.cpu_times()[:2]) - before
        memory = process.memory_info().rss / 2**20
        asked = [each for each in audit.requests(cluster, namespace, ACCOUNT) if each.at > since]
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    writes = sum(each.is_write for each in asked)
    return Figures(ready, ready_cpu, memory, 100 * spent / seconds, len(asked), writes)


@contextlib.contextmanager
def _running(cluster: Connection, namespace: str) -> Iterator[Operator]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Operator(cluster, namespace, Path(folder), SCALETUNE_ELECTION="1") as operator,
    ):
        yield operator


def _is_ready(cluster: Connection, namespace: str, operator: Operator) -> bool:
    if operator.page("readyz")[0] != 200 or operator.metric("scaletune_operator_leader") != 1:
        return False
    made = cluster.get("studies", "-n", namespace)["items"]
    return all((each.get("status") or {}).get("conditions") for each in made)


def _make(cluster: Connection, namespace: str, name: str, trials: int) -> None:
    """A paused Study with trials that wait: nothing is to be done until somebody says so."""
    policy, budget = {"asha": {"eta": 3, "min": 1, "mode": "Stop"}}, {"trials": trials}
    cluster.apply(studies.study(namespace, name, state="Paused", policy=policy, budget=budget))
    uid = cluster.get("study", name, "-n", namespace)["metadata"]["uid"]
    made = [_trial(namespace, name, uid, index) for index in range(trials)]
    asyncio.run(_create(cluster, made))


async def _create(cluster: Connection, bodies: Sequence[Json]) -> None:
    """By our own client: kubectl takes minutes for thousands."""
    client, places = await Client.connect(cluster.kubeconfig), asyncio.Semaphore(32)

    async def one(body: Json) -> None:
        async with places:
            raw = await client.create(TRIAL, body)
            # As the operator would: else it had this to write for each of them.
            await client.replace(TRIAL, raw | {"status": _status(raw["spec"]["index"])}, "status")

    try:
        await asyncio.gather(*map(one, bodies))
    finally:
        await client.close()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _trial(namespace: str, study: str, uid: str, index: int) -> Json:
    owner = {
        "apiVersion": "scaletune.dev/v1alpha1",
        "kind": "Study",
        "name": study,
        "uid": uid,
        "controller": True,
    }
    return {
        "apiVersion": "scaletune.dev/v1alpha1",
        "kind": "Trial",
        "metadata": {
            "name": f"{study}-{index:04d}",
            "namespace": namespace,
            "labels": {"scaletune.dev/study": study},
            "ownerReferences": [owner],
        },
        "spec": {
            "study": study,
            "index": index,
            "until": 9,
            "state": "Paused",
            "parameters": [{"name": "x", "float": (index * 7919 % 10007) / 10007}],
        },
    }


def _status(index: int) -> Json:
    """What a trial has stored that was paused after two milestones."""
    levels = [1, 3]
    records = [
        {
            "at": level,
            "step": level,
            "value": (index * 7919 % 10007) / 10007 + 1 / level,
            "deviceSeconds": 1.5 * level,
            "number": 2 * index + place + 1,
            "decision": "Continue",
            "evidence": {"n": index + 1, "rank": 0, "quota": index // 3 + 1},
        }
        for place, level in enumerate(levels)
    ]
    life = str(uuid.uuid5(uuid.NAMESPACE_OID, str(index)))
    last = {"step": 4, "value": 0.5, "generation": 1, "sequence": 9, "deviceSeconds": 6.5}
    attempt = {
        "number": 1,
        "incarnation": life,
        "templateHash": "0123456789abcdef",
        "deviceSeconds": 6.5,
        "cause": "Paused",
        "startedAt": "2026-01-01T00:00:00Z",
    }
    return {
        "state": "Paused",
        "reason": "spec.state of the study is Paused",
        "milestones": records,
        "attempts": [attempt],
        "checkpoint": {"incarnation": life, "step": 4},
        "last": last,
        "deviceSeconds": 6.5,
        "acknowledged": 9,
    }


if __name__ == "__main__":
    signals.end_as_if_interrupted()
    command = typer.Typer(pretty_exceptions_enable=False)
    command.command()(main)
    command()
