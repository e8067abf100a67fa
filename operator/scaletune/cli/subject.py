"""Subjects: what `status`, `explain`, `logs` and `ledger` are asked about, and where it is.

    DIRECTORY                 the folder of a run
    study/NAME, trial/NAME    runs/NAME if there is such a run, else the cluster
    -n, --context             always the cluster, by the kubeconfig as kubectl takes it

As `kubectl scaletune ...` it is always the cluster. Nothing here reads either.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scaletune.cli.refusal import Refusal

RUNS = Path("runs")
PLUGIN = "kubectl-scaletune"

Kind = Literal["study", "trial"]
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("study", "studies", "sty"), "study"),
    **dict.fromkeys(("trial", "trials", "trl"), "trial"),
}


@dataclass(frozen=True)
class Cluster:
    """Which cluster and namespace; None: as the kubeconfig says."""

    namespace: str | None = None
    context: str | None = None
    always: bool = False
    """Whether folders are not looked at."""


@dataclass(frozen=True)
class Subject:
    """A study, or one of its trials; in a folder or, without one, on the cluster."""

    kind: Kind
    name: str | None
    """None: whichever there is."""
    folder: Path | None = None


def subject_of(words: list[str], cluster: Cluster, usual: Kind) -> Subject:
    """What is meant by at most a directory and a name. Raises Refusal."""
    if len(words) > 2:
        raise Refusal("give at most a directory and one of study/NAME and trial/NAME")
    if cluster.always or cluster.namespace is not None or cluster.context is not None:
        if len(words) > 1:
            raise Refusal(f"{words[0]}: on a cluster there are no directories; leave it out")
        return Subject(*_named(words[0], _usual_of(words[0]))) if words else Subject("study", None)
    if len(words) == 2:
        return Subject(*_named(words[1], usual), Path(words[0]))
    if not words:
        return Subject("study", None, newest_run())
    kind, name = _named(words[0], usual)
    if not _is_of_a_kind(words[0]):
        if usual == "trial":
            return Subject(kind, name, newest_run())
        return Subject("study", None, Path(words[0]))
    return Subject(kind, name, _run_of(kind, name))


def newest_run() -> Path:
    """The run that was written to last. Raises Refusal."""
    found = sorted(RUNS.glob("*/study.yaml"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise Refusal(
            f"there is no run in {RUNS}/; give the folder of one, or study/NAME for a cluster"
        )
    return found[-1].parent


def _named(word: str, usual: Kind) -> tuple[Kind, str | None]:
    if word == "study":
        return "study", None
    prefix, _, name = word.partition("/")
    if name and prefix in _KINDS:
        return _KINDS[prefix], name
    return usual, word


def _usual_of(name: str) -> Kind:
    """What a bare name names: a trial's ends in its index."""
    return "trial" if re.search(r"-\d{4,}$", name) else "study"


def _is_of_a_kind(word: str) -> bool:
    return word.partition("/")[0] in _KINDS and "/" in word and not Path(word).is_dir()


def _run_of(kind: Kind, name: str | None) -> Path | None:
    """The folder of the run that is called as the study is, if there is one."""
    study = name or ""
    if kind == "trial":
        study = re.sub(r"-\d{4,}$", "", study)
    folder = RUNS / study
    return folder if (folder / "study.yaml").exists() else None
