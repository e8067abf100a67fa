"""What is tried next: a configuration is a pure function of the study, its records and the index.

`initial` comes first, whatever the sampler, then what earlier studies hand on. Only the adaptive
one looks at records; a Trial that is stored wins over what it would say today.
"""

from collections.abc import Mapping
from typing import Any

from scaletune.api.configuration import Origin, ParameterValue
from scaletune.api.space import Parameter
from scaletune.api.study import Study, StudySpec
from scaletune.core.ledger import Ledger
from scaletune.core.prior import centred, first_configurations
from scaletune.core.samplers import grid, sobol
from scaletune.core.samplers.draws import Value, all_centers, draw, typed, uniform

Configuration = tuple[tuple[ParameterValue, ...], Origin]


def configuration(study: Study, ledger: Ledger, index: int) -> Configuration | None:
    """The configuration of trial `index`, and where it comes from; None when none is left."""
    study = centred(study)
    spec = study.spec
    found = _given(study, index) or _sampled(study, ledger, index)
    return None if found is None else (typed(spec, found[0]), found[1])


def configurations_at_most(study: Study) -> int | None:
    """How many trials there will be: what the budget allows and the sampler gives, if limited."""
    size, first = sampler_size(study.spec), len(first_configurations(study))
    limits = [study.spec.budget.trials, size and size + first]
    return min((limit for limit in limits if limit is not None), default=None)


def sampler_size(spec: StudySpec) -> int | None:
    """How many configurations the sampler has; None when it never runs out of them."""
    named = spec.sampler
    if named.list_ is not None:
        return len(named.list_.configurations)
    return None if named.grid is None else grid.size(spec, named.grid.points)


def begins_at_centers(study: Study) -> bool:
    """Whether trial 0 is the configuration of all centers: what the user holds good."""
    centers, given = all_centers(centred(study).spec), _written_out(study)
    if centers is None:
        return False
    return {**centers, **given[0]} == centers if given else adapts(study.spec)


def _given(study: Study, index: int) -> tuple[dict[str, Value], Origin] | None:
    """A configuration that is written out: of `initial`, of an earlier study, then of a `list`."""
    spec, first, written = study.spec, first_configurations(study), _written_out(study)
    if index >= len(written):
        return None
    given = written[index]
    values = {
        parameter.name: given.get(parameter.name, _unsaid(spec, index, parameter))
        for parameter in spec.parameters
    }
    if index < len(spec.initial):
        return values, Origin(kind="Initial")
    return values, Origin(kind="WarmStart" if index < len(first) else "List")


def _written_out(study: Study) -> tuple[Mapping[str, Any], ...]:
    listed = study.spec.sampler.list_
    return (*first_configurations(study), *(listed.configurations if listed else ()))


def _unsaid(spec: StudySpec, index: int, parameter: Parameter) -> Value:
    """What a configuration that leaves a parameter out means: its center, or a draw."""
    center = parameter.space.center
    return draw(spec.seed, index, parameter) if center is None else center


def _sampled(study: Study, ledger: Ledger, index: int) -> tuple[dict[str, Value], Origin] | None:
    spec, number = study.spec, index - len(first_configurations(study))
    if spec.policy.carbs is not None:
        from scaletune.core.samplers import carbs  # numpy: see below

        return carbs.point(study, ledger, index)
    if spec.sampler.grid is not None:
        point = grid.point(spec, number, spec.sampler.grid.points)
        return None if point is None else (point, Origin(kind="Grid"))
    if spec.sampler.list_ is not None:
        return None
    if spec.sampler.sobol is not None:
        return sobol.point(spec, number), Origin(kind="Sobol")
    if spec.sampler.random is not None or not adapts(spec):
        return uniform(spec, index), Origin(kind="Random")
    # Here, because numpy takes a while to import and not every process plans such a study.
    from scaletune.core.samplers import adaptive

    return adaptive.point(study, ledger, index)


def adapts(spec: StudySpec) -> bool:
    """Whether what is tried depends on what was seen."""
    if spec.policy.carbs is not None:
        return True
    named = spec.sampler
    return named.adaptive is not None or named == type(named)()
