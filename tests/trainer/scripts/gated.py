"""A script without torch that waits before step 2 for a file: what happens beyond it can be chosen.

What it does there, it does once: a later life of the trial, which finds the marks of an earlier one
beside the gate, trains to the end.
"""

import argparse
import os
import signal
import time
from pathlib import Path

import scaletune_trainer as scaletune


def is_first(mark: Path) -> bool:
    """Whether nobody was here before."""
    was_there = mark.exists()
    mark.touch()
    return not was_there


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("gate", type=Path)
    parser.add_argument("--saves", action="store_true", help="write a checkpoint at every step")
    parser.add_argument("--crashes", action="store_true", help="be killed before the gate, once")
    parser.add_argument("--stay", type=int, help="train no further than to this step, once")
    parser.add_argument("--hungry", action="store_true", help="take ever more memory there")
    options = parser.parse_args()
    trial = scaletune.trial(checkpoint_seconds=0 if options.saves else 3600)
    state = {"steps": 0}
    trial.track(state=state)
    for step in trial.steps():
        if step == 2 and options.crashes and is_first(options.gate.with_suffix(".crashed")):
            os.kill(os.getpid(), signal.SIGKILL)
        if step == 2:
            options.gate.with_suffix(".waiting").touch()
            while not options.gate.exists():
                time.sleep(0.1)
        state["steps"] += 1
        trial.report(loss=1 / step)
        kept: list[bytes] = []
        if step == options.stay and is_first(options.gate.with_suffix(".stayed")):
            while True:
                kept.append(b"x" * 2**24 if options.hungry else b"")
                time.sleep(0.05)


if __name__ == "__main__":
    main()
