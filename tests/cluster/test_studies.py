"""The real API server takes and refuses the Studies that `scaletune validate` does, in words alike.

Its verdict is asked for with `dryRun` and strict field validation, as `kubectl apply` asks.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from scaletune.api.study import Study
from scaletune.api.validation import parse_study, problems, problems_on_a_cluster
from tests.api import changes, studies
from tests.api.anything import CHANGES
from tests.api.studies import Case, example
from tests.cluster.connection import Connection, Refused

Verdict = Callable[[dict[str, Any]], str]
_WAIT_SECONDS_MAX = 30

TRIAL = {
    "apiVersion": "scaletune.dev/v1alpha1",
    "kind": "Trial",
    "metadata": {"name": "example-0003"},
    "spec": {
        "study": "example",
        "index": 3,
        "until": 600,
        "parameters": [{"name": "lr", "float": 0.1}],
    },
}


@pytest.fixture(scope="session")
def verdict(control_plane: Connection, crds: list[str]) -> Verdict:
    """What the server says to a Study; nothing when it takes it."""
    credentials = config.new_client_from_config(  # type: ignore[no-untyped-call]
        str(control_plane.kubeconfig)
    )
    api = client.CustomObjectsApi(credentials)

    def ask(document: dict[str, Any]) -> str:
        place = ("scaletune.dev", "v1alpha1", "default", "studies")
        try:
            api.create_namespaced_custom_object(
                *place, document, dry_run="All", field_validation="Strict"
            )
        except ApiException as error:
            message: str = json.loads(error.body or "")["message"]
            return message
        return ""

    _wait_until_admission_counts(ask)
    return ask


def _wait_until_admission_counts(ask: Verdict) -> None:
    """An admission policy is in force a moment after it was created."""
    deadline = time.monotonic() + _WAIT_SECONDS_MAX
    without_container = example(template={"pod": {"spec": {"containers": []}}})
    while not ask(without_container):
        assert time.monotonic() < deadline, "the admission policy does not get into force"
        time.sleep(0.1)


@pytest.mark.parametrize("case", studies.wrong(), ids=str)
def test_the_server_refuses_a_wrong_study_by_field_and_remedy(case: Case, verdict: Verdict) -> None:
    words = verdict(case.document)

    assert case.path in words
    assert case.message in words


@pytest.mark.parametrize("case", studies.right(), ids=str)
def test_the_server_takes_a_right_study(case: Case, verdict: Verdict) -> None:
    words = verdict(case.document)

    assert (case.path in words and case.message in words) if case.message else not words


@pytest.mark.parametrize("case", studies.documented(), ids=str)
def test_the_server_takes_the_studies_of_the_documentation(case: Case, verdict: Verdict) -> None:
    words = verdict(case.document)

    # An example for a laptop may lack what only a cluster needs.
    hints = problems_on_a_cluster(case.document)
    assert all(str(hint) in words for hint in hints) if hints else not words


@given(CHANGES)
def test_the_server_and_validate_agree_on_any_change(
    verdict: Verdict, change: dict[str, Any]
) -> None:
    document = example()
    document["spec"] = {**document["spec"], **change}

    found = problems(document) + problems_on_a_cluster(document)
    assert bool(verdict(document)) == bool(found)


@pytest.fixture
def patch(
    control_plane: Connection, verdict: Verdict, namespace: str
) -> Callable[[dict[str, Any]], str]:
    """Try a change of the example's spec, without keeping it; what kubectl says."""
    _create(control_plane, namespace, example())

    def change(spec: dict[str, Any]) -> str:
        words = ["patch", "study", "example", "-n", namespace, "--type=merge", "--dry-run=server"]
        return control_plane.kubectl(*words, "-p", json.dumps({"spec": spec}))

    return change


def _create(control_plane: Connection, namespace: str, study: dict[str, Any]) -> Any:
    words = ["create", "-n", namespace, "-o", "json", "-f", "-"]
    return json.loads(control_plane.kubectl(*words, stdin=json.dumps(study)))


def test_the_server_keeps_what_a_study_is(patch: Callable[[dict[str, Any]], str]) -> None:
    for field, change in (*changes.IMMUTABLE.items(), *changes.REMOVED.items()):
        with pytest.raises(Refused) as refusal:
            patch(change)
        assert f"spec.{field}" in refusal.value.words, field
        assert "after creation; make a new Study" in refusal.value.words, field


