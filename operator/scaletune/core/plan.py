"""The plan: what is to be done about a study, given all that is known of it. Read this first.

    shell: snapshot -> observe -> store the records -> plan -> store decisions, then intents -> act

`plan` is the only place where anything is decided. It is a pure, total function of the stored
Study and Trials and of `now`: no I/O, no clock, no memory. Kill the shell at any instant, lose or
double any event, and the next plan goes on, because everything it needs is in the resources.

In this order:
1. every record without a decision gets one, in the order of the records' numbers;
2. a study that has ended (stopped, target reached, failing alike) stops its trials;
3. a study that is paused, or has used up its budget, pauses them with a checkpoint;
4. otherwise free places are filled: trials that were interrupted, then promotions, then new trials;
5. when nothing of the search runs or can start, the best of it are trained again (`confirmation`);
6. trials too far down their rung to be promoted are stopped, so that checkpoints can be freed;
7. when nothing holds a place and nothing can start, the study is finished.

Each step sees what the steps before it did, in a Ledger that is carried along. What the policies
compare is in `policies/`, what things cost in `budget`, who holds a place in `lifecycle`.
"""

from collections.abc import Callable, Iterable, Iterator

from scaletune.api.action import (
    Action,
    Decide,
    Exploit,
    Finish,
    LookAgain,
    Pause,
    Plan,
    Stop,
)
from scaletune.api.conditions import FINISHED, condition, is_true
from scaletune.api.record import Evidence
from scaletune.api.study import Study
from scaletune.api.trial import TERMINAL, Trial
from scaletune.core import budget, confirmation, reasons
from scaletune.core.budget import Purse
from scaletune.core.confirmation import Reserve
from scaletune.core.endings import Ending, ending
from scaletune.core.ledger import Ledger
from scaletune.core.policies.policy import policy_of
from scaletune.core.prior import is_awaited
from scaletune.core.starts import Start, decided, exploiting, next_start

Following = Callable[[Study, Ledger], Start | None]

FREED = "is too far down its rung to be promoted; its checkpoint is no longer needed"
DONE = "all trials have ended and none can go on"
TOO_DEAR = "what would start next costs more than the budget has left; raise it to go on"


def plan(study: Study, trials: Iterable[Trial], now: float) -> Plan:
    """Decisions and actions for a snapshot at `now` (seconds since the epoch)."""
    return decide(study, Ledger.of(study, trials), now)


def decide(study: Study, ledger: Ledger, now: float) -> Plan:
    """The plan for a ledger of the study's trials; nothing before earlier studies are read."""
    return carried_along(study, ledger, now)[0]


def carried_along(study: Study, ledger: Ledger, now: float) -> tuple[Plan, Ledger]:
    """The plan, and the ledger with its decisions and starts: a shell may go on from that one."""
    if is_awaited(study) and study.spec.state != "Stopped":
        return Plan(), ledger
    now = max([now, *(budget.instant(at) for at in _timestamps(study))])
    decisions, ledger = judge(study, ledger)
    actions: list[Action] = [
        Stop(trial.index, _why_stopped(study, trial)) for trial in ledger.on("unstopped")
    ]
    stopped = {action.trial for action in actions if isinstance(action, Stop)}
    end = ending(study, ledger)
    over = budget.exhausted(study, ledger, now)
    if end is not None and not confirmation.follows(study, end):
        actions += [Stop(i, end.reason) for i in _live(ledger) if i not in stopped]
        actions += finish(study, ledger, end.cause, end.reason)
        return Plan(decisions, tuple(actions)), ledger
    reserve = confirmation.reserve(study, ledger)
    closed = end.reason if end else confirmation.search_is_over(study, ledger, reserve, now)
    if study.spec.state == "Paused" or over is not None:
        # People first: the words of a paused study must not change when its duration passes, too.
        why = "spec.state is Paused" if over is None or study.spec.state == "Paused" else over
        actions += [Pause(i, why) for i in _running(ledger) if i not in stopped]
        starts: list[Start] = []
    else:
        if closed is not None:
            leaving = close(study, ledger, end, closed)
            actions += [each for each in leaving if each.trial not in stopped]
        else:
            actions += [_exploit(study, ledger, trial) for trial in ledger.on("exploited")]
        starts, ledger = begin(study, ledger, reserve, search=closed is None)
        decisions = (*decisions, *(start.decision for start in starts if start.decision))
        actions += [start.action for start in starts]
    # A study that had ended before it was paused stays finished if it has nothing to go on with.
    goes_on = study.spec.state == "Paused" and (
        not is_true(study.status.conditions, FINISHED)
        or (over is None and bool(begin(study, ledger, reserve, search=closed is None)[0]))
    )
    idle = not starts and not len(ledger.shelf("holders")) and not goes_on
    done = idle and next_start(study, ledger) is None
    done = done and not confirmation.missing(study, ledger)
    freed = policy_of(study, ledger.frame).freed(ledger, study.spec.budget.trials, finishing=done)
    actions += [Stop(trial.index, FREED) for trial in freed]
    if idle and end is not None:
        actions += finish(study, ledger, end.cause, end.reason)
    elif idle:
        cause = "Completed" if done else "BudgetExhausted"
        actions += finish(study, ledger, cause, DONE if done else over or TOO_DEAR)
    elif over is None and study.spec.state == "Running":
        actions += look_again(study, reserve, now)
    return Plan(decisions, tuple(actions)), ledger


