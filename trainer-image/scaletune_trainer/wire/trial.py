"""What a trainer is to train, and where its files lie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaletune_trainer.wire.fields import Fields, Json, Value, WireError, dumps
from scaletune_trainer.wire.lives import Life
from scaletune_trainer.wire.names import VERSION, Variable

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}"


@dataclass(frozen=True, slots=True)
class Place:
    """A checkpoint: the incarnation that wrote it, its step, and whose it is if another's."""

    incarnation: str
    step: int
    trial: str | None = None

    def __str__(self) -> str:
        own = f"{self.incarnation}/{self.step}"
        return own if self.trial is None else f"{self.trial}/{own}"

    def document(self) -> dict[str, Json]:
        own: dict[str, Json] = {"incarnation": self.incarnation, "step": self.step}
        return own if self.trial is None else {**own, "trial": self.trial}

    @classmethod
    def read(cls, fields: Fields) -> Place:
        own = cls.parse(f"{fields.text('incarnation')}/{fields.integer('step')}")
        trial = fields.folder("trial") if "trial" in fields.document else None
        return cls(own.incarnation, own.step, trial)

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read "<incarnation>/<step>"; a path that would leave the trial's folder is refused."""
        found = re.fullmatch(rf"({_NAME})/(0|[1-9][0-9]{{0,17}})", text)
        if found is None:
            raise WireError(f"{text!r} is no checkpoint: write <incarnation>/<step>")
        return cls(found[1], int(found[2]))

    @classmethod
    def parse_any(cls, text: str) -> Place:
        """Read "<incarnation>/<step>", or "<trial>/<incarnation>/<step>" to be read from."""
        found = re.fullmatch(rf"(?:({_NAME})/)?([^/]*/[^/]*)", text)
        if found is None:
            raise WireError(f"{text!r} is no checkpoint: write [<trial>/]<incarnation>/<step>")
        own = cls.parse(found[2])
        return cls(own.incarnation, own.step, found[1])


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """What a trainer is to train: fixed for the life of an incarnation."""

    study: str
    study_uid: str
    trial: str
    index: int
    attempt: int
    parameters: Mapping[str, Value]
    seed: int
    metric: str
    goal: str
    unit: str
    max: int
    milestones: Sequence[int]
    restore: Place | None = None
    processes: int = 1
    replay: Sequence[Life] = ()
    """Earlier lives whose last words were not heard, the oldest first."""
    keep: bool = False
    """Whether there is to be a checkpoint at each milestone, until a directive removes it: another
    trial may go on from it."""
    changes_at: int | None = None
    """The step at which other values hold: the trainer pauses there, and the next attempt goes on
    with them."""
    changed: bool = False
    """Whether the checkpoint to restore was written with other values of this trial."""
    only_replay: bool = False
    """Nothing is to be trained: what these journals hold decides whether the trial goes on."""
    cost_metric: str = ""
    """What the script reports as the cost of the training so far, if it has to."""

    def to_json(self) -> str:
        return dumps(
            {
                "wire": VERSION,
                "study": self.study,
                "studyUid": self.study_uid,
                "trial": self.trial,
                "index": self.index,
                "attempt": self.attempt,
                "parameters": dict(self.parameters),
                "seed": self.seed,
                "metric": self.metric,
                "goal": self.goal,
                "unit": self.unit,
                "max": self.max,
                "milestones": list(self.milestones),
                "restore": None if self.restore is None else self.restore.document(),
                "processes": self.processes,
                "replay": [life.document() for life in self.replay],
                "keep": self.keep,
                "changesAt": self.changes_at,
                "changed": self.changed,
                "onlyReplay": self.only_replay,
                "costMetric": self.cost_metric,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> TrialSpec:
        fields = Fields.parse(text, Variable.TRIAL)
        fields.require_version(VERSION)
        restore = fields.optional_object("restore")
        spec = cls(
            study=fields.text("study"),
            study_uid=fields.folder("studyUid"),
            trial=fields.folder("trial"),
            index=fields.integer("index"),
            attempt=fields.integer("attempt", minimum=1),
            parameters=fields.values("parameters"),
            seed=fields.integer("seed"),
            metric=fields.text("metric"),
            goal=fields.choice("goal", ("Minimize", "Maximize")),
            unit=fields.text("unit"),
            max=fields.integer("max", minimum=1),
            milestones=fields.integers("milestones"),
            restore=None if restore is None else Place.read(restore),
            processes=fields.integer("processes", minimum=1),
            replay=tuple(Life.read(each) for each in fields.objects("replay")),
            keep=fields.flag("keep"),
            changes_at=fields.optional_integer("changesAt"),
            changed=fields.flag("changed"),
            only_replay=fields.flag("onlyReplay"),
            cost_metric=fields.text("costMetric", ""),
        )
        levels = spec.milestones
        if list(levels) != sorted(set(levels)) or not levels or levels[-1] != spec.max:
            raise WireError(
                f"{Variable.TRIAL}: milestones must rise and end at max {spec.max}, "
                f"but are {list(levels)}"
            )
        return spec

    def folder(self, volume: Path) -> Path:
        """All files of this trial, of every incarnation."""
        return volume / self.study_uid / self.trial

    def incarnation_folder(self, volume: Path, incarnation: str) -> Path:
        return self.folder(volume) / incarnation

    def checkpoint_folder(self, volume: Path, place: Place) -> Path:
        of = volume / self.study_uid / (place.trial or self.trial)
        return checkpoints_folder(of / place.incarnation) / str(place.step)


def journal_path(incarnation_folder: Path) -> Path:
    return incarnation_folder / "journal.jsonl"


def lives_path(trial_folder: Path, attempt: int) -> Path:
    """The file that names the incarnations of one attempt, a line each: a Job that was suspended
    goes on in new pods, and nobody tells them from which checkpoint."""
    return trial_folder / f"attempt-{attempt}"


def endpoint_path(incarnation_folder: Path) -> Path:
    """The file that holds host:port of the metrics server, once it listens."""
    return incarnation_folder / "endpoint"


def checkpoints_folder(incarnation_folder: Path) -> Path:
    return incarnation_folder / "checkpoints"
