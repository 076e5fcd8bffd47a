"""Keep a matrix in fewer bits: in eight to write sooner, in four to learn a small correction beside it (QLoRA)."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from minillm.lora import LoRALinear
from minillm.model import evaluating

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


class Int8Linear(nn.Module):
    r"""A linear layer whose weights are whole numbers from -127 to 127; each row has a scale of its own.

    $$ W_{ij} \approx \mathrm{scale}_i \, n_{ij}, \qquad \mathrm{scale}_i = \max_j |W_{ij}| / 127, \qquad
       n_{ij} = \mathrm{round}(W_{ij} / \mathrm{scale}_i) $$

    To write one text, every weight is read once for each token, and here that is a quarter of the bytes.  For a few
    rows on a CPU x is rounded to bfloat16, and sums are taken in float32.  More rows are multiplied by the matrix that
    the numbers stand for, which is made anew each time: there nothing is faster.
    Dettmers et al. 2022, arXiv:2208.07339, section 2.
    """
    few = 4  # rows

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        weight = linear.weight.detach().float()
        scales = (weight.abs().amax(dim=1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
        self.register_buffer("codes", (weight / scales[:, None]).round().to(torch.int8))
        self.register_buffer("scales", scales)
        self.register_buffer("ones", torch.ones(self.out_features, dtype=torch.bfloat16, device=weight.device))

    @property
    def weight(self) -> Float[Tensor, "d_out d_in"]:
        """What the numbers stand for."""
        return self.codes * self.scales[:, None]

    def forward(self, x: Float[Tensor, "*axes d_in"]) -> Float[Tensor, "*axes d_out"]:
        rows = x.flatten(0, -2)
        if not 0 < len(rows) <= self.few or x.device.type != "cpu" or self.in_features % 32:  # PyTorch errs there
            return F.linear(x.float(), self.weight, self.bias).to(x.dtype)
        y = torch._weight_int8pack_mm(rows.bfloat16(), self.codes, self.ones) * self.scales
        y = y if self.bias is None else y + self.bias
        return y.to(x.dtype).view(*x.shape[:-1], self.out_features)


@torch.no_grad()
def in_int8(model: nn.Module) -> nn.Module:
    """Put an `Int8Linear` in place of every linear layer, but for those that choose experts.

    Changes the model where it stands and returns it: to write with, not to learn or to save.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and name != "router":
                setattr(parent, name, Int8Linear(child))
    return model


@torch.inference_mode()
def price(exact: nn.Module, rounded: nn.Module, tokens: Sequence[int]) -> float:
    r"""What rounding costs in loss, in nats per token: by how much worse the rounded model foresees what the exact one
    would write next, at each place of this text.

    $$ \frac{1}{T} \sum_{t=1}^{T} \sum_v p_{tv} \ln \frac{p_{tv}}{\hat p_{tv}} $$
    """
    text = torch.as_tensor(tokens, device=next(exact.parameters()).device)[None]
    with evaluating(exact), evaluating(rounded):
        p, q = (model(text)[0].float().log_softmax(dim=-1) for model in (exact, rounded))
    return F.kl_div(q, p, log_target=True, reduction="batchmean").item()


def memory(model: nn.Module) -> dict[str, int]:
    """Bytes that training holds between two steps, counted tensor by tensor: weights that stay, weights that learn,
    their gradients, and Adam's two means of each (as wide as the weights)."""
    tensors = {id(x): x for x in (*model.parameters(), *model.buffers())}.values()
    learned = sum(x.nbytes for x in tensors if x.requires_grad)
    frozen = sum(x.nbytes for x in tensors if not x.requires_grad)
    return {"frozen": frozen, "learned": learned, "gradients": learned, "Adam": 2 * learned}
