"""Tell the model where each token stands: attention by itself cannot see order."""
from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from minillm.config import RopeScaling
from minillm.layers import fast
from minillm.layers.stretching import stretch
from minillm.layers.tables import Worked


class Learned(nn.Module):
    r"""Add a learned vector per position.  Radford et al. 2019 (GPT-2).

    $$ y_{td} = x_{td} + W^{position}_{td} $$
    """
    label = "learned positions"

    def __init__(self, d_model: int, context_length: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(context_length, d_model))

    def forward(self, x: Float[Tensor, "*batch seq d_model"], positions: Int[Tensor, "seq"]
                ) -> Float[Tensor, "*batch seq d_model"]:
        return x + self.weight[positions]


class Sinusoidal(Worked):
    r"""Add sines and cosines of slower and slower waves.  Vaswani et al. 2017, arXiv:1706.03762, section 3.5.

    $$ y_{t,2i} = x_{t,2i} + \sin(t \, \theta^{-2i/D}), \qquad
       y_{t,2i+1} = x_{t,2i+1} + \cos(t \, \theta^{-2i/D}) $$
    """
    label = "sinusoidal positions"

    def __init__(self, d_model: int, context_length: int, theta: float = 10_000.0):
        super().__init__()
        if d_model < 2 or d_model % 2:
            raise ValueError(f"sinusoidal positions come in pairs, but d_model={d_model}; make it even, at least 2")

        def waves() -> Float[Tensor, "seq d_model"]:
            turned = angles(torch.arange(context_length), frequencies(d_model, theta))
            return rearrange([turned.sin(), turned.cos()], "wave seq pair -> seq (pair wave)")

        self.work_out("waves", waves)

    def forward(self, x: Float[Tensor, "*batch seq d_model"], positions: Int[Tensor, "seq"]
                ) -> Float[Tensor, "*batch seq d_model"]:
        return x + self.waves[positions]


class RoPE(Worked):
    r"""Turn pairs of components by an angle that grows with the position.  Su et al. 2021, arXiv:2104.09864.

    $$ \begin{pmatrix} y_i \\ y_{i'} \end{pmatrix} =
       \begin{pmatrix} \cos t\omega_i & -\sin t\omega_i \\ \sin t\omega_i & \cos t\omega_i \end{pmatrix}
       \begin{pmatrix} x_i \\ x_{i'} \end{pmatrix}, \qquad \omega_i = \theta^{-2i/E} $$

    A query at position q and a key at k then meet at the angle (q - k) ω: their score depends on distance alone.
    The partner i' of i is i + E/2 ("halves", as in LLaMA's published weights) or its neighbour ("neighbours", as in
    the paper).  Only the first `fraction` of the E components turns; angles are kept in fp32.
    """
    exact = True

    def __init__(self, d_head: int, *, theta: float = 10_000.0, fraction: float = 1.0,
                 pairs: str = "halves", scaling: RopeScaling | None = None):
        super().__init__()
        self.d_turned = int(d_head * fraction)
        if not 2 <= self.d_turned <= d_head or self.d_turned % 2:
            raise ValueError(f"RoPE turns pairs, but fraction={fraction} of d_head={d_head} is {self.d_turned} "
                             f"components; make that an even number of at least 2 and at most d_head")
        self.half = {"halves": -2, "neighbours": -1}[pairs]  # the axis of a pair's two members, once it is cut out

        def speeds() -> Float[Tensor, "d_turned"]:  # of a pair's first member -omega: it takes minus the sine
            omega = stretch(frequencies(self.d_turned, theta), scaling)
            return torch.stack([-omega, omega], self.half).flatten()

        self.work_out("speeds", speeds)

    @fast.by(fast.turn, when=fast.can_turn)
    def forward(self, x: Float[Tensor, "*axes seq d_head"], positions: Int[Tensor, "seq"]
                ) -> Float[Tensor, "*axes seq d_head"]:
        turns = angles(positions, self.speeds)  # to look them up would take as long, and a gigabyte per million
        cos, sin = turns.cos().to(x.dtype), turns.sin().to(x.dtype)
        turned, still = x[..., :self.d_turned], x[..., self.d_turned:]
        turned = turned * cos + self.partner(turned) * sin
        return torch.cat([turned, still], dim=-1) if still.shape[-1] else turned

    def partner(self, x: Float[Tensor, "*axes d_turned"]) -> Float[Tensor, "*axes d_turned"]:
        """Put each component's partner in its place."""
        pairs = x.unflatten(-1, (2, -1) if self.half == -2 else (-1, 2))
        return pairs.flip(self.half).flatten(-2)


class ALiBi(Worked):
    r"""Lower a score in proportion to the distance.  Press et al. 2021, arXiv:2108.12409.

    $$ S_{hqk} \leftarrow S_{hqk} - \kappa_h \, (q - k), \qquad \kappa_h = 2^{-8h/H}, \quad h = 1 \ldots H $$

    Where H is no power of two, the missing slopes are those of 2H' (H' the power below), every other one.
    """

    def __init__(self, n_heads: int):
        super().__init__()
        self.work_out("slopes", lambda: slopes(n_heads))

    def forward(self, query: Int[Tensor, "query"], key: Int[Tensor, "key"]) -> Float[Tensor, "head query key"]:
        return -self.slopes[:, None, None] * (query[:, None] - key[None, :])


def frequencies(d: int, theta: float) -> Float[Tensor, "pair"]:
    """omega_i = theta ** (-2 i / d), in radians per position, for the d / 2 pairs."""
    if not theta > 0:
        raise ValueError(f"theta={theta} must be positive: it sets the slowest wave's length; 10000 is usual")
    return theta ** -(torch.arange(0, d, 2).float() / d)


def angles(positions: Int[Tensor, "seq"], omega: Float[Tensor, "pair"]) -> Float[Tensor, "seq pair"]:
    """By how much each pair is turned at each position, in radians: t omega."""
    return positions[:, None] * omega


def slopes(n_heads: int) -> Float[Tensor, "head"]:
    """One slope per head: geometric from 2 ** (-8 / n) down to 2 ** -8."""
    if n_heads < 1:
        raise ValueError(f"n_heads={n_heads} leaves ALiBi no head to give a slope; make it at least 1")
    below = 2 ** math.floor(math.log2(n_heads))
    first = [2 ** (-8 * h / below) for h in range(1, below + 1)]
    between = [2 ** (-4 * h / below) for h in range(1, 2 * below + 1, 2)]
    return torch.tensor(first + between[:n_heads - below])


ADDED = {"learned": Learned, "sinusoidal": Sinusoidal}  # a scheme acts on the embeddings,
ROTATED = {"rope": RoPE}                                # on queries and keys,
BIASED = {"alibi": ALiBi}                               # or on the scores
