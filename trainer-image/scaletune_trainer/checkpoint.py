"""Checkpoints of one incarnation: complete or not there, and never more than needed.

A checkpoint is a folder, written as `<step>.partial` and renamed when every rank has written its
part; only then does the journal mention it. Besides the tensors it holds `state.json` (the step,
the milestones served, plain states) and each rank's random states, readable by eye.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaletune_trainer import random_states, wire
from scaletune_trainer.failure import UserError, VolumeError
from scaletune_trainer.gang import Gang
from scaletune_trainer.tracked import Tracked, survives_json

_KEPT = 2
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Position:
    """Where training stands; the data's position is a function of the step."""

    step: int
    served: Sequence[int] = ()
    """The milestones that have their report."""


class Checkpoints:
    """Writes below one incarnation's folder, reads and deletes those of the whole trial."""

    def __init__(
        self, trial_folder: Path | None, incarnation: str, gang: Gang, tracked: Tracked
    ) -> None:
        self.latest: int | None = None
        self.written_at = time.monotonic()
        self.cost_seconds = 0.0
        self._trial_folder = trial_folder
        self.incarnation = incarnation
        """Rank 0's: every node has a pod of its own, but all write into one folder."""
        self._gang = gang
        self._tracked = tracked
        self._complete: list[tuple[int, int]] = []
        """Step, and the sequence number by which the shell can know of it."""
        self.lent: frozenset[int] = frozenset()
        """Steps whose checkpoints stay until they are asked to be removed: others may read them."""

    def save(self, position: Position, committed: Callable[[], int]) -> None:
        """Collective; `committed` is called on rank 0 when nothing can be lost any more."""
        if self._trial_folder is None or self.latest == position.step or self._tracked.is_empty:
            return
        started = time.monotonic()
        final = self._path(wire.Place(self.incarnation, position.step))
        partial = final.with_name(f"{position.step}.partial")
        try:
            self._write(partial, position)
            if self._gang.rank == 0:
                shutil.rmtree(final, ignore_errors=True)  # of a worker that was started again
                partial.replace(final)
                _sync_folder(final.parent)
                self._complete.append((position.step, committed()))
        except OSError as error:
            raise _cannot("write", partial, error) from error
        self._gang.barrier()
        self.latest = position.step
        self.written_at = time.monotonic()
        self.cost_seconds = self.written_at - started

    def forget(self, acknowledged: int) -> None:
        """Rank 0 keeps the last two, and the newest that the shell is known to have stored."""
        stored = [step for step, sequence in self._complete if sequence <= acknowledged]
        for step, sequence in self._complete[:-_KEPT]:
            if step not in stored[-1:] and step not in self.lent:
                self.remove(wire.Place(self.incarnation, step))
                self._complete.remove((step, sequence))

    def remove(self, place: wire.Place) -> None:
        """Rank 0 deletes a checkpoint of this trial, if it is there; never the newest of ours.

        With one of an earlier life go those that it had written before.
        """
        if self._trial_folder is None or place.trial is not None:
            return
        if place == wire.Place(self.incarnation, self.latest or 0):
            return
        path = self._path(place)
        if place.incarnation != self.incarnation and path.parent.is_dir():
            for older in path.parent.iterdir():
                if older.name.isdecimal() and int(older.name) < place.step:
                    shutil.rmtree(older, ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)

    def _path(self, place: wire.Place) -> Path:
        assert self._trial_folder is not None
        folder = wire.checkpoints_folder(self._trial_folder / place.incarnation)
        return folder / str(place.step)

    def restore(self, folder: Path, seed: int) -> Position:
        """Collective: load everything tracked from a complete checkpoint."""
        try:
            state = json.loads((folder / "state.json").read_text("utf-8"))
            if state["format"] != _FORMAT:
                raise UserError(f"{folder} has format {state['format']}, not {_FORMAT}")
            position = Position(int(state["step"]), tuple(state["served"]))
            plain = dict(state["plain"])
            if (folder / "plain.pt").exists():
                plain.update(_load_plain(folder / "plain.pt"))
            if self._tracked.has_tensors:
                from scaletune_trainer import tensors

                tensors.load(folder, self._tracked, self._gang.group)
            self._tracked.load_plain(plain)
            self._restore_random_states(folder, seed, position.step)
        except (OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
            raise _cannot("read", folder, error) from error
        return position

    def _write(self, partial: Path, position: Position) -> None:
        if self._gang.rank == 0:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self._gang.barrier()
        if self._tracked.has_tensors:
            from scaletune_trainer import tensors

            tensors.save(partial, self._tracked, self._gang.group)
        _write_json(partial / f"random-{self._gang.rank}.json", random_states.capture())
        if self._gang.rank == 0:
            self._write_state(partial, position)
        self._gang.barrier()

    def _write_state(self, partial: Path, position: Position) -> None:
        plain = self._tracked.plain_states()
        others = {name: state for name, state in plain.items() if not survives_json(state)}
        if others:
            _save_plain(partial / "plain.pt", others)
        state = {
            "format": _FORMAT,
            "step": position.step,
            "served": list(position.served),
            "processes": self._gang.world,
            "plain": {name: state for name, state in plain.items() if name not in others},
        }
        _write_json(partial / "state.json", state)

    def _restore_random_states(self, folder: Path, seed: int, step: int) -> None:
        own = folder / f"random-{self._gang.rank}.json"
        if own.exists():
            random_states.restore(json.loads(own.read_text("utf-8")))
        else:
            random_states.start(seed, self._gang.rank, step)


def _save_plain(path: Path, states: dict[str, Any]) -> None:
    try:
        import torch
    except ImportError as error:
        names = ", ".join(states)
        raise UserError(f"the state of {names} is no plain JSON, and torch is not here") from error
    with path.open("wb") as file:
        torch.save(states, file)
        file.flush()
        os.fsync(file.fileno())


def _load_plain(path: Path) -> dict[str, Any]:
    import torch

    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


def _write_json(path: Path, document: Any) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot(verb: str, path: Path, error: Exception) -> VolumeError:
    text = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
    return VolumeError(
        f"cannot {verb} the checkpoint {path}: {text}. "
        "Is the checkpoint volume full, read-only or gone?"
    )
