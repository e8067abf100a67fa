"""People change their minds while a study runs: pause, go on, scale, more budget, another template.

Each wish is honoured on real pods, and nothing that a trainer reported is lost or trained twice.
"""

import json
from typing import Any

import pytest

from scaletune.api.conditions import FINISHED, Condition, condition
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune_trainer import wire
from tests.cluster import studies
from tests.cluster.connection import Connection
from tests.cluster.mounts import Mount
from tests.cluster.operators import Operator, wait_until

STEPS = 80
PATIENCE = 120


class Watched:
    """One Study on the cluster, and what a person does to it."""

    def __init__(self, cluster: Connection, namespace: str, name: str) -> None:
        self.cluster, self.namespace, self.name = cluster, namespace, name

    def wish(self, **spec: Any) -> None:
        words = ["patch", "study", self.name, "-n", self.namespace, "--type=merge", "-p"]
        self.cluster.kubectl(*words, json.dumps({"spec": spec}))

    def scale(self, places: int) -> None:
        words = ["scale", f"study/{self.name}", "-n", self.namespace, f"--replicas={places}"]
        self.cluster.kubectl(*words)

    @property
    def study(self) -> Study:
        return studies.stored(self.cluster, self.namespace, self.name)[0]

    @property
    def trials(self) -> list[Trial]:
        return studies.stored(self.cluster, self.namespace, self.name)[1]

    @property
    def finished(self) -> Condition:
        found = condition(self.study.status.conditions, FINISHED)
        assert found is not None
        return found

    def states(self) -> list[str | None]:
        return [trial.status.state for trial in self.trials]

    def is_finished(self, reason: str) -> bool:
        return (self.finished.status, self.finished.reason) == ("True", reason)

    def is_answered(self) -> bool:
        """Whether the status answers the latest spec."""
        return self.study.status.observed_generation == self.study.metadata.generation

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.cluster.get("pods", "-n", self.namespace)["items"]
        return found

    def events(self) -> list[str]:
        """The reasons of the Events about the Study."""
        chosen = f"involvedObject.name={self.name}"
        words = ["events", "-n", self.namespace, "--field-selector", chosen]
        return [each["reason"] for each in self.cluster.get(*words)["items"]]


@pytest.fixture
def watched(cluster: Connection, namespace: str, operator: Operator) -> Watched:
    """Two of three trials train in full, some twenty seconds each."""
    made = studies.study(
        namespace,
        "minds",
        [*studies.QUADRATIC, "--sleep", "0.25", "--every-step"],
        parallelism=2,
        training={"unit": "Step", "max": STEPS},
        budget={"trials": 3},
        checkpoints=studies.claim(),
    )
    cluster.apply(made)
    one = Watched(cluster, namespace, "minds")
    wait_until("two train", lambda: one.states() == ["Running", "Running"], PATIENCE)
    return one


def _lives(checkpoints: Mount, study: Study, trial: Trial) -> list[list[int]]:
    """The steps that each attempt of a trial reported, in the order of its journal."""
    lives = []
    for attempt in trial.status.attempts:
        folder = checkpoints.folder / study.metadata.uid / trial.metadata.name / attempt.incarnation
        journal = wire.journal_path(folder)
        entries = wire.entries_of(journal.read_text()) if journal.exists() else []
        lives.append([each.step for each in entries if isinstance(each, wire.ReportEntry)])
    return lives


@pytest.mark.slow
def test_people_may_change_their_minds_at_any_time_and_nothing_is_lost(
    watched: Watched, checkpoints: Mount, operator: Operator
) -> None:
    wait_until(
        "both have come some way",
        lambda: all(
            len(_lives(checkpoints, watched.study, trial)[0]) > 3 for trial in watched.trials
        ),
        PATIENCE,
    )
    _pause_edit_and_go_on(watched)
    _pause_and_go_on_at_once(watched)
    wait_until("all is trained", lambda: watched.is_finished("Completed"), PATIENCE)

    for trial in watched.trials:
        # The curve continues: each life begins where the checkpoint of the one before was.
        steps = [step for life in _lives(checkpoints, watched.study, trial) for step in life]
        assert steps == list(range(1, STEPS + 1))
        assert (trial.status.state, trial.status.crashes) == ("Completed", 0)
    _edit_what_has_ended(watched)
    _delete_a_trial_and_go_on(watched)
    _stop_and_start_again(watched)
    assert operator.complaints() == []


