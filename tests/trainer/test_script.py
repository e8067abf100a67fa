"""What a training script sees: with and without Scaletune, in this process."""

from __future__ import annotations

import math
import random
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import scaletune_trainer as scaletune
from scaletune_trainer import random_states, wire
from scaletune_trainer.agreement import Agreement, Pace
from scaletune_trainer.clock import DeviceClock
from scaletune_trainer.directive import DirectiveFile
from scaletune_trainer.failure import VolumeError
from scaletune_trainer.journal import Journal, JournalReader
from scaletune_trainer.report import JournalReporter
from scaletune_trainer.wire import Reason, State, Variable
from tests.trainer import lives


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lives.Trial:
    """The environment that a shell would give to rank 0's worker."""
    trial = lives.Trial(tmp_path, parameters={"x": 0.25})
    trial.incarnations = 1
    monkeypatch.setenv(Variable.TRIAL, trial.spec().to_json())
    monkeypatch.setenv(Variable.VOLUME, str(tmp_path))
    monkeypatch.setenv(Variable.INCARNATION, "life-1")
    return trial


@pytest.fixture
def reporter(tmp_path: Path) -> JournalReporter:
    spec = lives.Trial(tmp_path, milestones=(1, 3, 9), incarnations=1).spec()
    return JournalReporter(Journal(tmp_path / "journal"), spec, DeviceClock(time.time(), 2))


def reports(path: Path) -> list[wire.ReportEntry]:
    return [e for e in wire.entries_of(path.read_text()) if isinstance(e, wire.ReportEntry)]


def test_a_script_runs_without_scaletune(capsys: pytest.CaptureFixture[str]) -> None:
    trial = scaletune.trial(defaults={"x": 2}, max_steps=4, every=2)
    due = []
    for step in trial.steps():
        trial.report(loss=step * float(trial.parameters["x"]))
        if trial.due:
            due.append(step)

    assert due == [2, 4]
    assert "step 4  loss=8" in capsys.readouterr().out


def test_without_scaletune_a_script_says_how_long_it_trains() -> None:
    with pytest.raises(scaletune.UserError, match="max_steps"):
        scaletune.trial()


def test_the_studys_values_win_over_the_scripts_defaults(shell: lives.Trial) -> None:
    trial = scaletune.trial(defaults={"x": 1.0, "y": 7}, max_steps=2)

    assert dict(trial.parameters) == {"x": 0.25, "y": 7}
    assert (trial.max_steps, trial.seed, trial.rank, trial.world_size) == (9, 3, 0, 1)


def test_milestones_and_points_of_every_are_due(shell: lives.Trial) -> None:
    trial = scaletune.trial(every=4)
    due = []
    for step in trial.steps():
        if trial.due:
            due.append(step)
            trial.report(loss=0.0)

    assert due == [1, 3, 4, 8, 9]


