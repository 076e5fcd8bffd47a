"""Fine-tune a model by learning a small correction to some of its matrices."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

RULES = {  # what the correction is multiplied by; the second is rsLoRA's, Kalajdzievski 2023, arXiv:2312.03732
    "alpha/r": lambda alpha, rank: alpha / rank,
    "alpha/sqrt(r)": lambda alpha, rank: alpha / math.sqrt(rank),
    "alpha": lambda alpha, rank: alpha,
}


class LoRALinear(nn.Module):
    r"""A frozen linear layer and a low-rank correction beside it.  Hu et al. 2021, arXiv:2106.09685.

    $$ y = W x + \frac{\alpha}{r} W_B W_A x, \qquad W_A \in \mathbb{R}^{r \times D_{in}}, \;
       W_B \in \mathbb{R}^{D_{out} \times r} $$

    W_B starts at zero, so that nothing changes until something is learned.  `scale` is alpha / r, unless `rule`
    names another of `RULES`.
    """

    def __init__(self, base: nn.Linear, *, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0,
                 rule: str = "alpha/r", generator: torch.Generator | None = None):
        super().__init__()
        check_rank(base, rank)
        if rule not in RULES:
            raise ValueError(f"rule={rule!r} is unknown; what scales the correction is one of {', '.join(RULES)}")
        self.base, self.rank, self.alpha = base.requires_grad_(False), rank, alpha
        self.rule, self.scale = rule, RULES[rule](alpha, rank)
        like = {"bias": False, "device": base.weight.device, "dtype": base.weight.dtype}
        self.lora_A = nn.utils.skip_init(nn.Linear, base.in_features, rank, **like)
        self.lora_B = nn.utils.skip_init(nn.Linear, rank, base.out_features, **like)
        self.dropout = nn.Dropout(dropout)
        bound = 1 / math.sqrt(base.in_features)
        with torch.no_grad():
            drawn = torch.empty(rank, base.in_features).uniform_(-bound, bound, generator=generator)
            self.lora_A.weight.copy_(drawn)
            self.lora_B.weight.zero_()
        self.train(base.training)  # no dropout in a model that is being used

    def forward(self, x: Float[Tensor, "*axes d_in"]) -> Float[Tensor, "*axes d_out"]:
        return self.base(x) + self.scale * self.lora_B(self.lora_A(self.dropout(x)))

    @property
    def weight(self) -> Float[Tensor, "d_out d_in"]:
        """The matrix that both amount to, for who wants more of a linear layer than to call it (latent attention)."""
        return self.base.weight + self.correction()

    def correction(self) -> Float[Tensor, "d_out d_in"]:
        """The matrix that is added to W: (alpha / rank) B A."""
        return self.scale * self.lora_B.weight @ self.lora_A.weight

    def merged(self) -> nn.Linear:
        """One matrix that does what both did; the base itself is changed."""
        self.base.weight += self.correction()
        return self.base


class DoRALinear(LoRALinear):
    r"""Learn how long each row of the matrix is apart from where it points.  Liu et al. 2024, arXiv:2402.09353.

    $$ y_i = \gamma_i \frac{(W' x)_i}{\lVert W'_i \rVert}, \qquad W' = W + \frac{\alpha}{r} W_B W_A $$

    The lengths γ (`magnitude`) start as those of W's rows, so that nothing changes.  The length below the line
    counts as fixed when gradients are taken, as in section 4.3.  A bias is added afterwards.
    """

    def __init__(self, base: nn.Linear, **options):
        super().__init__(base, **options)
        self.magnitude = nn.Parameter(base.weight.detach().norm(dim=1))

    def forward(self, x: Float[Tensor, "*axes d_in"]) -> Float[Tensor, "*axes d_out"]:
        pointed = F.linear(x, self.base.weight) + self.scale * self.lora_B(self.lora_A(self.dropout(x)))
        y = self.magnitude / self.pointing().detach().norm(dim=1) * pointed
        return y if self.base.bias is None else y + self.base.bias

    @property
    def weight(self) -> Float[Tensor, "d_out d_in"]:
        """The matrix that it amounts to."""
        pointed = self.pointing()
        return (self.magnitude / pointed.norm(dim=1))[:, None] * pointed

    def pointing(self) -> Float[Tensor, "d_out d_in"]:
        """W', of which only the directions of the rows count."""
        return self.base.weight + super().correction()

    def correction(self) -> Float[Tensor, "d_out d_in"]:
        """How the matrix differs from W, lengths included."""
        return self.weight - self.base.weight


def check_rank(base: nn.Linear, rank: int) -> None:
    """Raises ValueError where a correction of this rank would be no smaller than the matrix."""
    if type(rank) is not int or not 1 <= rank <= min(base.in_features, base.out_features):
        raise ValueError(f"rank={rank!r} must lie between 1 and the smaller side of the matrix, "
                         f"{min(base.in_features, base.out_features)}")


def add_lora(model: nn.Module, *, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0, rule: str = "alpha/r",
             targets: str | Sequence[str] = ("q_proj", "v_proj"), seed: int = 0,
             layer: type[LoRALinear] = LoRALinear) -> nn.Module:
    """Freeze the model and put a `layer` (LoRA, or `DoRALinear`) in place of every linear layer whose last name is a
    target.

    Changes the model where it stands and returns it; only the corrections can be trained then.  Refuses a model
    that has corrections already (a second call would throw away what the first ones learned) and targets that name
    no linear layer.
    """
    if any(isinstance(m, LoRALinear) for m in model.modules()):
        raise ValueError("this model has LoRA layers already; merge_lora(model) first, or go on training these")
    targets = (targets,) if isinstance(targets, str) else tuple(targets)
    if not targets:
        raise ValueError('targets is empty, so nothing could learn; name linear layers, for instance "q_proj"')
    generator = torch.Generator().manual_seed(seed)
    places = [(parent, name, child) for parent in model.modules() for name, child in parent.named_children()
              if name in targets and isinstance(child, nn.Linear)]
    for target in targets:
        if target not in {name for _, name, _ in places}:
            linear = sorted({n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, nn.Linear)})
            raise ValueError(f"target {target!r} names no linear layer; this model has: {', '.join(linear)}")
    uses = [p for m in model.modules() for p in m.parameters(recurse=False)]
    for _, name, linear in places:  # all refusals come before the first change
        check_rank(linear, rank)
        if sum(p is linear.weight for p in uses) > 1:
            raise ValueError(f"{name}'s matrix is also used elsewhere (tied embeddings): a correction would change "
                             f"both; leave {name} out of targets, or build the model with tie_embeddings=False")
    model.requires_grad_(False)
    for parent, name, linear in places:
        setattr(parent, name, layer(linear, rank=rank, alpha=alpha, dropout=dropout, rule=rule, generator=generator))
    return model


@torch.no_grad()
def merge_lora(model: nn.Module) -> nn.Module:
    """Add every correction to its matrix and take the LoRA layers away: W <- W + (alpha / rank) B A.

    Changes the model where it stands and returns it; all of it can be trained again.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoRALinear):
                setattr(parent, name, child.merged())
    return model.requires_grad_(True)


def corrections(model: nn.Module) -> dict[str, LoRALinear]:
    """The corrected layers of a model, by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, LoRALinear)}


MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")  # all of a LLaMA block
