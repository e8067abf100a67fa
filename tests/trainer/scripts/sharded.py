"""A small sharded model whose losses are written down to the last bit.

Dropout draws from torch's random state, the data's noise from numpy's and Python's: whatever is not
restored shows. The batch of a step is a function of the step, split over the ranks.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
from pathlib import Path

import numpy
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import scaletune_trainer as scaletune


class Counter:
    """Something with a state of its own, part of it no JSON."""

    def __init__(self) -> None:
        self.seen: dict[int, torch.Tensor] = {}

    def state_dict(self) -> dict[int, torch.Tensor]:
        return self.seen

    def load_state_dict(self, state: dict[int, torch.Tensor]) -> None:
        self.seen = state


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("losses", type=Path)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--fail-rank", type=int)
    parser.add_argument("--kill-rank", type=int)
    parser.add_argument("--stuck-rank", type=int, help="once, the others wait for it in vain")
    options = parser.parse_args()
    torch.set_num_threads(1)
    trial = scaletune.trial(checkpoint_seconds=0)
    torch.manual_seed(trial.seed)
    random.seed(trial.seed)
    numpy.random.seed(trial.seed)  # noqa: NPY002 -- the state of the process is the point
    layers = [nn.Linear(32, 32), nn.Tanh(), nn.Dropout(options.dropout), nn.Linear(32, 4)]
    model = nn.Sequential(*layers)
    if trial.world_size > 1:
        dist.init_process_group("gloo")
        fully_shard(model, mesh=init_device_mesh("cpu", (trial.world_size,)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    counter, notes = Counter(), {"steps": 0}
    trial.track(model=model, optimizer=optimizer, schedule=schedule, counter=counter, notes=notes)
    for step in trial.steps():
        time.sleep(options.sleep)
        if step == 2 and trial.rank == options.fail_rank:
            raise RuntimeError("asked to fail")
        if step == 2 and trial.rank == options.kill_rank:
            os.kill(os.getpid(), signal.SIGKILL)
        stuck = options.losses.with_suffix(".stuck")
        if step == 4 and trial.rank == options.stuck_rank and not stuck.exists():
            stuck.touch()
            time.sleep(3600)
        data = torch.randn(8, 32, generator=torch.Generator().manual_seed(step))
        if options.dropout:
            data = data + random.gauss(0, 0.1) + numpy.random.normal()  # noqa: NPY002
        loss = model(data[trial.rank :: trial.world_size]).pow(2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        notes["steps"] += 1
        counter.seen[step] = torch.tensor(step)
        if trial.world_size > 1:
            dist.all_reduce(loss)
        value = float(loss.detach()) / trial.world_size
        assert (notes["steps"], sorted(counter.seen)) == (step, list(range(1, step + 1)))
        if trial.rank == 0:
            with options.losses.open("a") as file:
                file.write(f"{step} {value.hex()}\n")
        trial.report(loss=value)


if __name__ == "__main__":
    main()
