"""Models and optimizers to and from a folder, through torch.distributed.checkpoint.

Loading runs no code from the checkpoint: the format's index is a pickle and the library unpickles
it freely, so both the index and the values are read by readers that know plain data only.

Imported when the first checkpoint is written or read: it costs most of a second.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.planner import ReadItem
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load as load_sharded
from torch.distributed.checkpoint.state_dict_saver import save as save_sharded

from scaletune_trainer.failure import UserError, VolumeError
from scaletune_trainer.tracked import Tracked

_NOT_OF_CHECKPOINTS = (MemoryError, torch.OutOfMemoryError, torch.AcceleratorError)
"""What fails on a device comes out at whoever waits for it next, with its own judgement."""
_PLAIN_MODULES = ("torch.distributed.checkpoint.", "torch.serialization")
_PLAIN_NAMES = {
    ("torch", "Size"),
    ("torch", "device"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("collections", "OrderedDict"),
    ("builtins", "set"),
    ("pathlib", "PosixPath"),
    ("pathlib", "PurePosixPath"),
}


def _member(kind: Any, name: str) -> Any:
    """A member of an enumeration: Python before 3.11.4 wrote it as getattr(kind, name)."""
    is_enumeration = isinstance(kind, type) and issubclass(kind, Enum)
    if not is_enumeration or name not in kind.__members__:
        raise pickle.UnpicklingError(f"{kind}.{name} has no place in a checkpoint's index")
    return kind[name]


class _PlainUnpickler(pickle.Unpickler):
    """Builds the records of the checkpoint format and torch's constants, nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        found = None
        if (module, name) == ("builtins", "getattr"):
            return _member
        if (module, name) in _PLAIN_NAMES or module.startswith(_PLAIN_MODULES):
            found = super().find_class(module, name)
        elif module == "torch":
            found = super().find_class(module, name)
            if not isinstance(found, torch.dtype | torch.layout | torch.memory_format):
                found = None
        if found is None or ("." in name):
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a checkpoint's index")
        return found


class PlainReader(FileSystemReader):
    """Reads the index of a checkpoint as plain data."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        with open(Path(self.path) / ".metadata", "rb") as file:
            metadata = _PlainUnpickler(file).load()
        if not isinstance(metadata, Metadata):
            raise pickle.UnpicklingError(f"{self.path} is no checkpoint")
        if metadata.storage_meta is None:
            metadata.storage_meta = StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class PlainPlanner(DefaultLoadPlanner):
    """Reads values that are no tensors, e.g. an optimizer's settings, as plain data."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        plain = torch.load(value, weights_only=True)
        buffer = io.BytesIO()
        torch.save(plain, buffer)  # what the parent unpickles is what we have just checked
        buffer.seek(0)
        super().load_bytes(read_item, buffer)


def save(folder: Path, tracked: Tracked, group: Any) -> None:
    """Collective: every rank writes its shards; rank 0 writes the index last."""
    model, optimizers = _gathered(tracked)
    model_state, optimizer_state = get_state_dict(model, optimizers)
    state: dict[str, Any] = {"model": model_state, "optimizer": optimizer_state}
    try:
        with _knowing_that_one_process_is_meant():
            save_sharded(state, checkpoint_id=folder, process_group=group, no_dist=group is None)
    except CheckpointException as error:
        raise _explained(error, f"write {folder}") from error


def load(folder: Path, tracked: Tracked, group: Any) -> None:
    """Collective; the number of processes need not be the one that saved."""
    model, optimizers = _gathered(tracked)
    model_state, optimizer_state = get_state_dict(model, optimizers)
    state: dict[str, Any] = {"model": model_state, "optimizer": optimizer_state}
    reader = PlainReader(folder)
    try:
        reader.read_metadata()  # the library would try other files, and hide the reason
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise VolumeError(f"cannot read the checkpoint {folder}: {error}") from error
    try:
        with _knowing_that_one_process_is_meant():
            load_sharded(
                state,
                storage_reader=reader,
                planner=PlainPlanner(),
                process_group=group,
                no_dist=group is None,
            )
    except CheckpointException as error:
        raise _explained(error, f"read {folder}") from error
    set_state_dict(
        model,
        optimizers,
        model_state_dict=state["model"],
        optim_state_dict=state["optimizer"],
    )


@contextmanager
def _knowing_that_one_process_is_meant() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _gathered(tracked: Tracked) -> tuple[torch.nn.Module, list[torch.optim.Optimizer]]:
    """All modules as children of one, so that several models and optimizers need no extra rule."""
    parent = torch.nn.Module()
    for name, module in tracked.modules.items():
        parent.add_module(f"tracked_{name}", module)
    return parent, tracked.optimizers


def _explained(error: CheckpointException, what: str) -> Exception:
    causes = [cause for cause, _ in error.failures.values()]
    for cause in causes:
        if isinstance(cause, _NOT_OF_CHECKPOINTS):
            return cause
    text = "; ".join(f"{type(cause).__name__}: {cause}" for cause in causes)
    if any(isinstance(cause, OSError | pickle.UnpicklingError) for cause in causes):
        return VolumeError(f"cannot {what}: {text}")
    return UserError(
        f"cannot {what}: {text}. Are the tracked objects built as they were when it was written?"
    )
