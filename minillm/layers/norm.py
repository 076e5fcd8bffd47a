"""Keep the size of activations in hand, whatever the layers before have done."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from minillm.layers import fast


class RMSNorm(nn.Module):
    r"""Divide each vector by its root mean square.  Zhang and Sennrich 2019, arXiv:1910.07467.

    $$ y_d = \gamma_d \, \frac{x_d}{\sqrt{\frac{1}{D} \sum_{i=1}^{D} x_i^2 + \varepsilon}} $$

    Scaling x changes nothing (but for ε).  `weight=False` leaves the gain γ out.
    """

    def __init__(self, d_model: int, *, eps: float = 1e-5, weight: bool = True):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model)) if weight else 1.0

    @fast.by(fast.rms_norm)
    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


class LayerNorm(nn.Module):
    r"""Centre each vector, then divide by its standard deviation.  Ba et al. 2016, arXiv:1607.06450.

    $$ y_d = \gamma_d \, \frac{x_d - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \delta_d, \qquad
       \mu = \frac{1}{D} \sum_{i=1}^{D} x_i, \qquad \sigma^2 = \frac{1}{D} \sum_{i=1}^{D} (x_i - \mu)^2 $$

    Neither scaling nor shifting x changes anything (but for ε).  `weight=False` leaves gain γ and shift δ out.
    """

    def __init__(self, d_model: int, *, eps: float = 1e-5, weight: bool = True):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model)) if weight else None
        self.bias = nn.Parameter(torch.zeros(d_model)) if weight else None

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)  # the equation in one kernel


class GainLayerNorm(nn.Module):
    r"""LayerNorm without a shift (MPT, Command R).  MosaicML 2023, "MPT-7B"; Cohere 2024, "Command R".

    $$ y_d = \gamma_d \, \frac{x_d - \mu}{\sqrt{\sigma^2 + \varepsilon}}, \qquad
       \mu = \frac{1}{D} \sum_{i=1}^{D} x_i, \qquad \sigma^2 = \frac{1}{D} \sum_{i=1}^{D} (x_i - \mu)^2 $$

    `weight=False` leaves the gain γ out, too.
    """
    label = "LayerNorm (no shift)"

    def __init__(self, d_model: int, *, eps: float = 1e-5, weight: bool = True):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model)) if weight else None

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        return F.layer_norm(x, x.shape[-1:], self.weight, None, self.eps)  # the equation in one kernel


class HeadNorm(RMSNorm):
    r"""RMSNorm of every head by itself, with one gain for all of them.  Qwen Team 2025, arXiv:2505.09388.

    $$ y_{he} = \gamma_e \, \frac{x_{he}}{\sqrt{\frac{1}{E} \sum_{i=1}^{E} x_{hi}^2 + \varepsilon}} $$

    E is the width of a head; the heads stand side by side in the last axis of x.
    """

    def forward(self, x: Float[Tensor, "*axes heads"]) -> Float[Tensor, "*axes heads"]:
        heads = x.unflatten(-1, (-1, len(self.weight)))  # hot path: views, as rearrange would give
        return super().forward(heads).flatten(-2).to(x.dtype)


class Softcap(nn.Module):
    r"""Keep scores inside (-cap, cap).  Gemma Team 2024, arXiv:2408.00118, section 2.

    $$ y = \mathrm{cap} \tanh(x / \mathrm{cap}) $$
    """

    def __init__(self, cap: float):
        super().__init__()
        self.cap = cap

    def forward(self, x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        return self.cap * torch.tanh(x / self.cap)


NORMS = {"rmsnorm": RMSNorm, "layernorm": LayerNorm, "layernorm-gain": GainLayerNorm}
