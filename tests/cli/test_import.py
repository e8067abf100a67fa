"""`scaletune import` and `scaletune portfolio`: results from elsewhere, and what to begin with."""

import json
import re
from pathlib import Path

import pytest

from scaletune.api import reader
from scaletune.cli.importing import Wish, import_results
from scaletune.cli.portfolio import Wish as Portfolio
from scaletune.cli.portfolio import print_portfolio
from scaletune.cli.refusal import Refusal
from scaletune.cli.subject import Cluster
from scaletune.core.prior import with_prior
from scaletune.shells.local.folder import Folder
from tests.cli.command import scaletune, scaletune_json
from tests.core import given

STUDY = """
apiVersion: scaletune.dev/v1alpha1
kind: Study
metadata: {name: sweep}
spec:
  objectives: [{metric: val_loss, goal: Minimize}]
  parameters:
    - {name: lr, float: {min: 1.0e-5, max: 1.0e-1, scale: Log}}
    - {name: optimizer, choice: {values: [adamw, muon]}}
  training: {unit: Step, max: 100}
  budget: {trials: 10}
"""
CURVES = """trial,lr,optimizer,step,val_loss,seconds,note
a,0.001,adamw,50,2.5,10,x
a,0.001,adamw,100,2.2,20,x
b,0.01,muon,50,2.4,11,"two
lines"
b,0.01,muon,100,2.0,22,x
c,0.05,muon,50,nan,11,x
d,0.0001,adamw,50,3.0,10,x
"""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the Study, where we stand."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.yaml").write_text(STUDY)
    return tmp_path


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return name


def test_curves_become_a_finished_run_that_a_study_can_begin_with(sweep: Path) -> None:
    done = scaletune("import", write(sweep, "curves.csv", CURVES), "sweep.yaml")

    assert done.returncode == 0, done.stderr
    assert done.stdout == "runs/sweep: 4 trainings; best sweep-0001 with 2 at 100\n"
    stood = scaletune("status")
    assert "finished (Imported): 4 trainings were taken from curves.csv" in stood.stdout
    assert "best    sweep-0001  val_loss 2 at step 100, trained in full" in stood.stdout
    assert scaletune_json("plan", "-f", *_files(sweep))["decisions"] == []
    folder = Folder(sweep / "runs/sweep")
    stored, trials = folder.read_study(), folder.read_trials()
    assert stored is not None
    states = {index: trial.status.state for index, trial in trials.items()}
    assert states == {0: "Completed", 1: "Completed", 2: "Failed", 3: "Stopped"}
    assert stored.status.spent_seconds == 20 + 22 + 11 + 10
    begins = [{"study": "sweep", "top": 3}]
    study = given.study(
        parameters=stored.spec.parameters, objectives=stored.spec.objectives, warm_start=begins
    )
    found = with_prior(study, {"sweep": (stored, trials.values())}).status.prior
    assert found is not None
    assert [each["lr"] for each in found.configurations] == [0.01, 0.001, 0.0001]


def _files(folder: Path) -> list[Path]:
    return [folder / "runs/sweep/study.yaml", *(folder / "runs/sweep/trials").iterdir()]


def test_json_lines_and_optunas_columns_are_read_and_rows_without_a_value_left_out(
    sweep: Path,
) -> None:
    lines = [
        {"parameters": {"lr": 0.01, "optimizer": "muon"}, "val_loss": 1.0, "step": 100},
        {"parameters": {"lr": 0.02, "optimizer": "muon"}, "val_loss": None, "step": 100},
    ]
    text = "".join(json.dumps(each) + "\n" for each in lines)
    done = scaletune("import", write(sweep, "r.jsonl", text), "sweep.yaml", "-d", "lines")
    assert done.stdout.startswith("lines: 1 trainings; 1 of 2 rows left out; best"), done.stderr

    frame = (
        ",number,value,params_lr,params_optimizer,state\n0,0,1.5,0.001,adamw,COMPLETE\n"
        "1,1,0.5,0.001,muon,PRUNED\n2,2,,0.01,muon,FAIL\n"
    )
    options = ["--column", "val_loss=value", "--only", "state=COMPLETE", "-d", "optuna"]
    done = scaletune("import", write(sweep, "optuna.csv", frame), "sweep.yaml", *options)
    assert done.stdout.startswith("optuna: 1 trainings; 2 of 3 rows left out; best"), done.stderr


