"""Undo the ways in which published files lay their tensors out."""
from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Protocol, runtime_checkable

import torch
from einops import rearrange
from torch import Tensor

from minillm.config import ModelConfig
from minillm.fields import MOST_WAVES, require

State = dict[str, Tensor]


@runtime_checkable
class Fix(Protocol):
    """How tensors, under our names, lie in the files, and how here."""

    def load(self, state: State, config: ModelConfig) -> State: ...

    def save(self, state: State, config: ModelConfig) -> State: ...


@dataclass(frozen=True)
class Fused:
    """Undo matrices stored together: `parts` maps the stored name to the names of its parts, in order.

    The parts' rows follow each other, or (those named in `by_head`) alternate head by head, or with `shards` by as
    many stretches of heads (CodeGen: one for each chip that it was trained on).  `transposed`: every matrix inside the
    blocks is stored as (in, out), as GPT-2's convolutions of width one are.
    """
    parts: dict[str, tuple[str, ...]]
    by_head: tuple[str, ...] = ()
    transposed: bool = False
    shards: int | None = None

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
                                   part=len(names), **self._cut(config))
            elif "gate_proj" in names:
                pieces = tensor.chunk(2)
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
                                   **self._cut(config)) if fused in self.by_head else torch.cat(pieces)
            out[name] = self._turn(name, tensor)
        return out

    def _cut(self, config: ModelConfig) -> dict[str, int]:
        return {"head": self.shards} if self.shards else {"d_head": config.d_head}

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
class Absent:
    """Tensors of attention that files leave out, because all their numbers are one: biases of 0, gains of 1."""
    numbers: tuple[tuple[str, float], ...]

    def load(self, state: State, config: ModelConfig) -> State:
        made = {}
        for i, (part, number) in product(range(config.n_layers), self.numbers):
            like = state[f"blocks.{i}.attention.{part[0]}_proj.weight"]
            made[f"blocks.{i}.attention.{part}"] = like.new_full(
                (config.d_head if part.endswith("_norm.weight") else len(like),), number)
        return state | made

    def save(self, state: State, config: ModelConfig) -> State:
        numbers = {f"blocks.{i}.attention.{part}": number
                   for i, (part, number) in product(range(config.n_layers), self.numbers)}
        for name, number in numbers.items():
            _same_as(torch.full_like(state[name], number), name, state[name], f"in which all numbers are {number:g}")
        return {name: x for name, x in state.items() if name not in numbers}


@dataclass(frozen=True)
class Sines:
    """A table of positions that files leave out, because it is worked out: all sines, then all cosines, whose waves
    grow from 1 to 10,000: the last of `D/2` waves reaches that (XGLM) or, with `short`, one more would (CTRL).  Its
    first `rows` are for padding."""
    rows: int = 0
    short: bool = False

    def load(self, state: State, config: ModelConfig) -> State:
        return state | {"position.weight": self._table(config).to(state["embed.weight"].dtype)}

    def save(self, state: State, config: ModelConfig) -> State:
        x = state["position.weight"]
        _same_as(self._table(config), "position.weight", x, "which is a table of sines")
        return {name: x for name, x in state.items() if name != "position.weight"}

    def _table(self, c: ModelConfig) -> Tensor:
        half = c.d_model // 2
        require(c.context_length * c.d_model <= MOST_WAVES,
                f"a table of {c.context_length} positions with {c.d_model} sines each is larger than {MOST_WAVES:,} "
                f"numbers, and nothing in the weights bears it out; is config.json complete?")
        waves = torch.exp(torch.arange(half).float() * -(math.log(10_000) / (half - (not self.short))))
        turned = torch.arange(self.rows, self.rows + c.context_length).float()[:, None] * waves
        return torch.cat([turned.sin(), turned.cos()], dim=1)


@dataclass(frozen=True)
class Backwards:
    """Queries and keys whose pairs turn the other way round (nanochat): the same as exchanging the halves."""

    def load(self, state: State, config: ModelConfig) -> State:
        return {name: x.unflatten(0, (-1, 2, config.d_head // 2)).flip(1).flatten(0, 2)
                if name.endswith(("q_proj.weight", "k_proj.weight")) else x for name, x in state.items()}

    save = load  # twice is not at all


@dataclass(frozen=True)
class Flat:
    """The nudged biases of a mixture's experts in a matrix of one row (ERNIE)."""

    def load(self, state: State, config: ModelConfig) -> State:
        return {name: x.flatten() if name.endswith(".balance") else x for name, x in state.items()}

    def save(self, state: State, config: ModelConfig) -> State:
        return {name: x[None] if name.endswith(".balance") else x for name, x in state.items()}


def _same_as(wanted: Tensor, name: str, x: Tensor, what: str) -> None:
    """Refuse to leave out what a reader would fill in otherwise.  On paper there is nothing to compare."""
    if x.device.type != "meta" and not torch.equal(x, wanted.to(x)):
        raise ValueError(f"this format has no place for {name!r}, {what}, and here it differs by up to "
                         f"{(x - wanted.to(x)).abs().max():.3g}; keep the model in minillm's own format with save(...)")


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
            "latent_proj": c.d_latent, "rotary_proj": c.d_rotary}[part]
