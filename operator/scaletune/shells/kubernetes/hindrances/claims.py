"""Claims: whether a study's checkpoints can be where its Study says. Pure.

A claim that one node alone may mount lets the second trial wait for ever, on most clusters without
a word in its pod; so it is looked at before anything starts. That all pods share a node can be seen
from the template only, because where a volume lies is not for the operator to read.
"""

from dataclasses import dataclass
from typing import Any, Final

from scaletune.api.study import Study

Json = dict[str, Any]
HOST: Final = "kubernetes.io/hostname"


@dataclass(frozen=True)
class Claim:
    """What the condition CheckpointsReady says; nothing starts while its status is False."""

    status: str
    reason: str
    message: str


def judged(study: Study, raw: Json | None) -> Claim:
    """What to think of a study's claim, as the API server holds it; None: there is no such."""
    assert study.spec.checkpoints is not None, "a study without a claim has nothing to judge"
    name = study.spec.checkpoints.persistent_volume_claim.claim_name
    if raw is None:
        return Claim(
            "False",
            "ClaimMissing",
            f"there is no PersistentVolumeClaim {name} in namespace {study.metadata.namespace}:"
            " create it, with access mode ReadWriteMany",
        )
    if "deletionTimestamp" in (raw.get("metadata") or {}):
        words = (
            f"PersistentVolumeClaim {name} is being deleted, and goes once no pod uses it: pause"
            " the study and make the claim again, or run a new Study with another one"
        )
        return Claim("False", "ClaimDeleted", words)
    phase = (raw.get("status") or {}).get("phase", "Pending")
    if phase == "Lost":
        words = f"the volume of PersistentVolumeClaim {name} is lost: make a new claim of this name"
        return Claim("False", "ClaimLost", words)
    modes = (raw.get("spec") or {}).get("accessModes") or []
    problem = _unshared(study, name, modes)
    if problem is not None:
        return problem
    if phase != "Bound":
        words = f"PersistentVolumeClaim {name} is not bound to a volume yet"
        return Claim("Unknown", "ClaimPending", words)
    return Claim("True", "ClaimBound", f"PersistentVolumeClaim {name} ({', '.join(modes)})")


def _unshared(study: Study, name: str, modes: list[str]) -> Claim | None:
    """Why the pods that run at once cannot all write to the claim."""
    pods = study.spec.parallelism * study.spec.template.nodes
    words = f"PersistentVolumeClaim {name} is {', '.join(modes)}, and trials write to it:"
    if not any(mode.startswith("ReadWrite") for mode in modes):
        return Claim("False", "ClaimReadOnly", f"{words} use a claim with ReadWriteMany")
    if "ReadWriteMany" in modes or pods == 1:
        return None
    is_on_one_node = _shares_a_node(study.spec.template.pod.get("spec") or {})
    if is_on_one_node and "ReadWriteOnce" in modes:
        return None
    remedy = "use a claim with ReadWriteMany, or parallelism 1 and one node"
    if "ReadWriteOnce" in modes:
        remedy += f", or pin all pods to one node by nodeSelector {HOST} in template.pod"
    return Claim(
        "False",
        "ClaimNotShared",
        f"{words} up to {pods} pods at once, on any nodes (parallelism {study.spec.parallelism}"
        f" x nodes {study.spec.template.nodes}): {remedy}",
    )


def _shares_a_node(pod: Json) -> bool:
    """Whether the template lets its pods run on one certain node only."""
    selector = pod.get("nodeSelector") or {}
    return bool(pod.get("nodeName")) or HOST in selector
