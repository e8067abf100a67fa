"""Kill anything at any moment: the run that goes on ends as one that nobody disturbed.

At parallelism 1, because with more the order in which reports arrive is data, not a promise.
"""

import random
import signal
import time
from pathlib import Path

import pytest

from tests.shells.local.laptop import Laptop, eventually, kill, outcome
from tests.shells.local.test_run import replayed_decisions, stored_decisions

OPTIONS = ("--sleep", "0.05")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    laptop = Laptop(tmp_path_factory.mktemp("undisturbed"))
    laptop.write_study(*OPTIONS)
    done = laptop.run()
    assert done.returncode == 0, done.stdout
    return laptop


def test_a_run_that_is_killed_again_and_again_ends_as_an_undisturbed_one(
    laptop: Laptop, undisturbed: Laptop
) -> None:
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    laptop.write_study(*OPTIONS)
    for _ in range(6):
        with laptop.running() as popen:
            time.sleep(moments.uniform(0.3, 3.0))
            kill(popen.pid)
            popen.wait()
            eventually(lambda: not laptop.processes(), "the trial's processes are gone too")

    done = laptop.run()

    assert done.returncode == 0, done.stdout
    assert outcome(laptop) == outcome(undisturbed), f"moments of seed {seed}"
    assert stored_decisions(laptop) == replayed_decisions(laptop)


def test_a_kill_between_any_two_writes_is_harmless(laptop: Laptop, undisturbed: Laptop) -> None:
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    laptop.write_study(*OPTIONS)
    lives = 0
    while (code := laptop.run_until_write(moments.randint(1, 20))) == -signal.SIGKILL:
        eventually(lambda: not laptop.processes(), "the trial's processes are gone too")
        lives += 1
        assert lives < 100, "it never gets on"

    assert code == 0
    assert outcome(laptop) == outcome(undisturbed), f"moments of seed {seed}"
    assert stored_decisions(laptop) == replayed_decisions(laptop)


def test_with_two_at_once_a_killed_run_decides_as_its_ledger_says(laptop: Laptop) -> None:
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    policies = [{"asha": {"eta": 2, "min": 1, "mode": mode}} for mode in ("Promote", "Stop")]
    policy = moments.choice([*policies, {"pbt": {"population": 3, "interval": 2}}])
    laptop.write_study(*OPTIONS, parallelism=2, policy=policy, budget={"trials": 6})
    while laptop.run_until_write(moments.randint(5, 40)) == -signal.SIGKILL:
        eventually(lambda: not laptop.processes(), "the trials' processes are gone too")

    assert stored_decisions(laptop) == replayed_decisions(laptop), f"moments of seed {seed}"


def test_trainers_that_are_killed_are_started_again(laptop: Laptop, undisturbed: Laptop) -> None:
    seed = random.randrange(2**32)
    choice = random.Random(seed)
    laptop.write_study(*OPTIONS, template={"retries": 100})
    with laptop.running() as popen:
        for _ in range(5):
            eventually(lambda: laptop.processes() or popen.poll() is not None, "a trial runs")
            victims = laptop.processes()
            if victims:
                kill(choice.choice(victims).pid)
            time.sleep(choice.uniform(0.2, 1.5))
        popen.communicate(timeout=120)

    assert popen.returncode == 0
    assert outcome(laptop) == outcome(undisturbed), f"victims of seed {seed}"
    assert stored_decisions(laptop) == replayed_decisions(laptop)


def test_a_second_ctrl_c_ends_everything_at_once(laptop: Laptop) -> None:
    laptop.write_study("--hang", "1")
    with laptop.running() as popen:
        eventually(laptop.processes, "a trial runs")
        time.sleep(1)
        popen.send_signal(signal.SIGINT)
        time.sleep(0.5)
        popen.send_signal(signal.SIGINT)
        output, _ = popen.communicate(timeout=60)

    assert popen.returncode == 130
    assert "ending all trials at once" in output
    assert laptop.processes() == []
    (trial,) = laptop.trials
    assert trial.status.crashes == 0


@pytest.mark.slow
def test_real_torchrun_killed_and_resumed_ends_as_undisturbed(
    laptop: Laptop, tmp_path: Path
) -> None:
    other = Laptop(tmp_path / "undisturbed")
    other.home.mkdir()
    shape = {"budget": {"trials": 2}, "training": {"unit": "Step", "max": 2}}
    for each in (laptop, other):
        each.write_study("--sleep", "0.3", launcher="torchrun", **shape)
    assert other.run().returncode == 0
    with laptop.running() as popen:
        eventually(lambda: len(laptop.processes()) >= 2, "torchrun has started a worker")
        time.sleep(1)
        kill(popen.pid)
        popen.wait()
    eventually(lambda: not laptop.processes(), "torchrun and its workers are gone")

    done = laptop.run()

    assert done.returncode == 0, done.stdout
    assert outcome(laptop) == outcome(other)
