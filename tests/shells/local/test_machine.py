"""What of a pod template a laptop uses: command, environment, working directory."""

from pathlib import Path
from typing import Any

import pytest

from scaletune.api.study import Study
from scaletune.shells.local.machine import Container, UnrunnableError, environment


def container_of(folder: Path, nodes: int = 1, **container: Any) -> Container:
    spec = {
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": [{"name": "x", "float": {"min": 0, "max": 1}}],
        "training": {"unit": "Step", "max": 4},
        "template": {
            "nodes": nodes,
            "pod": {"spec": {"containers": [{"name": "trainer", **container}]}},
        },
    }
    study = Study.model_validate({"metadata": {"name": "s"}, "spec": spec})
    return Container.of(study, folder)


def test_variables_are_expanded_as_the_kubelet_does(tmp_path: Path) -> None:
    found = container_of(
        tmp_path,
        command=["sh", "$(DATA)/train", "$(params.x)", "$$(DATA)", "$(UNKNOWN)"],
        args=["--more"],
        env=[{"name": "ROOT", "value": "/d"}, {"name": "DATA", "value": "$(ROOT)/set"}],
    )

    assert found.command == (
        *("sh", "/d/set/train", "$(params.x)", "$(DATA)", "$(UNKNOWN)"),
        "--more",
    )
    assert environment(found, 1, 1)["DATA"] == "/d/set"


def test_a_secret_must_be_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = [{"name": "TOKEN_X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]

    with pytest.raises(UnrunnableError, match="set TOKEN_X in the environment"):
        container_of(tmp_path, command=["true"], env=env)

    monkeypatch.setenv("TOKEN_X", "secret")

    assert (
        environment(container_of(tmp_path, command=["true"], env=env), 1, 1)["TOKEN_X"] == "secret"
    )


def test_without_a_command_there_is_nothing_to_start(tmp_path: Path) -> None:
    with pytest.raises(UnrunnableError, match="has no command"):
        container_of(tmp_path, image="example/trainer:1")


def test_a_trial_of_several_nodes_needs_a_cluster_or_is_made_smaller(tmp_path: Path) -> None:
    with pytest.raises(UnrunnableError, match=r"nodes is 2.* a cluster .*--set template\.nodes=1"):
        container_of(tmp_path, nodes=2, command=["true"])


def test_a_working_directory_that_only_the_image_has_gives_way_to_the_study_s(
    tmp_path: Path,
) -> None:
    (tmp_path / "inside").mkdir()

    image = container_of(tmp_path, command=["true"], workingDir="/only/in/the/image")
    here = container_of(tmp_path, command=["true"], workingDir="inside")

    assert image.working_directory == tmp_path
    assert here.working_directory == tmp_path / "inside"


def test_what_an_outer_trial_was_told_does_not_reach_an_inner_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SCALETUNE_TRIAL", "PET_NNODES", "RANK"):
        monkeypatch.setenv(name, "outer")

    variables = environment(container_of(tmp_path, command=["true"]), 1, 1)

    assert not {"SCALETUNE_TRIAL", "PET_NNODES", "RANK"} & set(variables)
