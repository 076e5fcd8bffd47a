"""Turn gradients into better weights: which parameters, by which rule, how far at each step."""
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minillm.kept import check_kept, check_rates
from minillm.precision import has_bf16

Schedule = Callable[[int], float]  # step, counted from 0 -> the factor that multiplies every learning rate
READ_OUTS = ("unembed", "lm_head", "router")  # Linear layers whose outputs are choices, not features


def constant(*, warmup: int = 0) -> Schedule:
    """Climb to 1 over the first `warmup` steps, then stay."""
    return lambda step: _climb(step, warmup)


def warmup_cosine(n_steps: int, *, warmup: int = 0, floor: float = 0.0) -> Schedule:
    r"""Climb to 1, then fall along half a cosine to `floor` at n_steps.  Loshchilov & Hutter 2017.

    $$ \mathrm{share}_s = \mathrm{floor} + (1 - \mathrm{floor}) \, \tfrac12 \left(1 + \cos\left(\pi \,
       \frac{s - N_{warmup}}{N_{steps} - N_{warmup}}\right)\right) $$
    """
    def factor(step: int) -> float:
        fallen = 0.5 - 0.5 * math.cos(math.pi * _fraction(step, warmup, n_steps))
        return _climb(step, warmup) * (1 - (1 - floor) * fallen)
    return factor


def warmup_linear(n_steps: int, *, warmup: int = 0, floor: float = 0.0) -> Schedule:
    """Climb to 1, then fall along a straight line to `floor` at n_steps."""
    return lambda step: _climb(step, warmup) * (1 - (1 - floor) * _fraction(step, warmup, n_steps))


def warmup_stable_decay(n_steps: int, *, warmup: int = 0, decay: float = 0.4, floor: float = 0.0) -> Schedule:
    """Climb to 1, stay, and fall along a line to `floor` over the last `decay` of the steps.

    Hu et al. 2024, arXiv:2404.06395.
    """
    start = n_steps * (1 - decay)
    return lambda step: _climb(step, warmup) * (1 - (1 - floor) * _fraction(step, start, n_steps))


