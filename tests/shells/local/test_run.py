"""`scaletune run`: whole studies of real processes on this machine."""

import os
import signal
import time
from collections.abc import Iterable
from typing import Any

import pytest

from scaletune.api.action import Decide
from scaletune.core.plan import plan
from scaletune.core.reasons import stored
from scaletune.shells.replay import read_lines, replay
from tests.cli.command import scaletune
from tests.shells.local.laptop import Laptop, eventually


def stored_decisions(laptop: Laptop) -> list[tuple[Any, ...]]:
    made = [
        each
        for trial in laptop.trials
        for record in trial.status.milestones
        for each in stored(trial, record)
    ]
    return _sorted(made)


def replayed_decisions(laptop: Laptop) -> list[tuple[Any, ...]]:
    return replayed(laptop, laptop.folder.ledger.read_text())


def replayed(laptop: Laptop, ledger: str) -> list[tuple[Any, ...]]:
    return _sorted(replay(laptop.study, read_lines(ledger)))


def _sorted(decisions: Iterable[Decide]) -> list[tuple[Any, ...]]:
    return sorted(
        (made.number, made.is_later, made.trial, made.milestone, made.decision)
        for made in decisions
    )


def journals(laptop: Laptop) -> str:
    return "".join(path.read_text() for path in laptop.folder.volume.rglob("journal.jsonl"))


def test_the_best_are_trained_again_by_a_metric_that_the_search_has_not_seen(
    laptop: Laptop,
) -> None:
    laptop.write_study(
        "--held-out",
        parallelism=2,
        parameters=[{"name": "x", "float": {"min": 0, "max": 1, "center": 0.9}}],
        budget={"trials": 3},
        confirm={"top": 1, "repeats": 2, "metric": "held_out"},
    )

    done = laptop.run()

    assert done.returncode == 0, done.stdout + done.stderr
    found, best = laptop.study.status.confirmation, laptop.study.status.best
    assert found is not None
    assert best is not None
    assert [each.role for each in found.configurations] == ["Candidate", "Control"]
    assert best.value == found.configurations[0].mean
    again = [trial for trial in laptop.trials if trial.spec.role != "Search"]
    # A repeat has one seed, and so the same noise, whoever is trained.
    noise = [
        each.status.milestones[0].value - (float(each.spec.parameters[0].value) - 0.3) ** 2 - 1 / 4
        for each in again
        if each.status.milestones[0].value is not None
    ]
    assert [each.spec.repeat for each in again] == [0, 0, 1, 1]
    assert noise[0] == pytest.approx(noise[1])
    assert noise[2] == pytest.approx(noise[3])
    assert noise[0] != pytest.approx(noise[2])
    assert stored_decisions(laptop) == replayed_decisions(laptop)


@pytest.mark.parametrize("mode", ["Promote", "Stop"])
def test_a_study_runs_to_its_end_and_its_ledger_replays(laptop: Laptop, mode: str) -> None:
    asha = {"eta": 2, "min": 1, "mode": mode}
    laptop.write_study("--sleep", "0.05", parallelism=2, policy={"asha": asha})

    done = laptop.run()

    assert done.returncode == 0, done.stdout + done.stderr
    assert laptop.study.status.best is not None
    assert laptop.study.status.best.milestone == 4
    assert "finished (Completed)" in done.stdout
    assert stored_decisions(laptop) == replayed_decisions(laptop)
    # What is stored of it tells the same as what was written down as it came.
    told = scaletune("ledger", laptop.folder.root)
    assert replayed(laptop, told.stdout) == stored_decisions(laptop)
    assert plan(laptop.study, laptop.trials, time.time()).actions == ()
    assert laptop.processes() == []
    kept = {path.parents[2].name for path in laptop.folder.volume.rglob("checkpoints/*")}
    needed = {each.metadata.name for each in laptop.trials if each.status.state != "Stopped"}
    assert kept <= needed, "the checkpoint of a trial that lost takes no space"


def test_a_finished_study_is_shown_again_and_goes_on_when_its_budget_is_raised(
    laptop: Laptop,
) -> None:
    laptop.write_study(budget={"trials": 1}, training={"unit": "Step", "max": 2})
    first = laptop.run()
    again = laptop.run()
    raised = laptop.run("--set", "budget.trials=2")

    assert (first.returncode, again.returncode, raised.returncode) == (0, 0, 0)
    assert len(laptop.trials) == 2
    assert laptop.study.metadata.generation == 2
    assert laptop.study.spec.budget.trials == 2


def test_what_cannot_change_is_refused(laptop: Laptop) -> None:
    laptop.write_study(budget={"trials": 1}, training={"unit": "Step", "max": 2})
    laptop.run()

    done = laptop.run("--set", "seed=5")

    assert done.returncode == 2
    assert "seed cannot change after creation" in done.stderr
    assert laptop.study.spec.seed == 0


def test_no_more_trials_at_once_than_cores(laptop: Laptop) -> None:
    laptop.write_study(
        parallelism=10_000, budget={"trials": 1}, training={"unit": "Step", "max": 2}
    )

    done = laptop.run()

    cores = len(os.sched_getaffinity(0))
    assert f"{cores} at once" in done.stdout
    assert laptop.study.spec.parallelism == cores


