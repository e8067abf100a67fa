"""`scaletune simulate` as a user runs it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scaletune.cli.refusal import Refusal
from scaletune.cli.simulating import Wishes, simulate_study
from tests.cli.command import scaletune, scaletune_json

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/simulate"
STUDY, TRAIN = EXAMPLE / "study.yaml", f"{EXAMPLE / 'objective.py'}:train"
ROUGH = (
    *("--overhead", "start=60,resume=30,pause=20", "--failures", "mtbf=3600,repair=300"),
    *("--late", "5", "--lose", "0.1"),
)
SHORT = """
apiVersion: scaletune.dev/v1alpha1
kind: Study
metadata: {name: short}
spec:
  parallelism: 2
  objectives: [{metric: loss, goal: Minimize}]
  parameters: [{name: rate, float: {min: 0.0, max: 1.0}}]
  training: {unit: Step, max: 4}
  policy: {asha: {eta: 2, min: 1}}
  budget: {trials: 6}
"""


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A Study that leaves its template out."""
    path = tmp_path / "study.yaml"
    path.write_text(SHORT)
    return path


def objective(folder: Path, body: str) -> str:
    path = folder / "objective.py"
    path.write_text(f"def f(parameters, start, until, seed, state=None):\n    {body}\n")
    return f"{path}:f"


FINE = 'return {"value": parameters["rate"], "seconds": until - start}'


def test_the_example_is_forecast_in_a_table() -> None:
    done = scaletune("simulate", STUDY, "--objective", TRAIN, "--seeds", "0-2")

    assert done.returncode == 0, done.stderr
    for shown in ("GPU-hours", "ends after", "best val_loss", "to step 600", "over 3 seeds"):
        assert shown in done.stdout


def test_the_outcome_of_each_seed_is_in_the_json() -> None:
    found = scaletune_json("simulate", STUDY, "--objective", TRAIN, "--seeds", "3,5-6")
    first = found["seeds"][0]
    best = first["trials"][first["best"]["trial"]]

    assert [each["seed"] for each in found["seeds"]] == [3, 5, 6]
    assert first["finished"] is True
    assert first["spent"]["trials"] == len(first["trials"]) == 60
    assert first["spent"]["deviceSeconds"] == pytest.approx(
        sum(trial["deviceSeconds"] for trial in first["trials"])
    )
    assert first["spent"]["fullTrainings"] == first["rungs"][-1]["reached"]
    assert best["milestones"][-1]["value"] == first["best"]["value"]
    assert best["milestones"][-1]["decision"] == "Complete"
    assert best["parameters"] == first["best"]["parameters"]
    assert first["curve"][-1]["value"] == first["best"]["value"]
    assert first["bestReported"]["value"] <= first["best"]["value"]
    assert set(first["planMilliseconds"]) == {"p50", "p95", "max"}
    assert first["decisions"][0]["evidence"]["n"] == 1


def test_the_same_seed_gives_the_same_trace_in_any_process() -> None:
    options = ["--objective", TRAIN, *ROUGH, "--output", "json"]

    def trace(hash_seed: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "scaletune", "simulate", str(STUDY), *options],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)["seeds"][0]
        del found["planMilliseconds"]
        return found

    assert trace("1") == trace("2")


def test_a_written_ledger_replays_to_the_decisions_of_its_seed(tmp_path: Path) -> None:
    options = (*ROUGH, "--workers", "3", "--seeds", "7-8", "--ledger", tmp_path / "ledgers")
    found = scaletune_json("simulate", STUDY, "--objective", TRAIN, *options)

    for each in found["seeds"]:
        ledger = tmp_path / f"ledgers/seed-{each['seed']}.jsonl"
        replayed = scaletune_json("replay", tmp_path / "ledgers/study.yaml", ledger)
        assert replayed["decisions"] == each["decisions"]