def adamw(model: nn.Module, *, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.95), eps: float = 1e-8,
          weight_decay: float = 0.1) -> torch.optim.AdamW:
    """PyTorch's AdamW, with decay on the matrices of linear layers only: shrinking a norm, a bias or a rare
    token's embedding helps nobody.  Loshchilov & Hutter 2019, arXiv:1711.05101.

    The fused kernel reads a weight's memory in a row, so it is taken only where every weight lies so: of a view with
    gaps (a part of a larger matrix, turned) it would read, and move, other numbers without a word.
    """
    check_rates(lr=lr, eps=eps, weight_decay=weight_decay, beta1=betas[0], beta2=betas[1])
    decayed = {id(weight) for weight in _linear_weights(model).values()}
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [{"params": [p for p in trained if id(p) in decayed], "weight_decay": weight_decay},
              {"params": [p for p in trained if id(p) not in decayed], "weight_decay": 0.0}]
    made = torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=betas, eps=eps,
                             fused=all(p.is_contiguous() for p in trained))
    made.register_load_state_dict_pre_hook(check_kept)
    return made


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The weights that turn one hidden vector into another: every trained Linear that is no read-out."""
    return [weight for name, weight in _linear_weights(model).items()
            if weight.requires_grad and name.rpartition(".")[2] not in READ_OUTS]


def muon(model: nn.Module, *, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0,
         adam_lr: float = 3e-3, betas: tuple[float, float] = (0.9, 0.95), quick: bool = False) -> Muon:
    """Muon for the hidden matrices, Adam for everything else (embeddings, read-out, norms, biases).

    `quick` levels in about half the time: each head's queries, keys, values and output by themselves, and all by
    `orthogonalize_quickly`.
    """
    matrices = hidden_matrices(model)
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in chosen]
    return Muon(matrices, others, lr=lr, momentum=momentum, weight_decay=weight_decay, adam_lr=adam_lr,
                betas=betas, heads=heads_of(model) if quick else {},
                level=orthogonalize_quickly if quick else orthogonalize)


def heads_of(model: nn.Module) -> dict[nn.Parameter, tuple[int, int]]:
    """Into how many heads a matrix falls, and along which axis: rows that read queries, keys and values from the
    stream, columns that write to it."""
    found = {}
    for part in model.modules():
        weights = _linear_weights(part) if hasattr(part, "d_head") else {}
        if "o_proj" in weights:
            n_heads = weights["o_proj"].shape[1] // part.d_head
            found[weights["o_proj"]] = n_heads, 1
            for name in ("q_proj", "k_proj", "v_proj"):
                if name in weights:
                    found[weights[name]] = n_heads if name == "q_proj" else len(weights[name]) // part.d_head, 0
    return found


class Muon(torch.optim.Optimizer):
    r"""Momentum with every singular value set to one.  Jordan et al. 2024, kellerjordan.github.io/posts/muon.

    $$ \bar g \leftarrow \beta \bar g + g, \qquad W \leftarrow (1 - \eta\lambda) W
       - \eta \sqrt{\max(1, D_{out}/D_{in})} \; \mathrm{orthogonalize}(g + \beta \bar g) $$

    g is the gradient of a whole matrix W of D_out rows and D_in columns, β the momentum.  All directions of a
    matrix move equally far, also those that the gradient rarely shows.  It is meant for hidden matrices; `others`
    go by Adam (Kingma & Ba 2015, arXiv:1412.6980) in the same optimizer, so that there is one thing to step and
    to save.  A matrix that `heads` cuts (into so many parts, along this axis) is levelled part by part.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], others: Iterable[nn.Parameter] = (), *,
                 lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0, adam_lr: float = 3e-3,
                 betas: tuple[float, float] = (0.9, 0.95), eps: float = 1e-8,
                 heads: Mapping[nn.Parameter, tuple[int, int]] | None = None,
                 level: Callable[[Tensor], Tensor] | None = None):
        check_rates(lr=lr, adam_lr=adam_lr, eps=eps, weight_decay=weight_decay, momentum=momentum, beta1=betas[0],
                    beta2=betas[1])
        matrices, others = list(matrices), list(others)
        for p in matrices:
            if p.ndim != 2:
                raise ValueError(f"Muon moves matrices, but got a parameter of shape {tuple(p.shape)}; "
                                 f"put it among `others`, or use muon(model)")
        groups = [dict(params=matrices, rule="muon", lr=lr, momentum=momentum, weight_decay=weight_decay),
                  dict(params=others, rule="adam", lr=adam_lr, betas=tuple(betas), eps=eps)]
        super().__init__([g for g in groups if g["params"]], {})
        self.heads, self.level = heads or {}, level or orthogonalize
        self.register_load_state_dict_pre_hook(check_kept)

    def __getstate__(self) -> dict[str, object]:
        """What a copy is made from: PyTorch's own knows nothing of these two."""
        return {**super().__getstate__(), "heads": self.heads, "level": self.level}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            (self._muon if group["rule"] == "muon" else self._adam)(group)
        return loss

    def _muon(self, group: dict) -> None:
        alike = defaultdict(list)  # parts of one shape go together: a few large products, not dozens
        for p in group["params"]:
            if p.grad is None:
                continue
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
            momentum = self.state[p]["momentum"].mul_(group["momentum"]).add_(p.grad)
            parts = self._cut(p, _whole(torch.add(p.grad, momentum, alpha=group["momentum"])))
            alike[parts.shape[1:], p.device].append((p, parts))
        for pairs in alike.values():
            updates = self.level(torch.cat([parts for _, parts in pairs]))
            for (p, _), update in zip(pairs, updates.split([len(parts) for _, parts in pairs]), strict=True):
                if group["weight_decay"]:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                scale = group["lr"] * math.sqrt(max(1.0, p.shape[0] / p.shape[1]))
                p.sub_(_like(self._join(p, update), p), alpha=scale)

    def _cut(self, p: nn.Parameter, x: Tensor) -> Tensor:
        """The parts of a matrix, one behind the other."""
        n, axis = self.heads.get(p, (1, 0))
        return x.unflatten(axis, (n, -1)).movedim(axis, 0)

    def _join(self, p: nn.Parameter, parts: Tensor) -> Tensor:
        """The matrix again."""
        axis = self.heads.get(p, (1, 0))[1]
        return parts.movedim(0, axis).flatten(axis, axis + 1)

    def _adam(self, group: dict) -> None:
        (beta1, beta2), eps = group["betas"], group["eps"]
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state[p]
            if not state:
                state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
            state["step"] += 1
            state["mean"].lerp_(p.grad, 1 - beta1)
            state["square"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
            spread = (state["square"] / (1 - beta2 ** state["step"])).sqrt_().add_(eps)
            p.addcdiv_(state["mean"], spread, value=-group["lr"] / (1 - beta1 ** state["step"]))


def orthogonalize(matrices: Float[Tensor, "*batch rows columns"], n_steps: int = 5,
                  ) -> Float[Tensor, "*batch rows columns"]:
    r"""Replace U S V^T by roughly U V^T, by products alone: Newton-Schulz with Jordan's coefficients.

    $$ X \leftarrow \kappa_0 X + (\kappa_1\,XX^\top + \kappa_2\,(XX^\top)^2)\,X $$

    Five rounds bring every singular value above 1/100 of the norm into [0.65, 1.2]; bfloat16 is enough.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16() if has_bf16(matrices.device) else matrices.float()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(n_steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(matrices.dtype)


# Each round is the best that a polynomial of this form can do with what the round before it left of [0.004, 1]; a
# fiftieth of room between them, since what rounding pushes out of that range would grow.
FOUR = ((8.1774, -23.1786, 16.5052), (3.9000, -2.7944, 0.5111), (3.2622, -2.3513, 0.4627), (2.3086, -1.6760, 0.4196))


def orthogonalize_quickly(matrices: Float[Tensor, "batch rows columns"]) -> Float[Tensor, "batch rows columns"]:
    r"""Four rounds, each with the coefficients that suit it.  Amsel et al. 2025, arXiv:2505.16932.

    $$ \mathrm{square} = XX^\top, \qquad \mathrm{p}_i = \kappa_{i0} + \kappa_{i1}\,\mathrm{square}
       + \kappa_{i2}\,\mathrm{square}^2, \qquad X \leftarrow \mathrm{p}_i\,X $$

    X is first divided by the root of |XX^T|, which is nearer to its largest singular value than |X| is; what is above
    1/200 of that ends in [0.8, 1.2].  In bfloat16 where there are units for it; else in float32 and on the smaller
    side alone.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = _rounds(x.bfloat16()) if has_bf16(matrices.device) else _rounds_on_the_smaller_side(x.float())
    return (x.mT if tall else x).to(matrices.dtype)


def _size(square: Tensor) -> Tensor:
    """|XX^T|, of numbers that are not squared once more before they are near one, where they could overflow."""
    trace = square.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] + 1e-14
    return trace * ((square / trace).norm(dim=(-2, -1), keepdim=True) + 1e-7)  # 1e-7: nothing stays nothing


