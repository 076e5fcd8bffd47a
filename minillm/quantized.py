"""Keep a frozen matrix in four bits per weight, and learn a small correction beside it (QLoRA)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from minillm.lora import LoRALinear

BLOCK = 64  # weights that share one scale


def normal_float_levels() -> Float[Tensor, "16"]:
    r"""The sixteen numbers of NF4: equally likely steps of a normal distribution, and an exact 0.

    Eight quantiles of N(0, 1) above zero, seven below, evenly spaced in probability from 1/2 to κ = 0.9677083 (so
    that neither end is infinite), divided by the largest.  Dettmers et al. 2023, arXiv:2305.14314, section 3.
    """
    far = 0.9677083
    above = torch.special.ndtri(torch.linspace(far, 0.5, 9, dtype=torch.float64)[:-1])
    below = -torch.special.ndtri(torch.linspace(far, 0.5, 8, dtype=torch.float64)[:-1])
    levels = torch.cat([below, torch.zeros(1, dtype=torch.float64), above]).sort().values
    return (levels / levels.max()).float()


LEVELS = normal_float_levels()


class NF4Linear(nn.Module):
    r"""A linear layer whose weights are codes of four bits; 64 of them share a scale, the largest of their sizes.

    $$ W_{ij} \approx \mathrm{scale} \cdot \mathrm{level}_{n_{ij}}, \qquad
       n_{ij} = \arg\min_n \left| \frac{W_{ij}}{\mathrm{scale}} - \mathrm{level}_n \right| $$

    4 bits a weight and 32 a scale make 4.5 in all.  (QLoRA quantises the scales once more, to 4.127; this does not.)
    The codes lie two in a byte; the matrix is made anew from them whenever it is used, which saves memory and no time.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        codes, scales = quantize(linear.weight.detach())
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)
        self.bias = linear.bias

    @property
    def weight(self) -> Float[Tensor, "d_out d_in"]:
        """What the codes stand for."""
        return dequantize(self.codes, self.scales, (self.out_features, self.in_features))

    def forward(self, x: Float[Tensor, "*axes d_in"]) -> Float[Tensor, "*axes d_out"]:
        return F.linear(x, self.weight, self.bias)


def quantize(weight: Float[Tensor, "d_out d_in"]) -> tuple[UInt8[Tensor, "byte"], Float[Tensor, "block"]]:
    """Codes, two in a byte, and a scale per `BLOCK` weights; the last block is filled up with zeros."""
    row = F.pad(weight.flatten().float(), (0, -weight.numel() % BLOCK)).unflatten(0, (-1, BLOCK))
    scales = row.abs().amax(dim=1)
    shares = row / scales.clamp(min=torch.finfo(torch.float32).tiny)[:, None]
    borders = ((LEVELS[1:] + LEVELS[:-1]) / 2).to(weight.device)  # the nearest level is found between two middles
    codes = torch.bucketize(shares, borders).flatten().to(torch.uint8)
    return codes[0::2] << 4 | codes[1::2], scales


def dequantize(codes: UInt8[Tensor, "byte"], scales: Float[Tensor, "block"], shape: tuple[int, int]
               ) -> Float[Tensor, "d_out d_in"]:
    """The matrix that `quantize` wrote down, each weight at its level."""
    pairs = torch.stack([codes >> 4, codes & 15], dim=1).flatten().long()
    row = LEVELS.to(scales.device)[pairs].unflatten(0, (-1, BLOCK)) * scales[:, None]
    return row.flatten()[:shape[0] * shape[1]].unflatten(0, shape)


class QLoRALinear(LoRALinear):
    r"""LoRA in bfloat16 beside a matrix in four bits.  Dettmers et al. 2023, arXiv:2305.14314.

    $$ y = \mathrm{nf4}(W) \, x + \frac{\alpha}{r} W_B W_A x $$

    ``add_lora(model, layer=QLoRALinear)``.  A simulation for any processor: memory is that of the real thing, sums are
    taken in float32, and nothing is faster.
    """

    def __init__(self, base: nn.Linear, **options):
        super().__init__(base, **options)
        self.base = NF4Linear(base)
        self.lora_A, self.lora_B = self.lora_A.bfloat16(), self.lora_B.bfloat16()

    def forward(self, x: Float[Tensor, "*axes d_in"]) -> Float[Tensor, "*axes d_out"]:
        low = self.lora_B(self.lora_A(self.dropout(x).bfloat16()))
        return self.base(x) + self.scale * low.to(x.dtype)

    def correction(self) -> Float[Tensor, "d_out d_in"]:
        """The matrix that is added, in float32."""
        return self.scale * self.lora_B.weight.float() @ self.lora_A.weight.float()

    def merged(self) -> nn.Linear:
        """A full matrix again: that of the codes, and the correction."""
        weight = self.weight
        linear = nn.utils.skip_init(nn.Linear, *weight.shape[::-1], bias=False, device=weight.device)
        linear.weight.copy_(weight)
        linear.bias = self.base.bias
        return linear


def memory(model: nn.Module) -> dict[str, int]:
    """Bytes that training holds between two steps, counted tensor by tensor: weights that stay, weights that learn,
    their gradients, and Adam's two means of each (as wide as the weights)."""
    tensors = {id(x): x for x in (*model.parameters(), *model.buffers())}.values()
    learned = sum(x.nbytes for x in tensors if x.requires_grad)
    frozen = sum(x.nbytes for x in tensors if not x.requires_grad)
    return {"frozen": frozen, "learned": learned, "gradients": learned, "Adam": 2 * learned}