def test_a_script_that_tracks_nothing_is_told(
    shell: lives.Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = scaletune.trial()
    for _ in trial.steps():
        trial.report(loss=0.0)

    assert "call trial.track" in capsys.readouterr().err


def test_steps_are_walked_once(shell: lives.Trial) -> None:
    trial = scaletune.trial()
    for _ in trial.steps():
        trial.report(loss=0.0)

    with pytest.raises(scaletune.UserError, match="only once"):
        next(trial.steps())


@pytest.mark.parametrize(
    ("thing", "complaint"),
    [
        pytest.param(3, "without state_dict", id="a number"),
        pytest.param([], "without state_dict", id="an empty list"),
    ],
)
def test_what_has_no_state_cannot_be_tracked(thing: Any, complaint: str) -> None:
    trial = scaletune.trial(max_steps=1)

    with pytest.raises(scaletune.UserError, match=complaint):
        trial.track(thing=thing)


def test_a_name_is_tracked_once() -> None:
    trial = scaletune.trial(max_steps=1)
    trial.track(state={})

    with pytest.raises(scaletune.UserError, match="tracked already"):
        trial.track(state={})


def test_the_first_report_at_or_after_a_milestone_serves_it(
    reporter: JournalReporter, tmp_path: Path
) -> None:
    reporter.report(2, {"loss": 2.0})
    reporter.report(3, {"rate": 0.1})
    reporter.report(4, {"loss": 4.0})
    reporter.report(5, {"loss": 5.0})
    reporter.report(9, {"loss": 9.0})
    served = {
        level: r.values["loss"] for r in reports(tmp_path / "journal") for level in r.milestone
    }

    assert served == {1: 2.0, 3: 4.0, 9: 9.0}


def test_fast_reports_are_thinned_but_their_last_values_stay(
    reporter: JournalReporter, tmp_path: Path
) -> None:
    for step in range(10, 2010):
        reporter.report(step, {"rate": float(step)})
    reporter.end(Reason.STOPPED, 2009, None)
    found = reports(tmp_path / "journal")

    assert len(found) < 1000
    assert (found[-1].step, found[-1].values) == (2009, {"rate": 2009.0})


def test_a_line_never_shows_an_objective_of_another_step(
    reporter: JournalReporter, tmp_path: Path
) -> None:
    for step in range(1, 40):
        reporter.report(step, {"loss": float(step)} if step % 3 else {"rate": 0.5})
    reporter.end(Reason.STOPPED, 40, None)

    assert all(r.values.get("loss", r.step) == r.step for r in reports(tmp_path / "journal"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_divergence_serves_the_next_milestone_wherever_it_is(
    reporter: JournalReporter, tmp_path: Path, value: float
) -> None:
    reporter.report(1, {"loss": 1.0})
    reporter.report(2, {"loss": value})

    assert reporter.diverged
    assert [r.milestone for r in reports(tmp_path / "journal")] == [(1,), (3,)]


def test_a_report_must_be_a_number(reporter: JournalReporter) -> None:
    with pytest.raises(scaletune.UserError, match="rate must be a number"):
        reporter.report(1, {"rate": "fast"})


def test_a_journal_goes_on_after_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).append(wire.CheckpointEntry(1, 0.0, 3), synced=True)
    with path.open("a") as file:
        file.write('{"sequence":2,"ti')
    journal = Journal(path)
    journal.append(wire.CheckpointEntry(journal.next_sequence(), 0.0, 9), synced=True)
    reader = JournalReader(path, "loss")
    reader.refresh()

    assert (reader.record.checkpoint, reader.record.sequence) == (9, 2)


def test_a_journal_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(VolumeError, match=r"file/journal"):
        Journal(tmp_path / "file" / "journal")


@pytest.mark.parametrize(
    ("agreement", "step", "reason"),
    [
        pytest.param(Agreement(until=9), 5, None, id="go on"),
        pytest.param(Agreement(until=5), 5, Reason.PAUSED, id="until"),
        pytest.param(Agreement(until=3), 5, Reason.PAUSED, id="beyond until"),
        pytest.param(Agreement(until=9), 9, Reason.DONE, id="the end"),
        pytest.param(Agreement(until=9, state=1), 5, Reason.PAUSED, id="paused"),
        pytest.param(Agreement(until=9, state=2), 5, Reason.STOPPED, id="stopped"),
        pytest.param(Agreement(until=9, state=2), 9, Reason.DONE, id="done before stopped"),
        pytest.param(Agreement(until=9, asked_to_leave=1), 5, Reason.TERMINATED, id="signal"),
        pytest.param(Agreement(until=5, asked_to_leave=1), 5, Reason.PAUSED, id="pause wins"),
        pytest.param(Agreement(until=9, diverged=1), 9, Reason.DIVERGED, id="diverged at the end"),
    ],
)
def test_all_ranks_come_to_one_conclusion(
    agreement: Agreement, step: int, reason: Reason | None
) -> None:
    assert Agreement.of(agreement.numbers()).reason_to_leave(step, 9) is reason


def test_a_directive_is_followed_through_every_way_of_replacing_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, data = tmp_path / "directive", tmp_path / "data"
    file = DirectiveFile(path, wire.Directive(0, 9))
    seen = [file.read()]
    for generation, text in enumerate(["", "{", wire.Directive(2, 5).to_json()]):
        folder = tmp_path / f"version-{generation}"
        folder.mkdir()
        (folder / "directive").write_text(text)
        (tmp_path / "next").symlink_to(folder)  # as the kubelet does
        (tmp_path / "next").replace(data)
        if not path.is_symlink():
            path.symlink_to(data / "directive")
        seen.append(file.read())
    path.unlink()
    seen.append(file.read())

    assert [directive.until for directive in seen] == [9, 9, 9, 5, 5]
    assert capsys.readouterr().err.count("is ignored") == 1


@pytest.mark.parametrize("state", list(State))
def test_a_directive_survives_the_all_reduce(state: State) -> None:
    wished = Agreement.wished(wire.Directive(7, 5, state))
    silent = Agreement(asked_to_leave=1)
    agreed = Agreement.of(
        [max(pair) for pair in zip(wished.numbers(), silent.numbers(), strict=True)]
    )

    assert (agreed.generation, agreed.until, agreed.asked_to_leave) == (7, 5, 1)
    assert agreed.state == wished.state


def test_the_pace_never_grows_at_a_bound_and_is_at_least_one_step() -> None:
    pace = Pace(world=2)
    found = [pace.next_steps(step) for step in (0, 1, 5, 21, 85, 100_000, 2_000_000)]

    assert found[0] == 1
    assert all(after <= 4 * before for before, after in pairwise(found))
    assert max(found) <= 10_000


def test_random_states_come_back() -> None:
    state = random_states.capture()
    first = [random.random() for _ in range(3)]
    random_states.restore(state)

    assert [random.random() for _ in range(3)] == first


def test_a_new_rank_starts_a_repeatable_stream_of_its_own() -> None:
    def drawn(rank: int) -> float:
        random_states.start(seed=1, rank=rank, step=5)
        return random.random()

    assert drawn(2) == drawn(2) != drawn(3)
