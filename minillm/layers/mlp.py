"""Let each position think for itself: widen, bend, narrow."""
from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from minillm.layers import fast


class ReLU(nn.Module):
    r"""The plain two-matrix MLP.  Vaswani et al. 2017, arXiv:1706.03762, section 3.3.

    $$ y = W_{down} \max(0, W_{up} \, x) $$
    """

    def __init__(self, d_model: int, d_ff: int, *, bias: bool = False):
        super().__init__()
        self.up_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.down_proj = nn.Linear(d_ff, d_model, bias=bias)

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        return self.down_proj(F.relu(self.up_proj(x)))


class ReLU2(ReLU):
    r"""ReLU, squared.  So et al. 2021, arXiv:2109.08668.

    $$ y = W_{down} \max(0, W_{up} \, x)^2 $$
    """
    label = "ReLU²"

    @fast.by(fast.relu2_mlp)
    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        return self.down_proj(F.relu(self.up_proj(x)).square())


class GELU(ReLU):
    r"""A smooth ReLU, in the tanh form that GPT-2 uses.  Hendrycks and Gimpel 2016, arXiv:1606.08415.

    $$ y = W_{down} \, \mathrm{gelu}(W_{up} \, x), \qquad
       \mathrm{gelu}(u) = \tfrac{1}{2} u \left(1 + \tanh\left(\sqrt{2/\pi} \, (u + 0.044715 \, u^3)\right)\right) $$
    """

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        return self.down_proj(F.gelu(self.up_proj(x), approximate="tanh"))


class ExactGELU(ReLU):
    r"""GELU by the normal distribution's own Φ (GPT-NeoX).  Hendrycks and Gimpel 2016, arXiv:1606.08415.

    $$ y = W_{down} \, \mathrm{gelu}(W_{up} \, x), \qquad \mathrm{gelu}(u) = u \, \Phi(u) $$
    """
    label = "GELU (exact)"

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        return self.down_proj(F.gelu(self.up_proj(x)))


class SwiGLU(nn.Module):
    r"""A gate decides how much of each hidden unit passes.  Shazeer 2020, arXiv:2002.05202.

    $$ y = W_{down} \left( \mathrm{silu}(W_{gate} \, x) \odot W_{up} \, x \right), \qquad
       \mathrm{silu}(u) = \frac{u}{1 + \exp(-u)} $$
    """

    def __init__(self, d_model: int, d_ff: int, *, bias: bool = False):
        super().__init__()
        self.gate_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.up_proj = nn.Linear(d_model, d_ff, bias=bias)
        self.down_proj = nn.Linear(d_ff, d_model, bias=bias)

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class GeGLU(SwiGLU):
    r"""The same gate with GELU's tanh form (Gemma).  Shazeer 2020, arXiv:2002.05202.

    $$ y = W_{down} \left( \mathrm{gelu}(W_{gate} \, x) \odot W_{up} \, x \right), \qquad
       \mathrm{gelu}(u) = \tfrac{1}{2} u \left(1 + \tanh\left(\sqrt{2/\pi} \, (u + 0.044715 \, u^3)\right)\right) $$
    """

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        return self.down_proj(F.gelu(self.gate_proj(x), approximate="tanh") * self.up_proj(x))


class CappedSwiGLU(SwiGLU):
    r"""A gate that stays in bounds, on units that begin at one (gpt-oss).  OpenAI 2025, arXiv:2508.10925.

    $$ y = W_{down} \left( \mathrm{gate}(\min(W_{gate} \, x, 7)) \odot (1 + \max(-7, \min(W_{up} \, x, 7))) \right),
       \qquad \mathrm{gate}(u) = u \, \mathrm{sigmoid}(1.702 \, u) $$
    """
    label = "SwiGLU (capped)"

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        u, up = self.gate_proj(x).clamp(max=7.0), self.up_proj(x).clamp(-7.0, 7.0)
        return self.down_proj(u * (1.702 * u).sigmoid() * (1 + up))


MLPS = {"swiglu": SwiGLU, "swiglu-capped": CappedSwiGLU, "geglu": GeGLU, "gelu": GELU, "gelu-exact": ExactGELU,
        "relu2": ReLU2, "relu": ReLU}
