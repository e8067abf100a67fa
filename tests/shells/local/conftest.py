"""Fixtures: an empty laptop."""

from pathlib import Path

import pytest

from tests.shells.local.laptop import Laptop


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)
