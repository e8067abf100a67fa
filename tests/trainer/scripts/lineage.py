"""A training that is nothing but its past: the rate of each step is kept in its checkpoint.

With --torch the rate is what an optimizer has, so that loading another trial's state must not
change it.
"""

import sys
import time
from typing import Any

import scaletune_trainer as scaletune

trial = scaletune.trial(defaults={"x": 0.5}, max_steps=4)
past: dict[str, Any] = {"rates": []}
x = float(trial.parameters["x"])
trial.track(past=past)
optimizer: Any = None
if "--torch" in sys.argv:
    import torch

    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=x, momentum=0.9)
    trial.track(model=model, optimizer=optimizer)
for _ in trial.steps():
    if optimizer is not None:
        optimizer.zero_grad()
        model(torch.ones(1)).sum().backward()
        optimizer.step()
    rate = x if optimizer is None else float(optimizer.param_groups[0]["lr"])
    past["rates"] = [*past["rates"], rate]
    time.sleep(0.2)
    trial.report(loss=sum(past["rates"]))
