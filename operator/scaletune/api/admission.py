"""What a structural schema cannot say about a Study: rules for a ValidatingAdmissionPolicy.

`initial` maps names to numbers or texts, training.max is a number or names a parameter, and the pod
template is Kubernetes' own type: to the CRD all of these are opaque. An admission policy sees them,
evaluates CEL as well, and needs no webhook that could be down. docs/decisions/0004 tells why it is
so.

The one function beyond the common subset of CEL is Kubernetes' `findAll`; `expressions` knows it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from scaletune.api.model import GROUP, VERSION
from scaletune.api.scaling import SCALING_CHECKS

NAME: Final = f"studies.{GROUP}"

# Each may use those before it.
VARIABLES: Final = {
    "most": "object.spec.training.max",
    "horizon": "type(variables.most) == map && has(variables.most.parameter)"
    " && type(variables.most.parameter) == string ? variables.most.parameter : ''",
    "names": "object.spec.parameters.map(p, p.name)",
    "initial": "has(object.spec.initial) ? object.spec.initial : []",
    "listed": "has(object.spec.sampler.list) ? object.spec.sampler.list.configurations : []",
    "listedBefore": "oldObject != null && has(oldObject.spec.sampler.list)"
    " ? oldObject.spec.sampler.list.configurations : []",
    "before": "oldObject != null && has(oldObject.spec.initial) ? oldObject.spec.initial : []",
    "warm": "has(object.spec.warmStart) ? object.spec.warmStart : []",
    "warmBefore": "oldObject != null && has(oldObject.spec.warmStart)"
    " ? oldObject.spec.warmStart : []",
    "added": "variables.warm.map(w, has(w.added) ? w.added : {})",
    "scheduled": "has(object.spec.schedule) ? object.spec.schedule : []",
    "scheduledValues": "variables.scheduled.map(s, s.values)",
    "scheduledBefore": "oldObject != null && has(oldObject.spec.schedule)"
    " ? oldObject.spec.schedule : []",
    "pod": "has(object.spec.template.pod.spec) ? object.spec.template.pod.spec : {}",
    "containers": "has(variables.pod.containers) && type(variables.pod.containers) == list"
    " ? variables.pod.containers : []",
    "trainer": "size(variables.containers) > 0 && type(variables.containers[0]) == map"
    " ? variables.containers[0] : {}",
    "command": "has(variables.trainer.command) && type(variables.trainer.command) == list"
    " ? variables.trainer.command : []",
    "arguments": "has(variables.trainer.args) && type(variables.trainer.args) == list"
    " ? variables.trainer.args : []",
    "unknown": "(variables.command + variables.arguments)"
    ".filter(w, type(w) == string && !w.findAll('[$][(]params[.][^)]*[)]')"
    ".all(found, variables.names.exists(name, found == '$(params.' + name + ')')))",
}


@dataclass(frozen=True)
class Check:
    """One rule on a whole Study; `expression`, where given, computes the message."""

    path: str
    rule: str
    message: str
    expression: str = ""


def _text(text: str) -> str:
    """A text as CEL writes it."""
    return json.dumps(text)


def _given(path: str, variable: str) -> Iterator[Check]:
    """The rules on configurations that people write out, in a list at this path."""
    yield Check(
        path,
        f"{variable}.all(c, size({_STRANGERS}) == 0)",
        "every key must be the name of one of spec.parameters",
        f"{variable}.filter(c, size({_STRANGERS}) > 0).map(c, {_STRANGERS})[0][0]"
        " + ' is not the name of one of spec.parameters'",
    )
    for kind, cel, message in _VALUES:
        bad = f"has(p.{kind}) && p.name in c && !({cel.replace('<v>', 'c[p.name]')})"
        culprit = (
            f"{variable}.filter(c, object.spec.parameters.exists(p, {bad}))"
            f".map(c, object.spec.parameters.filter(p, {bad})[0].name)[0]"
        )
        rule = f"{variable}.all(c, !object.spec.parameters.exists(p, {bad}))"
        yield Check(path, rule, message, f"{culprit} + {_text(f': {message}')}")


_NUMBER: Final = "type(<v>) == int || type(<v>) == double"
_IN_RANGE: Final = "!has(p.{0}.min) || (<v> >= p.{0}.min && <v> <= p.{0}.max)"
_AMONG: Final = "!has(p.{0}.values) || <v> in p.{0}.values"
_STRANGERS: Final = "c.filter(name, !(name in variables.names))"

# The kind of parameter, what must hold of a value <v> of it, and the remedy.
_VALUES: Final = (
    ("float", _NUMBER, "the value must be a number, without quotes"),
    ("int", "type(<v>) == int", "the value must be a whole number, without quotes"),
    ("choice", "type(<v>) == string", "the value must be text; put it in quotes"),
    *(
        (
            kind,
            f"!({_NUMBER}) || ({_IN_RANGE.format(kind)})",
            "the value must lie between min and max",
        )
        for kind in ("float", "int")
    ),
    *(
        (kind, _AMONG.format(kind), "the value must be one of the parameter's values")
        for kind in ("float", "int", "choice")
    ),
)


def _below_max(field: str, rule: str, message: str) -> Check:
    """A rule on a milestone and training.max, where that is a number."""
    policy = f"object.spec.policy.{field.partition('.')[0]}"
    given = f"has({policy}) && has(object.spec.policy.{field})"
    return Check(
        f"spec.policy.{field}", f"variables.horizon != '' || !({given}) || {rule}", message
    )


_RUNG: Final = "min must be below training.max: the rungs lie below the full training"
_HORIZONS: Final = "object.spec.parameters.filter(p, p.name == variables.horizon && has(p.int))"

# How long a training is: a number of units, or the name of the parameter that says so.
_LENGTH_CHECKS: Final = (
    Check(
        "spec.training.max",
        "type(variables.most) == int || variables.horizon != '' && size(variables.most) == 1",
        "give a whole number of units, or {parameter: NAME} of the parameter that says how many",
    ),
    Check(
        "spec.training.max",
        f"variables.horizon == '' || size({_HORIZONS}) == 1",
        "parameter must be the name of one of spec.parameters that is an int",
    ),
    Check(
        "spec.training.max",
        f"variables.horizon == '' || {_HORIZONS}.all(p, has(p.int.values)"
        " ? p.int.values.all(v, v >= 1) : has(p.int.min) ? p.int.min >= 1 : p.int.scale == 'Log')",
        "a training is 1 long at least: give the parameter a min of 1 or more, or a Log scale",
    ),
    Check(
        "spec.training.max",
        "variables.horizon == '' || !(has(object.spec.policy.asha)"
        " || has(object.spec.policy.successiveHalving) || has(object.spec.policy.hyperband)"
        " || has(object.spec.policy.pbt))",
        "this policy compares trials at the same milestones, so all must be equally long: give a"
        " number, or choose carbs or no policy",
    ),
    _below_max("asha.min", "object.spec.policy.asha.min < variables.most", _RUNG),
    _below_max(
        "successiveHalving.min", "object.spec.policy.successiveHalving.min < variables.most", _RUNG
    ),
    _below_max("hyperband.min", "object.spec.policy.hyperband.min < variables.most", _RUNG),
    _below_max(
        "pbt.interval",
        "object.spec.policy.pbt.interval < variables.most",
        "interval must be below training.max: trials are compared on the way to it",
    ),
    _below_max(
        "pbt.interval",
        "variables.most <= 64 * object.spec.policy.pbt.interval",
        "interval must be at least training.max / 64: a trial keeps a record of each milestone",
    ),
    _below_max(
        "carbs.milestones",
        "object.spec.policy.carbs.milestones.all(m, m < variables.most)",
        "milestones must be below training.max, which is one itself",
    ),
)

# On which parameters carbs can be told how to move.
_STEP_CHECKS: Final = tuple(
    Check(
        "spec.policy.carbs.steps",
        f"!has(object.spec.policy.carbs) || object.spec.policy.carbs.steps.all(s, {cel})",
        message,
    )
    for cel, message in (
        (
            "object.spec.parameters.exists(p, p.name == s.parameter && (has(p.float)"
            " && !has(p.float.values) || has(p.int) && !has(p.int.values)))",
            "parameter must be the name of one of spec.parameters, and that no choice and no list",
        ),
        (
            "!has(s.multipleOf) || object.spec.parameters.all(p, p.name != s.parameter"
            " || has(p.int) && (!has(p.int.center) || p.int.center % s.multipleOf == 0))",
            "multipleOf is for an int, and its center must be a multiple itself",
        ),
        (
            "!has(s.multipleOf) || object.spec.parameters.all(p, p.name != s.parameter"
            " || !has(p.int) || !has(p.int.min) || p.int.min >= 0 && (!has(p.int.max)"
            " || p.int.max - p.int.max % s.multipleOf >= p.int.min))",
            "multipleOf needs a min of 0 or more, and a multiple between min and max",
        ),
    )
)

CHECKS: Final = (
    *_LENGTH_CHECKS,
    *_STEP_CHECKS,
    *_given("spec.initial", "variables.initial"),
    *_given("spec.sampler.list.configurations", "variables.listed"),
    *_given("spec.warmStart.added", "variables.added"),
    Check(
        "spec.warmStart",
        "oldObject == null || variables.warm == variables.warmBefore",
        "warmStart cannot change after creation; make a new Study",
    ),
    *_given("spec.schedule", "variables.scheduledValues"),
    Check(
        "spec.schedule",
        "variables.horizon != '' || variables.scheduled.all(s, s.after < variables.most)",
        "each must be below training.max: nothing is trained after it",
    ),
    Check(
        "spec.schedule",
        "oldObject == null || variables.scheduled == variables.scheduledBefore",
        "schedule cannot change after creation; make a new Study",
    ),
    Check(
        "spec.initial",
        "oldObject == null || variables.initial == variables.before",
        "initial cannot change after creation; make a new Study",
    ),
    Check(
        "spec.sampler.list.configurations",
        "oldObject == null || variables.listed == variables.listedBefore",
        "list cannot change after creation; make a new Study",
    ),
    Check(
        "spec.initial",
        "!has(object.spec.budget.trials) || size(variables.initial) <= object.spec.budget.trials",
        "there are more initial configurations than budget.trials; raise it or drop some",
    ),
    *(Check("spec.scalingRules", cel, message) for cel, message in SCALING_CHECKS),
    Check(
        "spec.template.pod.spec.containers",
        "size(variables.containers) > 0",
        "give at least one container; the first one is the trainer",
    ),
    Check(
        "spec.template.pod.spec.containers[0].command",
        "size(variables.containers) == 0 || size(variables.command) > 0",
        "give the command that trains, such as [python, train.py]; Scaletune starts it and cannot"
        " see the one inside the image",
    ),
    Check(
        "spec.template.pod.spec.containers[0]",
        "size(variables.unknown) == 0",
        "$(params.NAME) must name one of spec.parameters",
        "variables.unknown[0] + ': $(params.NAME) must name one of spec.parameters'",
    ),
    Check(
        "spec.template.pod.spec.restartPolicy",
        "!has(variables.pod.restartPolicy) || variables.pod.restartPolicy == 'Never'",
        "leave it out or say Never; Scaletune restarts a trial itself, see template.retries",
    ),
)

# Only a cluster needs these: `scaletune run` keeps checkpoints in its own folder.
CLUSTER_CHECKS: Final = (
    Check(
        "spec.checkpoints",
        "has(object.spec.checkpoints) || !has(object.spec.policy.asha)"
        " || object.spec.policy.asha.mode != 'Promote'",
        "mode Promote pauses trials with a checkpoint: name a persistentVolumeClaim, or choose"
        " mode Stop",
    ),
    Check(
        "spec.checkpoints",
        "has(object.spec.checkpoints) || !(has(object.spec.policy.successiveHalving)"
        " || has(object.spec.policy.hyperband))",
        "successiveHalving and hyperband pause trials with a checkpoint: name a"
        " persistentVolumeClaim, or choose asha with mode Stop",
    ),
    Check(
        "spec.checkpoints",
        "has(object.spec.checkpoints) || !has(object.spec.policy.pbt)",
        "pbt lets trials go on from the checkpoints of others: name a persistentVolumeClaim that"
        " all of them can mount",
    ),
    Check(
        "spec.checkpoints",
        "has(object.spec.checkpoints) || size(variables.scheduled) == 0",
        "at each change of a schedule a trial goes on from a checkpoint: name a"
        " persistentVolumeClaim",
    ),
    Check(
        "spec.checkpoints",
        "has(object.spec.checkpoints) || object.spec.template.nodes == 1",
        "the pods of a trial write their checkpoints together: name a persistentVolumeClaim that"
        " all nodes can mount, or set template.nodes to 1",
    ),
)


def _validation(check: Check) -> dict[str, str]:
    validation = {"expression": check.rule, "message": f"{check.path}: {check.message}"}
    if check.expression:
        validation["messageExpression"] = f"{_text(f'{check.path}: ')} + {check.expression}"
    return {**validation, "reason": "Invalid"}


def policy() -> dict[str, Any]:
    """The ValidatingAdmissionPolicy. Nothing is asked again of a Study whose spec stays."""
    changed = "request.operation == 'CREATE' || object.spec != oldObject.spec"
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [GROUP],
                        "apiVersions": [VERSION],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["studies"],
                    }
                ]
            },
            "matchConditions": [{"name": "the-spec-is-new", "expression": changed}],
            "variables": [{"name": name, "expression": text} for name, text in VARIABLES.items()],
            "validations": [_validation(check) for check in (*CHECKS, *CLUSTER_CHECKS)],
        },
    }


def binding() -> dict[str, Any]:
    """The ValidatingAdmissionPolicyBinding that puts the policy in force."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": NAME},
        "spec": {"policyName": NAME, "validationActions": ["Deny"]},
    }
