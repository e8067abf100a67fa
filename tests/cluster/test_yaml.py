"""Our YAML reader and the real kubectl read the same text as the same values."""

import json
from typing import Any

import pytest

from scaletune.api import reader
from tests.api import scalars, studies
from tests.cluster.connection import Connection, Refused


def _kept(control_plane: Connection, text: str) -> Any:
    """What the server keeps of a value in the pod template, where everything is preserved."""
    study = studies.example(template={"pod": {"values": "HERE"}})
    manifest = reader.write(study).replace("values: HERE", f"values:\n{text}")
    words = ["create", "--dry-run=server", "-o", "json", "-f", "-"]
    kept = json.loads(control_plane.kubectl(*words, stdin=manifest))
    return kept["spec"]["template"]["pod"]["values"]


def test_the_table_of_scalars_is_what_kubectl_reads(
    control_plane: Connection, crds: list[str]
) -> None:
    texts = list(scalars.READ)

    kept = _kept(control_plane, "".join(f"        - {text}\n" for text in texts))

    for text, value, expected in zip(texts, kept, scalars.READ.values(), strict=True):
        if isinstance(expected, float):  # kubectl may print it without a point
            assert float(value) == expected, text
        else:
            assert (value, type(value)) == (expected, type(expected)), text


@pytest.mark.parametrize("text", scalars.REFUSED)
def test_what_the_reader_refuses_kubectl_refuses(
    text: str, control_plane: Connection, crds: list[str]
) -> None:
    with pytest.raises(Refused, match="YAML"):
        _kept(control_plane, f"        - {text}\n")


def test_what_the_writer_writes_kubectl_reads(control_plane: Connection, crds: list[str]) -> None:
    values = [
        *scalars.READ,
        1e-05,
        3.0e-4,
        1e22,
        0.1,
        5,
        -0.5,
        True,
        None,
        "",
        " a ",
        "a\nb\n",
        "é",
    ]
    written = reader.write({"values": values}).removeprefix("values:\n")
    indented = "".join(f"        {line}\n" for line in written.splitlines())

    assert _kept(control_plane, indented) == values