def _pause_edit_and_go_on(watched: Watched) -> None:
    """Paused, the pods go; what goes on does so under the new template, in as many places."""
    watched.wish(state="Paused")
    wait_until("no pod is left", lambda: not watched.pods(), PATIENCE)
    wait_until("both are paused", lambda: watched.states() == ["Paused", "Paused"], PATIENCE)
    assert all(trial.status.checkpoint is not None for trial in watched.trials)
    assert (watched.finished.status, watched.finished.reason) == ("False", "Paused")

    watched.scale(1)
    watched.wish(template={"stallSeconds": 900})
    watched.wish(template={"pod": {"metadata": {"labels": {"edited": "yes"}}}})
    watched.wish(state="Running")
    wait_until("one goes on", lambda: "Running" in watched.states(), PATIENCE)
    assert sorted(map(str, watched.states())) == ["Paused", "Running"]
    [pod] = watched.pods()
    assert pod["metadata"]["labels"]["edited"] == "yes"
    hashes = [trial.status.attempts[-1].template_hash for trial in watched.trials]
    assert len(set(hashes)) == 2

    watched.scale(2)
    wait_until("both go on", lambda: watched.states()[:2] == ["Running", "Running"], PATIENCE)


def _pause_and_go_on_at_once(watched: Watched) -> None:
    """The wish comes twice, and changes while the trials leave."""
    watched.wish(state="Paused")
    watched.wish(state="Running")
    watched.wish(state="Paused")
    leaving = {trial.index for trial in watched.trials if trial.spec.state == "Paused"}
    watched.wish(state="Running")
    wait_until(
        "all go on",
        lambda: all(trial.spec.state == "Running" for trial in watched.trials),
        PATIENCE,
    )
    assert leaving <= {trial.index for trial in watched.trials}


def _edit_what_has_ended(watched: Watched) -> None:
    """An edit that gives it nothing to do leaves a finished study finished all along."""
    before = watched.finished
    watched.scale(3)
    wait_until("the edit is answered", watched.is_answered, PATIENCE)
    after = watched.finished
    assert (after.status, after.reason) == ("True", "Completed")
    assert after.last_transition_time == before.last_transition_time
    assert watched.events().count("InProgress") == watched.events().count("Paused")


def _delete_a_trial_and_go_on(watched: Watched) -> None:
    """Its cost is not refunded, and its index is not given again."""
    gone = watched.trials[0]
    spent = watched.study.status.spent_seconds
    watched.cluster.kubectl("delete", "trial", gone.metadata.name, "-n", watched.namespace)
    wait_until("the sum is kept", lambda: watched.study.status.reports == 1, PATIENCE)
    status = watched.study.status
    assert status.device_seconds == pytest.approx(gone.status.device_seconds)
    assert status.spent_seconds == pytest.approx(spent)

    watched.wish(budget={"trials": 4})
    wait_until("a fourth trains", lambda: watched.states()[-1] == "Running", PATIENCE)
    assert [trial.index for trial in watched.trials] == [1, 2, 3]
    assert watched.finished.status == "False"


def _stop_and_start_again(watched: Watched) -> None:
    """A stopped trial is stopped for ever; a study that is told to run makes new ones."""
    watched.wish(state="Stopped")
    wait_until("all has stopped", lambda: watched.is_finished("Stopped"), PATIENCE)
    assert watched.states() == ["Completed", "Completed", "Stopped"]
    wait_until("no pod is left", lambda: not watched.pods(), PATIENCE)

    watched.wish(state="Running", budget={"trials": 5})
    wait_until("all is trained", lambda: watched.is_finished("Completed"), PATIENCE)
    assert watched.states() == ["Completed", "Completed", "Stopped", "Completed"]
    assert {"Paused", "InProgress", "Completed", "Stopped"} <= set(watched.events())
