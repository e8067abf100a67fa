"""The program of the Job that deletes the checkpoints of trials which lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

from scaletune_trainer import wire


def _clean(volume: Path, *trials: str) -> subprocess.CompletedProcess[str]:
    wanted = json.dumps({"study": "uid", "trials": list(trials)})
    variables = {str(wire.Variable.VOLUME): str(volume), str(wire.Variable.CLEANUP): wanted}
    command = [sys.executable, "-m", "scaletune_trainer.cleanup"]
    environment = os.environ | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _life(volume: Path, trial: str) -> Path:
    folder = volume / "uid" / trial / "life"
    (wire.checkpoints_folder(folder) / "3").mkdir(parents=True)
    wire.journal_path(folder).write_text("")
    return folder


def test_checkpoints_go_and_journals_and_other_trials_stay(tmp_path: Path) -> None:
    lost, kept = _life(tmp_path, "s-0000"), _life(tmp_path, "s-0001")

    for _ in range(2):  # the second time nothing is left to do
        done = _clean(tmp_path, "s-0000", "s-0002")

        assert (done.returncode, done.stderr) == (0, "")
        assert not wire.checkpoints_folder(lost).exists()
        assert wire.journal_path(lost).exists()
        assert (wire.checkpoints_folder(kept) / "3").exists()


def test_a_link_is_not_followed_but_named_and_the_rest_is_deleted(tmp_path: Path) -> None:
    trap, lost = _life(tmp_path, "s-0000"), _life(tmp_path, "s-0001")
    elsewhere = tmp_path / "elsewhere"
    wire.checkpoints_folder(trap).rename(elsewhere)
    wire.checkpoints_folder(trap).symlink_to(elsewhere)

    done = _clean(tmp_path, "s-0000", "s-0001")

    assert done.returncode == 1
    assert f"cannot delete {wire.checkpoints_folder(trap)}" in done.stderr
    assert (elsewhere / "3").exists()
    assert not wire.checkpoints_folder(lost).exists()
