"""The examples learn, and their data is what they say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from examples import digits, gpt
from scaletune_trainer import wire
from scaletune_trainer.wire import Reason
from tests.trainer.lives import REPOSITORY, Trial, values

EXAMPLES = REPOSITORY / "trainer-image" / "examples"


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    text = torch.arange(10_000).to(torch.uint8)
    tokens, targets = gpt.batch(text, seed=1, step=5, size=4)

    assert torch.equal(tokens, gpt.batch(text, seed=1, step=5, size=4)[0])
    assert not torch.equal(tokens, gpt.batch(text, seed=1, step=6, size=4)[0])
    assert torch.equal(tokens[:, 1:], targets[:, :-1])


def test_the_standard_library_is_text_enough() -> None:
    training, validation = gpt.texts()

    assert len(training) > 4 * len(validation) > 1_000_000


def test_digits_can_be_told_apart_by_eye() -> None:
    glyphs = digits.glyphs()

    assert len({tuple(glyph.flatten().tolist()) for glyph in glyphs}) == 10


@pytest.mark.slow
def test_the_gpt_learns_under_torchrun(tmp_path: Path) -> None:
    trial = Trial(
        tmp_path,
        max=40,
        milestones=(10, 40),
        launcher="torchrun",
        parameters={"warm_up": 5, "batch_size": 16, "learning_rate": 0.01, "optimizer": "muon"},
        metric="val_loss",
    )
    ended = trial.run(sys.executable, str(EXAMPLES / "gpt.py"))
    resumed = values(ended)

    assert ended.message.reason is Reason.DONE, ended.output
    assert 5.5 > resumed[10] > resumed[40]
    assert resumed[40] < 3.3


@pytest.mark.slow
def test_digits_are_learnt_across_a_pause(tmp_path: Path) -> None:
    trial = Trial(
        tmp_path, max=200, milestones=(50, 200), parameters={"hidden": 32}, metric="accuracy"
    )
    paused = trial.run(sys.executable, str(EXAMPLES / "digits.py"), directive=wire.Directive(1, 50))
    ended = trial.run(
        sys.executable, str(EXAMPLES / "digits.py"), restore=wire.Place(paused.folder.name, 50)
    )

    assert (paused.message.reason, ended.message.reason) == (Reason.PAUSED, Reason.DONE)
    assert values(ended)[200] > values(paused)[50] > 0.2
