"""The front of a simulated `carbs` study and the laws along it, as JSON for scripts."""

from typing import Any

from scaletune.shells.simulate.shell import Shell

Json = dict[str, Any]


def along_front(shell: Shell) -> Json:
    """`front` and `scalingLaws`; null where the policy looks for none."""
    if shell.study.spec.policy.carbs is None:
        return {"front": None, "scalingLaws": None}
    from scaletune.core import laws  # numpy: not for every study

    unit = "cost" if shell.frame.cost_metric else "deviceSeconds"
    front = [
        {
            "trials": list(each.trials),
            unit: each.cost,
            "value": each.value,
            "parameters": [
                one.to_yaml_fields() for one in shell.trials[each.trials[0]].spec.parameters
            ],
        }
        for each in laws.front(shell.study, shell.ledger)
    ]
    try:
        found = laws.laws(shell.study, shell.ledger)
    except laws.CannotTell as reason:
        return {"front": front, "scalingLaws": {"cannotTell": str(reason)}}
    return {
        "front": front,
        "scalingLaws": {
            unit: dict(zip(("low", "high"), found.costs, strict=True)),
            "parameters": [laws.as_json(law) for law in found.laws],
        },
    }
