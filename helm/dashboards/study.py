"""The dashboard of one study: how good, how far, at what cost, and what went wrong.

What a study has come to is read from the operator, how its trials train from their own endpoints.
Every aggregation names the labels that it keeps, so that the series of two replicas of the operator
or of two lives of a trial are one line, and whatever labels a scrape configuration adds are gone.
"""

from typing import Final

from helm.dashboards.panels import (
    Json,
    Panel,
    Query,
    bars,
    dashboard,
    lines,
    points,
    stacked,
    stat,
    table,
    variable,
)
from scaletune.shells.kubernetes import metrics
from scaletune.shells.kubernetes import study_metrics as of
from scaletune.shells.kubernetes.study_metrics import Gauge
from scaletune_trainer import wire

UID: Final = "scaletune-study"
PREFIX: Final = metrics.PREFIX
_ANY: Final = 'namespace="$namespace",study="$study"'
_ENDED: Final = 'state=~"Completed|Stopped|Failed"'


def _own(name: object, *matchers: str) -> str:
    """A selector of the study's own series."""
    return f"{name}{{{','.join([_ANY, *matchers])}}}"


def _one(gauge: Gauge, *by: str, matching: str = "") -> str:
    """A metric of the study, by some of its labels."""
    matchers = [matching] if matching else []
    return f"max by ({', '.join(by)}) ({_own(gauge, *matchers)})"


def _per_trial(metric: wire.Metric, *matchers: str) -> str:
    return f"max by (trial) ({_own(metric, *matchers)})"


def _rate(name: str, by: str) -> str:
    return f"sum by ({by}) (rate({PREFIX}_{name}[$__rate_interval]))"


VARIABLES: Final = (
    variable("namespace", "Namespace", f"label_values({of.INFO}, namespace)"),
    variable("study", "Study", f'label_values({of.INFO}{{namespace="$namespace"}}, study)'),
    variable("metric", "Metric", f"label_values({_own(of.INFO)}, metric)", hide=2),
)

RESULT: Final = (
    stat(
        "Best value",
        "The best value of the objective so far: of the highest milestone that any trial has"
        " reached.",
        Query(_one(of.BEST_VALUE), "best"),
    ),
    stat(
        "Best trial",
        "Who has it, and at which milestone. `scaletune explain trial/NAME` tells its story.",
        Query(_one(of.BEST_INFO, "trial", "milestone"), "{{trial}} at {{milestone}}"),
        width=6,
        options={"textMode": "name"},
    ),
    stat(
        "State",
        "The condition Finished and its reason: False/InProgress while the study goes on.",
        Query(
            _one(of.CONDITION, "status", "reason", matching='condition="Finished"'),
            "{{status}}: {{reason}}",
        ),
        width=6,
        options={"textMode": "name"},
    ),
    stat(
        "Trials ended",
        "Trials that are completed, stopped or failed.",
        Query(f"sum({_one(of.TRIALS, 'state', matching=_ENDED)})", "ended"),
    ),
    stat(
        "GPU-hours",
        "Devices times hours spent so far, lost work and deleted trials included.",
        Query(f"{_one(of.DEVICE_SECONDS)} / 3600", "spent"),
        unit="none",
        defaults={"decimals": 2},
    ),
    lines(
        "Best so far",
        "The best value against time, and the target if there is one. It may get worse for a moment"
        " when a trial reaches a higher milestone: a higher milestone counts first.",
        Query(_one(of.BEST_VALUE), "best"),
        Query(_one(of.TARGET), "target"),
        custom={"lineInterpolation": "stepAfter", "lineWidth": 2},
    ),
    points(
        "Learning curves by rung",
        "The objective at each milestone, one line for each of the trials that have come furthest.",
        Query(_one(of.LEADING_VALUE, "trial", "milestone"), instant=True),
        transformations=[
            {
                "id": "convertFieldType",
                "options": {
                    "conversions": [{"targetField": "milestone", "destinationType": "number"}]
                },
            },
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": {"trial": 0, "milestone": 1, "Value": 2},
                    "renameByName": {},
                },
            },
            {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": "milestone"}]}},
            {"id": "partitionByValues", "options": {"fields": ["trial"], "keepFields": False}},
        ],
    ),
    lines(
        "Objective of running trials",
        "The latest value that each trial has reported, as Prometheus saw it.",
        Query(_per_trial(wire.Metric.METRIC, 'metric="$metric"'), "{{trial}}"),
        width=24,
    ),
)

TRIALS: Final = (
    stacked(
        "Trials by state",
        "How many trials are in each state. Paused ones wait with a checkpoint, for a promotion.",
        Query(_one(of.TRIALS, "state"), "{{state}}"),
    ),
    lines(
        "Places",
        "Trials that hold a place, and how many may. Places that stay free while trials are pending"
        " mean that something keeps them from starting: see the conditions of the study.",
        Query(_one(of.PLACES_HELD), "held"),
        Query(_one(of.PARALLELISM), "parallelism"),
        custom={"lineInterpolation": "stepAfter"},
    ),
    table(
        "Rungs",
        "Each milestone: how many trials reached it, went on from it or were stopped there,"
        " and the best and the median value.",
        Query(_one(of.RUNG_TRIALS, "milestone"), instant=True),
        Query(_one(of.DECISIONS, "milestone", matching='decision="Promote"'), instant=True),
        Query(_one(of.DECISIONS, "milestone", matching='decision="Continue"'), instant=True),
        Query(_one(of.DECISIONS, "milestone", matching='decision="Stop"'), instant=True),
        Query(_one(of.RUNG_BEST, "milestone"), instant=True),
        Query(_one(of.RUNG_MEDIAN, "milestone"), instant=True),
        transformations=[
            {
                "id": "convertFieldType",
                "options": {
                    "conversions": [{"targetField": "milestone", "destinationType": "number"}]
                },
            },
            {"id": "joinByField", "options": {"byField": "milestone", "mode": "outer"}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {f"Time {number}": True for number in range(1, 7)},
                    "renameByName": {
                        "Value #A": "reached",
                        "Value #B": "promoted",
                        "Value #C": "continued",
                        "Value #D": "stopped",
                        "Value #E": "best",
                        "Value #F": "median",
                    },
                },
            },
            {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": "milestone"}]}},
        ],
        unit="none",
        width=24,
    ),
    stacked(
        "Failed trials",
        "By whose fault: Diverged and OutOfMemory are the configuration's, UserError the script's,"
        " RetriesExhausted the cluster's, too many times in a row.",
        Query(_one(of.FAILURES, "kind"), "{{kind}}"),
    ),
    bars(
        "How attempts ended",
        "Starts of trials by the cause of their end, of each trial the last few. Done, Paused and"
        " Stopped are as agreed; the others cost work since the last checkpoint.",
        Query(_one(of.ATTEMPT_ENDS, "cause"), "{{cause}}"),
        defaults={"min": 0},
    ),
)

