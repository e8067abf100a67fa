"""The same Study comes to the same decisions on a cluster, on a laptop, in virtual time, replayed.

And what is stored on a cluster is read from the command line as the folder of a run is.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from scaletune.api.record import Evidence
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.shells.simulate.faults import Circumstances
from scaletune.shells.simulate.simulation import Setting, simulate
from tests.cli.command import scaletune
from tests.cluster import mounts, studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until
from tests.cluster.standing import Standing
from tests.shells.local.laptop import Laptop

Json = dict[str, Any]
POLICIES: dict[str, Json] = {
    "promote": {"asha": {"eta": 2, "min": 1, "mode": "Promote"}},
    "stop": {"asha": {"eta": 2, "min": 1, "mode": "Stop"}},
    "halving": {"successiveHalving": {"eta": 2, "min": 1}},
    "hyperband": {"hyperband": {"eta": 2, "min": 1}},
    "carbs": {"carbs": {}},
}
CONFIRMED: Json = {
    "parameters": [{"name": "x", "float": {"min": 0.0, "max": 1.0, "center": 0.8}}],
    "confirm": {"top": 1, "repeats": 1},
}
PATIENCE = 240


@pytest.fixture
def operator(
    cluster: Connection, crds: list[str], namespace: str, checkpoints: Mount, tmp_path: Path
) -> Iterator[Operator]:
    cluster.apply(*mounts.claims(namespace, [checkpoints, *mounts.PYTHON]))
    with Operator(cluster, namespace, tmp_path) as running:
        yield running


def _spec(policy: str, **more: Any) -> Json:
    training = {"unit": "Step", "max": 4}
    return {"policy": POLICIES[policy], "training": training, "budget": {"trials": 5}, **more}


def _decisions(trials: Sequence[Trial]) -> list[Json]:
    """Every decision that is stored, in the form of `scaletune replay`."""
    found = []
    for trial in trials:
        for record in trial.status.milestones:
            found.append(_said(trial, record.at, record.number, record.decision, record.evidence))
            if record.promotion is not None:
                number, evidence = record.promotion.number, record.promotion.evidence
                found.append(_said(trial, record.at, number, "Promote", evidence))
    return _in_order(found)


def _in_order(decisions: Sequence[Json]) -> list[Json]:
    """Those that rest on the same records, such as two promotions, by the index of their trial."""
    return sorted(
        decisions,
        key=lambda made: (made["number"], made["decision"] == "Promote", made["trial"]),
    )


def _said(trial: Trial, at: int, number: int, word: str | None, why: Evidence | None) -> Json:
    return {
        "number": number,
        "trial": trial.index,
        "milestone": at,
        "decision": word,
        "evidence": (why or Evidence()).model_dump(),
    }


def _values(trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    return [
        (trial.spec.parameters, trial.status.state, [(m.at, m.value) for m in milestones])
        for trial in trials
        for milestones in [trial.status.milestones]
    ]


def _confirmed(study: Study) -> list[tuple[Any, ...]]:
    """The configurations that were trained again; their names are the study's."""
    found = study.status.confirmation
    rows = () if found is None else found.configurations
    return [(each.index, each.role, each.screened, each.mean, each.standing) for each in rows]


@pytest.mark.slow
def test_what_the_cluster_decided_replays_number_by_number(
    cluster: Connection, namespace: str, operator: Operator, tmp_path: Path
) -> None:
    for policy in POLICIES:
        spec = _spec(policy, parallelism=2, checkpoints=studies.claim())
        cluster.apply(studies.study(namespace, policy, **spec))
    # A pause in the middle keeps places from those who would be promoted meanwhile.
    wait_until(
        "somebody was compared",
        lambda: studies.stored(cluster, namespace, "promote")[0].status.highest_number >= 2,
        PATIENCE,
    )
    _wish(cluster, namespace, "promote", "Paused")
    wait_until(
        "all has left",
        lambda: studies.stored(cluster, namespace, "promote")[0].status.running == 0,
        PATIENCE,
    )
    _wish(cluster, namespace, "promote", "Running")

    for policy in POLICIES:
        _, trials = studies.wait_for_end(cluster, namespace, policy, PATIENCE)
        ledger, study = tmp_path / f"{policy}.jsonl", tmp_path / f"{policy}.yaml"
        ledger.write_text(_asked(cluster, "ledger", f"study/{policy}", "-n", namespace))
        study.write_text(cluster.kubectl("get", "study", policy, "-n", namespace, "-o", "yaml"))
        replayed = scaletune("replay", study, ledger, "--output", "json")

        assert replayed.returncode == 0, replayed.stderr
        decisions = json.loads(replayed.stdout)["decisions"]
        assert _in_order(decisions) == _decisions(trials), policy
        assert len(trials) == 5


