"""Prior: what earlier studies hand on to a new one, in the new one's space.

A pure function of all of them. A shell asks it once, before the first plan, and stores the answer
in the new Study's status: `plan` never reads another study, and waits until it is there.

Only ranks within an earlier study count: its values belong to another budget, model or data. A
value that the new space does not have is handled by one rule, and told: a number beyond the range
is moved to the nearer end; whatever else is not in the space is left out, and takes the center or
a draw, as in one of `initial`. Observations are not moved: what was seen elsewhere was not seen
here.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scaletune.api.conditions import FINISHED, is_true
from scaletune.api.space import ChoiceSpace, FloatSpace, IntSpace, Parameter
from scaletune.api.study import Study, StudySpec
from scaletune.api.trial import Trial
from scaletune.api.warm_start import (
    CONFIGURATIONS_MAX,
    MESSAGE_MAX,
    OBSERVATIONS_MAX,
    Observed,
    Prior,
    WarmStart,
)
from scaletune.core.frame import Frame, sign_of
from scaletune.core.ranked import spread
from scaletune.core.samplers.draws import Value

OBSERVATIONS_BYTES = 2**16  # a Study is written often, and etcd takes no more than 1.5 MiB

Given = dict[str, Value]
Stored = tuple[Study, Iterable[Trial]]


class NoPriorError(Exception):
    """An earlier study has nothing to hand on, or not yet; `reason` is one CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def is_awaited(study: Study) -> bool:
    """Whether earlier studies are to be read before anything can be planned."""
    return bool(study.spec.warm_start) and study.status.prior is None


def with_prior(study: Study, earlier: Mapping[str, Stored]) -> Study:
    """The Study, ready to be planned; `earlier` are those there are. Raises NoPriorError."""
    if not is_awaited(study):
        return study
    status = study.status.model_copy(update={"prior": prior(study.spec, earlier)})
    return study.model_copy(update={"status": status})


def first_configurations(study: Study) -> tuple[Mapping[str, Any], ...]:
    """What is tried before the sampler is asked: the user's own, then those of earlier studies."""
    found = study.status.prior
    return (*study.spec.initial, *(() if found is None else found.configurations))


def centred(study: Study) -> Study:
    """The Study with the centers that an earlier one gives."""
    found = study.status.prior
    if found is None or not found.center:
        return study
    parameters = tuple(_with_center(each, found.center) for each in study.spec.parameters)
    spec = study.spec.model_copy(update={"parameters": parameters})
    return study.model_copy(update={"spec": spec})


def _with_center(parameter: Parameter, center: Mapping[str, Any]) -> Parameter:
    if parameter.name not in center:
        return parameter
    space = parameter.space.model_copy(update={"center": center[parameter.name]})
    kind = {FloatSpace: "float_", IntSpace: "int_", ChoiceSpace: "choice"}[type(space)]
    return parameter.model_copy(update={kind: space})


# ---- reading earlier studies


def prior(spec: StudySpec, earlier: Mapping[str, Stored]) -> Prior:
    """What is taken over from all that `spec.warmStart` names. Raises NoPriorError."""
    configurations: dict[str, Given] = {}
    center: Given = {}
    told, seen = [], list[Observed]()
    learned_from = sum(entry.mode == "Observations" for entry in spec.warm_start)
    own = [json.dumps(each, sort_keys=True) for each in spec.initial]
    for entry in spec.warm_start:
        study, trials = _judged(spec, entry, earlier.get(entry.study))
        translation = Translation(spec, study.spec, entry)
        if entry.mode == "Observations":
            seen.append(_observed(translation, study, trials, learned_from))
            count = _counted(len(seen[-1].configurations), "observation")
            told.append(f"{count} from {entry.study}{translation.words()}")
            continue
        best = _configurations(translation, best_first(study, trials))
        if entry.mode == "Center":
            center = best[0]
            told.append(f"the centers from {entry.study}{translation.words()}")
            continue
        for each in best:
            key = json.dumps(each, sort_keys=True)
            if key not in own and len(configurations) < CONFIGURATIONS_MAX:
                configurations.setdefault(key, each)
        count = _counted(len(best), "configuration")
        told.append(f"{count} from {entry.study}{translation.words()}")
    return Prior(
        configurations=tuple(configurations.values()),
        center=center or None,
        observations=tuple(seen),
        message="; ".join(told)[:MESSAGE_MAX],
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number > 1 else "")


