"""`scaletune simulate`: what a Study would cost and find, in virtual time."""

import json
import math
import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaletune.api import reader
from scaletune.api.study import Study
from scaletune.cli.refusal import Refusal
from scaletune.cli.study_file import read_study
from scaletune.core.prior import NoPriorError
from scaletune.shells.local.earlier import RUNS, begun
from scaletune.shells.local.folder import Folder, FolderError
from scaletune.shells.simulate.along_front import along_front
from scaletune.shells.simulate.faults import Circumstances, Failures, Overhead
from scaletune.shells.simulate.objectives import InvalidObjective, ObjectiveError, load
from scaletune.shells.simulate.outcome import outcome
from scaletune.shells.simulate.shell import Line, Shell
from scaletune.shells.simulate.simulation import Setting, simulate
from scaletune.shells.simulate.world import Hopeless

SEEDS_MAX = 1000
# What is trained is not asked for here: a Study may leave it out.
_POD = {"spec": {"containers": [{"name": "trainer", "image": "none", "command": ["none"]}]}}


@dataclass(frozen=True)
class Wishes:
    """The options as they were given."""

    objective: str
    workers: int | None = None
    seeds: str | None = None
    overhead: str | None = None
    failures: str | None = None
    late: float = 0.0
    lose: float = 0.0
    output: str = "table"
    ledger: str | None = None
    folder: str | None = None


def simulate_study(path: str, wishes: Wishes) -> int:
    """Simulate it and print; the exit code. Raises Refusal."""
    study = _begun(path, read_study(path, pod=_POD))
    circumstances = _circumstances(wishes)
    seeds = [study.spec.seed] if wishes.seeds is None else _seeds(wishes.seeds)
    ledgers = None if wishes.ledger is None else _folder("--ledger", Path(wishes.ledger))
    outcomes = []
    try:
        with redirect_stdout(sys.stderr):  # an objective may print; the result is printed alone
            function = load(wishes.objective, study.spec)
            setting = Setting(study, function, circumstances, wishes.workers)
            for seed in seeds:
                shell = simulate(setting, seed)
                outcomes.append(outcome(shell))
                if wishes.output == "json":
                    outcomes[-1] |= along_front(shell)
                if ledgers is not None:
                    _write_ledger(ledgers, shell.study, shell.lines)
                if wishes.folder is not None:
                    _write_folder(Path(wishes.folder) / f"seed-{seed}", shell)
    except ObjectiveError as error:
        sys.stderr.write(f"scaletune: {error}\n")
        return 1
    except (InvalidObjective, Hopeless) as error:
        raise Refusal(str(error)) from None
    if wishes.output == "json":
        document = {"study": study.metadata.name, "seeds": outcomes}
        sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
    else:
        from scaletune.cli import forecast, words

        words.screen().print(forecast.forecast(shell.study, outcomes))
    return 0


def _begun(path: str, study: Study) -> Study:
    """With what runs of earlier studies hand on."""
    try:
        return begun(study, [RUNS])
    except (NoPriorError, FolderError) as error:
        raise Refusal(f"{path}: {error}") from None


def _circumstances(wishes: Wishes) -> Circumstances:
    overhead = _numbers("--overhead", wishes.overhead, ("start", "resume", "pause"))
    failures = _failures(wishes.failures)
    if not 0 <= wishes.late < math.inf:
        raise Refusal(f"--late {wishes.late:g}: give seconds, 0 or more")
    if not 0 <= wishes.lose < 1:
        raise Refusal(f"--lose {wishes.lose:g}: give a fraction of scrapes, below 1")
    return Circumstances(Overhead(**overhead), failures, wishes.late, wishes.lose)


def _failures(text: str | None) -> Failures:
    if text is None:
        return Failures()
    found = _numbers("--failures", text, ("mtbf", "repair"), steps=("checkpoint",))
    if not found.get("mtbf"):
        raise Refusal(f"--failures {text}: give mtbf, seconds above 0")
    every = found.pop("checkpoint", 0.0)
    return Failures(**found, checkpoint=int(every))


def _numbers(
    option: str, text: str | None, seconds: tuple[str, ...], steps: tuple[str, ...] = ()
) -> dict[str, float]:
    """name=number,name=number; steps are whole."""
    found: dict[str, float] = {}
    for part in [] if text is None else text.split(","):
        name, _, value = part.strip().partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        known = (name in seconds or (name in steps and number % 1 == 0)) and name not in found
        if not known or not 0 <= number < math.inf:
            usage = ",".join(
                [*(f"{each}=SECONDS" for each in seconds), *(f"{each}=STEPS" for each in steps)]
            )
            raise Refusal(f"{option} {text}: {part.strip()!r} is not one of {usage}")
        found[name] = number
    return found


def _seeds(text: str) -> list[int]:
    """0-9, or 0,3,7-8."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,15})(?:-(\d{1,15}))?\s*", part)
        if match is None:
            raise Refusal(f"--seeds {text}: write it as 0-9, 7 or 0,3,7-8")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= SEEDS_MAX:
            raise Refusal(f"--seeds {text}: {part} must rise, by less than {SEEDS_MAX}")
        seeds |= dict.fromkeys(range(first, last + 1))
    return list(seeds)


def _folder(option: str, path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"{option} {path}: {error.strerror}") from None
    return path


def _write_ledger(folder: Path, study: Study, lines: list[Line]) -> None:
    """The run's ledger, and the Study as it was simulated, for `scaletune replay`."""
    fields: Mapping[str, Any] = study.to_yaml_fields()
    resource = {"apiVersion": study.api_version, "kind": study.kind}
    metadata = {"name": study.metadata.name}
    prior = {"status": {"prior": fields["status"]["prior"]}} if study.status.prior else {}
    text = reader.write({**resource, "metadata": metadata, "spec": fields["spec"], **prior})
    try:
        (folder / "study.yaml").write_text(text, encoding="utf-8")
        ledger = folder / f"seed-{study.spec.seed}.jsonl"
        ledger.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise Refusal(f"--ledger {folder}: {error.strerror}") from None


def _write_folder(path: Path, shell: Shell) -> None:
    """The Study and its Trials as a run would have them stored."""
    folder, name = Folder(_folder("--folder", path)), shell.study.metadata.name
    try:
        _folder("--folder", folder.trials)
        other = folder.read_study()
        if other is not None and (other.metadata.uid or other.metadata.name != name):
            raise Refusal(f"--folder: {path} holds another study; name another folder")
        for stale in folder.trials.glob("*.yaml"):
            stale.unlink()
        for trial in shell.trials.values():
            folder.write_trial(trial)
        folder.write_study(shell.study)
    except (OSError, FolderError) as error:
        raise Refusal(f"--folder {path}: {error}") from None
