"""`scaletune operate`: the operator from the command line."""

from pathlib import Path

from tests.cli.command import scaletune


def test_operate_without_a_cluster_says_what_to_set_and_starts_nothing(tmp_path: Path) -> None:
    done = scaletune("operate", environment={"KUBECONFIG": str(tmp_path / "none")})

    assert done.returncode == 2
    assert "no cluster to serve" in done.stderr
    assert "Set KUBECONFIG" in done.stderr
