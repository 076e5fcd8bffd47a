"""Round numbers as few bits must: any floating-point format from its two widths, and int8 with a scale."""
from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from minillm.lessons.training.distilling import schoolroom
from minillm.model import Transformer
from minillm.notebook import plots
from minillm.notebook.plots import BLUE, INK, ORANGE
from minillm.notebook.widgets import Live, choice, slider
from minillm.optim import hidden_matrices
from minillm.training import evaluate


@dataclass(frozen=True)
class Format:
    """So many bits for the exponent and for the fraction; what lies above `largest` becomes that, or infinite."""
    exponent: int
    fraction: int
    largest: float
    dtype: torch.dtype

    @property
    def smallest(self) -> float:
        """The smallest number that keeps its full fraction; below it, steps stay as they are there."""
        return 2.0 ** (2 - 2 ** (self.exponent - 1))


FORMATS = {
    "fp32": Format(8, 23, 3.4028234663852886e38, torch.float32),
    "bf16": Format(8, 7, 3.3895313892515355e38, torch.bfloat16),
    "fp16": Format(5, 10, 65504.0, torch.float16),
    "fp8 E5M2": Format(5, 2, 57344.0, torch.float8_e5m2),
    "fp8 E4M3": Format(4, 3, 448.0, torch.float8_e4m3fn),
}
OTHER = ("int8, one scale for a matrix", "int8, one scale for a row")


def rounded(x: Tensor, form: Format) -> Tensor:
    r"""Each number as the nearest that a format holds (a tie goes to the even one), too large ones as the largest.

    $$ y = \mathrm{step} \cdot \mathrm{round}\!\left(\frac{u}{\mathrm{step}}\right), \qquad
       \mathrm{step} = 2^{\max(\lfloor \log_2 |u| \rfloor, \, \kappa_1) - \kappa_2} $$

    κ1 is the exponent of the smallest full number, κ2 the bits of the fraction.
    """
    exponent = torch.frexp(x)[1].sub(1).clamp(min=int(np.log2(form.smallest)))
    step = torch.ldexp(torch.ones_like(x), exponent - form.fraction)
    return ((x / step).round() * step).clamp(-form.largest, form.largest)


def int8(x: Tensor, *, rows: bool = True) -> Tensor:
    """Each number as one of 255 multiples of a scale, of its row or of the whole matrix."""
    scale = x.abs().amax(-1, keepdim=True) / 127 if rows else x.abs().max() / 127
    return (x / scale.clamp(min=1e-30)).round().clamp(-127, 127) * scale


def ways(scale: float = 1.0) -> dict[str, Callable[[Tensor], Tensor]]:
    """Name -> what it makes of a matrix; floating-point formats see it multiplied by `scale`, and divide again."""
    found: dict[str, Callable[[Tensor], Tensor]] = {
        name: lambda x, form=form: rounded(x * scale, form) / scale for name, form in FORMATS.items()}
    return {**found, OTHER[0]: lambda x: int8(x, rows=False), OTHER[1]: int8}


@cache
def storyteller_rounded(way: str, scale: float = 1.0) -> float:
    """Nats per token on fresh stories with every hidden matrix rounded so; all else stays in fp32."""
    room = schoolroom()
    model: Transformer = copy.deepcopy(room.teacher)
    with torch.no_grad():
        for weight in hidden_matrices(model):
            weight.copy_(ways(scale)[way](weight))
    return evaluate(model, room.fresh[:1025])


def rounding_dial() -> Live:
    """What a format makes of a matrix of the storyteller, and of the whole model.  Nothing here gets faster."""
    weight = hidden_matrices(schoolroom().teacher)[9].detach()
    figure = plots.picture(560, 250, title="What is lost when numbers get few bits?")
    ax = plots.axes(figure, xlabel="size of a weight", ylabel="rounding error / weight")
    dots, = ax.plot([], [], ".", color=BLUE, markersize=2, alpha=0.5)
    ax.axhline(1, color=ORANGE, linewidth=1.2)
    ax.text(1.1e-4, 1.1, "1: the weight is gone", color=INK, fontsize=9, va="bottom")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(1e-4, 1)
    ax.set_ylim(1e-8, 20)
    some = weight.flatten()[::37]

    def draw(way: str, scale: float):
        after = ways(scale)[way](weight)
        error = ((after - weight).abs() / weight.abs().clamp(min=1e-30)).flatten()[::37]
        dots.set_data(some.abs(), error.clamp(min=1.5e-8))
        gone = float(((after == 0) & (weight != 0)).float().mean())
        kept, now = storyteller_rounded("fp32"), storyteller_rounded(way, scale)
        return figure.describe(
            f"{way}, scale {scale:g}: a weight is off by {_percent(float(error.median()))} in the middle, "
            f"{_percent(gone)} of them become 0, and the storyteller's loss goes from {kept:.3f} to "
            f"{now:.3f} nats per token. (How fast that would be is another question: here all is computed in fp32.)")

    def rules(way: str, **_: float) -> dict[str, str]:
        return {} if way in FORMATS else {"scale": "int8 brings its own scale"}

    return Live("rounding", {"way": choice("format", [*FORMATS, *OTHER], "fp8 E4M3"),
                             "scale": slider("multiply before by", [2.0 ** p for p in range(-8, 13, 4)], 1.0,
                                             show="{:g}".format)}, draw, rules=rules)


def _percent(share: float) -> str:
    return "nothing" if share == 0 else "less than 0.01 %" if share < 1e-4 else f"{100 * share:.2g} %"
