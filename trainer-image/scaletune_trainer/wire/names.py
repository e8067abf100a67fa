"""The names and numbers of the protocol: variables, metrics, states, reasons, exit codes."""

from __future__ import annotations

from enum import IntEnum, StrEnum

VERSION = 1
METRICS_PORT = 9464
SHUTDOWN_SECONDS = 110
TERMINATION_MESSAGE = "/dev/termination-log"
MESSAGE_BYTES_MAX = 4096
ERROR_CHARACTERS_MAX = 1000
LINGER_SECONDS = 30
LABELS = ("study", "trial", "incarnation", "attempt")
"""The labels of every metric; some carry further ones, see `Metric`."""


class Variable(StrEnum):
    """The environment of a trial's processes."""

    TRIAL = "SCALETUNE_TRIAL"
    VOLUME = "SCALETUNE_VOLUME"
    INCARNATION = "SCALETUNE_INCARNATION"
    DIRECTIVE = "SCALETUNE_DIRECTIVE"
    METRICS_PORT = "SCALETUNE_METRICS_PORT"
    TERMINATION_MESSAGE = "SCALETUNE_TERMINATION_MESSAGE"
    STALL_SECONDS = "SCALETUNE_STALL_SECONDS"
    SHUTDOWN_SECONDS = "SCALETUNE_SHUTDOWN_SECONDS"
    LAUNCHER = "SCALETUNE_LAUNCHER"
    CLEANUP = "SCALETUNE_CLEANUP"  # of the Job that deletes checkpoints alone: which


class Metric(StrEnum):
    """The series a trial exposes, as they are written in the exposition."""

    METRIC = "scaletune_trial_metric"  # + metric: the latest value of each reported name
    STEP = "scaletune_trial_step"
    # + milestone, step, sequence, generation, of: whose it is, when an earlier life reported it
    MILESTONE_VALUE = "scaletune_trial_milestone_value"
    MILESTONE_DEVICE_SECONDS = "scaletune_trial_milestone_device_seconds"  # + milestone
    MILESTONE_COST = "scaletune_trial_milestone_cost"  # + milestone
    REPORTS = "scaletune_trial_reports_total"
    SEQUENCE = "scaletune_trial_sequence"
    HEARTBEAT = "scaletune_trial_heartbeat_timestamp_seconds"
    CHECKPOINT_STEP = "scaletune_trial_checkpoint_step"
    ACKNOWLEDGED_GENERATION = "scaletune_trial_acknowledged_generation"
    DEVICE_SECONDS = "scaletune_trial_device_seconds"
    REPLAYED = "scaletune_trial_replayed"  # + of: an incarnation; its last checkpoint, or -1
    INFO = "scaletune_trial_info"  # + wire


class State(StrEnum):
    """What a directive wants the trial to be."""

    RUNNING = "Running"
    PAUSED = "Paused"
    STOPPED = "Stopped"


class Reason(StrEnum):
    """Why an incarnation ended; the first four are ends as agreed."""

    DONE = "Done"
    PAUSED = "Paused"
    STOPPED = "Stopped"
    DIVERGED = "Diverged"
    TERMINATED = "Terminated"
    USER_ERROR = "UserError"
    OUT_OF_MEMORY = "OutOfMemory"
    STALLED = "Stalled"
    CRASHED = "Crashed"
    REPLAYED = "Replayed"
    """It was to read the journals of earlier lives, and no more."""


class ExitCode(IntEnum):
    """The exit codes of PID 1; whatever is not listed is infrastructure."""

    AGREED = 0
    CRASHED = 1
    USER_ERROR = 43
    OUT_OF_MEMORY = 44
    STALLED = 45
    TERMINATED = 143

    @classmethod
    def of(cls, reason: Reason) -> ExitCode:
        return _EXIT_CODES[reason]


_EXIT_CODES = {
    Reason.DONE: ExitCode.AGREED,
    Reason.PAUSED: ExitCode.AGREED,
    Reason.STOPPED: ExitCode.AGREED,
    Reason.DIVERGED: ExitCode.AGREED,
    Reason.TERMINATED: ExitCode.TERMINATED,
    Reason.USER_ERROR: ExitCode.USER_ERROR,
    Reason.OUT_OF_MEMORY: ExitCode.OUT_OF_MEMORY,
    Reason.STALLED: ExitCode.STALLED,
    Reason.CRASHED: ExitCode.CRASHED,
    # The other nodes wait for this one, and are ended by its failure.
    Reason.REPLAYED: ExitCode.CRASHED,
}
