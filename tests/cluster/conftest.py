"""Fixtures for tests on a real Kubernetes: one cluster for the whole run.

- `control_plane`: an API server with its controllers; no pod runs. Cheap.
- `cluster`: the same one, with a node on which pods run.
- `two_nodes`: the same one, with a second node.
- `namespace`: a new namespace under the restricted level of pod security, deleted afterwards.
- `crds`: our resource definitions are applied and served.
- `checkpoints`: a folder that pods may write to and the test may look into.
- `operator_image`: the operator's image is built and on every node.
- `operator`: one runs for the namespace, whose claims are bound.
- `release`: the chart can be installed in the namespace; it is uninstalled afterwards.
- `prometheus`: a real one, which scrapes the trials of the namespace every second.

- `own_clusters`: not a cluster, but leave to start some, for tests of the cluster itself.

A test that asks for one of these is marked `cluster`. Where something is missing such tests
are skipped and the end of the run says what to do about it; with CI=true they fail instead.
"""

import contextlib
import os
import secrets
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import mounts, operators_image, resources, signals
from tests.cluster.connection import Connection
from tests.cluster.daemons import Progress
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator
from tests.cluster.prometheus import Prometheus, trials
from tests.cluster.releases import Release
from tests.cluster.standing import VARIABLE, Standing

FIXTURES = {"cluster", "control_plane", "own_clusters", "two_nodes"}
_STANDING = pytest.StashKey[Standing]()
_IS_FAILED = pytest.StashKey[bool]()
_IS_PARTIAL = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    signals.end_as_if_interrupted()
    config.stash[_STANDING] = Standing(_progress(config))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("cluster")
    # What all the others did is judged at the end.
    items.sort(key=lambda item: item.path.name == "test_rights.py")


@pytest.hookimpl(trylast=True)
def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.config.stash[_IS_PARTIAL] = True


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build now what is not there yet: no test's time-out should pay for it."""
    is_needed = any(item.get_closest_marker("cluster") for item in session.items)
    if is_needed and not session.config.option.collectonly:
        session.config.stash[_STANDING].prepare()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and item.get_closest_marker("cluster"):
        item.config.stash[_IS_FAILED] = True
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    missing = config.stash[_STANDING].missing
    if missing:
        terminalreporter.section("tests on a real Kubernetes did not run")
        for remedy in missing.remedies:
            terminalreporter.line(remedy)


def _progress(config: pytest.Config) -> Progress:
    """Lines that are seen while they are true, past the capturing of what tests print."""

    def say(line: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        capture = config.pluginmanager.get_plugin("capturemanager")
        is_shown = capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()
        with is_shown:
            if reporter is None:
                sys.stderr.write(f"cluster: {line}\n")
            else:
                reporter.ensure_newline()
                reporter.write_line(f"cluster: {line}")

    return say


@pytest.fixture(scope="session")
def standing(pytestconfig: pytest.Config) -> Iterator[Standing]:
    """The session's cluster, not yet started; for tests that need its inside."""
    one = pytestconfig.stash[_STANDING]
    if one.missing and os.environ.get("CI"):
        pytest.fail(f"With CI set nothing may be missing. {one.missing}", pytrace=False)
    if one.missing:
        pytest.skip(str(one.missing))
    yield one
    one.stop(is_to_keep_logs=pytestconfig.stash.get(_IS_FAILED, False))


@pytest.fixture(scope="session")
def control_plane(standing: Standing) -> Connection:
    return standing.control_plane()


@pytest.fixture(scope="session")
def cluster(standing: Standing) -> Connection:
    return standing.nodes()


@pytest.fixture(scope="session")
def two_nodes(standing: Standing) -> Connection:
    return standing.nodes(2)


@pytest.fixture(scope="session")
def own_clusters(standing: Standing) -> None:
    if standing.is_given:
        pytest.skip(f"{VARIABLE} is set, so no cluster is started")


@pytest.fixture(scope="session")
def is_whole_run(request: pytest.FixtureRequest) -> bool:
    """Whether every test of this folder was asked for."""
    asked_for = {item.path for item in request.session.items}
    is_partial = request.config.stash.get(_IS_PARTIAL, False)
    return not is_partial and set(Path(__file__).parent.glob("test_*.py")) <= asked_for


@pytest.fixture(scope="session")
def crds(control_plane: Connection) -> list[str]:
    """The names of our resource definitions, applied and served."""
    return resources.apply(control_plane)


@pytest.fixture(scope="session")
def operator_image(
    standing: Standing,
    own_clusters: None,
    cluster: Connection,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The image of the sources as they are, as an archive."""
    archive = tmp_path_factory.mktemp("image") / "operator.tar"
    operators_image.build(archive, standing.progress)
    for node in standing.own().nodes:
        node.load(archive)
    return archive


@pytest.fixture
def namespace(
    control_plane: Connection, standing: Standing, request: pytest.FixtureRequest
) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    standing.tests[name] = request.node.name
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    control_plane.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    # Bare pods are refused until this account exists; the controller makes it within moments, but
    # looks for an API server that a test has taken away only every half a minute.
    created = ["--for=create", "--timeout=100s"]
    control_plane.kubectl("wait", "-n", name, "serviceaccount/default", *created)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")
    mounts.release(control_plane, name)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Mount:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    # Pods write to it as somebody else; the folders above it are closed to others.
    folder.chmod(0o777)
    return Mount("checkpoints", folder, "/mnt/checkpoints", is_writable=True)


@pytest.fixture
def operator(
    cluster: Connection, crds: list[str], namespace: str, checkpoints: Mount, tmp_path: Path
) -> Iterator[Operator]:
    """One that serves the namespace, whose trials find their folders."""
    cluster.apply(*mounts.claims(namespace, [checkpoints, *mounts.PYTHON]))
    bound = "--for=jsonpath={.status.phase}=Bound"
    cluster.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")
    with Operator(cluster, namespace, tmp_path) as running:
        yield running


@pytest.fixture
def release(
    cluster: Connection,
    standing: Standing,
    crds: list[str],
    operator_image: Path,
    namespace: str,
    checkpoints: Mount,
) -> Iterator[Release]:
    cluster.apply(*mounts.claims(namespace, [checkpoints, *mounts.PYTHON]))
    bound = "--for=jsonpath={.status.phase}=Bound"
    cluster.kubectl("wait", "-n", namespace, "pvc", "--all", bound, "--timeout=60s")
    made = Release(cluster, namespace)
    yield made
    standing.deprive(namespace)  # its rights go with it, while it gives up its Lease
    made.helm("uninstall", "--ignore-not-found", "--wait")


@pytest.fixture
def prometheus(cluster: Connection, namespace: str, tmp_path: Path) -> Iterator[Prometheus]:
    with Prometheus(tmp_path / "prometheus", [trials(cluster, namespace)]) as running:
        yield running
