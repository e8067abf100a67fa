"""What a machine lacks for a test cluster is told with its remedy."""

import pytest

from tests.cluster import prerequisites
from tests.cluster.faults import Missing


def test_programs_that_are_installed_but_not_on_the_path_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prerequisites, "PACKAGES", {"everything": "/bin/sh"})
    monkeypatch.setenv("PATH", "/nowhere")

    assert "The system's programs are not found: add /usr/sbin:/sbin to PATH." in (
        prerequisites.lacking()
    )


def test_missing_packages_are_told_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packages = {"present": "sh", "absent": "no-such-program", "empty": "/no/such/file"}
    monkeypatch.setattr(prerequisites, "PACKAGES", packages)

    with pytest.raises(Missing) as missing:
        prerequisites.demand()

    expected = "missing: absent empty. Install them as root with `make cluster-tools`."
    assert any(remedy.endswith(expected) for remedy in missing.value.remedies)
