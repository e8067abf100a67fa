"""The ranks of a trial: who we are, and how all come to the same conclusion at the same step.

One small all-reduce (the maximum of a few integers, through gloo on the CPU) both tells the others
what rank 0 has read and gathers what any rank has to say. Alone, it is free.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any


class Gang:
    """All ranks; a single process is a gang of one."""

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.group: Any = None
        self._distributed: Any = None

    def join(self) -> None:
        """Collective, once. The script's own process group is used if it made one."""
        if self.world == 1 or self.group is not None:
            return
        import torch
        import torch.distributed as distributed

        if not distributed.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            distributed.init_process_group(backend)
        self.group = distributed.new_group(backend="gloo")
        self._distributed = distributed

    def maxima(self, values: Sequence[int]) -> list[int]:
        """Collective: the largest of each value over all ranks."""
        if self.group is None:
            return list(values)
        import torch

        tensor = torch.tensor(values, dtype=torch.int64, device="cpu")
        self._distributed.all_reduce(tensor, op=self._distributed.ReduceOp.MAX, group=self.group)
        return [int(value) for value in tensor.tolist()]

    def told_by_rank_0(self, text: str) -> str:
        """Collective: what rank 0 says, whatever the others believe."""
        if self.group is None:
            return text
        told = [text]
        self._distributed.broadcast_object_list(told, src=0, group=self.group)
        return told[0]

    def barrier(self) -> None:
        if self.group is not None:
            self._distributed.barrier(group=self.group)
