"""Acceptance: why nothing of a Study can be started, found once for each generation of its spec."""

from scaletune.api import validation
from scaletune.api.study import Study
from scaletune.shells.kubernetes import workload


class Acceptance:
    """Remembers what was found by the Study's uid. Forgetting it costs a moment."""

    def __init__(self) -> None:
        self._judged: dict[str, tuple[int, str | None]] = {}

    def problem(self, study: Study) -> str | None:
        """What is wrong with the Study's spec, in words; None when it can be served."""
        uid, generation = study.metadata.uid, study.metadata.generation
        known = self._judged.get(uid)
        if known is None or known[0] != generation:
            known = self._judged[uid] = generation, _problem(study)
        return known[1]


def _problem(study: Study) -> str | None:
    document = {
        "apiVersion": study.api_version,
        "kind": study.kind,
        "metadata": {"name": study.metadata.name, "namespace": study.metadata.namespace},
        "spec": study.spec.to_yaml_fields(),
    }
    found = validation.problems(document) + validation.problems_on_a_cluster(document)
    words = [str(each) for each in found] or [workload.problem(study) or ""]
    return "; ".join(words) or None
