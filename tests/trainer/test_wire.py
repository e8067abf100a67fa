"""The protocol reads back what it writes, and says clearly what it cannot read."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaletune_trainer import wire

names = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)
steps = st.integers(0, 2**53)
numbers = st.floats(allow_nan=False)
places = st.builds(wire.Place, names, steps)
reports = st.builds(
    wire.MilestoneReport,
    milestone=steps,
    step=steps,
    value=numbers,
    sequence=st.integers(1, 2**53),
    generation=steps,
    device_seconds=st.floats(0, 1e9),
    origin=st.none() | st.builds(wire.Origin, names, st.integers(1, 2**31), steps),
)
messages = st.builds(
    wire.TerminationMessage,
    reason=st.sampled_from(wire.Reason),
    step=steps,
    checkpoint=st.none() | steps,
    sequence=steps,
    generation=steps,
    device_seconds=st.floats(0, 1e9),
    times=st.dictionaries(names, steps, max_size=4),
    reports=st.lists(reports, max_size=60).map(tuple),
    last=st.none() | st.builds(wire.Last, steps, numbers, steps, st.integers(1, 2**53)),
    replayed=st.lists(st.builds(wire.Replayed, names, st.none() | steps), max_size=3).map(tuple),
    truncated=st.booleans(),
    error=st.text(max_size=3000),
)
SPEC = wire.TrialSpec(
    study="gpt",
    study_uid="9f0c",
    trial="gpt-0003",
    index=3,
    attempt=1,
    parameters={"learning_rate": 0.003, "batch_size": 128, "optimizer": "adamw", "tied": True},
    seed=7,
    metric="val_loss",
    goal="Minimize",
    unit="Step",
    max=9,
    milestones=(1, 3, 9),
    restore=wire.Place("a-life", 3),
    processes=2,
    replay=(wire.Life("a-life", 1, 7),),
)


def test_a_trial_spec_reads_back_as_it_was_written() -> None:
    assert wire.TrialSpec.from_json(SPEC.to_json()) == SPEC


@given(st.builds(wire.Directive, steps, st.integers(1), st.sampled_from(wire.State), steps,
                 st.lists(places, max_size=3).map(tuple)))  # fmt: skip
def test_a_directive_reads_back_as_it_was_written(directive: wire.Directive) -> None:
    assert wire.Directive.from_json(directive.to_json()) == directive


@given(messages)
def test_a_message_that_fits_reads_back_as_it_was_written(message: wire.TerminationMessage) -> None:
    message = replace(message, reports=message.reports[:3], error="", times={})

    assert wire.TerminationMessage.from_json(message.to_json()) == message


@given(messages)
def test_a_fitted_message_fits_and_keeps_the_newest_reports(
    message: wire.TerminationMessage,
) -> None:
    text = message.fitted().to_json()
    read = wire.TerminationMessage.from_json(text)

    assert len(text.encode()) <= wire.MESSAGE_BYTES_MAX
    assert tuple(read.reports) == tuple(message.reports[len(message.reports) - len(read.reports) :])
    assert read.truncated == (message.truncated or len(read.reports) < len(message.reports))


@given(st.floats())
def test_every_number_survives_json(value: float) -> None:
    text = json.dumps(wire.number_to_json(value), allow_nan=False)
    back = wire.number_from_json(json.loads(text), "here")

    assert back == value or (math.isnan(back) and math.isnan(value))


ENTRIES: list[wire.Entry] = [
    wire.AcknowledgedEntry(1, 5.0, 2),
    wire.ReplayedEntry(1, 6.0, "life-0", 1, wire.CheckpointEntry(7, 5.0, 2)),
    wire.ReplayedEntry(1, 6.0, "life-0", 1),
    wire.ReportEntry(2, 6.5, 3, 2, {"val_loss": math.inf, "lr": 0.1}, 4.0, (1, 3)),
    wire.CheckpointEntry(3, 7.0, 3),
    wire.EndEntry(4, 8.0, wire.Reason.PAUSED, 3, 3),
    wire.EndEntry(5, 8.0, wire.Reason.DIVERGED, 3, None),
]


def test_a_journal_reads_back_without_its_torn_last_line() -> None:
    text = "".join(entry.to_json() + "\n" for entry in ENTRIES)

    assert list(wire.entries_of(text)) == ENTRIES
    assert list(wire.entries_of(text[:-5])) == ENTRIES[:-1]
    assert list(wire.entries_of("")) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"wire": 2}, "version 2 of the trial protocol", id="a newer version"),
        pytest.param({"wire": True}, "version True", id="a version that is no number"),
        pytest.param({"attempt": 0}, "'attempt' must be an integer of at least 1", id="attempt 0"),
        pytest.param({"trial": "../x"}, "'trial' must be letters", id="a path that leaves"),
        pytest.param({"goal": "Up"}, "'goal' must be one of Minimize, Maximize", id="goal"),
        pytest.param({"milestones": [3, 1, 9]}, "milestones must rise", id="milestones fall"),
        pytest.param({"milestones": [1, 3]}, "end at max 9", id="milestones without max"),
        pytest.param({"max": True}, "'max' must be an integer", id="a bool is no integer"),
        pytest.param({"parameters": {"a": [1]}}, "'parameters.a' must be", id="a list"),
        pytest.param({"restore": {"incarnation": "..", "step": 1}}, "no checkpoint", id="restore"),
    ],
)
def test_a_wrong_trial_spec_is_refused_by_name(change: dict[str, object], complaint: str) -> None:
    text = json.dumps(json.loads(SPEC.to_json()) | change)

    with pytest.raises(wire.WireError, match=complaint):
        wire.TrialSpec.from_json(text)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"generation": NaN, "until": 1}', "[" * 99999])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(wire.WireError, match="directive"):
        wire.Directive.from_json(text)


@pytest.mark.parametrize("text", ["a/../5", "/5", "a/-1", "a/b/5", "a/05", "a", "..", "a/5\n"])
def test_a_removal_never_leaves_the_trials_folder(text: str) -> None:
    document = json.dumps({"generation": 1, "until": 1, "remove": [text]})

    with pytest.raises(wire.WireError, match="is no checkpoint"):
        wire.Directive.from_json(document)


def test_keys_of_a_newer_side_are_ignored() -> None:
    text = json.dumps({"generation": 4, "until": 9, "exploit": {"donor": "x"}})

    assert wire.Directive.from_json(text) == wire.Directive(4, 9)


def test_every_reason_has_its_exit_code() -> None:
    codes = {reason: wire.ExitCode.of(reason) for reason in wire.Reason}

    assert codes[wire.Reason.STOPPED] == 0
    assert codes[wire.Reason.TERMINATED] == 143
    assert codes[wire.Reason.USER_ERROR] == 43


def test_importing_the_wire_loads_nothing_heavy() -> None:
    program = "import sys, scaletune_trainer.wire; print(*sys.modules)"
    folder = Path(wire.__file__).parents[2]
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert {"torch", "numpy", "prometheus_client", "scaletune_trainer.training"}.isdisjoint(loaded)
