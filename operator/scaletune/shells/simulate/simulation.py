"""A simulation: one study with one seed, from its creation to its end."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scaletune.api.study import Study, StudyStatus
from scaletune.core import budget, confirmation
from scaletune.shells.simulate.faults import Circumstances
from scaletune.shells.simulate.objectives import Function
from scaletune.shells.simulate.shell import Shell
from scaletune.shells.simulate.world import Hopeless, Site, World

TRIALS_MAX = 100_000
SECONDS_MAX = 1e11
COLLECTED_AFTER = 1_000_000  # objects
LOOK_SECONDS_MIN = 1e-3  # sums of floats: a budget may be used up a little after it is due


@dataclass(frozen=True)
class Setting:
    """What is simulated, all but the seed."""

    study: Study
    objective: Function
    circumstances: Circumstances
    workers: int | None = None


def simulate(setting: Setting, seed: int) -> Shell:
    """The study at its end. Raises ObjectiveError, and Hopeless when there would be none."""
    shell = begin(setting, seed)
    with _collecting_rarely():
        _to_its_end(shell)
    return shell


def _to_its_end(shell: Shell) -> None:
    for _ in turns(shell):
        if len(shell.trials) > TRIALS_MAX:
            raise Hopeless(
                f"{len(shell.trials)} trials were created and the budget is not used up; set"
                " budget.trials"
            )


@contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Cycles are searched for seldom: nearly all that a simulation makes is kept, or in none."""
    usual = gc.get_threshold()
    gc.set_threshold(COLLECTED_AFTER, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def begin(setting: Setting, seed: int) -> Shell:
    """The study before anything has happened."""
    update: dict[str, object] = {"seed": seed, "state": "Running"}
    if setting.workers is not None:
        update["parallelism"] = setting.workers
    spec = setting.study.spec.model_copy(update=update)
    metadata = setting.study.metadata.model_copy(update={"generation": 1})
    status = StudyStatus(prior=setting.study.status.prior)
    study = Study(metadata=metadata, spec=spec, status=status)
    site = Site(
        nodes=spec.parallelism,
        devices=spec.template.devices,
        seed=seed,
        circumstances=setting.circumstances,
        objective=setting.objective,
    )
    return Shell(study, World(site))


def turns(shell: Shell) -> Iterator[float]:
    """Turn by turn until the study is finished; the time of each."""
    world = shell.world
    shell.turn((), look=True)
    while not shell.finished:
        yield world.now
        exhausted = _exhausted_at(shell)
        due = [at for at in (world.next_at, shell.look_at, exhausted) if at is not None]
        if not due:
            raise Hopeless(f"nothing runs, nothing can start, and {_name(shell)} is not finished")
        at = min(due)
        if at > SECONDS_MAX:
            years = at / (365 * 24 * 3600)
            raise Hopeless(f"{_name(shell)} would take {years:,.0f} years; are these seconds?")
        news = world.advance(at)
        if at == exhausted:
            news += world.look()
        shell.turn(news, look=at in (shell.look_at, exhausted))
    yield world.now


def _exhausted_at(shell: Shell) -> float | None:
    """When the trainers that run now will have used up gpuHours, or the search its part of them."""
    hours, world = shell.study.spec.budget.gpu_hours, shell.world
    if hours is None or not world.running:
        return None
    if budget.exhausted(shell.study, shell.ledger, world.now) is not None:
        return None  # they have been told
    left = hours * 3600 / world.site.devices - world.busy_seconds
    reserve = confirmation.reserve(shell.study, shell.ledger)
    of_search = confirmation.search_left(shell.study, shell.ledger, reserve)
    if of_search is not None and of_search > 0 and not shell.ledger.shelf("confirming"):
        unheard = world.busy_seconds - shell.ledger.spent_seconds / world.site.devices
        left = min(left, of_search / world.site.devices - unheard)
    return world.now + max(left / world.running, LOOK_SECONDS_MIN)


def _name(shell: Shell) -> str:
    return shell.study.metadata.name
