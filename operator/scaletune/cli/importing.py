"""`scaletune import`: results of another tuner as the folder of a finished run.

A Study says what the columns mean. One row is one value of one training:

    a column of each parameter's name, or params_NAME
    the metric's name            a number; NaN or inf: diverged; a row without one is left out
    step                         left out: training.max
    seconds                      of device time until then; left out: 0
    trial                        which rows are one training; left out: each row is one

They come from a file (`rows`), or out of Optuna's database (`optuna_storage`).
"""

import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaletune.api.study import TRIALS_MAX, Study
from scaletune.cli import words
from scaletune.cli.refusal import Refusal
from scaletune.cli.rows import Row, rows_of
from scaletune.cli.study_file import read_study
from scaletune.core.imported import Point, Training, imported
from scaletune.core.prior import fitting
from scaletune.core.samplers.draws import Value
from scaletune.core.summarise import timestamp
from scaletune.shells.local.folder import Folder, FolderError
from scaletune.shells.local.lock import locked

POD = {"spec": {"containers": [{"name": "trainer", "image": "none", "command": ["none"]}]}}
_CHOSEN = ("trial", "step", "seconds")


@dataclass(frozen=True)
class Wish:
    """The options as they were given."""

    directory: str | None
    columns: Sequence[str]
    only: Sequence[str]


def import_results(results: str, path: str, wish: Wish) -> None:
    """Write the folder, and say what is in it. Raises Refusal."""
    study = read_study(path, pod=POD)
    if study.spec.training.horizon is not None:
        raise Refusal(f"{path}: training.max must be a number, that of the longest training")
    renamed, only = _pairs("--column", wish.columns), _pairs("--only", wish.only)
    _refuse_unknown(study, renamed)
    rows = _read(results, study, renamed)
    wanted = [each for each in rows if all(_said(each, *pair) for pair in only.items())]
    trainings, without = _trainings(study, wanted, renamed)
    left_out = len(rows) - len(wanted) + without
    if not any(math.isfinite(each.points[-1].value) for each in trainings):
        raise Refusal(f"{_told(results)}: no row has a value of {study.spec.objectives[0].metric}")
    longest = max(point.step for each in trainings for point in each.points)
    if longest != study.spec.training.most:
        raise Refusal(
            f"{_told(results)}: the longest training has {longest} steps, and training.max in"
            f" {path} is {study.spec.training.most}; set it to {longest}"
        )
    now = time.time()
    metadata = {"uid": str(uuid.uuid4()), "generation": 1, "creation_timestamp": timestamp(now)}
    study = study.model_copy(update={"metadata": study.metadata.model_copy(update=metadata)})
    found, trials = imported(study, trainings, _told(results), now)
    folder = Folder(Path(wish.directory or Path("runs", study.metadata.name)))
    _store(folder, found, trials)
    best = found.status.best
    assert best is not None
    note = f"; {left_out} of {len(rows)} rows left out" if left_out else ""
    words.screen().print(
        f"{folder.root}: {len(trials)} trainings{note}; best {best.trial} with"
        f" {words.number(best.value)} at {best.milestone}",
        soft_wrap=True,
    )


def _read(results: str, study: Study, renamed: Mapping[str, str]) -> list[Row]:
    if "://" not in results:
        return list(rows_of(Path(results)))
    from scaletune.cli.optuna_storage import rows_of_storage  # an extra

    return rows_of_storage(results, study, renamed)


def _told(results: str) -> str:
    """The source as the Study tells it: without a password, or the folders of this machine."""
    if "://" not in results:
        return Path(results).name
    address, _, name = results.partition("#")
    return f"Optuna's {name}" if name else f"Optuna's {address.rpartition('/')[2]}"


def _store(folder: Folder, study: Study, trials: Sequence[Any]) -> None:
    if folder.study_file.exists():
        raise Refusal(f"{folder.root} holds a study already; give another folder with --directory")
    try:
        folder.make()
        with locked(folder.lock):
            for trial in trials:
                folder.write_trial(trial)
            folder.write_study(study)  # last: a folder without it is none
    except FolderError as error:
        raise Refusal(str(error)) from None
    except OSError as error:
        raise Refusal(f"{error.filename}: {error.strerror}") from None


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise Refusal(f"{option} {each}: write it as NAME=VALUE")
        found[name] = value
    return found


