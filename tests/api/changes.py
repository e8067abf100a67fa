"""Changes to a Study that exists: what may be changed and what not, as merges into its spec."""

from typing import Any, Final

Change = dict[str, Any]

IMMUTABLE: Final[dict[str, Change]] = {
    "seed": {"seed": 8},
    "objectives": {"objectives": [{"metric": "val_loss", "goal": "Maximize"}]},
    "parameters": {
        "parameters": [
            {"name": "learning_rate", "float": {"min": 1e-5, "max": 0.2, "scale": "Log"}},
            {"name": "batch_size", "int": {"min": 16, "max": 512, "scale": "Log"}},
            {"name": "optimizer", "choice": {"values": ["adamw", "adafactor", "muon"]}},
        ]
    },
    "scalingRules": {
        "scalingRules": [
            {"parameter": "learning_rate", "law": "Linear", "with": "batch_size", "reference": 64}
        ]
    },
    "training": {"training": {"max": 10_000}},
    "policy": {"policy": {"asha": {"mode": "Stop"}}},
    "sampler": {"sampler": {"random": None, "grid": {}}},
    "checkpoints": {"checkpoints": {"persistentVolumeClaim": {"claimName": "others"}}},
    "initial": {"initial": [{"learning_rate": 0.01}]},
    "warmStart": {"warmStart": [{"study": "gpt-tiny", "added": {"learning_rate": 0.01}}]},
    "schedule": {"schedule": [{"after": 9, "values": {"learning_rate": 0.01}}]},
}
# A list stays what it was, too; the example has none.
LISTED: Final[Change] = {"sampler": {"random": None, "list": {"configurations": [{}]}}}
RELISTED: Final[Change] = {"sampler": {"random": None, "list": {"configurations": [{}, {}]}}}
# Removing a field, or adding one that was left out, is a change as well.
REMOVED: Final[dict[str, Change]] = {
    "policy": {"policy": None},
    "checkpoints": {"checkpoints": None, "policy": {"asha": {"mode": "Promote"}}},
}
# What is confirmed, and by what, stays so once it is said.
CONFIRMED: Final[Change] = {"confirm": {"metric": "test_loss", "goal": "Minimize"}}
UNCONFIRMED: Final[dict[str, Change]] = {
    "confirm": {"confirm": None},
    "confirm.metric": {"confirm": {"metric": "loss", "goal": "Minimize"}},
    "confirm.goal": {"confirm": {"metric": "test_loss"}},
}
MUTABLE: Final[dict[str, Change]] = {
    "state": {"state": "Paused"},
    "parallelism": {"parallelism": 16},
    "budget": {"budget": {"trials": 400, "duration": None}},
    "confirm": {"confirm": {"top": 5}},
    "retries": {"template": {"retries": 5}},
    "startSeconds": {"template": {"startSeconds": 60}},
    "stallSeconds": {"template": {"stallSeconds": 60}},
    "pod": {"template": {"pod": {"spec": {"nodeSelector": {"gpu": "h100"}}}}},
}
