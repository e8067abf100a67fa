"""Optuna's storage: the trials of a study in its database, as rows.

Only databases are read, through Optuna itself: they hold numbers and JSON, where journals and
samplers may hold pickles. Nothing is written: no table is made, an SQLite file is opened read-only.

Of each trial that was completed or pruned: what it reported on the way, and of a completed one its
value, at training.max. Optuna stores when a trial began and ended, and not when it reported: its
seconds are shared out by steps.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scaletune.api.space import ChoiceSpace, IntSpace, Parameter
from scaletune.api.study import Study
from scaletune.cli.refusal import Refusal
from scaletune.cli.rows import Row

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.exceptions import StorageInternalError
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
except ModuleNotFoundError as error:
    raise Refusal(
        f"reading Optuna's storage needs {error.name}: pip install 'scaletune[optuna]'; or write"
        " study.trials_dataframe().to_csv(...) where Optuna is, and import that"
    ) from None


def rows_of_storage(subject: str, study: Study, renamed: Mapping[str, str]) -> list[Row]:
    """The rows of `URL` or `URL#STUDY`; parameters in columns params_NAME. Raises Refusal."""
    found = _loaded(*_parted(subject))
    where = f"Optuna's study {found.study_name}"
    goal = study.spec.objectives[0].goal
    if len(found.directions) != 1:
        raise Refusal(f"{where} has {len(found.directions)} objectives, and a Study has one")
    if found.direction.name != goal.upper():
        raise Refusal(f"{where} is to {found.direction.name.lower()}, and the Study to {goal}")
    trials = found.get_trials(deepcopy=False)
    ended = [each for each in trials if each.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if not ended:
        raise Refusal(f"{where} has no trial that was completed or pruned")
    asked = {renamed.get(each.name, each.name): each for each in study.spec.parameters}
    _check(where, asked, ended)
    if len(ended) < len(trials):
        sys.stderr.write(
            f"scaletune: {len(trials) - len(ended)} of {len(trials)} trials left out: they have"
            " failed, or not ended\n"
        )
    most = study.spec.training.most
    shift = _shift(ended, most)
    metric = study.spec.objectives[0].metric
    columns = [renamed.get(each, each) for each in ("trial", "step", metric, "seconds")]
    rows = []
    for trial in ended:
        values = {f"params_{each.name}": trial.params[name] for name, each in asked.items()}
        fields = {**values, "state": trial.state.name}
        for point in _curve(trial, most, shift):
            told = dict(zip(columns, (trial.number, *point), strict=True))
            rows.append(Row(f"trial {trial.number}", {**fields, **told}))
    return rows


def _parted(subject: str) -> tuple[URL, str | None]:
    address, _, name = subject.partition("#")
    try:
        url = make_url(address)
    except ArgumentError:
        raise Refusal(f"{address}: write it as Optuna does, such as sqlite:///optuna.db") from None
    if url.get_backend_name() == "sqlite" and url.database and not url.query:
        if not Path(url.database).is_file():
            raise Refusal(f"{url.database}: no such file")
        url = url.set(database=f"file:{quote(url.database)}", query={"mode": "ro", "uri": "true"})
    return url, name or None


def _loaded(url: URL, name: str | None) -> "optuna.Study":
    shown = url.render_as_string(hide_password=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = optuna.storages.RDBStorage(
            url.render_as_string(hide_password=False), skip_table_creation=True
        )
        names = optuna.get_all_study_names(storage)
        if name is None and len(names) != 1:
            told = ", ".join(names) or "there is none"
            raise Refusal(f"{shown}: say which study, as {shown}#NAME: {told}")
        if name is not None and name not in names:
            raise Refusal(f"{shown}: no study {name}; there are {', '.join(names) or 'none'}")
        return optuna.load_study(study_name=name or names[0], storage=storage)
    except ImportError as error:
        raise Refusal(f"{shown}: {error.__cause__ or error}; install this driver") from None
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        first = str(getattr(cause, "orig", None) or cause or error).splitlines()[0]
        raise Refusal(f"{shown} cannot be read as Optuna's storage: {first}") from None
    except RuntimeError as error:  # made by another version of Optuna
        raise Refusal(f"{shown}: {error}") from None


def _check(where: str, asked: Mapping[str, Parameter], trials: Sequence[FrozenTrial]) -> None:
    """Say all that does not match at once, and what the Study does not ask for."""
    wrong = dict[str, str]()
    for trial in trials:
        for name, parameter in asked.items():
            problem = f"is none of its parameters, {', '.join(trial.params) or 'it has none'}"
            if name in trial.params:
                problem = _mismatch(parameter, trial.distributions[name], trial.params[name])
            if problem:
                wrong.setdefault(name, f"trial {trial.number}: {name} {problem}")
    if wrong:
        raise Refusal(f"{where} does not match the Study:\n  " + "\n  ".join(wrong.values()))
    unknown = {name: None for trial in trials for name in trial.params if name not in asked}
    if unknown:
        sys.stderr.write(f"scaletune: not in the Study, left out: {', '.join(unknown)}\n")


def _mismatch(parameter: Parameter, distribution: BaseDistribution, value: Any) -> str:
    """What keeps a value, or what it was drawn from, from the Study's parameter; empty: nothing."""
    space = parameter.space
    if isinstance(space, ChoiceSpace):
        if not isinstance(distribution, CategoricalDistribution):
            return "was searched as a number, and is a choice in the Study"
        return "" if str(value) in space.values else f"was {value}: add it to values in the Study"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"was {value}, and is a number in the Study: make it a choice"
    if isinstance(space, IntSpace) and isinstance(distribution, FloatDistribution):
        return "was searched as a float, and is an int in the Study"
    if space.values is not None:
        return "" if value in space.values else f"was {value}: add it to values in the Study"
    low, high = space.min, space.max
    if (low is None or low <= value) and (high is None or value <= high):
        return ""
    searched = _range(distribution)
    return f"was {value}{searched}: widen it in the Study, where it is from {low} to {high}"


def _range(distribution: BaseDistribution) -> str:
    low, high = (getattr(distribution, end, None) for end in ("low", "high"))
    return "" if low is None or high is None else f", searched from {low} to {high}"


def _shift(trials: Sequence[FrozenTrial], most: int) -> int:
    """What is to be added to steps: those that begin at 0 and end before training.max count what
    has begun, `for step in range(...)`."""
    steps = [step for trial in trials for step in trial.intermediate_values]
    return 1 if steps and min(steps) == 0 and max(steps) < most else 0


def _curve(trial: FrozenTrial, most: int, shift: int) -> Iterator[tuple[int, float, float]]:
    """Step, value and seconds until then; a step 0 that is left tells of no training."""
    values = {
        step + shift: value
        for step, value in sorted(trial.intermediate_values.items())
        if step + shift > 0
    }
    if trial.state is TrialState.COMPLETE and trial.value is not None:
        values[most] = trial.value
    if not values:
        return
    duration = 0.0 if trial.duration is None else trial.duration.total_seconds()
    last = max(values)
    for step in sorted(values):
        yield step, values[step], duration * step / last
        if not math.isfinite(values[step]):
            return