def judge(study: Study, ledger: Ledger) -> tuple[tuple[Decide, ...], Ledger]:
    """A decision for every record that has none, in the order of their numbers."""
    undecided = ledger.shelf("undecided")
    if not len(undecided):
        return (), ledger
    policy, decisions = policy_of(study, ledger.frame), []
    for (number, milestone, index), _ in undecided.entries():
        trial = ledger.trial(index)
        record = next(each for each in trial.status.milestones if each.at == milestone)
        if _was_stopped_below(trial, milestone):
            made = Decide(index, milestone, "Void", number)
        else:
            if trial.spec.role == "Search":
                word, evidence = policy.judge(ledger, trial, record)
            else:
                word, evidence = confirmation.judge(study, ledger, trial, record)
            made = Decide(index, milestone, word, number, evidence)
            if word == "Exploit":
                made = exploiting(study, ledger, made)
        decisions.append(made)
        ledger = ledger.replace(trial, decided(ledger.frame.in_its_state(trial), made))
    return tuple(decisions), ledger


def close(study: Study, ledger: Ledger, end: Ending | None, why: str) -> Iterator[Stop | Pause]:
    """What of the search still runs although it is over, before it is confirmed."""
    if end is not None:
        yield from (Stop(index, why) for index in _live(ledger) if _searches(ledger, index))
    else:
        yield from (Pause(index, why) for index in _running(ledger) if _searches(ledger, index))


def begin(
    study: Study, ledger: Ledger, reserve: Reserve | None, *, search: bool
) -> tuple[list[Start], Ledger]:
    """What starts now: of the search, and once nothing of it runs or can start, to confirm it."""
    starts: list[Start] = []
    if search:
        starts, ledger = fill(
            study, ledger, purse=confirmation.search_purse(study, ledger, reserve)
        )
    if not starts and confirmation.may_begin(study, ledger):
        starts, ledger = fill(study, ledger, confirmation.next_training)
    return starts, ledger


def fill(
    study: Study, ledger: Ledger, following: Following = next_start, purse: Purse | None = None
) -> tuple[list[Start], Ledger]:
    """As much, in the order of `following`, as places and the budget (or this purse) allow.

    The first that does not fit ends the list: nothing cheaper overtakes.
    """
    starts, purse = [], purse or budget.purse(study, ledger)
    while (start := following(study, ledger)) is not None:
        places = study.spec.parallelism - len(ledger.shelf("holders"))
        keeps_place = start.before is not None and ledger.frame.holds_place(start.before)
        if (places < 1 and not keeps_place) or not purse.affords(start.cost):
            break
        starts.append(start)
        purse = purse.less(start.cost)
        ledger = ledger.replace(start.before, start.after)
    return starts, ledger


def finish(study: Study, ledger: Ledger, cause: str, reason: str) -> Iterator[Finish]:
    """The end, once no trial holds a place; said once for each spec that it holds for."""
    said = condition(study.status.conditions, FINISHED)
    known = said is not None and said.status == "True"
    # Without a generation it was said by hand, of whatever the spec is.
    if known and said is not None and said.observed_generation:
        known = said.observed_generation == study.metadata.generation
    if not known and not len(ledger.shelf("holders")):
        yield Finish(cause, reason)


def look_again(study: Study, reserve: Reserve | None, now: float) -> Iterator[LookAgain]:
    """The instant at which time alone changes the answer."""
    end, search_end = budget.ends_at(study, now), confirmation.search_ends_at(study, reserve, now)
    if search_end is not None and now < search_end:
        yield LookAgain(search_end, confirmation.TIME)
    elif end is not None and now < end:
        yield LookAgain(end, f"the duration of {study.spec.budget.duration} is over then")


def _exploit(study: Study, ledger: Ledger, trial: Trial) -> Exploit:
    """What was decided of a trial, and is not its intent yet."""
    taken = trial.status.exploits[-1]
    record = next(each for each in trial.status.milestones if each.at == taken.at)
    later = record.promotion
    evidence = (later.evidence if later else record.evidence) or Evidence()
    made = Decide(trial.index, taken.at, "Exploit", record.number, evidence, taken)
    return Exploit(trial.index, ledger.frame.until(trial), reasons.explain(study, made), taken)


def _timestamps(study: Study) -> Iterator[str]:
    return (at for at in (study.status.started_at, study.status.finished_at) if at is not None)


def _was_stopped_below(trial: Trial, milestone: int) -> bool:
    records = trial.status.milestones
    return any(record.decision == "Stop" and record.at < milestone for record in records)


def _live(ledger: Ledger) -> Iterator[int]:
    """Trials that have not ended and are not told to."""
    for trial in ledger.on("trials"):
        if ledger.frame.state(trial) not in TERMINAL and trial.spec.state != "Stopped":
            yield trial.index


def _running(ledger: Ledger) -> Iterator[int]:
    """Trials that hold a place, have somewhere to go, and are not told to leave."""
    for trial in ledger.on("holders"):
        if trial.spec.state == "Running" and ledger.frame.next_level(trial) is not None:
            yield trial.index


def _searches(ledger: Ledger, index: int) -> bool:
    return ledger.trial(index).spec.role == "Search"


def _why_stopped(study: Study, trial: Trial) -> str:
    stops = (each for each in trial.status.milestones if each.decision == "Stop")
    record = min(stops, key=lambda each: each.at)
    made = Decide(trial.index, record.at, "Stop", record.number, record.evidence or Evidence())
    return reasons.explain(study, made)
