"""Names on the cluster: labels, annotations, objects. A function of study, trial and attempt each,
so that creating the same thing twice is a harmless conflict."""

from typing import Final

from scaletune.api.model import GROUP

STUDY_LABEL: Final = f"{GROUP}/study"
TRIAL_LABEL: Final = f"{GROUP}/trial"
ATTEMPT_LABEL: Final = f"{GROUP}/attempt"
DIRECTIVE_ANNOTATION: Final = f"{GROUP}/directive"
CLEANUP_ANNOTATION: Final = f"{GROUP}/cleanup"
"""Of which trials a Job deletes the checkpoints, as a digest."""
INDEX_ANNOTATION: Final = "batch.kubernetes.io/job-completion-index"
"""Written by the Job's controller: which of its Job's pods a pod is, from 0."""
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
"""A Job with it is suspended until Kueue has room for all of its pods."""


def job_name(trial: str, attempt: int) -> str:
    """The Job of an attempt; its pods' host names are `<job>-<index>`."""
    return f"{trial}-a{attempt}"


def cleanup_name(study: str) -> str:
    """The Job that deletes checkpoints of a study that has ended."""
    return f"{study}-cleanup"


def service_name(study: str) -> str:
    """The headless Service under which all pods of a study find each other."""
    return f"scaletune-{study}"
