"""Reports reach the operator through a real Prometheus, and without it when it fails.

The trials count steps and report each of them, so that whoever hears them knows more all the time;
what is stored in the end is compared with their journals.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scaletune.api.conditions import METRICS_REACHABLE, condition
from scaletune.api.trial import Trial
from scaletune_trainer import wire
from tests.cluster import mounts, studies
from tests.cluster.connection import Connection
from tests.cluster.gateways import Gateway
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until
from tests.cluster.prometheus import Prometheus, address, free_port, trials

Json = dict[str, Any]

pytestmark = pytest.mark.slow

COUNTING = [*studies.QUADRATIC, "--every-step", "--sleep", "0.2"]
LONG = {
    "training": {"unit": "Step", "max": 6561},
    "policy": {"asha": {"eta": 3, "min": 1, "mode": "Stop"}},
}
HEARD = 'scaletune_operator_reports_read_total{route="prometheus"}'
READ = 'scaletune_operator_reports_read_total{route="direct"}'


@pytest.fixture
def claims(cluster: Connection, crds: list[str], namespace: str, checkpoints: Mount) -> None:
    cluster.apply(*mounts.claims(namespace, [checkpoints, *mounts.PYTHON]))
    bound = "--for=jsonpath={.status.phase}=Bound"
    cluster.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")


class Site:
    """One namespace with an operator that asks a Prometheus, and the studies in it."""

    def __init__(self, cluster: Connection, namespace: str, checkpoints: Mount) -> None:
        self.cluster, self.namespace, self.checkpoints = cluster, namespace, checkpoints

    @contextmanager
    def operator(self, folder: Path, url: str, **settings: str) -> Iterator[Operator]:
        """An operator for which a scrape every two seconds is often enough."""
        every = {"SCALETUNE_PROMETHEUS_URL": url, "SCALETUNE_PROMETHEUS_INTERVAL_SECONDS": "2"}
        with Operator(self.cluster, self.namespace, folder, **every, **settings) as running:
            yield running

    def apply(self, name: str, **spec: Any) -> None:
        given = {"checkpoints": studies.claim(), "budget": {"trials": 1}, **LONG, **spec}
        self.cluster.apply(studies.study(self.namespace, name, COUNTING, **given))

    def trials(self, name: str) -> list[Trial]:
        return studies.stored(self.cluster, self.namespace, name)[1]

    def acknowledged(self, name: str) -> int:
        """The highest sequence number that is stored."""
        return max((trial.status.acknowledged for trial in self.trials(name)), default=0)

    def shown(self, name: str) -> tuple[str, str]:
        """Status and reason of the condition."""
        study, _ = studies.stored(self.cluster, self.namespace, name)
        found = condition(study.status.conditions, METRICS_REACHABLE)
        return ("", "") if found is None else (found.status, found.reason)

    @contextmanager
    def hearing(self, name: str) -> Iterator[None]:
        """More is stored after this context than before: reports come, whatever happens in it."""
        before = self.acknowledged(name)
        yield
        wait_until("reports come", lambda: self.acknowledged(name) > before, 60)

    def wait_for(self, name: str, status: str, reason: str) -> None:
        """Until the condition says so, while reports come."""
        with self.hearing(name):
            wait_until(f"{name} shows {reason}", lambda: self.shown(name) == (status, reason), 120)

    def end(self, name: str) -> list[Trial]:
        """Stop the study; what is stored is then all that its trials have said."""
        patch = json.dumps({"spec": {"state": "Stopped"}})
        arguments = ["study", name, "-n", self.namespace, "--type", "merge", "-p", patch]
        self.cluster.kubectl("patch", *arguments)
        study, found = studies.wait_for_end(self.cluster, self.namespace, name, 120)
        for trial in found:
            stored = {record.at: record.value for record in trial.status.milestones}
            assert stored == self._journalled(study.metadata.uid, trial)
        return found

    def _journalled(self, uid: str, trial: Trial) -> dict[int, float]:
        [attempt] = trial.status.attempts
        folder = self.checkpoints.folder / uid / trial.metadata.name / attempt.incarnation
        return {
            level: entry.values["loss"]
            for entry in wire.entries_of(wire.journal_path(folder).read_text())
            if isinstance(entry, wire.ReportEntry)
            for level in entry.milestone
        }


@pytest.fixture
def site(cluster: Connection, namespace: str, checkpoints: Mount, claims: None) -> Site:
    return Site(cluster, namespace, checkpoints)


def _value(prometheus: Prometheus, expression: str) -> float:
    """The one value of an expression; 0 while there is none."""
    return sum(value for _, value in prometheus.vector(expression))


def test_reports_come_through_prometheus_and_without_it_while_it_is_gone(
    site: Site, prometheus: Prometheus, tmp_path: Path
) -> None:
    port = free_port()
    pods = trials(site.cluster, site.namespace)
    operator = address(f"127.0.0.1:{port}", "operator")
    # Two jobs scrape the same pod, as two replicas of Prometheus would.
    both = [pods, {**pods, "job_name": "scaletune-again"}]
    prometheus.configure([*both, operator])
    settings = {"SCALETUNE_OPERATOR_PORT": str(port)}
    with site.operator(tmp_path, prometheus.url, **settings):
        site.apply("s")
        site.wait_for("s", "True", "ThroughPrometheus")
        assert len(prometheus.vector("scaletune_trial_step")) == 2
        wait_until("it is heard", lambda: _value(prometheus, HEARD) > 0, 60)
        wait_until("no pod is read", lambda: not _is_read(site, prometheus), 120)
        direct = _value(prometheus, READ)

        prometheus.kill()
        site.wait_for("s", "False", "Unreachable")
        prometheus.start()
        site.wait_for("s", "True", "ThroughPrometheus")

        prometheus.configure([{**pods, "sample_limit": 3}, operator])  # each scrape is dropped
        site.wait_for("s", "False", "ScrapesMissing")
        seldom = {"scrape_interval": "30s", "scrape_timeout": "1s"}
        with site.hearing("s"):
            prometheus.configure([{**pods, **seldom}, operator])
        assert _value(prometheus, READ) > direct
        assert site.shown("s") == ("False", "ScrapesMissing")
        [trial] = site.end("s")
        assert trial.status.failure is None
        # Nothing of it is heard any more, and people need not mend anything for it.
        wait_until("the condition is gone", lambda: site.shown("s") == ("", ""), 60)


def _is_read(site: Site, prometheus: Prometheus) -> bool:
    """Whether the operator reads pods itself while news come in."""
    before = _value(prometheus, READ)
    with site.hearing("s"):
        pass
    return _value(prometheus, READ) > before


def test_whatever_stands_before_prometheus_delays_nothing_and_is_told(
    site: Site, prometheus: Prometheus, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("wrong")
    with (
        Gateway(prometheus.url, token="right") as gate,
        site.operator(
            tmp_path,
            gate.url,
            SCALETUNE_PROMETHEUS_TOKEN_FILE=str(token),
            SCALETUNE_PROMETHEUS_TIMEOUT_SECONDS="3",
        ) as operator,
    ):
        site.apply("s")
        site.wait_for("s", "False", "Unauthorized")
        token.write_text("right")
        site.wait_for("s", "True", "ThroughPrometheus")
        gate.seconds = 10
        site.wait_for("s", "False", "Slow")
        gate.seconds, gate.page = 0, "<html>Please log in</html>"
        site.wait_for("s", "False", "NotPrometheus")
        site.end("s")
        assert operator.complaints() == []


def test_series_under_the_name_of_another_pod_or_of_an_older_study_never_mix(
    site: Site, prometheus: Prometheus, tmp_path: Path
) -> None:
    port = free_port()
    operator = address(f"127.0.0.1:{port}", "operator")
    prometheus.kill()
    with site.operator(tmp_path, prometheus.url, SCALETUNE_OPERATOR_PORT=str(port)):
        # Two studies, as of two trials of one the weaker may be stopped before it is seen.
        site.apply("s")
        site.apply("other")
        site.wait_for("s", "False", "Unreachable")  # from the start
        prometheus.start()
        wait_until("both are seen", lambda: len(prometheus.vector("scaletune_trial_step")) == 2, 60)
        # The address of each pod is now taken for that of the other.
        one, other = site.cluster.get("pods", "-n", site.namespace)["items"]
        swapped = [_swapped(one, other), _swapped(other, one)]
        job = {"job_name": "scaletune-trials", "static_configs": swapped}
        prometheus.configure([job, operator])
        site.wait_for("s", "False", "TargetLabelsMissing")
        site.end("other")
        site.end("s")

        before = {trial.metadata.uid for trial in site.trials("s")}
        prometheus.configure([trials(site.cluster, site.namespace), operator])
        site.cluster.kubectl("delete", "study", "s", "other", "-n", site.namespace, "--wait")
        gone = lambda: site.cluster.get("trials", "-n", site.namespace)["items"] == []  # noqa: E731
        wait_until("its trials are gone", gone, 60)
        site.apply("s", seed=7)
        site.wait_for("s", "True", "ThroughPrometheus")
        # Prometheus knows all of them, of old and new trials by the same name.
        lives = "count by (incarnation) (last_over_time(scaletune_trial_info[10m]))"
        assert len(prometheus.vector(lives)) == 3
        [trial] = site.end("s")
        assert trial.metadata.uid not in before


def _swapped(pod: Json, other: Json) -> Json:
    """A target at the address of a pod that is named like another one."""
    metadata = other["metadata"]
    labels = {"namespace": metadata["namespace"], "pod": metadata["name"]}
    return {"targets": [f"{pod['status']['podIP']}:9464"], "labels": labels}