@pytest.mark.slow
def test_one_trial_after_the_other_all_shells_do_the_same(
    cluster: Connection, namespace: str, operator: Operator, tmp_path: Path
) -> None:
    alike = {"promote": CONFIRMED, "hyperband": {}}
    for policy, more in alike.items():
        spec = _spec(policy, checkpoints=studies.claim(), **more)
        cluster.apply(studies.study(namespace, policy, **spec))
    for policy, more in alike.items():
        laptop = Laptop(tmp_path / policy)
        laptop.home.mkdir()
        laptop.write_study(**_spec(policy, **more))
        locally = laptop.run()
        simulated = simulate(Setting(laptop.study, _objective, Circumstances()), seed=0)
        study, trials = studies.wait_for_end(cluster, namespace, policy, PATIENCE)

        assert locally.returncode == 0, locally.stdout + locally.stderr
        assert _decisions(trials) == _decisions(laptop.trials)
        assert _decisions(trials) == _decisions(list(simulated.trials.values()))
        assert _values(trials) == _values(laptop.trials)
        assert _confirmed(study) == _confirmed(laptop.study) == _confirmed(simulated.study)
        assert len(_confirmed(study)) == (2 if more else 0)


def _objective(
    parameters: Json, start: int, until: int, seed: int, state: Any = None
) -> dict[str, Any]:
    """What the torch-free script reports."""
    return {"value": (parameters["x"] - 0.3) ** 2 + 1 / until, "seconds": until - start}


def test_the_command_line_reads_a_cluster_as_it_reads_a_folder(
    cluster: Connection, standing: Standing, namespace: str, operator: Operator, tmp_path: Path
) -> None:
    command = [*studies.QUADRATIC, "--fail", "2"]
    spec = _spec("promote", budget={"trials": 1}, checkpoints=studies.claim())
    cluster.apply(studies.study(namespace, "broken", command, **spec))
    studies.wait_for_end(cluster, namespace, "broken", PATIENCE)

    status = _asked(cluster, "status", "study/broken", "-n", namespace)
    explained = _asked(cluster, "explain", "trial/broken-0000", "-n", namespace)
    log = _asked(cluster, "logs", "trial/broken-0000", "-n", namespace, "--follow")
    plugin = _as_plugin(cluster, tmp_path, "status", "broken", "-n", namespace)

    assert "loss 1." in status
    assert "Pause: ranked 1 of 1 at step 1" in explained
    assert f"scaletune logs trial/broken-0000 -n {namespace} --attempt 2" in explained
    assert "asked to fail at step 2" in log
    assert plugin == status
    for words, remedy in [
        (("status", "study/other"), "there are broken"),
        (("logs", "trial/broken-0000", "--attempt", "9"), "there is no log of attempt 9"),
        (("explain", "trial/broken-0007"), "trials are broken-0000"),
    ]:
        assert remedy in _refused(cluster.kubeconfig, *words, "-n", namespace)
    (limited,) = tmp_path.glob("*.kubeconfig")  # the operator's, which may look into its own alone
    standing.deprive(namespace)
    assert "you may not read it" in _refused(limited, "status", "study/x", "-n", "default")


def _wish(cluster: Connection, namespace: str, name: str, state: str) -> None:
    patch = json.dumps({"spec": {"state": state}})
    cluster.kubectl("patch", "study", name, "-n", namespace, "--type=merge", "-p", patch)


def _asked(cluster: Connection, *words: str) -> str:
    done = scaletune(*words, environment={"KUBECONFIG": str(cluster.kubeconfig)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def _refused(kubeconfig: Path, *words: str) -> str:
    done = scaletune(*words, environment={"KUBECONFIG": str(kubeconfig)})
    assert done.returncode == 2, done.stdout
    return done.stderr


def _as_plugin(cluster: Connection, folder: Path, *words: str) -> str:
    """What the real kubectl prints with our plugin on its path, as pip installs it."""
    plugin = folder / "kubectl-scaletune"
    plugin.write_text(f"#!{sys.executable}\nfrom scaletune.cli import main\nmain()\n")
    plugin.chmod(0o755)
    environment = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "PATH": f"{folder}:{os.environ['PATH']}",
    }
    command = [str(cluster.program), "scaletune", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
