"""A script without torch that takes more and more memory, until somebody stops it."""

import scaletune_trainer as scaletune

trial = scaletune.trial(max_steps=9)
kept: list[bytearray] = []
for _ in trial.steps():
    while True:
        kept.append(bytearray(b"x" * 2**24))
