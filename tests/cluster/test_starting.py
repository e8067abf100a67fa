"""What keeps trials from starting, on a real API server, scheduler and kubelet.

Each obstacle is told in the cluster's own words with the remedy, on the Trial and on its Study;
none counts as a failure or a retry; and mending it is enough.
"""

import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from scaletune.api.conditions import (
    FINISHED,
    METRICS_REACHABLE,
    READY,
    STARTED,
    TRIALS_STARTED,
    Condition,
    condition,
)
from tests.cluster import audit, studies
from tests.cluster.connection import Connection
from tests.cluster.operators import ACCOUNT, Operator, wait_until

Json = dict[str, Any]

STEADY_SECONDS = 70


def _trainer(study: Json) -> Json:
    container: Json = study["spec"]["template"]["pod"]["spec"]["containers"][0]
    return container


def _told(cluster: Connection, namespace: str, name: str, kind: str) -> Condition | None:
    return condition(studies.stored(cluster, namespace, name)[0].status.conditions, kind)


def _wait_for(cluster: Connection, namespace: str, name: str, kind: str, reason: str) -> Condition:
    """The condition of a Study, once it has this reason."""

    def has_reason() -> bool:
        found = _told(cluster, namespace, name, kind)
        return found is not None and found.reason == reason

    wait_until(f"{kind} of {name} says {reason}", has_reason, seconds_max=120)
    found = _told(cluster, namespace, name, kind)
    assert found is not None
    return found


# What is wrong with a template before anything of it is created: reason and words.
REFUSED: dict[str, tuple[Callable[[Json], object], str, str]] = {
    "typo": (
        lambda pod: pod["containers"][0].update(imagePullPolicyy="Never"),
        "TemplateRefused",
        'unknown field "spec.template.pod.spec.containers[0].imagePullPolicyy"',
    ),
    "value": (
        lambda pod: pod["containers"][0].update(imagePullPolicy="Sometimes"),
        "TemplateRefused",
        'Unsupported value: "Sometimes"',
    ),
    "security": (
        lambda pod: pod.update(hostNetwork=True),
        "PodSecurityViolated",
        "violates PodSecurity",
    ),
    "account": (
        lambda pod: pod.update(serviceAccountName="nobody"),
        "TemplateRefused",
        'serviceaccount "nobody" not found',
    ),
    "quota": (
        lambda pod: pod["containers"][0].update(resources={"requests": {"cpu": "64"}}),
        "QuotaExceeded",
        "exceeded quota",
    ),
}


@pytest.mark.slow
def test_a_template_that_the_server_refuses_is_told_before_a_trial_exists(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": namespace},
        "spec": {"hard": {"requests.cpu": "32"}},
    }
    cluster.apply(quota)
    made = {}
    for name, (spoil, _, _) in REFUSED.items():
        made[name] = studies.study(namespace, name, budget={"trials": 2})
        _trainer(made[name])["resources"] = {"requests": {"cpu": "1m"}}
        spoil(made[name]["spec"]["template"]["pod"]["spec"])
    cluster.apply(*made.values())

    for name, (_, reason, words) in REFUSED.items():
        ready = _wait_for(cluster, namespace, name, READY, reason)
        assert ready.status == "False"
        assert words in ready.message
    assert cluster.get("trials,jobs,pods", "-n", namespace)["items"] == []

    # A correction goes on by itself.
    mended = studies.study(namespace, "typo", budget={"trials": 2})
    _trainer(mended)["resources"] = {"requests": {"cpu": "1m"}}
    cluster.apply(mended)
    study, _ = studies.wait_for_end(cluster, namespace, "typo", seconds_max=90)
    finished = condition(study.status.conditions, FINISHED)
    assert finished is not None
    assert finished.reason == "Completed"


def _environment(study: Json, source: Json) -> None:
    _trainer(study)["env"].append({"name": "SECRET", "valueFrom": source})


def _volume(study: Json, volume: Json) -> None:
    study["spec"]["template"]["pod"]["spec"]["volumes"].append({"name": "extra", **volume})
    # The kubelet waits for those volumes only that a container mounts.
    _trainer(study)["volumeMounts"].append({"name": "extra", "mountPath": "/mnt/extra"})


def _command(study: Json, *words: str) -> None:
    _trainer(study)["command"] = list(words)


def _no_trainer(study: Json) -> None:
    _trainer(study)["env"] = []


MISSING = {"secretKeyRef": {"name": "nothing", "key": "token"}}
# What is wrong with a trial's pod: how, reason and words.
HINDERED: dict[str, tuple[Callable[[Json], object], str, str]] = {
    "never": (
        lambda study: _trainer(study).update(image="localhost/nothing:1"),
        "ImageNotPulled",
        "ErrImageNeverPull",
    ),
    "pull": (
        lambda study: _trainer(study).update(
            image="registry.invalid/nothing:1", imagePullPolicy="IfNotPresent"
        ),
        "ImageNotPulled",
        "registry.invalid/nothing:1",
    ),
    "name": (
        lambda study: _trainer(study).update(image="Not A Name"),
        "ImageNotPulled",
        "InvalidImageName",
    ),
    "secret": (
        lambda study: _environment(study, MISSING),
        "ContainerNotConfigured",
        'secret "nothing" not found',
    ),
    "volume": (
        lambda study: _volume(study, {"configMap": {"name": "nothing"}}),
        "VolumesNotMounted",
        'configmap "nothing" not found',
    ),
    "claim": (
        lambda study: _volume(study, {"persistentVolumeClaim": {"claimName": "nothing"}}),
        "ClaimNotBound",
        'persistentvolumeclaim "nothing" not found',
    ),
    "node": (
        lambda study: study["spec"]["template"]["pod"]["spec"].update(
            nodeSelector={"scaletune.dev/there-is": "none"}
        ),
        "Unschedulable",
        "node(s) didn't match Pod's node affinity/selector",
    ),
    "command": (
        lambda study: _command(study, "python9", "train.py"),
        "CannotRun",
        '"python9": executable file not found',
    ),
    "trainer": (_no_trainer, "TrainerMissing", "No module named"),
}