def test_a_diverged_trial_is_never_the_best(laptop: Laptop) -> None:
    laptop.write_study("--diverge", "2", parallelism=2, policy={"asha": {"eta": 2, "min": 1}})

    done = laptop.run()

    best = laptop.study.status.best
    assert best is not None
    assert best.milestone == 1
    assert "Diverged" in done.stdout
    assert stored_decisions(laptop) == replayed_decisions(laptop)


def test_a_script_that_fails_at_once_ends_the_study_with_its_last_words(laptop: Laptop) -> None:
    laptop.write_study("--fail", "1")

    done = laptop.run()

    assert done.returncode == 1
    assert "asked to fail at step 1" in done.stdout
    assert "EndedEarly" in done.stdout
    assert "log.txt" in done.stdout
    assert "asked to fail at step 1" in scaletune("logs", laptop.folder.root, "0").stdout
    assert "one of attempt 1" in scaletune("logs", laptop.folder.root, "0", "--attempt", "9").stderr
    assert len(laptop.trials) == 3


def test_a_command_that_does_not_exist_is_named(laptop: Laptop) -> None:
    laptop.write_study()
    text = laptop.study_file.read_text().replace('"python"', '"pythom"')
    laptop.study_file.write_text(text)

    done = laptop.run()

    assert done.returncode == 1
    assert "pythom" in done.stdout


def test_a_crash_is_retried_from_the_checkpoint_and_then_counts(laptop: Laptop) -> None:
    laptop.write_study("--kill", "2", template={"retries": 1}, budget={"trials": 1})

    done = laptop.run()

    (trial,) = laptop.trials
    assert trial.status.state == "Failed"
    assert trial.status.failure is not None
    assert trial.status.failure.kind == "RetriesExhausted"
    assert "2 crashes in a row without a newer checkpoint" in trial.status.failure.reason
    assert "crashed, starts again" in done.stdout


def test_two_runs_on_one_folder_refuse_each_other(laptop: Laptop) -> None:
    laptop.write_study("--sleep", "0.3")
    with laptop.running() as first:
        eventually(laptop.processes, "a trial runs")

        second = laptop.run()
        status = scaletune("status", laptop.folder.root)

        assert second.returncode == 2
        assert f"is being run by process {first.pid} (since " in second.stderr
        assert f"being run by process {first.pid}" in status.stdout
        assert first.poll() is None


def test_ctrl_c_pauses_and_the_same_command_goes_on(laptop: Laptop) -> None:
    laptop.write_study("--sleep", "0.2", policy={}, training={"unit": "Step", "max": 12})
    with laptop.running("--set", "budget.trials=1") as popen:
        eventually(lambda: '"step":2' in journals(laptop), "it has trained two steps")
        popen.send_signal(signal.SIGINT)
        output, _ = popen.communicate(timeout=60)

    assert popen.returncode == 130
    assert "pausing" in output
    assert "the same command goes on from here" in output
    assert laptop.processes() == []
    (trial,) = laptop.trials
    assert trial.status.attempts[-1].cause == "Terminated"
    assert trial.status.checkpoint is not None

    done = laptop.run("--set", "budget.trials=1")

    assert done.returncode == 0
    (trial,) = laptop.trials
    assert trial.status.state == "Completed"
    assert [attempt.number for attempt in trial.status.attempts] == [1, 2]
    assert "going on with what is there" in done.stdout


def test_a_paused_study_waits_for_its_file(laptop: Laptop) -> None:
    laptop.write_study(state="Paused")

    done = laptop.run()

    assert done.returncode == 0
    assert "set it to Running" in done.stdout
    assert laptop.trials == []


def test_a_folder_that_cannot_be_written_is_named(laptop: Laptop) -> None:
    laptop.write_study()
    (laptop.home / "file").write_text("")

    done = laptop.run("--directory", str(laptop.home / "file/below"))

    assert done.returncode == 2
    assert "Not a directory" in done.stderr
    assert "--directory" in done.stderr


def test_a_wrong_study_is_refused_with_all_its_problems(laptop: Laptop) -> None:
    laptop.write_study(parallelism=0, sed=1)

    done = laptop.run()

    assert done.returncode == 2
    assert "spec.parallelism" in done.stderr
    assert "spec.sed: unknown field; did you mean seed?" in done.stderr
    assert not laptop.folder.root.exists()


def test_status_and_explain_tell_of_a_run(laptop: Laptop) -> None:
    laptop.write_study(parallelism=2)
    laptop.run()
    root = laptop.folder.root

    status = scaletune("status", root)
    explained = scaletune("explain", root, "1")
    everything = scaletune("explain", root, "study")
    compared = scaletune("compare", root, root)

    assert status.returncode == explained.returncode == compared.returncode == 0
    assert "quad-0003" in status.stdout
    assert "Pause: ranked" in explained.stdout
    assert "quad-0000" not in explained.stdout
    assert "Complete: trained in full" in everything.stdout
    assert "step 4" in compared.stdout


def test_explain_names_what_it_knows(laptop: Laptop) -> None:
    laptop.write_study(budget={"trials": 1}, training={"unit": "Step", "max": 2})
    laptop.run()

    done = scaletune("explain", laptop.folder.root, "quad-0007")

    assert done.returncode == 2
    assert "quad-0000" in done.stderr
