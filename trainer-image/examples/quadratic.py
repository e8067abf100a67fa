"""python trainer-image/examples/quadratic.py --steps 20

A script without torch, for protocol tests. Its value is a known function of the parameters and the
step, so that every decision about it can be worked out by hand: (x - 0.3)^2 + 1 / step. Options
make it sleep, fail, diverge, fall silent or leave at a chosen step. All it keeps is a counter,
which shows that a resumed trial went on.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import sys
import time

import scaletune_trainer as scaletune


def value(x: float, step: int) -> float:
    return (x - 0.3) ** 2 + 1 / step


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=27, help="steps when run without Scaletune")
    parser.add_argument("--sleep", type=float, default=0.0, help="seconds each step takes")
    parser.add_argument("--diverge", type=int, help="report NaN at this step")
    parser.add_argument("--fail", type=int, help="raise an exception at this step")
    parser.add_argument("--memory", type=int, help="run out of memory at this step")
    parser.add_argument("--kill", type=int, help="be killed (-9) at this step")
    parser.add_argument("--hang", type=int, help="stop making progress at this step")
    parser.add_argument("--leave", type=int, help="end the script by itself at this step")
    parser.add_argument("--exit-code", type=int, default=0, help="the code with which it leaves")
    parser.add_argument("--silent", action="store_true", help="never report the objective")
    parser.add_argument("--held-out", action="store_true", help="report held_out as well, noisy")
    parser.add_argument("--every-step", action="store_true", help="report at every step")
    return parser.parse_args()


def misbehave(options: argparse.Namespace, step: int) -> None:
    if step == options.fail:
        raise RuntimeError(f"asked to fail at step {step}")
    if step == options.memory:
        raise MemoryError(f"asked to run out of memory at step {step}")
    if step == options.kill:
        os.kill(os.getpid(), signal.SIGKILL)
    if step == options.hang:
        time.sleep(3600)
    if step == options.leave:
        sys.exit(options.exit_code)


def main() -> None:
    options = arguments()
    trial = scaletune.trial(defaults={"x": 0.5}, max_steps=options.steps, every=9)
    x = float(trial.parameters["x"])
    state = {"steps": 0}
    trial.track(state=state)
    for step in trial.steps():
        time.sleep(options.sleep)
        misbehave(options, step)
        state["steps"] += 1
        if (trial.due or options.every_step) and not options.silent:
            loss = math.nan if step == options.diverge else value(x, step)
            noise = random.Random(trial.seed).gauss(0, 0.01)
            trial.report(loss=loss, **({"held_out": loss + noise} if options.held_out else {}))
        elif step == options.diverge:
            trial.report(loss=math.nan)
        else:
            trial.report(steps=state["steps"])


if __name__ == "__main__":
    main()
