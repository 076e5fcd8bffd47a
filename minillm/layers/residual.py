"""Let each block start from the stream as it stands, or from that and the first one."""
from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Plain(nn.Module):
    """Go on with the stream as it stands."""
    label = "as it stands"

    def forward(self, x: Tensor, first: Tensor) -> Tensor:
        return x


class FirstAgain(nn.Module):
    r"""Before each block, add the first stream again, by as much as it learns to.  Karpathy 2025, "nanochat", after
    Jordan et al. 2024, "modded-nanogpt".

    $$ x_{td} \leftarrow \mathrm{kept} \cdot x_{td} + \mathrm{again} \cdot \mathrm{first}_{td} $$

    It starts with kept = 1 and again = 0, as if it were not there.
    """
    label = "the first again (x0)"

    def __init__(self):
        super().__init__()
        self.kept, self.again = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def forward(self, x: Float[Tensor, "batch seq d_model"], first: Float[Tensor, "batch seq d_model"]
                ) -> Float[Tensor, "batch seq d_model"]:
        return self.kept * x + self.again * first


RESIDUALS = {"plain": Plain, "x0": FirstAgain}
