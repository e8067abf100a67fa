"""Claims about the picture in the documentation: it is the table."""

from pathlib import Path

import pytest

from scaletune.core.diagram import MEANINGS, inserted, mermaid, section
from scaletune.core.lifecycle import TRANSITIONS, Event

ARCHITECTURE = Path(__file__).parents[2] / "docs/architecture.md"


def test_the_documentation_shows_the_table_as_it_is() -> None:
    text = ARCHITECTURE.read_text()

    assert inserted(text) == text, "run `make diagram`"


def test_every_change_of_state_is_drawn_once() -> None:
    lines = mermaid().splitlines()
    for row in TRANSITIONS:
        drawn = [line for line in lines if line.strip().startswith(f"{row.state} --> {row.to}:")]
        assert len(drawn) == (row.state != row.to)


def test_every_event_is_explained() -> None:
    assert set(MEANINGS) == set(Event)


def test_inserting_twice_changes_nothing_more() -> None:
    text = f"before\n{section()}\nafter\n"

    assert inserted(text) == text


def test_a_document_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="add them where it goes"):
        inserted("no markers")
