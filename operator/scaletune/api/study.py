"""Study: what is searched, by which policy, for how much, and how one trial is started."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, WithJsonSchema

from scaletune.api.conditions import Conditions
from scaletune.api.confirmation import Confirm, Confirmation, Goal, MetricName
from scaletune.api.model import API_VERSION, Int, Metadata, Model, Number, Time
from scaletune.api.policy import Policy, Sampler
from scaletune.api.rules import immutable, map_by, matching, rule, rules
from scaletune.api.scaling import ScalingRule
from scaletune.api.space import Parameter, ParameterName
from scaletune.api.structural import PRESERVE
from scaletune.api.study_rules import SPEC_RULES
from scaletune.api.warm_start import Prior, WarmStarts

GPU_HOURS_MAX: Final = 10_000_000
TRIALS_MAX: Final = 10_000  # that a Study stays cheap with, in etcd and in every plan

Duration = Annotated[
    str,
    Field(
        min_length=1,
        max_length=32,
        json_schema_extra=matching(
            "^([0-9]{1,7}h)?([0-9]{1,7}m)?([0-9]{1,7}s)?$",
            "a duration has hours, minutes and seconds, in this order: 24h, 1h30m or 90s",
            rule("self.matches('[1-9]')", "a duration must be longer than nothing"),
        ),
    ),
]


class Objective(Model):
    """The number that decides, as the training script reports it."""

    metric: MetricName
    """metric is the name under which the script reports it: trial.report(val_loss=...)."""
    goal: Goal
    """goal says which direction is better."""
    target: Number | None = None
    """target ends the study as soon as a trial reaches it at a milestone."""


class Horizon(Model):
    """Each trial is as long as one of its own parameters says."""

    parameter: ParameterName
    """parameter is the name of a whole-number parameter: its value is one full training."""


LONGEST: Final = 10**15  # of trainings

# A structural schema knows no unions; what it cannot say of this one stands in `admission`.
_Length = Annotated[
    Annotated[Int, Field(ge=1, le=LONGEST)] | Horizon,
    WithJsonSchema({PRESERVE: True, "minimum": 1, "maximum": LONGEST}),
]


class Training(Model):
    """What one full training is."""

    unit: Literal["Step", "Epoch", "Token"]
    """unit is what training.max, the rungs and all reports count."""
    max: _Length
    """max is one full training, in units. With policy carbs, or none, it may be {parameter: NAME}:
    then each trial is as long as its own value of that whole-number parameter."""

    @property
    def horizon(self) -> str | None:
        """The parameter that says how long a trial is, if one does."""
        return self.max.parameter if isinstance(self.max, Horizon) else None

    @property
    def most(self) -> int:
        """One full training; where a parameter says how long, more than any trial's."""
        return LONGEST if isinstance(self.max, Horizon) else self.max


class Budget(Model):
    """What the study may spend. Raising it continues a finished study."""

    trials: Annotated[Int, Field(ge=1, le=TRIALS_MAX)] | None = None
    """trials is how many configurations are tried, initial ones included. Restarts after failures
    and resumes do not count."""
    gpu_hours: Annotated[Number, Field(gt=0, le=GPU_HOURS_MAX)] | None = None
    """gpuHours bounds the devices in use times hours, lost work included. No trial starts whose
    predicted cost to its next milestone does not fit; at exhaustion running trials are paused with
    a checkpoint."""
    duration: Duration | None = None
    """duration bounds the time since the study started, such as 24h or 1h30m. Then running trials
    are paused with a checkpoint."""


class PersistentVolumeClaim(Model):
    """A claim in the Study's namespace."""

    claim_name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            json_schema_extra=matching(
                "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
                "a claim's name has lower-case letters, digits, '-' and '.'",
            ),
        ),
    ]
    """claimName is the claim's name. Its access mode must be ReadWriteMany unless all trials run
    on one node."""


class Scheduled(Model):
    """Values that hold from a step on."""

    after: Annotated[Int, Field(ge=1, le=10**15)]
    """after is the last step, in training.unit, before the change; below training.max."""
    values: Annotated[dict[str, Any], Field(max_length=64)]
    """values are a map from parameter to value; what is left out stays as it is."""


class Checkpoints(Model):
    """Where trials keep checkpoints and journals. `scaletune run` uses its own folder instead."""

    persistent_volume_claim: PersistentVolumeClaim
    """persistentVolumeClaim is mounted by every trial."""
    keep: Literal["Needed", "All"] = "Needed"
    """keep is which of them stay. Needed: when the study has ended, those of trials that were
    stopped by the policy or have failed are deleted. All: nothing of a trial that has ended is."""