def _resting(namespace: str) -> list[Json]:
    """Studies that are over or paused, and one that trains without a word."""
    here, one = namespace, {"trials": 1}
    failing = [*studies.QUADRATIC, "--fail", "1"]
    silent = [*studies.QUADRATIC, "--sleep", "600"]
    return [
        studies.study(here, "finished", budget=one),
        studies.study(here, "failed", failing, budget={"trials": 9}, parallelism=3),
        studies.study(here, "paused", state="Paused", budget=one),
        studies.study(here, "unheard", silent, budget=one),
    ]


@pytest.fixture
def operator(operator: Operator) -> Operator:
    """One whose Prometheus does not answer."""
    operator.kill()
    operator.settings["SCALETUNE_PROMETHEUS_URL"] = "http://127.0.0.1:9"
    operator.start()
    return operator


@pytest.mark.slow
def test_whatever_keeps_a_pod_from_starting_is_told_with_its_remedy_and_counts_for_nothing(
    cluster: Connection, namespace: str, operator: Operator
) -> None:
    right = {name: studies.study(namespace, name, budget={"trials": 1}) for name in HINDERED}
    resting = _resting(namespace)
    cluster.apply(*resting)
    for name, (spoil, _, _) in HINDERED.items():
        wrong = studies.study(namespace, name, budget={"trials": 1})
        spoil(wrong)
        cluster.apply(wrong)

    for name, (_, reason, words) in HINDERED.items():
        told = _wait_for(cluster, namespace, name, TRIALS_STARTED, reason)
        assert told.status == "False"
        assert words in told.message
        _, [trial] = studies.stored(cluster, namespace, name)
        own = condition(trial.status.conditions, STARTED)
        assert own is not None
        assert (own.status, own.reason) == ("False", reason)
        assert words in own.message
        assert words.split('"')[0] in cluster.kubectl(
            "describe", "trial", f"{name}-0000", "-n", namespace
        )
        assert (trial.status.state, trial.status.crashes) == ("Pending", 0)
        assert trial.status.failure is None
    _wait_for(cluster, namespace, "finished", FINISHED, "Completed")
    _wait_for(cluster, namespace, "failed", FINISHED, "EndedEarly")
    _wait_for(cluster, namespace, "paused", FINISHED, "Paused")
    _wait_for(cluster, namespace, "unheard", METRICS_REACHABLE, "Unreachable")
    for name in ("command", "trainer"):  # the second chance of what cannot run comes soon
        _wait_until_tried_again(cluster, namespace, name)
    names = [*HINDERED, *(each["metadata"]["name"] for each in resting)]
    _assert_it_writes_little(cluster, namespace, names)

    cluster.apply(*right.values())
    for name in HINDERED:
        study, [trial] = studies.wait_for_end(cluster, namespace, name, seconds_max=120)
        assert trial.status.state == "Completed"
        assert trial.status.crashes == 0
        assert trial.status.attempts[-1].cause == "Done"
        own = condition(trial.status.conditions, STARTED)
        assert own is not None
        assert own.status == "True"
        summary = condition(study.status.conditions, TRIALS_STARTED)
        assert summary is not None
        assert summary.status == "True"
    assert operator.complaints() == []


def _wait_until_tried_again(cluster: Connection, namespace: str, name: str) -> None:
    def is_tried_again() -> bool:
        _, [trial] = studies.stored(cluster, namespace, name)
        return len([each for each in trial.status.attempts if each.cause]) > 1

    wait_until(f"{name} was tried again", is_tried_again, 120)


def _assert_it_writes_little(cluster: Connection, namespace: str, names: Sequence[str]) -> None:
    """Nothing changes any more, and so hardly anything is written: at most once in ten seconds for
    each study, tries of what cannot run included."""
    begin = len(list(audit.requests(cluster, namespace, ACCOUNT)))
    since = time.monotonic()
    time.sleep(STEADY_SECONDS)
    writes: dict[str, list[str]] = {name: [] for name in names}
    for each in list(audit.requests(cluster, namespace, ACCOUNT))[begin:]:
        if each.is_write and each.resource != "leases":
            [study] = (name for name in names if name in re.split("[.-]", each.name))
            writes[study].append(f"{each.at} {each.verb} {each.resource} {each.name}")
    seconds = time.monotonic() - since
    for study, made in writes.items():
        # Of what comes every ten seconds, a minute may hold seven.
        assert len(made) <= seconds / 10 + 1, f"{study}: {'; '.join(made)}"
    sys.stderr.write(
        f"writes in {seconds:.0f} s: { {name: len(made) for name, made in writes.items()} }\n"
    )
