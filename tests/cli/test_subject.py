"""Claims about what `status`, `explain`, `logs` and `ledger` are asked about."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scaletune.cli.refusal import Refusal
from scaletune.cli.subject import Cluster, Subject, subject_of
from tests.cli.command import scaletune

HERE = Cluster()
ALWAYS = Cluster(always=True)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run of the study `gpt`, below the current directory."""
    folder = tmp_path / "runs" / "gpt"
    folder.mkdir(parents=True)
    (folder / "study.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return Path("runs/gpt")


def test_a_study_or_trial_is_looked_for_in_runs_and_then_on_the_cluster(run: Path) -> None:
    assert subject_of(["study/gpt"], HERE, "study") == Subject("study", "gpt", run)
    assert subject_of(["trial/gpt-0003"], HERE, "trial") == Subject("trial", "gpt-0003", run)
    assert subject_of(["sty/other"], HERE, "study") == Subject("study", "other")
    assert subject_of(["trials/other-0003"], HERE, "trial") == Subject("trial", "other-0003")


def test_a_folder_is_the_latest_run_unless_it_is_given(run: Path) -> None:
    assert subject_of([], HERE, "study") == Subject("study", None, run)
    assert subject_of(["study"], HERE, "trial") == Subject("study", None, run)
    assert subject_of(["7"], HERE, "trial") == Subject("trial", "7", run)
    assert subject_of(["elsewhere"], HERE, "study") == Subject("study", None, Path("elsewhere"))
    assert subject_of(["elsewhere", "trial/gpt-0003"], HERE, "trial") == Subject(
        "trial", "gpt-0003", Path("elsewhere")
    )


def test_with_a_namespace_or_as_a_plugin_it_is_the_cluster(run: Path) -> None:
    for cluster in (ALWAYS, Cluster(namespace="ml"), Cluster(context="far")):
        assert subject_of([], cluster, "study") == Subject("study", None)
        assert subject_of(["gpt"], cluster, "trial") == Subject("study", "gpt")
        assert subject_of(["gpt-0003"], cluster, "study") == Subject("trial", "gpt-0003")
        with pytest.raises(Refusal, match="on a cluster there are no directories"):
            subject_of(["runs/gpt", "study/gpt"], cluster, "study")


def _kubeconfig(folder: Path, port: int) -> Path:
    path = folder / f"{port}.kubeconfig"
    path.write_text(
        "{kind: Config, apiVersion: v1, current-context: c,"
        f" clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}],"
        " contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {}}]}"
    )
    return path


def test_a_cluster_that_knows_no_studies_is_told_how_to(tmp_path: Path) -> None:
    """As an API server answers where nobody has installed the resource definitions."""
    with ThreadingHTTPServer(("127.0.0.1", 0), NothingHere) as server:
        threading.Thread(target=server.serve_forever).start()
        config = str(_kubeconfig(tmp_path, server.server_port))
        done = scaletune("status", "study/gpt", environment={"KUBECONFIG": config})
        server.shutdown()

    assert done.returncode == 2
    assert "helm install scaletune helm/scaletune" in done.stderr


class NothingHere(BaseHTTPRequestHandler):
    """What an API server says of resources that it does not know."""

    def do_GET(self) -> None:
        body = b"404 page not found\n"
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nobody listens."""


def test_a_cluster_that_cannot_be_reached_is_an_answer_of_one_line(tmp_path: Path) -> None:
    kubeconfig = _kubeconfig(tmp_path, 1)

    refused = scaletune("status", "study/gpt", environment={"KUBECONFIG": str(kubeconfig)})
    absent = scaletune("status", "study/gpt", environment={"KUBECONFIG": str(tmp_path / "none")})

    assert (refused.returncode, absent.returncode) == (2, 2)
    assert "the API server does not answer" in refused.stderr
    assert "Set KUBECONFIG or --context, or give the folder of a run" in absent.stderr
    assert "Traceback" not in refused.stderr + absent.stderr