class Template(Model):
    """How one trial is started."""

    nodes: Annotated[Int, Field(ge=1, le=1024)] = 1
    """nodes is how many pods train one trial together, each on any node that has room for it. More
    than one need a cluster, and checkpoints that all of them can write to."""
    processes_per_node: Annotated[Int, Field(ge=1, le=64)] = 1
    """processesPerNode is how many training processes torchrun starts, normally one per GPU.
    A trial counts as nodes times processesPerNode devices in gpuHours."""
    retries: Annotated[Int, Field(ge=0, le=100)] = 3
    """retries is how many times in a row a trial may crash without a newer checkpoint before it
    counts as failed. Disruptions such as an eviction are not counted."""
    start_seconds: Annotated[Int, Field(ge=1, le=604_800)] = 1800
    """startSeconds is how long the pods of a trial may take to get their nodes and images and to
    start. Then they give back what they hold and are tried again later, which counts neither as a
    failure nor as a retry. `scaletune run` waits for nothing."""
    stall_seconds: Annotated[Int, Field(ge=1, le=604_800)] = 1800
    """stallSeconds is how long a trial may go without any report before it is restarted from its
    last checkpoint: a hung collective looks like this."""
    pod: dict[str, Any]
    """pod is a PodTemplateSpec: the trainer is its first container. Only fields that are left out
    are filled in (restricted security profile, shared memory, grace period). `scaletune run` uses
    the command, args, env and workingDir of the first container."""

    @property
    def devices(self) -> int:
        """How many devices a trial holds while it runs: one for each of its processes."""
        return self.nodes * self.processes_per_node


def _fixed(name: str, **schema: Any) -> dict[str, Any]:
    return {**schema, **immutable(f"{name} cannot change after creation; make a new Study")}


@rules(*SPEC_RULES)
class StudySpec(Model):
    """What the user wishes."""

    seed: Annotated[Int, Field(ge=0, le=2**53, json_schema_extra=_fixed("seed"))] = 0
    """seed determines every random draw: the same seed gives the same configurations."""
    state: Literal["Running", "Paused", "Stopped"] = "Running"
    """state is your wish: Paused pauses all trials with a checkpoint, Running goes on, Stopped
    stops all trials, which ends the study."""
    parallelism: Annotated[Int, Field(ge=1, le=10_000)] = 1
    """parallelism is how many trials may run at once; it can change at any time."""
    objectives: Annotated[
        tuple[Objective, ...],
        Field(
            min_length=1,
            max_length=1,
            json_schema_extra=_fixed("objectives", **map_by("metric")),
        ),
    ]
    """objectives are what is optimised: the metric that decides, and which way is better. Exactly
    one for now."""
    parameters: Annotated[
        tuple[Parameter, ...],
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra=_fixed("parameters", **map_by("name")),
        ),
    ]
    """parameters are what is searched, each of one kind: float, int or choice."""
    scaling_rules: Annotated[
        tuple[ScalingRule, ...],
        Field(max_length=32, json_schema_extra=_fixed("scalingRules", **map_by("parameter"))),
    ] = ()
    """scalingRules tie one parameter to another by a law, such as the learning rate to the batch
    size, so that only their relation is searched."""
    training: Annotated[Training, Field(json_schema_extra=_fixed("training"))]
    """training says what one full training is: its length and what that counts."""
    policy: Annotated[Policy, Field(json_schema_extra=_fixed("policy"))] = Policy()
    """policy decides which trials may train on. Left out, every trial is trained in full."""
    sampler: Annotated[Sampler, Field(json_schema_extra=_fixed("sampler"))] = Sampler()
    """sampler decides what is tried next. Left out, adaptive."""
    budget: Budget = Budget()
    """budget bounds what the study may spend: trials, gpuHours, duration. It can change at any
    time; raising it continues a finished study."""
    confirm: Confirm | None = None
    """confirm trains the best few again at the end, in full and with other seeds, to tell skill
    from luck. The search leaves the gpuHours and the duration that this is expected to take, at
    most half of the budget; budget.trials does not count it. It can be added to a finished study,
    and top and repeats can change."""
    initial: Annotated[
        tuple[Annotated[dict[str, Any], Field(max_length=64)], ...], Field(max_length=100)
    ] = ()
    """initial are your own first configurations, as maps from parameter to value. A parameter that
    one leaves out takes its center, else is drawn."""
    warm_start: WarmStarts = ()
    """warmStart names earlier studies, whose results this one begins with. They are read once,
    when they have finished; until then nothing is tried."""
    schedule: Annotated[
        tuple[Scheduled, ...], Field(max_length=64, json_schema_extra=map_by("after"))
    ] = ()
    """schedule changes values of every trial while it trains, such as one that pbt has found
    (`scaletune schedule`). At each change a trial pauses with a checkpoint and goes on with the new
    values. It cannot change."""
    checkpoints: Annotated[Checkpoints, Field(json_schema_extra=_fixed("checkpoints"))] | None = (
        None
    )
    """checkpoints is where trials keep theirs; needed on a cluster where trials pause at rungs: for
    asha's mode Promote, successiveHalving, hyperband and pbt."""
    template: Template
    """template says how a trial is started: its pod, its processes, and when to try again. A change
    holds for the attempts that start after it."""

    def judged_by(self, role: str) -> tuple[str, Goal]:
        """The metric that trials of this role are judged by, and which way is better."""
        objective = self.objectives[0]
        if role == "Search" or self.confirm is None:
            return objective.metric, objective.goal
        return self.confirm.metric or objective.metric, self.confirm.goal or objective.goal


