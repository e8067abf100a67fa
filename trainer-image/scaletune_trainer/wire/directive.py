"""What the operator wants of a running trial: desired state, never a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scaletune_trainer.wire.fields import Fields, dumps
from scaletune_trainer.wire.names import State
from scaletune_trainer.wire.trial import Place, TrialSpec


@dataclass(frozen=True, slots=True)
class Directive:
    """What the operator wants now: desired state, so that any delay or repetition is harmless."""

    generation: int
    until: int
    state: State = State.RUNNING
    acknowledged: int = 0
    """The highest sequence number whose reports are stored."""
    remove: Sequence[Place] = ()
    """Checkpoints that nobody needs any more; rank 0 deletes them."""

    def to_json(self) -> str:
        return dumps(
            {
                "generation": self.generation,
                "until": self.until,
                "state": self.state,
                "acknowledged": self.acknowledged,
                "remove": [str(place) for place in self.remove],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Directive:
        fields = Fields.parse(text, "the directive")
        return cls(
            generation=fields.integer("generation"),
            until=fields.integer("until", minimum=1),
            state=State(fields.choice("state", tuple(State), State.RUNNING)),
            acknowledged=fields.integer("acknowledged", default=0),
            remove=tuple(Place.parse(text) for text in fields.texts("remove")),
        )

    @classmethod
    def initial(cls, spec: TrialSpec) -> Directive:
        """What holds while no directive has arrived: train to the end."""
        return cls(generation=0, until=spec.max)
