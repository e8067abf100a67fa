"""Simulates a Study in virtual time: the same `observe` and `plan`, and an objective for trainers.

`objectives` and `table` say what a training would report, `faults` what goes wrong on the way,
`world` is the nodes and trainers, `shell` the loop around the plan, `simulation` runs one seed to
its end, `outcome` says what came of it. Nothing is decided here. The only wall clock is the one
that measures how long a plan takes.
"""
