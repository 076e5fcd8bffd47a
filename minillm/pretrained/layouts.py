"""Undo the ways in which published files lay their tensors out."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from einops import rearrange
from torch import Tensor

from minillm.config import ModelConfig

State = dict[str, Tensor]


@runtime_checkable
class Fix(Protocol):
    """How tensors, under our names, lie in the files, and how here."""

    def load(self, state: State, config: ModelConfig) -> State: ...

    def save(self, state: State, config: ModelConfig) -> State: ...


@dataclass(frozen=True)
class Fused:
    """Undo matrices stored together: `parts` maps the stored name to the names of its parts, in order.

    The parts' rows follow each other, or (those named in `by_head`) alternate head by head.  `transposed`: every
    matrix inside the blocks is stored as (in, out), as GPT-2's convolutions of width one are.
    """
    parts: dict[str, tuple[str, ...]]
    by_head: tuple[str, ...] = ()
    transposed: bool = False

    def load(self, state: State, config: ModelConfig) -> State:
        out: State = {}
        for name, tensor in state.items():
            tensor = self._turn(name, tensor)
            where, fused, kind = _around(name)
            if fused not in self.parts:
                out[name] = tensor
                continue
            names = self.parts[fused]
            if fused in self.by_head:
                pieces = rearrange(tensor, "(head part d_head) ... -> part (head d_head) ...",
                                   part=len(names), d_head=config.d_head)
            else:
                pieces = tensor.split([_rows(part, config) for part in names])
            out |= {f"{where}{part}.{kind}": piece for part, piece in zip(names, pieces, strict=True)}
        return out

    def save(self, state: State, config: ModelConfig) -> State:
        stored_as = {names[0]: (fused, names) for fused, names in self.parts.items()}
        rest = {part for names in self.parts.values() for part in names[1:]}
        out: State = {}
        for name, tensor in state.items():
            where, part, kind = _around(name)
            if part in rest:
                continue
            if part in stored_as:
                fused, names = stored_as[part]
                pieces = [state[f"{where}{each}.{kind}"] for each in names]
                name = f"{where}{fused}.{kind}"
                tensor = rearrange(pieces, "part (head d_head) ... -> (head part d_head) ...",
                                   d_head=config.d_head) if fused in self.by_head else torch.cat(pieces)
            out[name] = self._turn(name, tensor)
        return out

    def _turn(self, name: str, tensor: Tensor) -> Tensor:
        return tensor.T if self.transposed and name.startswith("blocks.") and tensor.ndim == 2 else tensor


@dataclass(frozen=True)
class Shifted:
    """A table of positions that begins with rows which no token of a text takes (OPT's are for padding)."""
    rows: int

    def load(self, state: State, config: ModelConfig) -> State:
        return {name: x[self.rows:] if name == "position.weight" else x for name, x in state.items()}

    def save(self, state: State, config: ModelConfig) -> State:
        return {name: torch.cat([x.new_zeros(self.rows, x.shape[1]), x]) if name == "position.weight" else x
                for name, x in state.items()}


@dataclass(frozen=True)
class OnePlus:
    """Gains stored as w where the layer multiplies by 1 + w (Gemma), which its own code adds in 32 bits, as here.

    Refuses to store a gain that would come back as another one: in 16 bits, most below 1/2.
    """

    def load(self, state: State, config: ModelConfig) -> State:
        return {name: x.to(torch.promote_types(x.dtype, torch.float32)) + 1 if name.endswith("norm.weight") else x
                for name, x in state.items()}

    def save(self, state: State, config: ModelConfig) -> State:
        return {name: _less_one(name, x) if name.endswith("norm.weight") else x for name, x in state.items()}


def _less_one(name: str, gain: Tensor) -> Tensor:
    stored = (gain.double() - 1).to(gain.dtype)
    if gain.dtype in (torch.float16, torch.bfloat16) and not torch.equal(back := 1 + stored.float(), gain.float()):
        worst = (back - gain).abs().argmax()
        raise ValueError(f"{name!r} holds the gain {gain[worst]:.4g}, which this format stores as {stored[worst]:.4g} "
                         f"and reads as {back[worst]:.4g} in {gain.dtype}; export model.float()")
    return stored


def _around(name: str) -> tuple[str, str, str]:
    """"blocks.0.attention.q_proj.weight" -> ("blocks.0.attention.", "q_proj", "weight")"""
    where, _, kind = name.rpartition(".")
    head, dot, last = where.rpartition(".")
    return head + dot, last, kind


def _rows(part: str, c: ModelConfig) -> int:
    n_kv = c.n_kv_heads * c.d_head
    return {"q_proj": c.n_heads * c.d_head, "k_proj": n_kv, "v_proj": n_kv,
            "gate_proj": c.d_ff, "up_proj": c.d_ff, "latent_proj": c.d_latent, "rotary_proj": c.d_rotary}[part]