BUDGET: Final = (
    bars(
        "Budget used",
        "The part of each bound of the budget that is used. At 100 % of GPU-hours or duration,"
        " running trials are paused; raising the budget continues the study.",
        Query(f"{_one(of.CREATED)} / {_one(of.BUDGET_TRIALS)}", "trials"),
        Query(f"{_one(of.DEVICE_SECONDS)} / {_one(of.BUDGET_DEVICE_SECONDS)}", "gpuHours"),
        Query(f"{_one(of.ELAPSED)} / {_one(of.BUDGET_ELAPSED)}", "duration"),
        unit="percentunit",
        defaults={
            "min": 0,
            "max": 1,
            "thresholds": {
                "mode": "absolute",
                "steps": [{"color": "green", "value": None}, {"color": "orange", "value": 0.9}],
            },
        },
    ),
    lines(
        "GPU-hours spent",
        "Devices times hours, and the bound if there is one.",
        Query(f"{_one(of.DEVICE_SECONDS)} / 3600", "spent"),
        Query(f"{_one(of.BUDGET_DEVICE_SECONDS)} / 3600", "budget"),
        unit="none",
    ),
)

RUNNING: Final = (
    lines(
        "Step",
        "How far each running trial has trained, in the unit of the study.",
        Query(_per_trial(wire.Metric.STEP), "{{trial}}"),
    ),
    lines(
        "Time since last progress",
        "A trial without any progress for template.stallSeconds is restarted from its checkpoint.",
        Query(f"time() - {_per_trial(wire.Metric.HEARTBEAT)}", "{{trial}}"),
        unit="s",
    ),
)

OPERATOR: Final = (
    stat(
        "Leaders",
        "Replicas of the operator that may act. 0: nothing is decided, trials run on to their next"
        " milestone.",
        Query(f"sum({PREFIX}_leader)", "leaders"),
    ),
    stat(
        "Waiting studies",
        "Studies that wait to be looked at. More than a few for long: the operator is too slow.",
        Query(f"sum({PREFIX}_queue_length)", "waiting"),
    ),
    stat(
        "Heard through Prometheus",
        "Running trials whose reports come through Prometheus; others are read directly.",
        Query(f"sum({PREFIX}_prometheus_pods)", "trials"),
    ),
    stat(
        "Memory",
        "Resident memory of all replicas together.",
        Query(
            f"sum(process_resident_memory_bytes and on (instance, job) {PREFIX}_leader)", "bytes"
        ),
        unit="bytes",
    ),
    stat(
        "CPU",
        "Cores used by all replicas together.",
        Query(
            "sum(rate(process_cpu_seconds_total[$__rate_interval]) and on (instance, job)"
            f" {PREFIX}_leader)",
            "cores",
        ),
        unit="none",
        defaults={"decimals": 3},
    ),
    stat(
        "Gaps",
        "Readings of running trials that failed in the time shown. Nothing is lost by it: the next"
        " reading tells the same again.",
        Query(f"sum(increase({PREFIX}_report_gaps_total[$__range])) or vector(0)", "gaps"),
        unit="none",
    ),
    lines(
        "Looks at studies",
        "By result. Failed ones are tried again with growing pauses; the log says why.",
        Query(_rate("reconciles_total", "result"), "{{result}}"),
        unit="ops",
    ),
    lines(
        "Time of a look",
        "How long one look at one study takes, for half and for 99 % of them.",
        *(
            Query(
                f"histogram_quantile({part}, {_rate('reconcile_seconds_bucket', 'le')})",
                f"{part:.0%}",
            )
            for part in (0.5, 0.99)
        ),
        unit="s",
    ),
    lines(
        "Requests to the API server",
        "By answer. 409 is harmless: it was planned on what had changed. 0 is no answer.",
        Query(_rate("api_requests_total", "code"), "{{code}}"),
        unit="reqps",
    ),
    lines(
        "Readings of trials",
        "By route: through Prometheus, directly from the pod, or by its last words.",
        Query(_rate("reports_read_total", "route"), "{{route}}"),
        unit="ops",
    ),
)


def study() -> Json:
    """The dashboard, as Grafana imports it."""
    rows: tuple[tuple[str, tuple[Panel, ...]], ...] = (
        ("Result", RESULT),
        ("Trials", TRIALS),
        ("Budget", BUDGET),
        ("Running trials", RUNNING),
        ("Operator", OPERATOR),
    )
    words = "One study: how good, how far, at what cost, and what went wrong."
    return dashboard(UID, "Scaletune study", words, variables=VARIABLES, rows=rows)
