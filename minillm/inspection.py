"""Look inside a model while it runs, and reach in to change what flows."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from minillm.layers.norm import LayerNorm

Part = tuple[int, int | str]  # (layer, head), (layer, "attention"), (layer, "mlp") or (layer, "layer"), from 0
Measure = Callable[[Tensor], Tensor]  # logits (batch, seq, vocab) -> a number for each text


@contextmanager
def capture(model: nn.Module, *patterns: str) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of the submodules that a pattern names, under their names, while the block is open.

    ``with capture(model, "blocks.*.attention.pattern") as seen: model(tokens)`` leaves one attention pattern per
    layer in `seen`.  A ``*`` stands for one part of the name.  The output of the last call is kept, undetached;
    what an `intervene` makes of it, where this is opened within one.
    Attention takes its readable path meanwhile: the fused kernel has no pattern to show.
    """
    seen: dict[str, Tensor] = {}
    changes = {name: lambda output, name=name: seen.__setitem__(name, output) for name, _ in named(model, *patterns)}
    with _hooked(model, changes):  # __setitem__ returns None, which leaves the output as it is
        yield seen


@contextmanager
def intervene(model: nn.Module, changes: dict[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Replace the output of each named submodule by `change(output)`, of the same shape, while the block is open.

    ``intervene(model, {"blocks.0.attention.pattern": lambda a: a * kept})`` switches heads off: those for which
    `kept`, of shape (head, 1, 1), is 0.  A name may hold ``*``, as in `capture`.
    """
    with _hooked(model, changes):
        yield


def named(model: nn.Module, *patterns: str) -> list[tuple[str, nn.Module]]:
    """The submodules whose names match a pattern.  Raises ValueError where one matches nothing."""
    modules = dict(model.named_modules())
    return list({name: modules[name] for pattern in patterns for name in _matching(modules, pattern)}.items())


def _matching(modules: dict[str, nn.Module], pattern: str) -> list[str]:
    if pattern and pattern in modules:
        return [pattern]
    parts = pattern.split(".")
    names = [n for n in modules if n.count(".") + 1 == len(parts) and n
             and all(map(fnmatchcase, n.split("."), parts))]
    if not names:
        near = get_close_matches(pattern, modules, 3, 0.4)
        raise ValueError(f"no submodule is called {pattern!r}; near it: {', '.join(near) or 'nothing'}. "
                         f"dict(model.named_modules()) lists all")
    return names


def logit_lens(model: nn.Module, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "layer batch seq vocab"]:
    r"""What the model would say if it stopped after each layer.  nostalgebraist 2020, "the logit lens".

    $$ \ell^{(l)}_{tv} = \sum_d W^{unembed}_{vd} \, \mathrm{norm}(x^{(l)}_t)_d $$

    The last layer's row is the model's own output.
    """
    with capture(model, "blocks.*") as seen:
        model(tokens)
    return torch.stack([model.softcap(model.unembed(model.norm(x))) for x in seen.values()])


def token_losses(model: nn.Module, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch next"]:
    """The surprise of each token but the first, in nats: -log p(token | those before it)."""
    logits = model(tokens[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
                           ).unflatten(0, tokens[:, 1:].shape)


# -- what each part writes to the stream, and to a logit --------------------------------------------------------------

def written(model: nn.Module, tokens: Int[Tensor, "batch seq"]) -> dict[str, Float[Tensor, "batch seq d_model"]]:
    """What the embedding, each head and each MLP add to the residual stream; together they are the last stream.

    Names: "embedding", "layer 1 head 1" …, "layer 1 mlp" …, counted from 1.  Where a norm stands behind attention,
    heads cannot be told apart, and "layer 1 attention" is one part.  Raises ValueError where the stream is no sum.
    """
    c = model.config
    if c.norm_order == "post" or c.residual != "plain":
        raise ValueError(f"norm_order={c.norm_order!r} with residual={c.residual!r}: this stream is not the sum of "
                         f"what was written to it; use a model whose norms stand beside the stream")
    normed = c.norm_order in ("output", "sandwich")
    ends = ("attention_out_norm", "mlp_out_norm") if normed else ("attention.gate", "mlp")
    with capture(model, "dropout", *(f"blocks.*.{end}" for end in ends)) as seen:
        model(tokens)
    parts = {"embedding": seen["dropout"]}
    for i, block in enumerate(model.blocks):
        attended, thought = (seen[f"blocks.{i}.{end}"] for end in ends)
        if normed:
            parts[f"layer {i + 1} attention"] = attended
        else:
            matrices = block.attention.o_proj.weight.split(attended.shape[-1], dim=1)  # each head's own columns
            parts |= {f"layer {i + 1} head {head + 1}": attended[:, head] @ matrix.T
                      for head, matrix in enumerate(matrices)}
            if block.attention.o_proj.bias is not None:
                parts[f"layer {i + 1} attention bias"] = block.attention.o_proj.bias.expand_as(thought)
        parts[f"layer {i + 1} mlp"] = thought
    return parts


@dataclass(frozen=True)
class Shares:
    """What each part adds to a logit, or to a difference of two: `values` (part,) sum to it, before a soft cap."""
    names: list[str]
    values: Float[Tensor, "part"]


@torch.no_grad()
def logit_shares(model: nn.Module, tokens: Int[Tensor, "1 seq"], token: int, other: int | None = None, *,
                 position: int = -1) -> Shares:
    r"""Cut the logit of `token` (minus that of `other`) into what each part has written towards it.

    $$ \ell_v = \sum_j \sum_d W^{unembed}_{vd} \, \gamma_d \, \frac{y_{jd}}{\mathrm{rms}(x)}, \qquad x = \sum_j y_j $$

    $y_j$ is what part j wrote, x the last stream.  The norm is linear once its scale is known, and that is the *whole*
    stream's, the same for every part.  Elhage et al. 2021, "A mathematical framework for transformer circuits".
    """
    parts = written(model, tokens)
    streams = torch.stack([part[0, position] for part in parts.values()])
    pulls = model.unembed.weight[token] - (0.0 if other is None else model.unembed.weight[other])
    values = scaled_as_a_whole(model.norm, streams) @ pulls
    fixed = model.norm(torch.zeros_like(pulls)) @ pulls  # LayerNorm's shift; 0 for RMSNorm
    if (bias := model.unembed.bias) is not None:
        fixed = fixed + bias[token] - (0.0 if other is None else bias[other])
    return Shares([*parts, *["biases"] * bool(fixed)], torch.cat([values, fixed[None]]) if fixed else values)


def scaled_as_a_whole(norm: nn.Module, streams: Float[Tensor, "part d_model"]) -> Float[Tensor, "part d_model"]:
    """What a norm makes of each part when their sum goes through it: gain and scale, without the shift."""
    if isinstance(norm, LayerNorm):
        streams = streams - streams.mean(-1, keepdim=True)
    gain = norm.weight if isinstance(norm.weight, Tensor) else 1.0
    return gain * streams * torch.rsqrt(streams.sum(0).square().mean() + norm.eps)


# -- reaching in -----------------------------------------------------------------------------------------------------

@contextmanager
def ablate(model: nn.Module, parts: Iterable[Part], *, instead: str = "zero",
           others: Int[Tensor, "batch seq"] | dict[str, Tensor] | None = None) -> Iterator[None]:
    """Take heads, whole attentions, MLPs or layers away while the block is open: what they write is replaced.

    "zero": by nothing, which the layers behind have never seen.  "mean": by what the part writes on average over all
    texts and positions of `others`.  "resampled": by what it writes on the texts of `others`, position by position;
    they are as many as the tokens that are read, and at least as long; or give what was captured on them, by name,
    where they would be read many times.  `parts` are (layer, head), (layer,
    "attention"), (layer, "mlp") or (layer, "layer"), which is the last two together; counted from 0.
    """
    if instead not in ("zero", "mean", "resampled") or (instead != "zero") != (others is not None):
        raise ValueError(f"instead={instead!r} with others={'given' if others is not None else None}: say \"zero\", or "
                         f"\"mean\" or \"resampled\" with the texts to take them from")
    heads: dict[str, list[int]] = {}
    for layer, part in parts:
        if isinstance(part, str) and part not in ("attention", "mlp", "layer"):
            raise ValueError(f"part {part!r} of layer {layer} is not known; say a head's number, \"attention\", "
                             f"\"mlp\" or \"layer\"")
        if isinstance(part, int):
            heads.setdefault(f"blocks.{layer}.attention.gate", []).append(part)
        for whole in ("attention", "mlp") if part == "layer" else [part] * isinstance(part, str):
            heads[f"blocks.{layer}.{whole}"] = []
    elsewhere = others if isinstance(others, dict) else {}
    if isinstance(others, Tensor):
        with torch.no_grad(), capture(model, *heads) as elsewhere:
            model(others)

    def change(name: str, output: Tensor) -> Tensor:
        new = torch.zeros_like(output) if instead == "zero" else elsewhere[name]
        if instead == "mean":
            new = new.mean((0, -2), keepdim=True).expand_as(output)
        new = new[..., :output.shape[-2], :]
        if not heads[name]:
            return new
        output = output.clone()
        output[:, heads[name]] = new[:, heads[name]]
        return output

    with intervene(model, {name: lambda output, name=name: change(name, output) for name in heads}):
        yield


@torch.no_grad()
def patch_grid(model: nn.Module, clean: Int[Tensor, "1 seq"], corrupt: Int[Tensor, "1 corrupt"], measure: Measure, *,
               name: str = "blocks.*") -> Float[Tensor, "place seq"]:
    """Read `corrupt`, with one vector of the reading of `clean` put in its place: how much of the answer comes back?

    For each module that `name` matches and each position, what `measure` says of the logits, on a scale where 0 is
    the corrupt reading and 1 the clean one.  Both texts have as many tokens, so that positions mean the same.
    Vig et al. 2020; Meng et al. 2022, arXiv:2202.05262 ("causal tracing").
    """
    ends, seen, _ = _ends(model, clean, corrupt, measure, name)
    everywhere, grid = torch.arange(clean.shape[1]), []
    for place, output in seen.items():
        def put(old: Tensor, output: Tensor = output) -> Tensor:
            new = old.clone()
            new[everywhere, everywhere] = output[0]  # text t of the batch is patched at position t
            return new
        with intervene(model, {place: put}):
            grid.append(measure(model(corrupt.expand(len(everywhere), -1))))
    return (torch.stack(grid) - ends[1]) / (ends[0] - ends[1])


def attribution_patching(model: nn.Module, clean: Int[Tensor, "1 seq"], corrupt: Int[Tensor, "1 corrupt"],
                         measure: Measure, *, name: str = "blocks.*", slopes: int = 1) -> Float[Tensor, "place seq"]:
    r"""What `patch_grid` would find, to first order, for all places at once: one backward pass.  Nanda 2023.

    $$ \frac{1}{\mathrm{clean} - \mathrm{corrupt}} \sum_d (x^{\mathrm{clean}}_{td} - x^{\mathrm{corrupt}}_{td}) \,
       \frac{\partial \, \mathrm{measure}}{\partial x^{\mathrm{corrupt}}_{td}} $$

    With more `slopes`, the last factor is their mean over as many readings on the way, their first streams mixed of
    both texts' (integrated gradients: Sundararajan et al. 2017; for patching, Hanna et al. 2024, arXiv:2403.17806).
    """
    if slopes < 1:
        raise ValueError(f"slopes={slopes} must be at least 1, which is the slope at the corrupt reading")
    ends, there, here = _ends(model, clean, corrupt, measure, name)
    total = [torch.zeros_like(old) for old in here.values()]
    for one in [(ends[1], here)] if slopes == 1 else _on_the_way(model, clean, corrupt, measure, name, slopes):
        measured, seen = one
        found = torch.autograd.grad(measured.sum(), list(seen.values()))
        total = [before + slope / slopes for before, slope in zip(total, found, strict=True)]
    grid = [((new - old) * slope).sum(-1)[0] for new, old, slope in
            zip(there.values(), here.values(), total, strict=True)]
    return (torch.stack(grid) / (ends[0] - ends[1])).detach()


def _on_the_way(model: nn.Module, clean: Tensor, corrupt: Tensor, measure: Measure, name: str, n: int
                ) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """n readings between two texts, in the middle of n equal steps: what is measured, and what the modules gave."""
    starts = []
    for tokens in (corrupt, clean):
        with torch.no_grad(), capture(model, "dropout") as seen:
            model(tokens)
        starts.append(seen["dropout"])
    for i in range(n):
        mixed = torch.lerp(*starts, (i + 0.5) / n).requires_grad_()
        with intervene(model, {"dropout": lambda _, mixed=mixed: mixed}), capture(model, name) as seen:
            measured = measure(model(corrupt))
        yield measured, seen


def _ends(model: nn.Module, clean: Tensor, corrupt: Tensor, measure: Measure, name: str
          ) -> tuple[tuple[Tensor, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Both readings: what is measured, and what the named modules gave."""
    if clean.shape != corrupt.shape or len(clean) != 1:
        raise ValueError(f"clean has shape {tuple(clean.shape)}, corrupt {tuple(corrupt.shape)}; give one text each, "
                         f"of as many tokens, so that a position means the same in both")
    with capture(model, name) as there:
        best = measure(model(clean))
    with capture(model, name) as here:
        worst = measure(model(corrupt))
    return (best, worst), there, here


# -- how it is done --------------------------------------------------------------------------------------------------

@contextmanager
def _hooked(model: nn.Module, changes: dict[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    modules = dict(model.named_modules())
    fused = [m for m in modules.values() if getattr(m, "fused", False)]
    with ExitStack() as undo:
        for module in fused:
            module.fused = False
            undo.callback(setattr, module, "fused", True)
        for pattern, change in changes.items():
            for name in _matching(modules, pattern):
                hook = modules[name].register_forward_hook(
                    lambda m, inputs, output, name=name, change=change: _changed(name, output, change(output)))
                undo.callback(hook.remove)
        yield


def _changed(name: str, old: Tensor, new: Tensor | None) -> Tensor | None:
    """What takes the place of an output (None: nothing does)."""
    if new is not None and new.shape != old.shape:
        raise ValueError(f"the change of {name!r} gives shape {tuple(new.shape)}, but its output has "
                         f"{tuple(old.shape)}; keep the shape")
    return new
