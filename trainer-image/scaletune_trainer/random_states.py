"""The random states of a process: Python's, numpy's and torch's, as plain JSON.

Each rank has its own. A rank that did not exist when the checkpoint was written starts a stream of
its own, named by (seed, rank, step), so that a trial on more processes is still repeatable.
"""

from __future__ import annotations

import base64
import hashlib
import random
import sys
from typing import Any

State = dict[str, Any]


def capture() -> State:
    """Only of what is loaded: a script without numpy needs no numpy to be resumed."""
    version, internal, gauss = random.getstate()
    state: State = {"python": [version, list(internal), gauss]}
    if numpy := sys.modules.get("numpy"):
        name, keys, *rest = numpy.random.get_state()
        state["numpy"] = [name, [int(key) for key in keys], *rest]
    if torch := sys.modules.get("torch"):
        state["torch"] = _text(torch.get_rng_state())
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            state["cuda"] = _text(torch.cuda.get_rng_state())
    return state


def restore(state: State) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if "numpy" in state and (numpy := sys.modules.get("numpy")):
        name, keys, *rest = state["numpy"]
        numpy.random.set_state((name, numpy.array(keys, dtype="uint32"), *rest))
    if "torch" in state and (torch := sys.modules.get("torch")):
        torch.set_rng_state(_tensor(torch, state["torch"]))
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(_tensor(torch, state["cuda"]))


def start(seed: int, rank: int, step: int) -> None:
    """Streams for a rank that has no state of its own to go on from."""
    digest = hashlib.sha256(f"{seed}/{rank}/{step}".encode()).digest()
    random.seed(digest)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(int.from_bytes(digest[:4], "little"))
    if torch := sys.modules.get("torch"):
        torch.manual_seed(int.from_bytes(digest[:8], "little", signed=True))


def _text(tensor: Any) -> str:
    return base64.b64encode(bytes(tensor.tolist())).decode()


def _tensor(torch: Any, text: str) -> Any:
    # The script may have chosen another device as the default one.
    return torch.tensor(list(base64.b64decode(text)), dtype=torch.uint8, device="cpu")
