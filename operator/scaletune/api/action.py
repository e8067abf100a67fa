"""What a plan says: decisions on records, then actions for a shell to carry out in order."""

from dataclasses import dataclass, field

from scaletune.api import configuration
from scaletune.api.record import DecisionWord, Evidence
from scaletune.api.trial import TrialSpec


@dataclass(frozen=True)
class Decide:
    """A decision on a trial's record at a milestone, to be stored before any action."""

    trial: int
    milestone: int
    decision: DecisionWord
    number: int
    evidence: Evidence = field(default_factory=Evidence)
    exploit: configuration.Exploit | None = None
    """exploit is what the decision Exploit takes over."""
    waited: bool = False
    """waited says of an Exploit that the trial had paused for it, as for a promotion."""

    @property
    def is_later(self) -> bool:
        """Whether it comes after the record's own decision, which let the trial wait."""
        return self.decision == "Promote" or self.waited


@dataclass(frozen=True)
class Create:
    """Make a new Trial with this spec."""

    spec: TrialSpec
    reason: str

    @property
    def trial(self) -> int:
        """Index of the new trial."""
        return self.spec.index


@dataclass(frozen=True)
class Resume:
    """Let a trial train on up to `until`."""

    trial: int
    until: int
    reason: str


@dataclass(frozen=True)
class Exploit(Resume):
    """Let a trial go on from another one's checkpoint, with other parameters."""

    exploit: configuration.Exploit


@dataclass(frozen=True)
class Pause:
    """Let a trial leave with a checkpoint; it may go on later."""

    trial: int
    reason: str


@dataclass(frozen=True)
class Stop:
    """Let a trial end for ever."""

    trial: int
    reason: str


@dataclass(frozen=True)
class Finish:
    """Nothing more will happen unless the Study's spec changes."""

    cause: str  # one CamelCase word: the reason of the condition Finished
    reason: str


@dataclass(frozen=True)
class LookAgain:
    """Plan again at this instant (seconds since the epoch): then time alone changes the answer."""

    at: float
    reason: str


Action = Create | Resume | Pause | Stop | Finish | LookAgain


@dataclass(frozen=True)
class Plan:
    """Decisions in the order of their numbers, then actions in the order of carrying out."""

    decisions: tuple[Decide, ...] = ()
    actions: tuple[Action, ...] = ()
