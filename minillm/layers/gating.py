"""Let a head say less, or nothing: a gate on what it found, or a share of its gaze that goes nowhere."""
from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class HeadGate(nn.Module):
    r"""Each head's output passes by as much as x says.  Qiu et al. 2025, arXiv:2505.06708 (their gate per head).

    $$ y_{hqe} = \mathrm{sigmoid}\left( \sum_{d=1}^{D} W^{gate}_{hd} \, x_{qd} \right) z_{hqe} $$

    A head with nothing to say is switched off here, and need not look at the first token instead.
    """

    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        self.gate_proj = nn.Linear(d_model, n_heads, bias=False)

    def forward(self, z: Float[Tensor, "batch head seq d_head"], x: Float[Tensor, "batch seq d_model"]
                ) -> Float[Tensor, "batch head seq d_head"]:
        return self.gate_proj(x).sigmoid().mT[..., None] * z


class Ungated(nn.Module):
    """Let every head's output pass as it is."""

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        return z


class SinkSoftmax(nn.Module):
    r"""A softmax with one learned score more for each head, whose share goes nowhere.  gpt-oss, OpenAI 2025,
    arXiv:2508.10925; with the score 0 for all heads: Miller 2023, "Attention is off by one".

    $$ A_{hqk} = \frac{\exp S_{hqk}}{\exp \mathrm{sink}_h + \sum_{k' \le q} \exp S_{hqk'}} $$

    Without it a pattern must sum to one, and a head that finds nothing gazes at the first token.
    """

    def __init__(self, n_heads: int):
        super().__init__()
        self.sinks = nn.Parameter(torch.zeros(n_heads))

    def forward(self, scores: Float[Tensor, "batch head query key"]) -> Float[Tensor, "batch head query key"]:
        sinks = self.sinks[:, None, None].to(scores.dtype).expand(*scores.shape[:3], 1)
        return torch.cat([scores, sinks], dim=-1).softmax(dim=-1)[..., :-1]
