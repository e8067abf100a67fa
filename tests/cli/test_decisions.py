"""`scaletune plan` and `scaletune replay` on tables that were worked out by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import scaletune, scaletune_json

Value = float | str


def study(mode: str, eta: int, most: int = 9, goal: str = "Minimize", **spec: Any) -> str:
    document = {
        "apiVersion": "scaletune.dev/v1alpha1",
        "kind": "Study",
        "metadata": {"name": "table"},
        "spec": {
            "objectives": [{"metric": "loss", "goal": goal}],
            "parameters": [{"name": "x", "float": {"min": 0, "max": 1}}],
            "training": {"unit": "Step", "max": most},
            "policy": {"asha": {"eta": eta, "min": 1, "mode": mode}},
            **spec,
        },
    }
    return json.dumps(document)


def ledger(*reports: tuple[int, int, Value]) -> str:
    """One snapshot each."""
    lines = [
        {"at": at, "trial": trial, "step": step, "value": value}
        for at, (trial, step, value) in enumerate(reports)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def replayed(tmp_path: Path) -> Any:
    def run(study_text: str, ledger_text: str) -> list[dict[str, Any]]:
        (tmp_path / "study.yaml").write_text(study_text)
        (tmp_path / "ledger.jsonl").write_text(ledger_text)
        done = scaletune_json("replay", tmp_path / "study.yaml", tmp_path / "ledger.jsonl")
        decisions: list[dict[str, Any]] = done["decisions"]
        return decisions

    return run


def words(decisions: list[dict[str, Any]]) -> str:
    return " ".join(each["decision"][0] for each in decisions)


def test_the_table_of_asha_stopping(replayed: Any) -> None:
    values = [0.5, 0.4, 0.6, 0.3, 0.45, 0.35, 0.2, 0.55]

    made = replayed(study("Stop", 3), ledger(*((i, 1, v) for i, v in enumerate(values))))

    assert words(made) == "C C S C S C C S"
    evidence = [(each["evidence"]["n"], each["evidence"]["rank"]) for each in made]
    assert evidence == [(1, 0), (2, 0), (3, 2), (4, 0), (5, 2), (6, 1), (7, 0), (8, 6)]


def test_a_failed_configuration_counts_in_its_rung(replayed: Any) -> None:
    values: list[Value] = ["NaN", 0.9, 0.8, 0.85, "NaN", 0.79]

    made = replayed(study("Stop", 2), ledger(*((i, 1, v) for i, v in enumerate(values))))

    assert words(made) == "S C C C S C"


def test_ties_go_to_the_lower_index(replayed: Any) -> None:
    made = replayed(study("Stop", 2), ledger(*((i, 1, 1.0) for i in (3, 1, 2, 0))))

    assert words(made) == "C C S C"


def test_the_table_of_asha_maximising(replayed: Any) -> None:
    values = [0.5, 0.7, 0.6, 0.7, 0.9, 0.1, 0.71, 0.8]

    text = ledger(*((i, 1, v) for i, v in enumerate(values)))
    made = replayed(study("Stop", 4, goal="Maximize"), text)

    assert words(made) == "C C S S C S S C"


def test_records_above_a_stop_are_void(replayed: Any) -> None:
    reports = [(0, 1, 0.1), (1, 2, 0.5), (2, 2, 0.05), (3, 2, 0.6), (0, 2, 0.1)]

    made = replayed(study("Stop", 2, most=4), ledger(*reports))

    assert [(each["trial"], each["milestone"], each["decision"]) for each in made] == [
        (0, 1, "Continue"),
        (1, 1, "Stop"),
        (1, 2, "Void"),
        (2, 1, "Continue"),
        (2, 2, "Continue"),
        (3, 1, "Stop"),
        (3, 2, "Void"),
        (0, 2, "Stop"),
    ]
    assert made[-1]["evidence"] == {"n": 2, "rank": 1, "quota": 1, "against": 2}


def snapshot(mode_eta: tuple[str, int], rungs: list[dict[int, Value]], **spec: Any) -> str:
    """A snapshot whose records have no numbers, decided as in Promote mode."""
    levels: list[int] = [1, 3, 9]
    trials: list[dict[str, Any]] = []
    for index in sorted({index for rung in rungs for index in rung}):
        milestones: list[dict[str, Any]] = [
            {"at": level, "value": rung[index], "decision": "Pause", "evidence": {}}
            for level, rung in zip(levels, rungs, strict=False)
            if index in rung
        ]
        metadata = {"name": f"table-{index:04d}"}
        trials.append({"kind": "Trial", "metadata": metadata, "status": {"milestones": milestones}})
    return json.dumps({"kind": "List", "items": [json.loads(study(*mode_eta, **spec)), *trials]})


RUNG = {0: 0.5, 1: 0.4, 2: 0.6, 3: 0.3, 4: 0.45, 5: 0.35}


@pytest.mark.parametrize(
    ("rungs", "eta", "promoted"),
    [
        pytest.param([RUNG], 3, [(3, 3), (5, 3)], id="two of six"),
        pytest.param(
            [{**RUNG, 6: 0.2, 7: 0.1, 8: 0.9}, {3: 0.25, 5: 0.31, 6: 0.11}],
            3,
            [(6, 9), (7, 3)],
            id="the highest rung first",
        ),
        pytest.param(
            [{0: "NaN", 1: 0.4, 2: "NaN", 3: "NaN"}], 2, [(1, 2)], id="only what is finite"
        ),
        pytest.param([{0: 0.1, 1: 0.2}], 3, [], id="fewer than eta"),
    ],
)
def test_the_table_of_asha_promotion(
    tmp_path: Path, rungs: list[dict[int, Value]], eta: int, promoted: list[tuple[int, int]]
) -> None:
    file = tmp_path / "snapshot.yaml"
    file.write_text(snapshot(("Promote", eta), rungs, parallelism=8, budget={"trials": 27}))

    made = scaletune_json("plan", "-f", file, "--now", "0")

    resumed = [each for each in made["actions"] if each["action"] == "Resume"]
    assert [(each["trial"], each["until"]) for each in resumed] == promoted
    assert [each["trial"] for each in made["decisions"] if each["decision"] == "Promote"] == [
        trial for trial, _ in promoted
    ]
    created = [each for each in made["actions"] if each["action"] == "Create"]
    assert len(created) == 8 - len(promoted)


def test_a_study_alone_is_told_to_create(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    spec: dict[str, Any] = {
        "parameters": [
            {"name": "lr", "float": {"min": 0.01, "max": 0.1, "scale": "Log"}},
            {"name": "size", "int": {"min": 16, "max": 64}},
            {"name": "optimizer", "choice": {"values": ["adamw", "muon"]}},
        ],
        "scalingRules": [{"parameter": "lr", "law": "Linear", "with": "size", "reference": 100}],
        "budget": {"trials": 5, "duration": "1h"},
    }
    file.write_text(study("Promote", 3, **spec))

    made = scaletune_json("plan", "-f", file, "--now", "1000")

    create, look_again = made["actions"]
    assert create["action"] == "Create"
    assert create["trial"] == 0
    assert create["until"] == 1
    lr, size, optimizer = create["parameters"]
    assert 0.01 <= lr["float"] <= 0.1
    assert 16 <= size["int"] <= 64
    assert optimizer["choice"] in ("adamw", "muon")
    (resolved,) = create["resolved"]
    assert resolved == {"name": "lr", "float": lr["float"] * size["int"] / 100}
    assert look_again["at"] == 4600
    assert "trial" not in look_again


def test_a_study_may_leave_out_what_no_decision_needs(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        "kind: Study\n"
        "metadata: {name: short, uid: x, resourceVersion: '5', managedFields: [{manager: k}]}\n"
        "spec: {budget: {trials: 1}}\n"
        "---\n"
        "kind: Trial\n"
        "metadata: {name: short-0000}\n"
        "status: {state: Completed, milestones: [{at: 7, value: 1, decision: Complete}]}\n"
    )

    made = scaletune_json("plan", "-f", file)

    assert made["decisions"] == []
    (finish,) = made["actions"]
    assert finish["action"] == "Finish"
    assert set(finish) == {"action", "reason"}


def test_a_finished_study_does_nothing_more(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        "kind: Study\n"
        "spec: {budget: {trials: 1}}\n"
        "status: {conditions: [{type: Finished, status: true}]}\n"
        "---\n"
        "kind: Trial\n"
        "metadata: {name: short-0000}\n"
        "status: {state: Completed, milestones: [{at: 7, value: 1, decision: Complete}]}\n"
    )

    assert scaletune_json("plan", "-f", file) == {"decisions": [], "actions": []}


def test_without_a_value_a_record_is_diverged(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    trial = "\n---\nkind: Trial\nmetadata: {name: table-0}\nstatus: {milestones: [{at: 1}]}\n"
    file.write_text(study("Promote", 3) + trial)

    made = scaletune_json("plan", "-f", file)

    assert made["decisions"][0] == {
        "number": 1,
        "trial": 0,
        "milestone": 1,
        "decision": "Stop",
        "evidence": {"n": 1, "rank": 0, "quota": 0, "against": None},
    }


TRIAL = "kind: Trial\nmetadata: {name: table-0001}\n"


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        pytest.param("kind: Pod\n", "kind 'Pod'", id="another kind"),
        pytest.param("metadata: {name: x}\n", "no kind", id="no kind"),
        pytest.param(TRIAL + "---\n" + TRIAL, "both have spec.index 1", id="an index twice"),
        pytest.param("kind: Trial\nmetadata: {name: x}\n", "give spec.index", id="no index"),
        pytest.param("kind: [\n", "bad.yaml, line", id="no YAML"),
        pytest.param(TRIAL + "spec: {untill: 3}\n", "spec.untill: there is no such", id="a typo"),
        pytest.param(
            TRIAL + "status: {milestones: [{at: 1, value: good}]}\n", "value must be", id="a word"
        ),
        pytest.param(
            TRIAL + "status: {milestones: [{at: 1, value: 1}, {at: 1, value: 2}]}\n",
            "two records have the same `at`",
            id="a milestone twice",
        ),
        pytest.param(
            TRIAL + "status: {milestones: [{at: 1, number: 4}, {at: 3, number: 4}]}\n",
            "both have number 4",
            id="a number twice",
        ),
        pytest.param(study("Promote", 3), "exactly one Study", id="two studies"),
    ],
)
def test_a_wrong_snapshot_is_refused_with_its_place(
    tmp_path: Path, documents: str, message: str
) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(study("Promote", 3))
    bad.write_text(documents)

    done = scaletune("plan", "-f", good, "-f", bad, "--output", "json")

    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert "bad.yaml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("{", "line 2: not JSON", id="no JSON"),
        pytest.param("[]", "line 2", id="a list"),
        pytest.param(
            '{"at": 1, "trial": 0, "value": 1}', "line 2: a value needs a step", id="step"
        ),
        pytest.param('{"at": 1, "trial": -1, "created": true}', "line 2: trial", id="index"),
        pytest.param(
            '{"at": 1, "trial": 0, "step": 1, "value": "bad"}', "line 2: value", id="word"
        ),
        pytest.param('{"at": 1, "trial": 0, "step": 1, "value": true}', "line 2: value", id="bool"),
        pytest.param('{"at": 1, "trial": 0, "failure": "Bad"}', "line 2: failure", id="failure"),
        pytest.param('{"at": -1, "trial": 0, "created": true}', "order of their times", id="time"),
        pytest.param('{"at": 0, "trial": 0, "step": 1, "value": 2}', "two values", id="two values"),
    ],
)
def test_a_wrong_ledger_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "study.yaml").write_text(study("Promote", 3))
    (tmp_path / "ledger.jsonl").write_text(ledger((0, 1, 1.0)) + line + "\n")

    done = scaletune("replay", tmp_path / "study.yaml", tmp_path / "ledger.jsonl")

    assert done.returncode == 2
    assert "ledger.jsonl" in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    done = scaletune("plan", "-f", tmp_path / "nowhere.yaml")

    assert done.returncode == 2
    assert "nowhere.yaml: No such file" in done.stderr


def test_a_rung_without_an_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("kind: Study\nmetadata: {name: x}\nspec: {policy: {asha: {}}}\n")

    done = scaletune("plan", "-f", file)

    assert done.returncode == 2
    assert "spec.training.max is missing" in done.stderr


def test_a_table_says_why(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(study("Stop", 3))
    (tmp_path / "ledger.jsonl").write_text(ledger((0, 1, 0.5), (1, 1, 0.6)))

    done = scaletune("replay", tmp_path / "study.yaml", tmp_path / "ledger.jsonl")

    assert done.returncode == 0
    assert "ranked 2 of 2" in done.stdout


def test_a_trial_without_a_state_holds_its_place_while_its_record_is_undecided(
    tmp_path: Path,
) -> None:
    """The decision to pause, made in the same plan, frees nothing."""
    path = tmp_path / "snapshot.yaml"
    path.write_text(
        "kind: Study\n"
        "metadata: {name: s}\n"
        "spec:\n"
        "  training: {unit: Step, max: 9}\n"
        "  policy: {asha: {eta: 3, min: 1, mode: Promote}}\n"
        "  budget: {trials: 9}\n"
        "---\n"
        "kind: Trial\n"
        "metadata: {name: s-0000}\n"
        "status: {milestones: [{at: 1, value: 0.5}]}\n"
    )

    assert scaletune_json("plan", "-f", str(path), "--now", "0")["actions"] == []
