"""Scaletune: hyperparameter tuning for large training runs, native to Kubernetes.

A shell takes a snapshot of a Study and its Trials, `plan` says what to do, the shell does it;
nothing else decides anything.
"""

__version__ = "0.1.0"