class BestTrial(Model):
    """The best so far: the highest milestone first, then the value, then the lower index."""

    trial: Annotated[str, Field(max_length=63)]
    """trial is the Trial's name."""
    index: int
    """index is the trial's place in the order of creation."""
    value: float
    """value of the objective at the milestone."""
    milestone: int
    """milestone at which the value was reported, in training.unit."""


class TrialCounts(Model):
    """How many trials are in each state."""

    pending: int = 0
    """pending trials were created and have not started."""
    running: int = 0
    """running trials are being trained."""
    paused: int = 0
    """paused trials wait with a checkpoint, for a promotion or for you."""
    stopped: int = 0
    """stopped trials were ended for ever by the policy or by you."""
    completed: int = 0
    """completed trials were trained in full."""
    failed: int = 0
    """failed trials ended by their own fault."""


class StudyStatus(Model):
    """What has become of it so far. Written by Scaletune alone."""

    conditions: Conditions = ()
    """conditions tell the story; Finished says that nothing more will happen, and why."""
    observed_generation: int = 0
    """observedGeneration is the spec's generation that this status answers."""
    started_at: Time | None = None
    """startedAt is when the study was first planned; budget.duration counts from here."""
    finished_at: Time | None = None
    """finishedAt is when the study ended."""
    created: int = 0
    """created is the index of the next trial; it only grows, an index is never used twice."""
    highest_number: int = 0
    """highestNumber is the number of the latest record ever made."""
    device_seconds: float = 0.0
    """deviceSeconds were used by Trials that have been deleted since; a budget is never
    refunded."""
    reports: int = 0
    """reports were stored by Trials that have been deleted since."""
    spent_seconds: float = 0.0
    """spentSeconds were used by all Trials together, deleted ones included. It only grows."""
    trials: TrialCounts = TrialCounts()
    """trials counts the trials by state."""
    running: int = 0
    """running is the number of trials that hold a place."""
    all_reached: int = 0
    """allReached is the milestone that all of pbt's population have reached; it only grows. The
    checkpoints of earlier ones are deleted."""
    prior: Prior | None = None
    """prior is what was taken over from the studies that spec.warmStart names."""
    selector: Annotated[str, Field(max_length=253)] = ""
    """selector finds the study's pods; it is for the scale subresource."""
    policy: Annotated[str, Field(max_length=253)] = ""
    """policy in words, for kubectl get."""
    progress: Annotated[str, Field(max_length=253)] = ""
    """progress is trials ended of trials allowed, for kubectl get."""
    gpu_hours: Annotated[str, Field(max_length=253)] = ""
    """gpuHours is device hours used, of the budget, for kubectl get."""
    found: Annotated[str, Field(max_length=253)] = ""
    """found is the value of the best trial and the milestone it is of, for kubectl get."""
    best: BestTrial | None = None
    """best trial so far; once the best few are confirmed, the best of them by mean."""
    confirmation: Confirmation | None = None
    """confirmation is what training the best again has shown; see spec.confirm."""


@rules(
    rule(
        "size(self.metadata.name) <= 40"
        " && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "a Study's name has at most 40 characters, lower-case letters, digits and '-', and begins"
        " with a letter: trials and pods are named after it",
        fieldPath=".metadata.name",
    ),
    rule(
        "self.spec.warmStart.all(w, w.study != self.metadata.name)",
        "a study cannot begin with its own results; name an earlier one",
        fieldPath=".spec.warmStart",
    ),
)
class Study(Model):
    """A search over hyperparameters, from its definition to its result."""

    api_version: Literal["scaletune.dev/v1alpha1"] = API_VERSION
    kind: Literal["Study"] = "Study"
    metadata: Metadata
    spec: StudySpec
    """spec is what you wish: what is searched, by which policy, and for how much."""
    status: StudyStatus = StudyStatus()
    """status is what has become of it so far. Scaletune alone writes it."""