def test_a_column_for_a_name_that_is_none_is_refused(sweep: Path) -> None:
    path = write(sweep, "r.csv", "rate,optimizer,val_loss\n0.01,adamw,1\n")
    with pytest.raises(Refusal, match=r"--column rate=lr: rate is none of lr, optimizer, val_loss"):
        import_results(path, "sweep.yaml", Wish(None, ["rate=lr"], []))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,1,adamw,100,2.0", "line 2: lr cannot be 1; widen the parameter in the Study"),
        ("a,0.01,sgd,100,2.0", "line 2: optimizer cannot be sgd"),
        ("a,,adamw,100,2.0", "line 2: no value of parameter lr; the columns are trial, lr"),
        ("a,fast,adamw,100,2.0", "line 2: lr must be a number, not 'fast'"),
        ("a,0.01,adamw,0,2.0", "line 2: step must be a whole number above 0"),
        ("a,0.01,adamw,50,2.0", "the longest training has 50 steps, and training.max"),
        ("a,0.01,adamw,100,", "no row has a value of val_loss"),
        ("a,0.01,adamw,100,1\na,0.01,adamw,50,1", "line 3: step 50 comes after step 100"),
        ("a,0.01,adamw,50,1\na,0.02,adamw,100,1", "line 3: training a has other parameters"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(sweep: Path, row: str, message: str) -> None:
    path = write(sweep, "r.csv", f"trial,lr,optimizer,step,val_loss\n{row}\n")
    with pytest.raises(Refusal, match=re.escape(message)):
        import_results(path, "sweep.yaml", Wish(None, [], []))
    assert not (sweep / "runs").exists()


def test_nothing_that_is_there_is_overwritten(sweep: Path) -> None:
    path = write(sweep, "curves.csv", CURVES)
    import_results(path, "sweep.yaml", Wish(None, [], []))
    with pytest.raises(Refusal, match="runs/sweep holds a study already"):
        import_results(path, "sweep.yaml", Wish(None, [], []))


def test_a_portfolio_is_printed_as_initial_configurations(sweep: Path) -> None:
    import_results(write(sweep, "curves.csv", CURVES), "sweep.yaml", Wish(None, [], []))

    done = scaletune("portfolio", "runs/sweep", "--top", "2")

    assert done.stdout.startswith("# with the first 1, ranks of the best: sweep 0%\n"), done.stderr
    [fragment] = reader.read(done.stdout, "the portfolio")
    assert fragment["initial"] == [
        {"lr": 0.01, "optimizer": "muon"},
        {"lr": 0.001, "optimizer": "adamw"},
    ]
    assert scaletune_json("portfolio", "runs/sweep", "--top", "1") == [
        {"parameters": {"lr": 0.01, "optimizer": "muon"}, "ranks": [0.0]}
    ]


def test_a_portfolio_is_written_as_the_first_study_again_that_begins_with_it(sweep: Path) -> None:
    with_image = "  template: {pod: {spec: {containers: [{name: t, image: i, command: [c]}]}}}\n"
    write(sweep, "sweep.yaml", STUDY + "  initial: [{lr: 0.02}]\n" + with_image)
    import_results(write(sweep, "curves.csv", CURVES), "sweep.yaml", Wish(None, [], []))

    done = scaletune("portfolio", "runs/sweep", "--top", "2", "--write", "next.yaml")

    assert done.returncode == 0, done.stderr
    assert done.stderr == "wrote next.yaml: look it over, then `scaletune run next.yaml`\n"
    [study] = reader.read((sweep / "next.yaml").read_text(), "next.yaml")
    assert study["metadata"]["name"] == "sweep-portfolio"
    assert study["spec"]["initial"] == reader.read(done.stdout, "the portfolio")[0]["initial"]
    assert study["spec"]["template"]["pod"]["spec"]["containers"][0]["image"] == "i"
    assert scaletune("validate", "next.yaml").returncode == 0
    again = scaletune("portfolio", "runs/sweep", "--top", "1", "-w", "next.yaml")
    assert "next.yaml exists and differs; name another file with --write" in again.stderr


def test_a_portfolio_needs_values(sweep: Path) -> None:
    import_results(write(sweep, "curves.csv", CURVES), "sweep.yaml", Wish(None, [], []))
    for trial in (sweep / "runs/sweep/trials").iterdir():
        trial.unlink()
    with pytest.raises(Refusal, match="no trial has a value; leave this run out"):
        print_portfolio(["runs/sweep"], Cluster(), Portfolio(3, None, "table"))
