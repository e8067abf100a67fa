"""The operator's writes on a real API server: nobody's newer word is overwritten, nothing doubles.

No pod runs here: the operator's parts write into the control plane by themselves, with its rights
and no others.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from scaletune.api.action import Create
from scaletune.api.trial import Trial, TrialSpec
from scaletune.shells.kubernetes.seen.snapshot import Stores, read_study, read_trial
from scaletune.shells.kubernetes.server.client import (
    TRIAL,
    Client,
    ConflictError,
    MissingError,
    RefusedError,
)
from scaletune.shells.kubernetes.server.reconciler import Key, LookAgain
from scaletune.shells.kubernetes.server.reflector import Reflector, Source
from scaletune.shells.kubernetes.turn.apply import Writer
from tests.cluster import accounts, operators, studies
from tests.cluster.connection import Connection, Refused
from tests.cluster.operators import Operator, wait_until

pytestmark = pytest.mark.usefixtures("crds")

Act = Callable[[Client, Stores, Writer], Awaitable[None]]


@pytest.fixture
def operator(control_plane: Connection, namespace: str, tmp_path: Path) -> Connection:
    """A connection with the operator's rights."""
    operators.grant(control_plane, namespace)
    made = accounts.connection_of(control_plane, namespace, operators.ACCOUNT, tmp_path)
    words = ("auth", "can-i", "get", "jobs.batch", "-n", namespace)
    wait_until("the rights are granted", lambda: _is_yes(made, *words), 30)
    return made


def _is_yes(connection: Connection, *words: str) -> bool:
    try:
        return connection.kubectl(*words).strip() == "yes"
    except Refused:
        return False


def _run(connection: Connection, act: Act) -> None:
    async def main() -> None:
        client = await Client.connect(connection.kubeconfig)
        stores = Stores()
        try:
            await act(client, stores, Writer(client, stores))
        finally:
            await client.close()

    asyncio.run(main())


def _study(connection: Connection, namespace: str) -> Any:
    connection.apply(studies.study(namespace, "s", budget={"trials": 2}))
    return read_study(connection.get("study", "s", "-n", namespace))


def _action(index: int = 0) -> Create:
    spec = {"study": "s", "index": index, "until": 3, "parameters": [{"name": "x", "float": 0.5}]}
    return Create(TrialSpec.model_validate(spec), "to try it")


def _with_state(trial: Trial, state: str) -> Trial:
    return trial.model_copy(update={"status": trial.status.model_copy(update={"state": state})})


def test_creating_a_trial_twice_is_harmless(
    control_plane: Connection, namespace: str, operator: Connection
) -> None:
    study = _study(control_plane, namespace)

    async def act(client: Client, stores: Stores, writer: Writer) -> None:
        first = await writer.create(study, _action())
        again = await writer.create(study, _action())

        assert first.metadata.uid == again.metadata.uid
        assert [trial.index for trial in stores.trials.of((namespace, "s"))] == [0]

    _run(operator, act)


def test_a_trial_of_an_older_study_is_not_taken_for_ones_own(
    control_plane: Connection, namespace: str, operator: Connection
) -> None:
    study = _study(control_plane, namespace)
    metadata = study.metadata.model_copy(update={"uid": "00000000-0000-0000-0000-000000000000"})

    async def act(client: Client, stores: Stores, writer: Writer) -> None:
        await writer.create(study, _action())

        with pytest.raises(ConflictError):
            await writer.create(study.model_copy(update={"metadata": metadata}), _action())

    _run(operator, act)


def test_what_somebody_else_wrote_in_between_is_seen_and_not_overwritten(
    control_plane: Connection, namespace: str, operator: Connection
) -> None:
    study = _study(control_plane, namespace)

    async def act(client: Client, stores: Stores, writer: Writer) -> None:
        known = await writer.create(study, _action())
        control_plane.kubectl("label", "trial", "s-0000", "-n", namespace, "touched=yes")

        with pytest.raises(LookAgain):
            await writer.store_status(_with_state(known, "Running"))

        [newer] = stores.trials.of((namespace, "s"))
        assert newer.metadata.labels["touched"] == "yes"
        await writer.store_status(_with_state(newer, "Running"))

    _run(operator, act)
    assert control_plane.get("trial", "s-0000", "-n", namespace)["status"]["state"] == "Running"


def test_status_and_intent_are_written_apart(
    control_plane: Connection, namespace: str, operator: Connection
) -> None:
    study = _study(control_plane, namespace)

    async def act(client: Client, stores: Stores, writer: Writer) -> None:
        trial = await writer.create(study, _action())
        both = _with_state(trial, "Paused")
        intent = {"spec": both.spec.model_copy(update={"until": 9})}

        after_status = await writer.store_status(both.model_copy(update=intent))
        assert (after_status.status.state, after_status.spec.until) == ("Paused", 3)
        assert after_status.metadata.generation == 1

        changed = after_status.model_copy(update=intent)
        after_intent = await writer.store_spec(_with_state(changed, "Failed"))
        assert (after_intent.status.state, after_intent.spec.until) == ("Paused", 9)
        assert after_intent.metadata.generation == 2

    _run(operator, act)


