"""python trainer-image/examples/digits.py

Handwriting without a data set: ten digits drawn in a 5 x 7 font, shifted, partly rubbed out and
noisy, told apart by a small network. Trains in a few seconds on one core; the objective is the
accuracy on a fixed sample, to be maximized. Nothing has to be downloaded or installed for it.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

import scaletune_trainer as scaletune
from scaletune_trainer import optim, schedule

FONT = """
.###. ..#.. .###. #### ...#. ##### ..##. ##### .###. .###.
#...# .##.. #...# ....# ..##. #.... .#... ....# #...# #...#
#..## ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...#
#.#.# ..#.. ...#. .###. #..#. ....# ####. ..#.. .###. .####
##..# ..#.. ..#.. ....# ##### ....# #...# .#... #...# ....#
#...# ..#.. .#... ....# ...#. #...# #...# .#... #...# ...#.
.###. .###. ##### ####. ...#. .###. .###. .#... .###. .##..
"""
HEIGHT, WIDTH = 9, 7
VALIDATION = 1000
DEFAULTS: dict[str, bool | int | float | str] = {
    "learning_rate": 3e-3,
    "batch_size": 64,
    "hidden": 64,
    "dropout": 0.1,
    "optimizer": "adamw",
}


def glyphs() -> Tensor:
    """The ten digits as 7 x 5 pictures of zeros and ones."""
    rows = [line.split() for line in FONT.strip().splitlines()]
    pictures = [
        [[float(pixel == "#") for pixel in row[digit].ljust(5, ".")] for row in rows]
        for digit in range(10)
    ]
    return torch.tensor(pictures)


def drawn(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures and the digits they show; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    digits = torch.randint(10, (count,), generator=generator)
    down = torch.randint(HEIGHT - 7 + 1, (count, 1, 1), generator=generator)
    right = torch.randint(WIDTH - 5 + 1, (count, 1, 1), generator=generator)
    rows, columns = down + torch.arange(7)[None, :, None], right + torch.arange(5)[None, None, :]
    pictures = torch.zeros(count, HEIGHT, WIDTH)
    ink = glyphs()[digits] * (torch.rand(count, 7, 5, generator=generator) > 0.15)
    pictures[torch.arange(count)[:, None, None], rows, columns] = ink
    noise = 0.35 * torch.randn(count, HEIGHT, WIDTH, generator=generator)
    return (pictures + noise).flatten(1), digits


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    trial = scaletune.trial(defaults=DEFAULTS, max_steps=600, every=100)
    parameters = trial.parameters
    torch.manual_seed(trial.seed)
    hidden, dropout = int(parameters["hidden"]), nn.Dropout(float(parameters["dropout"]))
    model = nn.Sequential(
        nn.Linear(HEIGHT * WIDTH, hidden), nn.ReLU(), dropout, nn.Linear(hidden, 10)
    )
    mismatch = nn.CrossEntropyLoss()
    rate = float(parameters["learning_rate"])
    optimizers = optim.build(str(parameters["optimizer"]), model, learning_rate=rate)
    trial.track(model=model, optimizers=optimizers)
    pictures, digits = drawn(VALIDATION, seed=-1)
    for step in trial.steps():
        share = schedule.factor(step, warm_up=20, steps=trial.max_steps, shape="linear")
        schedule.set_rate(optimizers, rate * share)
        batch, labels = drawn(int(parameters["batch_size"]), seed=trial.seed * 1_000_003 + step)
        loss = mismatch(model(batch), labels)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        trial.report(loss=loss)
        if trial.due:
            model.eval()
            with torch.no_grad():
                right = (model(pictures).argmax(dim=1) == digits).float().mean()
            model.train()
            trial.report(accuracy=right)


if __name__ == "__main__":
    main()
