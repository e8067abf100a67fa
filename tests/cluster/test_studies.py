"""The real API server takes and refuses the Studies that `scaletune validate` does, in words alike.

Its verdict is asked for with `dryRun` and strict field validation, as `kubectl apply` asks.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from tests.api import studies
from tests.api.studies import Case, example
from tests.cluster.connection import Connection

Verdict = Callable[[dict[str, Any]], str]
_WAIT_SECONDS_MAX = 30


@pytest.fixture(scope="session")
def verdict(control_plane: Connection, crds: list[str]) -> Verdict:
    """What the server says to a Study; nothing when it takes it."""
    api = client.CustomObjectsApi(config.new_client_from_config(str(control_plane.kubeconfig)))

    def ask(document: dict[str, Any]) -> str:
        place = ("scaletune.dev", "v1alpha1", "default", "studies")
        try:
            api.create_namespaced_custom_object(
                *place, document, dry_run="All", field_validation="Strict"
            )
        except ApiException as error:
            message: str = json.loads(error.body)["message"]
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
