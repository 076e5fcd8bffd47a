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
class Stacked:
    """The experts of a layer in one tensor for each matrix: (expert, out, in), or with `transposed` (expert, in, out).
    Gate and up are one matrix, whose rows follow each other, or with `alternating` take turns.
    """
    transposed: bool = False
    alternating: bool = False
    apart = False  # an expert is no tensor of its own

    def load(self, state: State, config: ModelConfig) -> State:
        out: State = {}
        for name, tensor in state.items():
            where, stacked, part = name.partition(".experts.")
            if not stacked:
                out[name] = tensor
                continue
            part, kind = (part[:-5], "bias") if part.endswith("_bias") else (part, "weight")
            for e, x in enumerate(tensor):
                x = x.T if self.transposed and x.ndim == 2 else x
                halves = ((x[::2], x[1::2]) if self.alternating else x.chunk(2)) if part == "gate_up_proj" else (x,)
                for each, half in zip(("gate_proj", "up_proj") if len(halves) > 1 else (part,), halves, strict=True):
                    out[f"{where}.experts.{e}.{each}.{kind}"] = half
        return out

    def save(self, state: State, config: ModelConfig) -> State:
        out = {name: x for name, x in state.items() if ".experts." not in name}
        for name in state:
            where, first, rest = name.partition(".experts.0.")
            part, _, kind = rest.partition(".")
            if not first or part == "gate_proj":
                continue
            whole = [self._joined(state, f"{where}.experts.{e}.", part, kind) for e in range(config.n_experts)]
            stored = "gate_up_proj" if part == "up_proj" else part
            out[f"{where}.experts.{stored}{'_bias' * (kind == 'bias')}"] = torch.stack(whole)
        return out

    def _joined(self, state: State, where: str, part: str, kind: str) -> Tensor:
        x = state[f"{where}{part}.{kind}"]
        if part == "up_proj":
            gate = state[f"{where}gate_proj.{kind}"]
            x = torch.stack([gate, x], 1).flatten(0, 1) if self.alternating else torch.cat([gate, x])
        return x.T if self.transposed and x.ndim == 2 else x


@dataclass(frozen=True)
class Compressed:
    """The matrix of queries has a name of its own where it reads from a latent."""

    def load(self, state: State, config: ModelConfig) -> State:
        return {name.replace(".q_b_proj.", ".q_proj."): x for name, x in state.items()}

    def save(self, state: State, config: ModelConfig) -> State:
        return {name.replace(".q_proj.", ".q_b_proj.") if config.d_query else name: x for name, x in state.items()}


@dataclass(frozen=True)
class Both:
    """One way of laying tensors out after another."""
    first: Fix
    then: Fix

    def load(self, state: State, config: ModelConfig) -> State:
        return self.then.load(self.first.load(state, config), config)

    def save(self, state: State, config: ModelConfig) -> State:
        return self.first.save(self.then.save(state, config), config)


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