def _judged(spec: StudySpec, entry: WarmStart, found: Stored | None) -> Stored:
    """The earlier study, if it can be learned from."""
    name = entry.study
    if found is None:
        raise NoPriorError(
            "EarlierStudyMissing",
            f"spec.warmStart: there is no study {name}. Bring it back, or make a new Study that"
            " does not name it",
        )
    study, trials = found
    if not is_true(study.status.conditions, FINISHED):
        raise NoPriorError(
            "EarlierStudyUnfinished",
            f"spec.warmStart: {name} has not finished. Let it end; or set its spec.state to"
            " Stopped, and what it has found by then is taken",
        )
    theirs, ours = study.spec.objectives[0], spec.objectives[0]
    if (theirs.metric, theirs.goal) != (ours.metric, ours.goal):
        raise NoPriorError(
            "OtherObjective",
            f"spec.warmStart: {name} was to {theirs.goal} {theirs.metric}, this study is to"
            f" {ours.goal} {ours.metric}, so its best need not be good here. If they should be"
            " tried all the same, write them into spec.initial of a new Study",
        )
    return study, trials


def _configurations(translation: "Translation", best: Iterable[Trial]) -> list[Given]:
    """The best distinct ones, as many as are wanted."""
    name, found = translation.entry.study, dict[str, Given]()
    judged = False
    for trial in best:
        if len(found) == translation.entry.top:
            break
        judged = True
        translated = translation.of(trial)
        if translated:
            found.setdefault(json.dumps(translated, sort_keys=True), translated)
    if not judged:
        raise _nothing_found(name)
    if not found:
        raise NoPriorError(
            "NothingInCommon",
            f"spec.warmStart: no parameter of {name} has a value that this study's parameters can"
            f" take; it searched {', '.join(each.name for each in translation.theirs.parameters)}",
        )
    return list(found.values())


