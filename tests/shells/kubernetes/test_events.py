"""Claims about Events: each thing that happens is told once, to whom it is about."""

import asyncio
import logging

import pytest

from scaletune.api.action import Decide, Pause, Plan, Resume, Stop
from scaletune.api.conditions import FINISHED, READY, Condition
from scaletune.api.record import Evidence
from scaletune.shells.kubernetes.server.client import Client, Json, Kind, NotLeadingError
from scaletune.shells.kubernetes.turn import events
from tests.core.given import record, study, trial

NOW = 1_700_000_000.0


def test_a_trial_tells_of_decisions_and_of_what_happens_to_it_for_another_reason() -> None:
    trials = {index: trial(index, record(1, 0.5, index + 1, "Stop")) for index in range(4)}
    stop = Decide(0, 1, "Stop", 1, Evidence(n=2, rank=1, quota=1, against=1))
    actions = (
        Stop(0, "ranked 2 of 2"),
        Stop(1, "its checkpoint is no longer needed"),
        Pause(2, "spec.state is Paused"),
        Resume(3, 4, "the study goes on"),
        Stop(9, "it was deleted meanwhile"),
    )

    told = list(events.of_plan(study(mode="Stop"), trials, Plan((stop,), actions)))

    assert [(each.about.metadata.name, each.reason) for each in told] == [
        ("s-0000", "Stop"),
        ("s-0001", "Stop"),
        ("s-0002", "Pause"),
        ("s-0003", "Resume"),
    ]
    assert len({each.manifest(NOW)["metadata"]["name"] for each in told}) == 4


def _condition(kind: str, status: str, reason: str) -> Condition:
    return Condition.model_validate({"type": kind, "status": status, "reason": reason})


def test_a_study_tells_of_conditions_that_change_and_warns_of_those_to_act_on() -> None:
    before = [
        {"type": FINISHED, "status": "False", "reason": "InProgress"},
        {"type": READY, "status": "True", "reason": "Accepted"},
    ]
    known = study(status={"conditions": before})
    after = known.status.model_copy(
        update={
            "conditions": (
                _condition(FINISHED, "True", "Completed"),
                _condition(READY, "False", "CannotStart"),
            )
        }
    )

    told = [
        (each.reason, each.manifest(NOW)["type"]) for each in events.of_conditions(known, after)
    ]

    assert told == [("Completed", "Normal"), ("CannotStart", "Warning")]
    assert list(events.of_conditions(known, known.status)) == []
    assert list(events.of_conditions(study(), known.status)) == [], "a beginning is no news"


class _Fenced(Client):
    """Nothing is sent while the Lease is not held."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def create(self, kind: Kind, body: Json) -> Json:
        self.asked.append(body["reason"])
        raise NotLeadingError("not sent")


def test_events_that_cannot_be_told_now_are_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    client, about = _Fenced(), trial(0)
    happenings = [events.Happening(about, word, word, f"{word} it") for word in ("Pause", "Stop")]

    with caplog.at_level(logging.INFO):
        asyncio.run(events.tell(client, happenings, NOW))

    assert client.asked == ["Pause", "Stop"]
    assert "Stop: Stop it" in caplog.messages