def _refuse_unknown(study: Study, renamed: Mapping[str, str]) -> None:
    """A name with a slip would be passed over, and the column that it meant not be read."""
    spec = study.spec
    known = [*(each.name for each in spec.parameters), spec.objectives[0].metric, *_CHOSEN]
    for name in renamed:
        if name not in known:
            raise Refusal(
                f"--column {name}={renamed[name]}: {name} is none of {', '.join(known)}; the"
                " Study's name comes first, then the column's"
            )


def _said(row: Row, column: str, value: str) -> bool:
    if column not in row.fields:
        raise Refusal(f"{row.where}: there is no column {column}")
    return str(row.fields[column]) == value


def _trainings(
    study: Study, rows: Sequence[Row], renamed: Mapping[str, str]
) -> tuple[list[Training], int]:
    """The trainings in the order of the rows, and how many rows have no value."""
    metric, found, without = study.spec.objectives[0].metric, dict[str, Training](), 0
    for number, row in enumerate(rows):
        value = _number(row, renamed.get(metric, metric), None)
        if value is None:
            without += 1
            continue
        name, step, seconds = (renamed.get(each, each) for each in _CHOSEN)
        point = Point(
            step=_step(row, step, study.spec.training.most),
            value=value,
            seconds=_number(row, seconds, 0.0) or 0.0,
        )
        parameters = _parameters(study, row, renamed)
        key = f"row {number}" if row.fields.get(name) is None else str(row.fields[name])
        training = found.setdefault(key, Training(parameters, []))
        if training.parameters != parameters:
            raise Refusal(f"{row.where}: training {key} has other parameters in an earlier row")
        _add(training, point, row)
    if len(found) > TRIALS_MAX:
        raise Refusal(
            f"{len(found)} trainings are more than the {TRIALS_MAX} that a study may have"
        )
    return list(found.values()), without


def _add(training: Training, point: Point, row: Row) -> None:
    before = training.points[-1].step if training.points else -1
    if point.step <= before:
        raise Refusal(f"{row.where}: step {point.step} comes after step {before}; they must rise")
    training.points.append(point)


def _parameters(study: Study, row: Row, renamed: Mapping[str, str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for parameter in study.spec.parameters:
        name = parameter.name
        columns = [renamed.get(name, name), f"params_{name}"]
        there = [row.fields[each] for each in columns if row.fields.get(each) not in (None, "")]
        given = there[0] if there else row.fields.get(columns[0])
        value: Value | None = None
        if parameter.choice is not None:
            value = None if given is None else str(given)
        elif given not in (None, ""):
            value = _finite(row, columns[0], given)
        if value is None:
            has = ", ".join(row.fields)
            raise Refusal(f"{row.where}: no value of parameter {name}; the columns are {has}")
        taken = fitting(parameter, value)
        if taken is None or taken != value:
            raise Refusal(
                f"{row.where}: {name} cannot be {given}; widen the parameter in the Study"
            )
        found[name] = taken
    return found


def _number(row: Row, column: str, default: float | None) -> float | None:
    given = row.fields.get(column)
    if given is None or given == "":
        return default
    return _float(row, column, given)


def _finite(row: Row, column: str, given: Any) -> float:
    value = _float(row, column, given)
    if not math.isfinite(value):
        raise Refusal(f"{row.where}: {column} must be a number, not {given!r}")
    return value


def _float(row: Row, column: str, given: Any) -> float:
    try:
        return float(given)
    except (TypeError, ValueError):
        raise Refusal(f"{row.where}: {column} must be a number, not {given!r}") from None


def _step(row: Row, column: str, most: int) -> int:
    step = _number(row, column, float(most))
    if step is None or not step.is_integer() or step < 1:
        raise Refusal(f"{row.where}: {column} must be a whole number above 0")
    return int(step)
