"""Let several processes, started by torchrun, train one model together; or one alone."""
from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import distribute_tensor

from minillm.precision import choose_device
from minillm.training import restore


class Team:
    """What a process needs to know of the others, who all do the same with their own share of each batch."""

    def __init__(self, device: torch.device):
        self.device = device
        self.together = dist.is_initialized()
        self.first = not self.together or dist.get_rank() == 0
        self.size = dist.get_world_size() if self.together else 1

    def say(self, line: str) -> None:
        """Once, not once per process."""
        if self.first:
            with suppress(OSError):  # a terminal that was closed reads no more
                print(line, file=sys.stderr, flush=True)

    def same(self, make: Callable[[], Any]) -> Any:
        """What the first process makes, for all of them."""
        if not self.together:
            return make()
        box = [make() if self.first else None]
        dist.broadcast_object_list(box)
        return box[0]

    def share(self, model: nn.Module, *, split: bool) -> nn.Module:
        """Each process holds all weights (DDP, Li et al. 2020, arXiv:2006.15704), or, `split`, a part of them
        (FSDP2, Zhao et al. 2023, arXiv:2304.11277)."""
        if split and not self.together:
            raise ValueError("--fsdp splits the weights over processes; start them with torchrun --nproc-per-node N")
        if not self.together:
            return model
        if not split:
            return nn.parallel.DistributedDataParallel(model)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard
        mesh = init_device_mesh(self.device.type, (dist.get_world_size(),))
        for part in (*model.blocks, model):
            fully_shard(part, mesh=mesh)
        return model

    def restore(self, saved: dict[str, Any], optimizer: torch.optim.Optimizer) -> int:
        """Give the optimizer back what was saved, each process its part; returns the number of steps done."""
        start = restore(saved, optimizer)
        for weight, state in optimizer.state.items():
            if hasattr(weight, "device_mesh"):  # FSDP2 split it
                for name, value in state.items():
                    if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                        state[name] = distribute_tensor(value, weight.device_mesh, weight.placements)
        return start


@contextmanager
def joined(device: str) -> Iterator[Team]:
    """Meet the processes that torchrun started beside this one, if it did, and part from them at the end."""
    chosen = choose_device(device)
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Team(chosen)
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Team(chosen)
    finally:
        dist.destroy_process_group()


def leave(code: int) -> NoReturn:
    """End this process at once, with nothing left to write and without Python's own farewell: DDP and FSDP2 keep
    gloo's threads alive beyond their group, and such a thread, freeing a tensor while Python finalizes, aborts a run
    that has long been saved."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