def _observed(
    translation: "Translation", study: Study, trials: Iterable[Trial], share_of: int
) -> Observed:
    """What the trials came to, the best first: by how far they were trained, then the value."""
    frame, good, bad = Frame.of(study), [], []
    for trial in sorted(trials, key=lambda each: each.index):
        records = [each for each in trial.status.milestones if each.decision != "Void"]
        if trial.spec.role != "Search" or not records:
            continue
        last = max(records, key=lambda each: each.at)
        failed, score, index = frame.rank_key(trial, last)
        values = translation.as_it_was(trial)
        if values and failed:
            bad.append(values)
        elif values:
            good.append((-last.at / frame.full(trial), score, index, values))
    ranked = [values for *_, values in sorted(good, key=lambda each: each[:3])]
    if not ranked:
        raise _nothing_observed(translation, any(best_first(study, trials)))
    size = max(len(json.dumps(values)) for values in (*ranked, *bad))
    most = max(1, min(OBSERVATIONS_MAX, OBSERVATIONS_BYTES // size) // share_of)
    places = spread(len(ranked) + len(bad), most)
    chosen = tuple([*ranked, *bad][place] for place in places)
    failures = sum(place >= len(ranked) for place in places)
    return Observed(study=translation.entry.study, configurations=chosen, failed=failures)


def _nothing_observed(translation: "Translation", found: bool) -> NoPriorError:
    name = translation.entry.study
    if not found:
        return _nothing_found(name)
    return NoPriorError(
        "NothingInCommon",
        f"spec.warmStart: {name} has seen nothing that could be a trial of this study"
        f"{translation.words()}. Use mode Configurations, which moves values into the ranges",
    )


def _nothing_found(name: str) -> NoPriorError:
    return NoPriorError(
        "NothingFound",
        f"spec.warmStart: no trial of {name} has a value, so there is nothing to begin with;"
        " make a new Study that does not name it",
    )


def best_first(study: Study, trials: Iterable[Trial]) -> list[Trial]:
    """The trials with a value: the study's best, then by the highest milestone and the value."""
    sign, best = sign_of(study.spec.objectives[0].goal), study.status.best
    judged = []
    for trial in trials:
        reached = [(each.at, each.value) for each in trial.status.milestones]
        values = [(at, value) for at, value in reached if value is not None]
        if values and trial.spec.role == "Search":
            at, value = max(values)
            is_best = best is not None and best.index == trial.index  # which may be a confirmed one
            judged.append(((not is_best, -at, sign * value, trial.index), trial))
    return [trial for _, trial in sorted(judged, key=lambda each: each[0])]


@dataclass
class Translation:
    """From an earlier study's space to this one's; counts what cannot be taken as it is."""

    spec: StudySpec
    theirs: StudySpec
    entry: WarmStart
    moved: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def of(self, trial: Trial) -> Given:
        """A trial's configuration; empty when nothing of it is left."""
        known, found = self._known(trial), Given()
        for parameter in self.spec.parameters:
            if parameter.name not in known:
                continue
            value = fitting(parameter, known[parameter.name])
            if value is None:
                self.left_out[parameter.name] += 1
                continue
            self.moved[parameter.name] += value != known[parameter.name]
            found[parameter.name] = value
        return {**self._added(known), **found} if found else {}

    def as_it_was(self, trial: Trial) -> Given:
        """The values of the parameters of both; empty where this study cannot take one of them."""
        known = self._known(trial)
        found = {each.name: each for each in self.spec.parameters if each.name in known}
        strange = [name for name in found if fitting(found[name], known[name]) != known[name]]
        self.left_out.update(strange)
        return {} if strange else {name: known[name] for name in found}

    def words(self) -> str:
        """What a person should know of it."""
        ours = {each.name for each in self.spec.parameters}
        theirs = {each.name for each in self.theirs.parameters}
        return "".join(
            f"; {note} {', '.join(sorted(names))}"
            for note, names in (
                ("not searched there:", ours - theirs),
                ("no parameter here:", theirs - ours),
                ("moved to the nearest value of its range:", +self.moved),
                ("values that cannot be taken here, left out:", +self.left_out),
            )
            if names
        )

    def _known(self, trial: Trial) -> Given:
        known = known_values(self.spec, self.theirs, trial)
        self.left_out.update(each.name for each in trial.spec.values if each.name not in known)
        return known

    def _added(self, known: Given) -> Given:
        added = self.entry.added or {}
        return {name: each for name, each in added.items() if name not in known}


def known_values(ours: StudySpec, theirs: StudySpec, trial: Trial) -> Given:
    """The values that mean the same here: sampled ones where the same rule scales them."""
    used, known = trial.spec.used, Given()
    for each in trial.spec.values:
        here, there = (
            [rule for rule in spec.scaling_rules if rule.parameter == each.name]
            for spec in (ours, theirs)
        )
        if here == there:
            known[each.name] = each.value
        elif not here:
            known[each.name] = used[each.name]
    return known


def fitting(parameter: Parameter, value: Value) -> Value | None:
    """The value as the parameter can take it: a number beyond its range at the nearer end."""
    space = parameter.space
    if isinstance(space, ChoiceSpace) or isinstance(value, str):
        return value if space.values is not None and value in space.values else None
    if isinstance(space, IntSpace):
        value = round(value)
    if space.values is not None:
        return value if value in space.values else None
    low, high = space.min, space.max
    value = value if low is None else max(value, low)
    value = value if high is None else min(value, high)
    outside = (space.scale != "Linear" and value <= 0) or (space.scale == "Logit" and value >= 1)
    return None if outside else value
