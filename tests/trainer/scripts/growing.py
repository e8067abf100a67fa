"""A script without torch that says what its training costs, unless it is told to forget."""

import sys

import scaletune_trainer as scaletune

trial = scaletune.trial(max_steps=9)
size = float(trial.parameters["size"])
state: dict[str, int] = {}
trial.track(state=state)
for step in trial.steps():
    if "forgets" not in sys.argv:
        trial.report(flops=size * step)
    if trial.due:
        trial.report(loss=1 / size + 1 / step)
