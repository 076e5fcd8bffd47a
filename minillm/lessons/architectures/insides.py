"""Look up what a configuration is made of: its classes, their equations, their code."""
from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from html import escape

import torch
from torch import nn

from minillm.config import ModelConfig
from minillm.layers import POSITIONS
from minillm.model import Transformer, WithoutWeights
from minillm.notebook.explain import equations, source
from minillm.notebook.markup import FAINT, Markup, card
from minillm.presets import scaled


def classes_in_use(config: ModelConfig) -> dict[str, type[nn.Module]]:
    """The classes that this configuration is made of, by name, in the order in which a token meets them."""
    return dict(_classes(_nano(config)))


def class_of(config: ModelConfig, role: str) -> type[nn.Module] | None:
    """The class that plays a role of ROLES; None where nothing does (no positions)."""
    if role == "position":
        return next((each for each in classes_in_use(config).values() if each in POSITIONS.values()), None)
    model = _model(_nano(config))
    block = model.blocks[-1]
    return type({"whole model": model, "block": block, "attention": block.attention, "MLP": block.mlp,
                 "norm": getattr(block, block.norms[0])}[role])


def written(config: ModelConfig) -> Markup:
    """The equations of exactly the classes in use, from their docstrings."""
    shown, found = [], classes_in_use(config)
    for name, part in found.items():
        purpose = (part.__doc__ or "").strip().splitlines()[0].split("  ")[0]
        stated = "".join(f"<div style='overflow-x:auto'>$$ {_spaced(each)} $$</div>" for each in equations(part))
        shown.append(f"<b>{escape(name)}</b> <span style='{FAINT}'>{escape(purpose)}</span>{stated}")
    return card("".join(shown), f"the equations of {', '.join(found)}", math=True)


def code(config: ModelConfig, role: str) -> Markup:
    """The source of the class that plays a role, as it stands in the library."""
    part = class_of(config, role)
    if part is None:
        return card("<b>position</b>: none. No class tells where a token stands.", "no class tells the position")
    shown = escape(source(part))
    return card(f"<b>{part.__module__}.{part.__name__}</b><pre style='margin:6px 0;font-size:12px;line-height:1.35;"
                f"background:none;color:inherit;max-height:420px;overflow:auto'>{shown}</pre>",
                f"the source of {part.__name__}, {len(shown.splitlines())} lines")


def order(config: ModelConfig) -> tuple[str, ...]:
    """What happens to a query on its way, in the order in which it *ran*: the parts of a layer's attention, as hooks
    saw them.  Of several kinds of layer, the one in which most happens."""
    return _order(_nano(config))


@lru_cache(maxsize=256)
def _order(config: ModelConfig) -> tuple[str, ...]:
    return max((_ran(block.attention) for block in _model(config).blocks), key=len)


def _ran(attention: nn.Module) -> tuple[str, ...]:
    """The children of an attention that did something to a query, as one sentence of tokens went through."""
    seen: list[str] = []
    hooks = [part.register_forward_hook(lambda *_, name=name: seen.append(name))
             for name, part in attention.named_children() if not isinstance(part, nn.Identity)]
    attention.fused = False              # line by line
    attention.to_empty(device="cpu")     # any numbers will do
    with torch.no_grad():
        attention(torch.zeros(1, 2, attention.o_proj.out_features))
    for hook in hooks:
        hook.remove()
    return tuple(STEPS[name] for name in dict.fromkeys(seen) if name in STEPS and not _is_idle(attention, name))


def _is_idle(attention: nn.Module, name: str) -> bool:
    return type(getattr(attention, name)).__name__.startswith("Un")  # Unrotated, Ungated, Unbiased, Unconvolved


STEPS = {  # a child of an attention -> what it does to a query
    "convolve": "convolution", "q_latent": "latent", "q_proj": "W_q", "q_norm": "norm", "rotate": "RoPE",
    "softcap": "cap", "bias": "ALiBi", "softmax": "softmax", "out_norm": "norm of what was read", "gate": "gate",
    "o_proj": "W_o"}


def _nano(config: ModelConfig) -> ModelConfig:
    return replace(scaled(config, "nano", vocab_size=8), dropout=0.0)


@lru_cache(maxsize=2)
def _model(config: ModelConfig) -> Transformer:
    with WithoutWeights():
        return Transformer(config)


@lru_cache(maxsize=256)
def _classes(config: ModelConfig) -> tuple[tuple[str, type[nn.Module]], ...]:
    found: dict[str, type[nn.Module]] = {}
    for module in _model(config).modules():
        if type(module).__module__.startswith("minillm.") and equations(type(module)):
            found.setdefault(type(module).__name__, type(module))
    return tuple(found.items())


def _spaced(latex: str) -> str:
    return escape(" ".join(latex.split()), quote=False)
