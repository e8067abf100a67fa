"""Found: a study and its trials as they are stored, in the folder of a run or on a cluster."""

from collections.abc import Callable
from dataclasses import dataclass

from scaletune.api.trial import Trial
from scaletune.cli import report
from scaletune.cli.figures import Figures
from scaletune.cli.refusal import Refusal
from scaletune.cli.subject import Cluster, Subject
from scaletune.shells.local.folder import Folder, FolderError
from scaletune.shells.local.lock import holder


@dataclass(frozen=True)
class Found:
    """What is stored, and where a person finds the rest."""

    figures: Figures
    places: tuple[str, ...]
    log: Callable[[Trial, int], str]
    """Where the log of a trial's attempt is."""
    note: str = ""
    """What else is worth a line."""

    def trial(self, name: str) -> Trial:
        """The trial of this name or index. Raises Refusal."""
        for trial in self.figures.trials:
            if name in (trial.metadata.name, str(trial.index)):
                return trial
        known = [trial.metadata.name for trial in self.figures.trials[:5]]
        there = f"trials are {', '.join(known)}, ..." if known else "there are none yet"
        raise Refusal(f"there is no trial {name!r}; {there}; or say `study`")


def find(subject: Subject, cluster: Cluster) -> Found:
    """What is stored of the study that a subject is, or belongs to. Raises Refusal."""
    if subject.folder is not None:
        return _in_a_folder(Folder(subject.folder))
    from scaletune.cli.cluster import find_study

    namespace, figures = find_study(subject, cluster)
    study, flag = figures.study, f"-n {namespace}"
    claim = study.spec.checkpoints
    place = f"kubectl get study/{study.metadata.name} {flag} -o yaml"
    kept = "" if claim is None else f"claim {claim.persistent_volume_claim.claim_name}"
    return Found(
        figures,
        (place, *([f"checkpoints on the {kept}, in {study.metadata.uid}/"] if kept else [])),
        lambda trial, number: (
            f"scaletune logs trial/{trial.metadata.name} {flag} --attempt {number}"
        ),
    )


def _in_a_folder(folder: Folder) -> Found:
    try:
        study = folder.read_study()
        if study is None:
            raise Refusal(f"{folder.root} holds no study.yaml; give the folder of a run")
        figures = Figures.of(study, folder.read_trials())
    except FolderError as error:
        raise Refusal(str(error)) from None
    runner = holder(folder.lock)
    return Found(
        figures,
        report.files(study, folder.root),
        lambda trial, number: str(folder.attempt(trial, number) / "log.txt"),
        "" if runner is None else f"being run by {runner}",
    )
