"""The mirror of the API server is never older than what we know, and forgets what is gone."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator

import pytest

from scaletune.shells.kubernetes.seen.slim import slim
from scaletune.shells.kubernetes.seen.snapshot import Snapshot, Stores, read_trial
from scaletune.shells.kubernetes.seen.views import read_job, study_key
from scaletune.shells.kubernetes.server.client import (
    JOB,
    ApiError,
    Client,
    ConflictError,
    Json,
    Kind,
    Page,
)
from scaletune.shells.kubernetes.server.reconciler import Key
from scaletune.shells.kubernetes.server.reflector import Source, Store, listed
from scaletune.shells.kubernetes.turn.apply import Writer
from tests.shells.kubernetes import given
from tests.shells.kubernetes.given import KEY, raw_job, raw_pod, raw_study, raw_trial


def _store() -> Store[str]:
    return Store(lambda raw: raw["metadata"]["resourceVersion"], study_key)


def _job(version: int, index: int = 0) -> Json:
    raw = raw_job(index)
    raw["metadata"]["resourceVersion"] = str(version)
    return raw


def test_an_older_version_does_not_take_the_place_of_a_newer_one() -> None:
    store = _store()

    store.put(_job(12))
    store.put(_job(9))

    assert store.of(KEY) == ["12"]


def test_versions_are_compared_as_numbers() -> None:
    store = _store()

    store.put(_job(99))
    store.put(_job(100))

    assert store.of(KEY) == ["100"]


def test_a_late_answer_does_not_bring_back_what_was_deleted() -> None:
    store = _store()
    store.put(_job(5))

    store.remove(_job(7))
    store.put(_job(6))

    assert store.of(KEY) == []


def test_what_bears_our_label_again_is_mirrored_again() -> None:
    store = _store()
    store.put(_job(5))

    store.remove(_job(6))
    store.put(_job(7))

    assert store.of(KEY) == ["7"]


class _Lists(Client):
    """An API server that lists a Job on each page, as of version 20."""

    def __init__(self, *jobs: Json) -> None:
        self._jobs = jobs

    async def pages(self, kind: Kind, namespace: str, selector: str = "") -> AsyncIterator[Page]:
        for job in self._jobs:
            yield Page([job], "20")


def _listed(store: Store[str], *jobs: Json) -> tuple[set[Key], str]:
    return asyncio.run(listed(_Lists(*jobs), Source(JOB), store))


def test_a_new_list_replaces_the_store_so_that_silent_deletions_are_seen() -> None:
    store = _store()
    for index in range(3):
        store.put(_job(5, index))

    assert _listed(store, _job(8, 1), _job(9, 2)) == ({KEY}, "20")

    assert sorted(store.of(KEY)) == ["8", "9"]


def test_what_we_wrote_after_the_list_was_made_stays() -> None:
    store = _store()
    store.put(_job(21, 0))

    _listed(store, _job(8, 1))

    assert sorted(store.of(KEY)) == ["21", "8"]


def test_models_that_are_kept_say_the_same_in_less_memory() -> None:
    attempts = [given.attempt(1, "a", cause="Crashed")]
    one, other = (read_trial(raw_trial(index, attempts=attempts)) for index in range(2))

    kept = [slim(one), slim(other)]

    assert kept == [one, other]
    assert [each.to_yaml_fields() for each in kept] == [
        each.to_yaml_fields() for each in (one, other)
    ]
    assert _bytes(kept) < _bytes([one, other])
    copy = kept[0].status.model_copy(update={"crashes": 3})
    assert "crashes" in copy.model_fields_set
    assert "crashes" not in kept[1].status.model_fields_set


def _bytes(things: object) -> int:
    """What they weigh, of which what they share weighs once."""
    seen: dict[int, int] = {}

    def weigh(thing: object) -> None:
        if id(thing) not in seen and not isinstance(thing, type):
            seen[id(thing)] = sys.getsizeof(thing)
            for part in gc.get_referents(thing):
                weigh(part)

    weigh(things)
    return sum(seen.values())


def test_what_cannot_be_read_is_left_out_and_the_rest_served() -> None:
    store = Store(read_job, study_key)
    broken = raw_job(0)
    del broken["metadata"]["labels"]["scaletune.dev/attempt"]

    store.put(broken)
    store.put(raw_job(1))

    assert [job.name for job in store.of(KEY)] == ["s-0001-a1"]


class _Newer(Client):
    """Somebody has written what we cannot read."""

    def __init__(self) -> None:
        pass

    async def replace(self, kind: Kind, body: Json, subresource: str = "") -> Json:
        raise ConflictError("update", 409, "Conflict", body["metadata"]["name"])

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        raw = raw_study(field="of a later release")
        raw["metadata"]["resourceVersion"] = "99"
        return raw


def test_a_study_that_was_changed_beyond_reading_is_not_tried_again_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stores = Stores()
    stores.studies.put(raw_study())
    study = stores.study(KEY)
    assert study is not None
    writer = Writer(_Newer(), stores)

    for _ in range(2):
        with pytest.raises(ApiError, match="newer than this operator"):  # no LookAgain
            asyncio.run(writer.store_study_status(study, study.status))
    assert caplog.text.count("cannot read s") == 1


def test_trials_of_an_older_study_of_the_same_name_are_not_in_the_snapshot() -> None:
    taken = given.snapshot(trials=[raw_trial(0, owner="uid-of-the-old-one"), raw_trial(1)])

    assert list(taken.trials) == [1]


def test_a_study_that_is_being_deleted_is_left_alone() -> None:
    stores = Stores()
    raw = raw_study()
    raw["metadata"]["deletionTimestamp"] = given.SCHEDULED
    stores.studies.put(raw)

    assert Snapshot.take(stores, KEY) is None


def test_a_job_that_only_bears_our_name_is_not_ours() -> None:
    taken = given.snapshot(trials=[raw_trial()], jobs=(raw_job(owner="somebody"),))

    assert taken.jobs == {}


def test_any_pod_that_may_still_run_keeps_the_next_attempt_waiting() -> None:
    trials = [raw_trial(attempts=[given.attempt(1, "a", cause="Crashed")])]
    alive, over = raw_pod(), raw_pod(state=given.ended(""), phase="Failed")

    assert given.snapshot(trials=trials, pods=(alive,)).has_live_pods(given.trial())
    assert not given.snapshot(trials=trials, pods=(over,)).has_live_pods(given.trial())
