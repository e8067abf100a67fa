"""The trial protocol, version 1: every name on which a shell and a trainer must agree.

A shell starts `python -m scaletune_trainer.main -- COMMAND...` with the variables of `Variable`,
tells it what it wants by a file that holds a `Directive`, and learns what happened from the
metrics named in `Metric`, from the exit code and from the `TerminationMessage`. The journal is the
full record of one incarnation; whoever replays it learns the same as from the metrics.

Forms: JSON with camelCase keys; numbers that JSON does not have are the strings "NaN", "Infinity"
and "-Infinity"; keys that we do not know are ignored, so that a newer side may say more. Standard
library only: shells import this package, and nothing else of the trainer.
"""

from scaletune_trainer.wire.directive import Directive
from scaletune_trainer.wire.entries import (
    AcknowledgedEntry,
    CheckpointEntry,
    EndEntry,
    Entry,
    ReplayedEntry,
    ReportEntry,
    Told,
    entries_of,
    entry_from_json,
)
from scaletune_trainer.wire.fields import (
    Value,
    VersionError,
    WireError,
    number_from_json,
    number_to_json,
)
from scaletune_trainer.wire.lives import Life, Origin, Replayed
from scaletune_trainer.wire.message import Last, MilestoneReport, TerminationMessage
from scaletune_trainer.wire.names import (
    ERROR_CHARACTERS_MAX,
    LABELS,
    LINGER_SECONDS,
    MESSAGE_BYTES_MAX,
    METRICS_PORT,
    SHUTDOWN_SECONDS,
    TERMINATION_MESSAGE,
    VERSION,
    ExitCode,
    Metric,
    Reason,
    State,
    Variable,
)
from scaletune_trainer.wire.trial import (
    Place,
    TrialSpec,
    checkpoints_folder,
    endpoint_path,
    journal_path,
    lives_path,
)

__all__ = [
    "ERROR_CHARACTERS_MAX",
    "LABELS",
    "LINGER_SECONDS",
    "MESSAGE_BYTES_MAX",
    "METRICS_PORT",
    "SHUTDOWN_SECONDS",
    "TERMINATION_MESSAGE",
    "VERSION",
    "AcknowledgedEntry",
    "CheckpointEntry",
    "Directive",
    "EndEntry",
    "Entry",
    "ExitCode",
    "Last",
    "Life",
    "Metric",
    "MilestoneReport",
    "Origin",
    "Place",
    "Reason",
    "Replayed",
    "ReplayedEntry",
    "ReportEntry",
    "State",
    "TerminationMessage",
    "Told",
    "TrialSpec",
    "Value",
    "Variable",
    "VersionError",
    "WireError",
    "checkpoints_folder",
    "endpoint_path",
    "entries_of",
    "entry_from_json",
    "journal_path",
    "lives_path",
    "number_from_json",
    "number_to_json",
]