def _rounds(x: Tensor) -> Tensor:
    x = x * _size(x @ x.mT).rsqrt()
    for a, b, c in FOUR:
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


def _rounds_on_the_smaller_side(x: Tensor) -> Tensor:
    r"""The same, with X itself multiplied only at the end: all of it are polynomials of one matrix, in any order.

    $$ \mathrm{square}_{i+1} = \mathrm{p}_i^2\,\mathrm{square}_i, \qquad
       X \leftarrow \mathrm{p}_4\,\mathrm{p}_3\,\mathrm{p}_2\,\mathrm{p}_1\,X $$

    Not in bfloat16, which would round away what is small in `square`.
    """
    square = x @ x.mT
    size = _size(square)
    square, product = square / size, None
    for i, (a, b, c) in enumerate(FOUR):
        p = torch.baddbmm(square, square, square, beta=b, alpha=c)
        p.diagonal(dim1=-2, dim2=-1).add_(a)
        product = p if product is None else p @ product
        if i + 1 < len(FOUR):
            square = p @ (p @ square)
    return product @ (x * size.rsqrt())


def _linear_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return {name: module.weight for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and id(module.weight) not in embeddings}


def _climb(step: int, warmup: int) -> float:
    if warmup < 0:
        raise ValueError(f"warmup={warmup} must be at least 0, which is none")
    return min(1.0, (step + 1) / (warmup + 1))


def _fraction(step: int, start: float, end: float) -> float:
    return min(1.0, max(0.0, (step - start) / max(end - start, 1e-9)))


def _whole(x: Tensor) -> Tensor:
    return x.full_tensor() if hasattr(x, "full_tensor") else x  # a matrix that FSDP2 split over processes


def _like(x: Tensor, p: Tensor) -> Tensor:
    if not hasattr(p, "full_tensor"):
        return x
    from torch.distributed.tensor import distribute_tensor
    return distribute_tensor(x, p.device_mesh, p.placements)