def test_a_trial_that_is_gone_is_forgotten(
    control_plane: Connection, namespace: str, operator: Connection
) -> None:
    study = _study(control_plane, namespace)

    async def act(client: Client, stores: Stores, writer: Writer) -> None:
        trial = await writer.create(study, _action())
        control_plane.kubectl("delete", "trial", "s-0000", "-n", namespace)

        with pytest.raises(LookAgain):
            await writer.store_status(_with_state(trial, "Running"))

        assert stores.trials.of((namespace, "s")) == []

    _run(operator, act)


def test_a_study_whose_deletion_was_missed_is_forgotten_when_looked_up(
    control_plane: Connection, namespace: str, operator: Connection
) -> None:
    study = _study(control_plane, namespace)

    async def act(client: Client, stores: Stores, writer: Writer) -> None:
        stores.studies.put(control_plane.get("study", "s", "-n", namespace))
        control_plane.kubectl("delete", "study", "s", "-n", namespace)

        await writer.look_up(study)

        assert stores.study((namespace, "s")) is None

    _run(operator, act)


def test_the_mirror_follows_what_others_do(
    control_plane: Connection, namespace: str, operator: Connection
) -> None:
    study = _study(control_plane, namespace)

    async def act(client: Client, stores: Stores, writer: Writer) -> None:
        changes: asyncio.Queue[Key] = asyncio.Queue()
        reflector = Reflector(client, Source(TRIAL, namespace), stores.trials, changes.put_nowait)
        mirror = asyncio.create_task(reflector.run())
        await asyncio.wait_for(reflector.synced.wait(), 10)
        other = Writer(client, Stores())

        trial = await other.create(study, _action())
        assert await asyncio.wait_for(changes.get(), 10) == (namespace, "s")
        await other.store_status(_with_state(trial, "Running"))
        await asyncio.wait_for(changes.get(), 10)
        [seen] = stores.trials.of((namespace, "s"))
        assert seen.status.state == "Running"

        control_plane.kubectl("delete", "trial", "s-0000", "-n", namespace)
        await asyncio.wait_for(changes.get(), 10)
        assert stores.trials.of((namespace, "s")) == []
        mirror.cancel()

    _run(operator, act)


def test_errors_tell_what_was_refused_and_why(
    control_plane: Connection, namespace: str, operator: Connection
) -> None:
    async def act(client: Client, stores: Stores, writer: Writer) -> None:
        with pytest.raises(MissingError, match=r'trials.scaletune.dev "nobody" not found'):
            await client.get(TRIAL, namespace, "nobody")
        wrong = {"metadata": {"namespace": namespace, "name": "t"}, "spec": {"index": -1}}
        with pytest.raises(RefusedError, match=r"spec.index"):
            await client.create(TRIAL, {"apiVersion": TRIAL.api_version, "kind": "Trial", **wrong})

    _run(operator, act)


def test_an_object_that_took_the_name_of_another_is_not_deleted_for_it(
    control_plane: Connection, namespace: str
) -> None:
    study = _study(control_plane, namespace)

    async def act(client: Client, stores: Stores, writer: Writer) -> None:
        trial = await writer.create(study, _action())

        with pytest.raises(ConflictError):
            await client.delete(TRIAL, namespace, "s-0000", "uid-of-the-one-before")

        raw = await client.get(TRIAL, namespace, "s-0000")
        assert read_trial(raw).metadata.uid == trial.metadata.uid

    _run(control_plane, act)


def test_a_job_of_somebody_else_under_a_trials_name_is_told_and_left_alone(
    control_plane: Connection, namespace: str, tmp_path: Path
) -> None:
    made = studies.study(namespace, "s", budget={"trials": 1})
    pod = {**made["spec"]["template"]["pod"]["spec"], "restartPolicy": "Never"}
    theirs = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "s-0000-a1", "namespace": namespace},
        "spec": {"suspend": True, "template": {"spec": pod}},
    }
    control_plane.apply(theirs)
    before = control_plane.get("job", "s-0000-a1", "-n", namespace)

    def words() -> str:
        return control_plane.kubectl("describe", "study", "s", "-n", namespace)

    with Operator(control_plane, namespace, tmp_path):
        control_plane.apply(made)
        told = "a Job s-0000-a1 is already there and is not Scaletune's: delete it"
        wait_until("it is told", lambda: told in " ".join(words().split()), 60)

    after = control_plane.get("job", "s-0000-a1", "-n", namespace)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"] == before["spec"]
