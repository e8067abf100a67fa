"""Confirmed: what training the best again has shown, as a status and as a sentence.

Configurations are ranked by failures, then by the mean of their values. How much one training
scatters is taken from all of them together, because a few values of one alone tell little: whoever
is behind the winner by less than the standard error of the difference is tied with it. Spearman's
rank correlation between the search's order and this one says what the search was worth.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from scaletune.api.confirmation import Confirmation, ConfirmedConfiguration
from scaletune.api.record import Milestone
from scaletune.api.study import BestTrial, Study
from scaletune.api.trial import TERMINAL, Trial
from scaletune.api.trial_name import Repeat, trial_name
from scaletune.core.frame import sign_of
from scaletune.core.ledger import Ledger


@dataclass(frozen=True)
class _Row:
    """One configuration with the values of its trainings."""

    row: ConfirmedConfiguration
    values: tuple[float, ...]
    is_open: bool


def confirmation(study: Study, ledger: Ledger, *, finished: bool) -> Confirmation | None:
    """The status; None where nothing was trained again. A study that has finished opens nothing."""
    rows = [_row(study, ledger, *each) for each in _trainings(study, ledger).items()]
    if not rows:
        return None
    sign = sign_of(study.spec.judged_by("Confirm")[1])
    rows.sort(key=lambda each: _order(each.row, sign))
    deviation = _deviation([each.values for each in rows])
    is_open = not finished and any(each.is_open for each in rows)
    candidates = [each.row for each in rows if each.row.role == "Candidate"]
    return Confirmation(
        metric=study.spec.judged_by("Confirm")[0],
        configurations=tuple(
            each.row if is_open else _standing(each, rows[0], deviation, sign) for each in rows
        ),
        rank_correlation=None if is_open else _rank_correlation(study, candidates, sign),
        deviation=deviation,
    )


def winner(found: Confirmation | None) -> ConfirmedConfiguration | None:
    """The best by mean, once all is trained."""
    rows = () if found is None else found.configurations
    return next((each for each in rows if each.standing == "Winner"), None)


def best(study: Study, ledger: Ledger, found: Confirmation | None) -> BestTrial | None:
    """The winner as a study's best trial."""
    row = winner(found)
    if row is None or row.mean is None:
        return None
    trained, most = ledger.shelf("trials").get((row.index,)), ledger.frame.most
    most = most if trained is None else ledger.frame.full(trained)
    return BestTrial(trial=row.trial, index=row.index, value=row.mean, milestone=most)


def sentence(found: Confirmation) -> str:
    """What came of it, in words."""
    first = winner(found)
    if first is None:
        return "no training of the best again has given a value; look at the failed trials"
    means = f"{first.trial} has the best mean {found.metric}, {_figure(first)}"
    tied = [f"{each.trial} ({_figure(each)})" for each in _of(found, "Tied")]
    behind = [f"{each.trial} ({_figure(each)})" for each in _of(found, "Behind")]
    parts = [means]
    parts += [f"not told apart from it: {', '.join(tied)}"] if tied else []
    parts += [f"behind: {', '.join(behind)}"] if behind else []
    if found.rank_correlation is not None:
        count = sum(each.role == "Candidate" for each in found.configurations)
        like = f"{found.rank_correlation:.2f} over {count} candidates"
        parts.append(f"rank correlation with the search: {like}")
    return "; ".join(parts)


def _figure(row: ConfirmedConfiguration) -> str:
    if row.mean is None:
        return "no value"
    error = "" if row.standard_error is None else f" ± {row.standard_error:.2g}"
    return f"{row.mean:.4g}{error} of {row.values}"


def _of(found: Confirmation, standing: str) -> list[ConfirmedConfiguration]:
    return [each for each in found.configurations if each.standing == standing]


def _trainings(study: Study, ledger: Ledger) -> dict[int | None, list[Trial]]:
    """The trainings of each candidate, and of the control (None), deleted ones left out."""
    known, found = study.status.confirmation, dict[int | None, list[Trial]]()
    for row in () if known is None else known.configurations:
        found[row.candidate] = []
    for trial in ledger.on("confirming"):
        found.setdefault(trial.spec.candidate, []).append(trial)
    return found