def test_a_module_and_a_table_are_objectives_too(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective(tmp_path, FINE)
    rows = [
        {"parameters": {"rate": rate / 10}, "curve": [[s, rate / 10, s] for s in (1, 2, 4)]}
        for rate in range(11)
    ]
    (tmp_path / "table.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)

    by_module = scaletune_json("simulate", short, "--objective", "objective:f")
    by_table = scaletune_json("simulate", short, "--objective", "table.jsonl")

    spent = [found["seeds"][0]["spent"]["deviceSeconds"] for found in (by_module, by_table)]
    assert spent[0] == spent[1]


def test_an_objective_may_print_without_spoiling_the_result(short: Path, tmp_path: Path) -> None:
    name = objective(tmp_path, f'print("training"); {FINE}')

    assert scaletune_json("simulate", short, "--objective", name)["seeds"][0]["finished"] is True


def test_an_error_of_the_objective_ends_with_one(short: Path, tmp_path: Path) -> None:
    name = objective(tmp_path, 'raise KeyError("no such rate")')
    done = scaletune("simulate", short, "--objective", name)

    assert done.returncode == 1
    assert done.stdout == ""
    for shown in ("short-0000", "rate 0.", "KeyError: 'no such rate'", "objective.py:2"):
        assert shown in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"objective": "nowhere.py:f"}, "there is no file nowhere.py"),
        ({"objective": "no.such.module:f"}, "cannot import no.such.module"),
        ({"objective": "objective"}, "give FILE.py:NAME"),
        ({"objective": "nowhere.jsonl"}, "nowhere.jsonl: No such file"),
        ({"objective": "json:nothing"}, "json has no function nothing"),
        ({"seeds": "9-0"}, "--seeds 9-0"),
        ({"seeds": "x"}, "write it as 0-9"),
        ({"overhead": "begin=3"}, "'begin=3' is not one of start=SECONDS"),
        ({"overhead": "start=-3"}, "'start=-3' is not one of"),
        ({"failures": "repair=3"}, "give mtbf"),
        ({"failures": "mtbf=0"}, "give mtbf"),
        ({"failures": "mtbf=0.001"}, "lost its node"),
        ({"failures": "mtbf=9,checkpoint=.5"}, "'checkpoint=.5' is not one of mtbf=SECONDS"),
        ({"late": -1.0}, "--late -1"),
        ({"lose": 1.0}, "--lose 1: give a fraction"),
    ],
    ids=lambda each: (
        "-".join(f"{name} {value}" for name, value in each.items())
        if isinstance(each, dict)
        else ""
    ),
)
def test_wrong_options_are_refused(
    short: Path, tmp_path: Path, wishes: dict[str, Any], message: str
) -> None:
    name = objective(tmp_path, FINE)

    with pytest.raises(Refusal, match=re.escape(message)):
        simulate_study(str(short), Wishes(**{"objective": name, **wishes}))


def test_a_refusal_ends_with_two(short: Path, tmp_path: Path) -> None:
    for options in (["--workers", "0"], ["--overhead", "start"]):
        done = scaletune("simulate", short, "--objective", objective(tmp_path, FINE), *options)

        assert done.returncode == 2
        assert done.stdout == ""
        assert options[0] in done.stderr
        assert "Traceback" not in done.stderr


def test_a_wrong_study_is_refused(short: Path, tmp_path: Path) -> None:
    short.write_text(SHORT.replace("eta: 2", "eta: 1"))
    done = scaletune("simulate", short, "--objective", objective(tmp_path, FINE))

    assert done.returncode == 2
    assert "spec.policy.asha.eta" in done.stderr


def test_the_manual_shows_what_its_commands_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    manual = (ROOT / "docs/simulate.md").read_text()
    shown = re.findall(r"^\$ scaletune (.*)\n((?:.+\n)+?)```", manual, re.MULTILINE)

    assert len(shown) == 2
    for command, output in shown:
        done = scaletune(*command.split())
        assert [line.rstrip() for line in done.stdout.splitlines()] == output.splitlines()


CARBS = """
apiVersion: scaletune.dev/v1alpha1
kind: Study
metadata: {name: sizes}
spec:
  parallelism: 2
  objectives: [{metric: loss, goal: Minimize}]
  parameters: [{name: size, int: {min: 1, max: 4096, scale: Log, center: 8}}]
  training: {unit: Step, max: 1}
  policy: {carbs: {}}
  budget: {trials: 24}
"""


def test_a_simulated_study_can_be_looked_at_as_a_run_can(tmp_path: Path) -> None:
    study, runs = tmp_path / "study.yaml", tmp_path / "simulated"
    study.write_text(CARBS)
    function = objective(
        tmp_path, 'return {"value": parameters["size"] ** -0.5, "seconds": parameters["size"]}'
    )

    found = scaletune_json(
        "simulate", study, "--objective", function, "--seeds", "0-1", "--folder", runs
    )

    front = found["seeds"][1]["front"]
    laws = found["seeds"][1]["scalingLaws"]
    assert [each["value"] for each in front] == sorted(
        (each["value"] for each in front), reverse=True
    )
    assert laws["parameters"][0]["exponent"] == pytest.approx(1.0, abs=0.05)
    larger = tmp_path / "larger.yaml"
    for command in (("status", runs / "seed-1"), ("explain", runs / "seed-1", "3")):
        done = scaletune(*command)
        assert done.returncode == 0, done.stderr
        assert "Complete" in done.stdout
    read = scaletune("extrapolate", runs / "seed-1", "-o", "json", "-w", larger)
    assert json.loads(read.stdout)["parameters"][0]["exponent"] == laws["parameters"][0]["exponent"]


def test_a_simulation_does_not_write_into_the_folder_of_another_study(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(SHORT)
    options = ("--objective", objective(tmp_path, FINE), "--folder", tmp_path / "kept")
    scaletune("simulate", study, *options)
    study.write_text(SHORT.replace("short", "another"))

    done = scaletune("simulate", study, *options)

    assert done.returncode == 2
    assert "holds another study" in done.stderr
