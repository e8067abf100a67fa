"""Logs are one object a line, about somebody, and have tracebacks for bugs alone."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from scaletune.shells.kubernetes.process import logs
from scaletune.shells.kubernetes.process.logs import Format
from scaletune.shells.kubernetes.server.client import RefusedError

log = logging.getLogger("scaletune.test")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, each in levels.items():
        logging.getLogger(name).setLevel(each)


def _lines(form: Format, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(form, level, stream)
    return stream


def _only(stream: io.StringIO) -> Any:
    [line] = stream.getvalue().splitlines()
    return json.loads(line)


def test_a_line_says_when_how_bad_about_whom_and_what() -> None:
    stream = _lines(Format.JSON)

    log.info("started %s", "s-0001", extra={"namespace": "ml", "study": "s", "trial": "s-0001"})

    line = _only(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "scaletune.test",
        "message": "started s-0001",
        "namespace": "ml",
        "study": "s",
        "trial": "s-0001",
    }


def test_a_refusal_is_told_in_words_and_a_bug_with_its_traceback() -> None:
    refused, bug = _lines(Format.JSON), None
    try:
        raise RefusedError("POST jobs", 403, "Forbidden", "exceeded quota")
    except RefusedError:
        log.exception("failed")
    assert _only(refused)["message"] == "failed: POST jobs: 403 Forbidden: exceeded quota"
    assert "traceback" not in _only(refused)

    bug = _lines(Format.JSON)
    try:
        raise KeyError("a bug")
    except KeyError:
        log.exception("failed")
    assert "KeyError: 'a bug'" in _only(bug)["traceback"]


def test_lines_of_kopf_look_like_ours() -> None:
    stream = _lines(Format.JSON)

    logging.getLogger("kopf.objects").info("a line for each object is left out")
    logging.getLogger("kopf.reactor").warning("not this one")

    assert _only(stream)["message"] == "not this one"


def test_people_read_text_which_begins_with_what_it_is_about() -> None:
    stream = _lines(Format.TEXT, "warning")

    log.info("not at this level")
    log.warning("failed", extra={"namespace": "ml", "study": "s"})

    [line] = stream.getvalue().splitlines()
    assert line.endswith("WARNING ml/s: failed")