def _row(study: Study, ledger: Ledger, candidate: int | None, trainings: list[Trial]) -> _Row:
    known, old = study.status.confirmation, None
    index = Repeat(None, 0).index if candidate is None else candidate
    for row in () if known is None else known.configurations:
        old = row if row.index == index else old
    begun = max([old.trainings if old else 0, *((t.spec.repeat or 0) + 1 for t in trainings)])
    values = tuple(value for t in trainings if (value := _value(t)) is not None)
    repeats = 0 if study.spec.confirm is None else study.spec.confirm.repeats
    row = ConfirmedConfiguration(
        trial=trial_name(study.metadata.name, index),
        index=index,
        role="Control" if candidate is None else "Candidate",
        **_screened(ledger, candidate, old),
        trainings=begun,
        values=len(values),
        failures=sum(_has_failed(trial) for trial in trainings),
        mean=mean(values) if values else None,
        standard_error=_standard_error(values),
        standing="Open",  # said, so that what is read back from the API server is the same
    )
    running = any(ledger.frame.state(trial) not in TERMINAL for trial in trainings)
    return _Row(row, values, running or begun < repeats)


def _screened(
    ledger: Ledger, candidate: int | None, old: ConfirmedConfiguration | None
) -> dict[str, float | int]:
    """How far the search has trained a candidate, and with what value."""
    found: Trial | None = (
        ledger.shelf("trials").get((candidate,)) if candidate is not None else None
    )
    record = None if found is None else _highest(found)
    if record is not None and record.value is not None:
        return {"milestone": record.at, "screened": record.value}
    if old is None or old.milestone is None or old.screened is None:
        return {}
    return {"milestone": old.milestone, "screened": old.screened}


def _highest(trial: Trial) -> Milestone | None:
    counted = [
        each
        for each in trial.status.milestones
        if each.value is not None and each.decision not in (None, "Void")
    ]
    return max(counted, key=lambda each: each.at, default=None)


def _value(trial: Trial) -> float | None:
    record = max(trial.status.milestones, key=lambda each: each.at, default=None)
    return None if record is None or record.decision is None else record.value


def _has_failed(trial: Trial) -> bool:
    failure = trial.status.failure
    return failure is not None and failure.kind != "UserError"


def _order(row: ConfirmedConfiguration, sign: int) -> tuple[bool, int, float, int]:
    """Those with values first, then the fewest failures, then the mean, then the index."""
    return row.mean is None, row.failures, sign * (row.mean or 0.0), row.index


def _deviation(groups: Sequence[Sequence[float]]) -> float | None:
    """The standard deviation of one value from its group's mean; None where nothing tells it."""
    freedom = sum(max(0, len(values) - 1) for values in groups)
    gaps = [value - mean(values) for values in groups for value in values]
    found = math.hypot(*gaps) / math.sqrt(freedom) if freedom else math.inf
    return found if math.isfinite(found) else None


def _standard_error(values: Sequence[float]) -> float | None:
    """That of their mean."""
    deviation = _deviation([values])
    return None if deviation is None else deviation / math.sqrt(len(values))


def _standing(
    each: _Row, first: _Row, deviation: float | None, sign: int
) -> ConfirmedConfiguration:
    row = each.row
    if row.mean is None or first.row.mean is None:
        standing = "Behind"
    elif each is first:
        standing = "Winner"
    else:
        count = 1 / len(each.values) + 1 / len(first.values)
        error = (deviation or 0.0) * math.sqrt(count)
        margin = sign * (row.mean - first.row.mean)
        is_tied = row.failures == first.row.failures and (margin < error or margin == 0)
        standing = "Tied" if is_tied else "Behind"
    return row.model_copy(update={"standing": standing})


def _rank_correlation(
    study: Study, rows: Sequence[ConfirmedConfiguration], sign: int
) -> float | None:
    """Spearman's: Pearson's of the ranks, equal ones sharing theirs; None where all are equal."""
    search = sign_of(study.spec.objectives[0].goal)
    known = [row for row in rows if row.screened is not None and row.milestone is not None]
    before = _ranks([(-(row.milestone or 0), search * (row.screened or 0.0)) for row in known])
    after = _ranks([_order(row, sign)[:-1] for row in known])
    centre = (len(known) - 1) / 2
    spread = math.sqrt(
        sum((rank - centre) ** 2 for rank in before) * sum((rank - centre) ** 2 for rank in after)
    )
    if not spread:
        return None
    both = sum((one - centre) * (two - centre) for one, two in zip(before, after, strict=True))
    return both / spread


def _ranks(keys: Sequence[tuple[float, ...]]) -> list[float]:
    """The rank of each key from 0; equal ones share the mean of theirs."""
    return [sum(other < key for other in keys) + (keys.count(key) - 1) / 2 for key in keys]
