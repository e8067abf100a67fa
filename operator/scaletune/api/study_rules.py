"""Rules between the fields of a Study's spec, as CEL; `study` attaches them.

A rule on one field alone stands with that field. What looks into the pod template or into
`initial`, which a structural schema cannot describe, stands in `admission`; so does what the API
server holds to be too dear for a schema, where it counts the worst case of every nested loop.
"""

from typing import Final

from scaletune.api.rules import rule
from scaletune.api.scaling import SCALING_RULES

_OPEN: Final = (
    "has(p.float) && !has(p.float.values) && !(has(p.float.min) && has(p.float.max))"
    " || has(p.int) && !has(p.int.values) && !(has(p.int.min) && has(p.int.max))"
)

CARBS_RULES: Final = (
    rule(
        f"has(self.policy.carbs) || !self.parameters.exists(p, {_OPEN})",
        "give either min and max, or values; only policy carbs searches without bounds",
        fieldPath=".parameters",
    ),
    rule(
        "!has(self.policy.carbs) || !has(self.policy.carbs.costMetric)"
        " || self.policy.carbs.costMetric != self.objectives[0].metric",
        "the cost must be another metric than the objective",
        fieldPath=".policy.carbs.costMetric",
    ),
    rule(
        "!has(self.policy.carbs) || !has(self.sampler.adaptive) && !has(self.sampler.random)"
        " && !has(self.sampler.sobol) && !has(self.sampler.grid) && !has(self.sampler.list)",
        "policy carbs decides itself what to try next; leave the sampler out",
        fieldPath=".sampler",
    ),
)

SPEC_RULES: Final = (
    rule(
        "has(self.budget.trials) || has(self.budget.gpuHours) || has(self.budget.duration)"
        " || has(self.sampler.grid) || has(self.sampler.list)",
        "give at least one of trials, gpuHours and duration, or the study would never end",
        fieldPath=".budget",
    ),
    rule(
        "!has(self.policy.pbt)"
        " || self.policy.pbt.fixed.all(f, self.parameters.exists(p, p.name == f))",
        "every one must be the name of one of spec.parameters",
        fieldPath=".policy.pbt.fixed",
    ),
    rule(
        "!has(self.schedule) || size(self.schedule) == 0 || !has(self.policy.pbt)",
        "pbt changes values by itself; leave the schedule out, or choose another policy",
        fieldPath=".schedule",
    ),
    rule(
        "has(self.checkpoints) == has(oldSelf.checkpoints)",
        "checkpoints cannot be added or removed after creation; make a new Study",
        fieldPath=".checkpoints",
    ),
    *CARBS_RULES,
    rule(
        "!has(self.warmStart) || self.warmStart.all(w, w.mode != 'Observations')"
        " || !has(self.sampler.random) && !has(self.sampler.sobol) && !has(self.sampler.grid)"
        " && !has(self.sampler.list)",
        "only the adaptive sampler learns from mode Observations; leave the sampler out, or use"
        " mode Configurations",
        fieldPath=".warmStart",
    ),
    rule(
        "!has(self.warmStart) || self.warmStart.all(w, w.mode != 'Observations')"
        " || !has(self.policy.carbs)",
        "policy carbs learns nothing from mode Observations; use mode Center, where it begins, or"
        " Configurations",
        fieldPath=".warmStart",
    ),
    rule(
        "!has(oldSelf.confirm) || has(self.confirm)",
        "confirm cannot be removed; set spec.state to Stopped to end the study without it",
        fieldPath=".confirm",
    ),
    *SCALING_RULES,
)
