"""Earlier studies on a cluster: those of the Study's namespace, as they are mirrored already."""

from scaletune.api.study import Study
from scaletune.core.prior import Stored, with_prior
from scaletune.shells.kubernetes.seen.snapshot import Snapshot, Stores


def begun(study: Study, stores: Stores) -> Study:
    """The Study with what the earlier ones hand on. Raises NoPriorError."""
    namespace, found = study.metadata.namespace, dict[str, Stored]()
    for entry in study.spec.warm_start:
        snapshot = Snapshot.take(stores, (namespace, entry.study))
        if snapshot is not None:
            found[entry.study] = snapshot.study, snapshot.trials.values()
    return with_prior(study, found)
