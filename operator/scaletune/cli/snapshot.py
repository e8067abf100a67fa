"""Reads a snapshot for `plan` and `replay`: a Study and Trials as `kubectl get -o yaml` prints
them, or much shorter.

`kubectl apply` and `scaletune validate` are strict about what may be run. Here only a decision is
asked for, so what no decision rests on is not read at all, and what is left out takes a neutral
value; all of these stand in this module and nowhere else. What is given is checked as always.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from scaletune.api.model import API_VERSION
from scaletune.api.reader import UnreadableError, read, read_file
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.api.trial_name import index_of, trial_name
from scaletune.cli.refusal import Refusal

M = TypeVar("M", bound=BaseModel)
Fields = dict[str, Any]

# What no decision rests on: descriptions, bookkeeping of shells, how a trial is started.
_UNREAD_STUDY_SPEC = ("checkpoints", "template")
_UNREAD_TRIAL_SPEC = ("seed", "origin")
_UNREAD_TRIAL_STATUS = ("conditions", "attempts", "checkpoint", "acknowledged", "reason")

_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_NEUTRAL_TEMPLATE: Fields = {"pod": {}}
_PLACEHOLDER: Fields = {"name": "none", "choice": {"values": ["none"]}}
_NEUTRAL_OBJECTIVE: Fields = {"metric": "objective", "goal": "Minimize"}


@dataclass(frozen=True)
class Document:
    """A resource as it was read, and the file it came from."""

    fields: Fields
    source: str

    def part(self, name: str) -> Fields:
        """metadata, spec or status without nulls; empty when it is left out."""
        part = self.fields.get(name)
        if part is None:
            return {}
        if not isinstance(part, dict):
            raise Refusal(f"{self.source}: {name} must be a mapping, not {part!r:.60}")
        return {key: value for key, value in part.items() if value is not None}

    @property
    def title(self) -> str:
        """Where a reader finds it."""
        name = self.part("metadata").get("name")
        return f"{self.source}: {self.fields.get('kind')}" + (f" {name}" if name else "")


@dataclass(frozen=True)
class Snapshot:
    """One study as it is stored."""

    study: Study
    trials: tuple[Trial, ...]


def read_snapshot(paths: Iterable[str]) -> Snapshot:
    """The one Study, and the Trials, in these files; `-` is standard input."""
    studies: list[Document] = []
    trials: list[Document] = []
    for document in _documents(paths):
        kind = document.fields.get("kind")
        if kind not in ("Study", "Trial"):
            given = "no kind" if kind is None else f"kind {kind!r}"
            raise Refusal(f"{document.source}: {given}; a snapshot holds a Study and its Trials")
        version = document.fields.get("apiVersion")
        if version not in (None, API_VERSION):
            raise Refusal(f"{document.title}: apiVersion {version!r} must be {API_VERSION}")
        (studies if kind == "Study" else trials).append(document)
    if len(studies) != 1:
        found = "no Study" if not studies else " and ".join(each.title for each in studies)
        raise Refusal(f"a snapshot holds exactly one Study; found {found}")
    name = str(studies[0].part("metadata").get("name", "study"))
    by_index = _by_index(name, trials)
    _number(list(by_index.values()))
    return Snapshot(
        study=_study(studies[0], name, by_index.values()),
        trials=tuple(_trial(entry) for entry in by_index.values()),
    )


def _documents(paths: Iterable[str]) -> Iterator[Document]:
    for path in paths:
        source = "standard input" if path == "-" else path
        try:
            found = read(sys.stdin.read(), source) if path == "-" else read_file(Path(path))
        except UnreadableError as error:
            raise Refusal(str(error)) from None
        for fields in found:
            if not isinstance(fields, dict):
                raise Refusal(f"{source}: an item of the List is not a resource: {fields!r:.60}")
            yield Document(fields, source)


@dataclass
class _Entry:
    """A Trial on its way from the document to the type."""

    document: Document
    metadata: Fields
    spec: Fields
    status: Fields
    milestones: list[Fields]

    @property
    def index(self) -> int:
        index: int = self.spec["index"]
        return index


def _by_index(study: str, documents: Iterable[Document]) -> dict[int, _Entry]:
    """The Trials in the order of their indexes."""
    entries: dict[int, _Entry] = {}
    for document in documents:
        entry = _entry(study, document)
        if (other := entries.get(entry.index)) is not None:
            raise Refusal(
                f"{document.title} and {other.document.title} both have spec.index {entry.index};"
                " an index is never used twice"
            )
        entries[entry.index] = entry
    return dict(sorted(entries.items()))


def _entry(study: str, document: Document) -> _Entry:
    metadata, spec, status = (document.part(part) for part in ("metadata", "spec", "status"))
    for name in _UNREAD_TRIAL_SPEC:
        spec.pop(name, None)
    for name in _UNREAD_TRIAL_STATUS:
        status.pop(name, None)
    spec["index"] = _index(document, metadata, spec)
    metadata.setdefault("name", trial_name(study, spec["index"]))
    if spec.get("study", study) != study:
        raise Refusal(
            f"{document.title}: spec.study is {spec['study']!r}, but the Study is {study!r};"
            " leave out the Trials of other studies"
        )
    milestones = status.pop("milestones", [])
    if not isinstance(milestones, list) or not all(isinstance(each, dict) for each in milestones):
        raise Refusal(f"{document.title}: status.milestones must be a list of records")
    records = [_record(document, position, each) for position, each in enumerate(milestones)]
    if len({record["at"] for record in records}) < len(records):
        raise Refusal(f"{document.title}: status.milestones: two records have the same `at`")
    return _Entry(document, metadata, spec, status, records)


def _index(document: Document, metadata: Fields, spec: Fields) -> int:
    """spec.index, or else the number at the end of the name."""
    index = spec.get("index")
    if index is None:
        found = index_of(str(metadata.get("name", "")))
        if found is None:
            raise Refusal(f"{document.title}: give spec.index, or a name that ends with it")
        return found
    if isinstance(index, bool) or not isinstance(index, int | float) or index != int(index):
        raise Refusal(f"{document.title}: spec.index must be a whole number, not {index!r}")
    return int(index)


def _record(document: Document, position: int, given: Fields) -> Fields:
    """A record with its neutral values: step is `at`; no finite value means Diverged."""
    where = f"{document.title}: status.milestones[{position}]"
    record = {key: value for key, value in given.items() if value is not None}
    at = record.get("at")
    if isinstance(at, bool) or not isinstance(at, int | float) or at != int(at):
        raise Refusal(f"{where}: at must be a milestone, a whole number, not {at!r}")
    record["at"] = int(at)
    record.setdefault("step", record["at"])
    value = record.get("value")
    if isinstance(value, str) and value not in _NOT_FINITE:
        raise Refusal(f"{where}: value must be a number or one of {', '.join(_NOT_FINITE)}")
    if value is None or isinstance(value, str):
        record.pop("value", None)
        if record.setdefault("outcome", "Diverged") == "Value":
            raise Refusal(f"{where}: outcome Value needs a finite value")
    if record.get("decision") == "Promote":  # its own decision was the pause before
        record["decision"] = "Pause"
        record.setdefault("promotion", {"number": record.get("number") or 0})
    if not record.get("number"):
        record.pop("number", None)
    return record


def _number(entries: list[_Entry]) -> None:
    """Number the records that have no number, after the highest, in the order (trial, at)."""
    seen: dict[int, str] = {}
    for entry in entries:
        for record in entry.milestones:
            number = record.get("number")
            if not isinstance(number, int | float) or isinstance(number, bool):
                if number is None:
                    continue
                raise Refusal(f"{entry.document.title}: number must be whole, not {number!r}")
            where = f"{entry.document.title}, milestone {record['at']}"
            if number in seen:
                raise Refusal(f"{where} and {seen[int(number)]} both have number {number}")
            seen[int(number)] = where
    highest = max(seen, default=0)
    for entry in entries:
        for record in sorted(entry.milestones, key=lambda each: int(each["at"])):
            if "number" not in record:
                highest += 1
                record["number"] = highest
                if "promotion" in record and not record["promotion"].get("number"):
                    record["promotion"]["number"] = highest


def _trial(entry: _Entry) -> Trial:
    status = {**entry.status, "milestones": entry.milestones}
    fields = {"metadata": entry.metadata, "spec": entry.spec, "status": status}
    return _parse(Trial, fields, entry.document.title)


def _study(document: Document, name: str, trials: Iterable[_Entry]) -> Study:
    """The Study, with neutral values for what the decision does not need."""
    metadata, spec, status = (document.part(part) for part in ("metadata", "spec", "status"))
    metadata["name"] = name
    for unread in _UNREAD_STUDY_SPEC:
        spec.pop(unread, None)
    spec["template"] = _NEUTRAL_TEMPLATE
    status["conditions"] = [_condition(each) for each in status.get("conditions", ())]
    without_parameters = not spec.get("parameters")
    if without_parameters:
        spec["parameters"] = [_PLACEHOLDER]
    given = spec.get("objectives", [{}])
    if isinstance(given, list) and all(isinstance(each, dict) for each in given):
        spec["objectives"] = [{**_NEUTRAL_OBJECTIVE, **each} for each in given or [{}]]
    training = spec.setdefault("training", {})
    if isinstance(training, dict):
        spec["training"] = {"unit": "Step", **training}
        if spec["training"].get("max") is None:
            spec["training"]["max"] = _neutral_max(document, spec, trials)
    if len(spec["objectives"]) != 1:
        raise Refusal(f"{document.title}: spec.objectives must have exactly one entry for now")
    fields = {"metadata": metadata, "spec": spec, "status": status}
    study = _parse(Study, fields, document.title)
    if not without_parameters:
        return study
    return study.model_copy(update={"spec": study.spec.model_copy(update={"parameters": ()})})


def _condition(given: Any) -> Any:
    """A condition may be as short as `type: Finished, status: true`."""
    if not isinstance(given, dict):
        return given
    return {"reason": "NotSaid", **given, "status": str(given.get("status", "Unknown"))}


def _neutral_max(document: Document, spec: Fields, trials: Iterable[_Entry]) -> int:
    """Without a policy there is one milestone: where the records are."""
    policy = spec.get("policy") or {}
    if isinstance(policy, dict) and any(value is not None for value in policy.values()):
        raise Refusal(f"{document.title}: spec.training.max is missing; the policy's rungs need it")
    return max((record["at"] for each in trials for record in each.milestones), default=1)


def _parse(model: type[M], fields: Fields, title: str) -> M:
    try:
        return model.model_validate(_without_nulls(fields))
    except ValidationError as error:
        found = [_problem(each) for each in error.errors()]
        raise Refusal(
            "\n  ".join([f"{title}:", *found] if len(found) > 1 else [f"{title}: {found[0]}"])
        ) from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _problem(error: Any) -> str:
    """A pydantic error as a field and a sentence."""
    path = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{path.removeprefix('.')}: there is no such field"
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return f"{path.removeprefix('.')}: {message}, not {error['input']!r:.60}"
