"""Train in a group of one process, as torchrun would start it: ``python -m tests.device.alone cuda``."""
from __future__ import annotations

import json
import sys

import torch
import torch.distributed as dist

from minillm.cli.processes import Team, leave
from minillm.optim import adamw
from tests.device.checks import BASE, losses, made


def main(device: torch.device) -> None:
    """Print the losses of both strategies as JSON."""
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=dist.HashStore(), rank=0, world_size=1)
    team, found = Team(device), {}
    for name, split in (("DDP", False), ("FSDP2", True)):
        model = team.share(made(BASE).to(device), split=split)
        found[name] = losses(model, adamw(model))
    print(json.dumps(found))
    leave(0)


if __name__ == "__main__":
    main(torch.device(sys.argv[1]))
