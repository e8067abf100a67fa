"""Reads and writes Studies that are to be run: as strict as the API server, in the same words."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scaletune.api.reader import UnreadableError, read, read_file, write
from scaletune.api.study import Study
from scaletune.api.validation import InvalidError, parse_study
from scaletune.cli.refusal import Refusal


def read_documents(path: str) -> list[dict[str, Any]]:
    """All resources of a file. Raises Refusal."""
    try:
        return read_file(Path(path))
    except UnreadableError as error:
        raise Refusal(str(error)) from None


def read_study(
    path: str, settings: Iterable[str] = (), pod: Mapping[str, Any] | None = None
) -> Study:
    """The Study of a file with some fields set otherwise. Raises Refusal.

    `pod` is the pod template of a Study that leaves its own out.
    """
    studies = [each for each in read_documents(path) if each.get("kind") == "Study"]
    if len(studies) != 1:
        raise Refusal(f"{path}: expected one Study, found {len(studies)}")
    document = studies[0]
    for setting in settings:
        _set(document, setting)
    if pod is not None and isinstance(spec := document.get("spec"), dict):
        template = spec["template"] = spec.get("template") or {}
        if isinstance(template, dict):
            template.setdefault("pod", pod)
    try:
        return parse_study(document)
    except InvalidError as error:
        raise Refusal(f"{path}: {error}") from None


def write_new_study(path: Path, study: dict[str, Any]) -> None:
    """Write a Study that was made from another one; nothing is overwritten. Raises Refusal."""
    try:
        parse_study(study)
    except InvalidError as error:
        raise Refusal(f"the new Study would not be valid: {error}") from None
    text = write(study)
    try:
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise Refusal(f"{path} exists and differs; name another file with --write")
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refusal(f"{path}: {error.strerror}") from None


def _set(document: dict[str, Any], setting: str) -> None:
    """Set one field of the spec: budget.trials=4, policy.asha.mode=Stop, policy=null."""
    path, equals, text = setting.partition("=")
    *above, name = path.removeprefix("spec.").split(".")
    if not equals or not name:
        raise Refusal(f"--set {setting}: write it as FIELD=VALUE, such as budget.trials=4")
    fields = document.setdefault("spec", {})
    for each in above:
        fields = fields.setdefault(each, {}) if isinstance(fields, dict) else None
    if not isinstance(fields, dict):
        raise Refusal(f"--set {setting}: {'.'.join(above)} has no fields")
    try:
        value = read(f"value: {text}", f"--set {path}")[0]["value"]
    except UnreadableError as error:
        raise Refusal(str(error)) from None
    if value is None:
        fields.pop(name, None)
    else:
        fields[name] = value