def test_the_server_lets_people_change_what_a_study_may_use(
    patch: Callable[[dict[str, Any]], str],
) -> None:
    for change in changes.MUTABLE.values():
        assert "study.scaletune.dev/example patched" in patch(change)


def test_the_server_fills_in_what_the_types_fill_in(
    control_plane: Connection, verdict: Verdict, namespace: str
) -> None:
    [shortest] = [case.document for case in studies.right() if case.name == "the shortest"]

    kept = _create(control_plane, namespace, shortest)

    assert {"seed", "state", "parallelism", "policy", "sampler"} <= kept["spec"].keys()
    assert Study.model_validate(kept).spec == parse_study(shortest).spec
    assert "status" not in kept


def test_kubectl_scale_changes_parallelism(
    control_plane: Connection, verdict: Verdict, namespace: str
) -> None:
    _create(control_plane, namespace, example())

    control_plane.kubectl("scale", "study/example", "-n", namespace, "--replicas=16")

    kept = control_plane.get("sty", "example", "-n", namespace)
    assert kept["spec"]["parallelism"] == 16


def test_kubectl_get_shows_how_a_study_stands(
    control_plane: Connection, verdict: Verdict, namespace: str
) -> None:
    _create(control_plane, namespace, example())
    status = {
        "conditions": [
            {"type": "Finished", "status": "False", "reason": "InProgress"},
            {"type": "Ready", "status": "True", "reason": "Accepted"},
        ],
        "policy": "asha",
        "progress": "12/200",
        "running": 8,
        "trials": {"paused": 5},
        "found": "2.25 at 5400",
        "gpuHours": "3.5/500",
        "best": {"trial": "example-0003", "index": 3, "value": 2.25, "milestone": 5400},
    }

    _set_status(control_plane, namespace, "study/example", status)

    columns, values, *_ = control_plane.kubectl("get", "sty", "-n", namespace).splitlines()
    assert (
        " ".join(columns.split())
        == "NAME POLICY STATE READY TRIALS RUNNING PAUSED BEST GPU-HOURS AGE"
    )
    assert " ".join(values.split()).startswith(
        "example asha InProgress True 12/200 8 5 2.25 at 5400 3.5/500 "
    )


def test_kubectl_get_shows_how_a_trial_stands(
    control_plane: Connection, verdict: Verdict, namespace: str
) -> None:
    milestones = [{"at": 200, "value": 3.5}, {"at": 600, "value": 2.25}]
    _create(control_plane, namespace, TRIAL)

    status = {"state": "Paused", "milestones": milestones, "attempts": [{"number": 2}]}
    _set_status(control_plane, namespace, "trial/example-0003", status)

    columns, values, *_ = control_plane.kubectl("get", "trl", "-n", namespace).splitlines()
    assert " ".join(columns.split()) == "NAME STATE UNTIL RUNG VALUE ATTEMPT AGE"
    assert " ".join(values.split()).startswith("example-0003 Paused 600 600 2.25 2 ")


def test_the_server_keeps_what_a_trial_tries_and_not_how_far_it_goes(
    control_plane: Connection, verdict: Verdict, namespace: str
) -> None:
    _create(control_plane, namespace, TRIAL)
    words = ["patch", "trial", "example-0003", "-n", namespace, "--type=merge", "-p"]

    control_plane.kubectl(*words, json.dumps({"spec": {"until": 1800, "state": "Paused"}}))

    for change in ({"index": 4}, {"seed": 1}, {"parameters": [{"name": "lr", "float": 0.2}]}):
        with pytest.raises(Refused, match=f"spec.{next(iter(change))}.*cannot change"):
            control_plane.kubectl(*words, json.dumps({"spec": change}))


def _set_status(
    control_plane: Connection, namespace: str, name: str, status: dict[str, Any]
) -> None:
    change = json.dumps({"status": status})
    words = ["patch", name, "-n", namespace, "--subresource=status", "--type=merge"]
    control_plane.kubectl(*words, "-p", change)


def test_kubectl_explains_a_field_as_documentation_would(
    control_plane: Connection, verdict: Verdict
) -> None:
    eta = control_plane.kubectl("explain", "study.spec.policy.asha.eta")
    everything = control_plane.kubectl("explain", "study.spec", "--recursive")

    assert "eta is how hard the selection is" in " ".join(eta.split())
    assert "FIELD: eta <integer>" in eta
    for field in ("objectives", "scalingRules", "claimName", "processesPerNode", "reference"):
        assert f"{field}\t<" in everything
    assert "-required-" in everything
    assert "enum: Promote, Stop" in everything
