"""The termination message: what an incarnation says with its last breath, in 4,096 bytes.

The kubelet copies it into the pod's status, so that nobody has to scrape a container that is gone.
Reports that were acknowledged are left out. When the rest does not fit, the error gives way first,
then the oldest reports, and `truncated` says so: PID 1 then lingers, serving metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from scaletune_trainer.wire.fields import Fields, Json, dumps, number_to_json
from scaletune_trainer.wire.lives import Origin, Replayed
from scaletune_trainer.wire.names import ERROR_CHARACTERS_MAX, MESSAGE_BYTES_MAX, VERSION, Reason

_ERROR_CHARACTERS_MIN = 200


@dataclass(frozen=True, slots=True)
class MilestoneReport:
    """The report that counts for a milestone: the first whose step reached it."""

    milestone: int
    step: int
    value: float
    sequence: int
    generation: int
    device_seconds: float
    origin: Origin | None = None
    """Whose it is, when it was an earlier life that reported it."""
    cost: float | None = None
    """What the script says that training has cost so far, if it was to say so."""

    def document(self) -> dict[str, Json]:
        of: dict[str, Json] = {} if self.origin is None else {"of": str(self.origin)}
        if self.cost is not None:
            of = {**of, "cost": number_to_json(self.cost)}
        return {
            **of,
            "milestone": self.milestone,
            "step": self.step,
            "value": number_to_json(self.value),
            "sequence": self.sequence,
            "generation": self.generation,
            "deviceSeconds": self.device_seconds,
        }

    @classmethod
    def read(cls, fields: Fields) -> MilestoneReport:
        of = fields.text("of", "")
        return cls(
            milestone=fields.integer("milestone"),
            step=fields.integer("step"),
            value=fields.number("value"),
            sequence=fields.integer("sequence", minimum=1),
            generation=fields.integer("generation"),
            device_seconds=fields.number("deviceSeconds"),
            origin=Origin.parse(of) if of else None,
            cost=fields.optional_number("cost"),
        )


@dataclass(frozen=True, slots=True)
class Last:
    """The latest report that carried the objective."""

    step: int
    value: float
    generation: int
    sequence: int

    def document(self) -> dict[str, Json]:
        return {
            "step": self.step,
            "value": number_to_json(self.value),
            "generation": self.generation,
            "sequence": self.sequence,
        }

    @classmethod
    def read(cls, fields: Fields) -> Last:
        return cls(
            step=fields.integer("step"),
            value=fields.number("value"),
            generation=fields.integer("generation"),
            sequence=fields.integer("sequence", minimum=1),
        )


@dataclass(frozen=True, slots=True)
class TerminationMessage:
    """How an incarnation ended, and the reports that nobody has acknowledged yet."""

    reason: Reason
    step: int
    checkpoint: int | None = None
    sequence: int = 0
    generation: int = 0
    device_seconds: float = 0.0
    times: Mapping[str, int] = field(default_factory=dict)
    reports: Sequence[MilestoneReport] = ()
    last: Last | None = None
    replayed: Sequence[Replayed] = ()
    truncated: bool = False
    error: str = ""

    def to_json(self) -> str:
        return dumps(
            {
                "wire": VERSION,
                "reason": self.reason,
                "step": self.step,
                "checkpoint": self.checkpoint,
                "sequence": self.sequence,
                "generation": self.generation,
                "deviceSeconds": self.device_seconds,
                "times": dict(self.times),
                "reports": [report.document() for report in self.reports],
                "last": None if self.last is None else self.last.document(),
                "replayed": [each.document() for each in self.replayed],
                "truncated": self.truncated,
                "error": self.error,
            }
        )

    def fitted(self, bytes_max: int = MESSAGE_BYTES_MAX) -> TerminationMessage:
        """The same message, cut to what the kubelet keeps."""
        message = replace(self, error=self.error[-ERROR_CHARACTERS_MAX:])
        while len(message.to_json().encode()) > bytes_max:
            if len(message.error) > _ERROR_CHARACTERS_MIN:
                shorter = max(_ERROR_CHARACTERS_MIN, len(message.error) // 2)
                message = replace(message, error=message.error[-shorter:])
            elif message.reports:
                message = replace(message, reports=message.reports[1:], truncated=True)
            else:
                return replace(message, error="", times={})
        return message

    @classmethod
    def from_json(cls, text: str) -> TerminationMessage:
        fields = Fields.parse(text, "the termination message")
        fields.require_version(VERSION)
        last, times = fields.optional_object("last"), fields.optional_object("times")
        return cls(
            reason=Reason(fields.choice("reason", tuple(Reason))),
            step=fields.integer("step"),
            checkpoint=fields.optional_integer("checkpoint"),
            sequence=fields.integer("sequence", default=0),
            generation=fields.integer("generation", default=0),
            device_seconds=fields.number("deviceSeconds"),
            times={} if times is None else {name: times.integer(name) for name in times.document},
            reports=tuple(MilestoneReport.read(item) for item in fields.objects("reports")),
            last=None if last is None else Last.read(last),
            replayed=tuple(Replayed.read(item) for item in fields.objects("replayed")),
            truncated=fields.flag("truncated"),
            error=fields.text("error", ""),
        )
