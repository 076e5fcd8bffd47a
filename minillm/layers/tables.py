"""Keep what a layer has worked out and not learned: it is in no checkpoint, so nothing may lose or round it."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Worked(nn.Module):
    """A layer with tables.  They are real on PyTorch's "meta" device too, and whoever gives such a model memory
    (`to_empty`) finds them as they were.  `exact`: a model cast to 16 bits keeps them in 32."""
    exact = False

    def work_out(self, name: str, make: Callable[[], Tensor]) -> None:
        """Keep a table under this name, where parameters are made."""
        with torch.device("cpu"):
            table = make()
        device = torch.empty(0).device
        self.register_buffer(name, table if device.type == "meta" else table.to(device), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Worked:
        kept = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, table in kept.items():
            new = getattr(self, name)
            if new.device.type != "meta":
                table = table.to(new.device, table.dtype if self.exact else new.dtype)
            setattr(self, name, table)
        return self
