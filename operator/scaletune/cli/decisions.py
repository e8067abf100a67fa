"""`scaletune plan` and `scaletune replay`: what would be decided, as JSON or as a table."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scaletune.api.action import Action, Create, Decide, Exploit, LookAgain, Plan, Resume
from scaletune.api.study import Study
from scaletune.api.trial_name import trial_name
from scaletune.cli.refusal import Refusal
from scaletune.cli.snapshot import read_snapshot
from scaletune.core.plan import plan
from scaletune.core.prior import is_awaited
from scaletune.core.reasons import explain
from scaletune.shells.replay import InvalidLedger, read_lines, replay


def print_plan(paths: Sequence[str], now: float | None, output: str) -> None:
    """The plan for a snapshot in files."""
    snapshot = read_snapshot(paths)
    _expect_prior(snapshot.study, paths)
    instant = time.time() if now is None else now
    try:
        made = plan(snapshot.study, snapshot.trials, instant)
    except ValueError as error:  # such as a range without ends, which `validate` would refuse
        raise Refusal(f"{', '.join(paths)}: {error}") from None
    _show(snapshot.study, made, output)


def print_replay(study: str, ledger: str, output: str) -> None:
    """The decisions for a Study and a ledger of reports."""
    snapshot = read_snapshot([study])
    _expect_prior(snapshot.study, [study])
    try:
        text = Path(ledger).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{ledger}: {getattr(error, 'strerror', None) or error}") from None
    try:
        decisions = replay(snapshot.study, read_lines(text))
    except InvalidLedger as error:
        raise Refusal(f"{ledger}: {error}") from None
    _show(snapshot.study, Plan(tuple(decisions)), output, actions=False)


def _expect_prior(study: Study, paths: Sequence[str]) -> None:
    """What earlier studies hand on stands in the stored Study alone."""
    if is_awaited(study):
        raise Refusal(
            f"{', '.join(paths)}: spec.warmStart names earlier studies, and status.prior does not"
            " say what they hand on; give the Study as it is stored, from the folder of its run"
            " or by `kubectl get -o yaml`"
        )


def as_json(made: Plan, *, actions: bool = True) -> dict[str, Any]:
    """The plan in the form that scripts rely on."""
    document: dict[str, Any] = {"decisions": [_decision(each) for each in made.decisions]}
    if actions:
        document["actions"] = [_action(each) for each in made.actions]
    return document


def _decision(made: Decide) -> dict[str, Any]:
    evidence = made.evidence
    return {
        "number": made.number,
        "trial": made.trial,
        "milestone": made.milestone,
        "decision": made.decision,
        "evidence": {
            "n": evidence.n,
            "rank": evidence.rank,
            "quota": evidence.quota,
            "against": evidence.against,
        },
    }


def _action(action: Action) -> dict[str, Any]:
    document: dict[str, Any] = {"action": type(action).__name__}
    if isinstance(action, LookAgain):
        document["at"] = int(action.at) if action.at == int(action.at) else action.at
    elif (trial := getattr(action, "trial", None)) is not None:
        document["trial"] = trial
    if isinstance(action, Create):
        spec = action.spec
        document["until"] = spec.until
        document["parameters"] = [each.to_yaml_fields() for each in spec.parameters]
        if spec.resolved:
            document["resolved"] = [each.to_yaml_fields() for each in spec.resolved]
    elif isinstance(action, Resume):
        document["until"] = action.until
    if isinstance(action, Exploit):
        taken = action.exploit
        document["parameters"] = [each.to_yaml_fields() for each in taken.parameters]
        if taken.resolved:
            document["resolved"] = [each.to_yaml_fields() for each in taken.resolved]
        document["parent"] = taken.checkpoint.to_yaml_fields()
    if isinstance(action, Create) and action.spec.parent is not None:
        document["parent"] = action.spec.parent.to_yaml_fields()
    return {**document, "reason": action.reason}


def _show(study: Study, made: Plan, output: str, *, actions: bool = True) -> None:
    if output == "json":
        import sys

        sys.stdout.write(json.dumps(as_json(made, actions=actions), allow_nan=False) + "\n")
        return
    from scaletune.cli import words

    console = words.screen()
    console.print(_decision_table(study, made.decisions))
    if actions:
        console.print(_action_table(study, made.actions))


def _decision_table(study: Study, decisions: Sequence[Decide]) -> Any:
    from rich.table import Table

    table = Table(title="Decisions", title_justify="left", box=None, header_style="bold")
    for column in ("number", "trial", "milestone", "decision", "why"):
        table.add_column(column, justify="right" if column in ("number", "milestone") else "left")
    for made in decisions:
        name = trial_name(study.metadata.name, made.trial)
        words = explain(study, made)
        table.add_row(str(made.number), name, str(made.milestone), made.decision, words)
    return table if decisions else "No decisions."


def _action_table(study: Study, actions: Sequence[Action]) -> Any:
    from rich.table import Table

    table = Table(title="Actions", title_justify="left", box=None, header_style="bold")
    for column in ("action", "trial", "until", "reason"):
        table.add_column(column)
    for action in actions:
        document = _action(action)
        index = document.get("trial")
        name = "" if index is None else trial_name(study.metadata.name, index)
        until = document.get("until", document.get("at", ""))
        table.add_row(document["action"], name, str(until), action.reason)
    return table if actions else "No actions."
