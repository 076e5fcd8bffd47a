"""Keep the keys and values already paid for, so that each new token costs one token's work."""
from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minillm.config import ModelConfig


class LayerCache:
    """One layer's keys and values, in room for `capacity` positions that is taken once.

    Position p lives in slot p modulo capacity, so a layer with a window keeps only its window (a ring).
    """

    def __init__(self, capacity: int, *, ring: bool):
        self.capacity, self.ring, self.length = capacity, ring, 0
        self.keys = self.values = self.positions = None

    def extend(self, k: Float[Tensor, "batch kv_head seq d_head"], v: Float[Tensor, "batch kv_head seq d_value"]
               ) -> tuple[Float[Tensor, "batch kv_head key d_head"], Float[Tensor, "batch kv_head key d_value"],
                          Int[Tensor, "key"]]:
        """Append; return all keys, values and the positions at which they stand."""
        k, v, end = k.detach(), v.detach(), self.length + k.shape[2]
        if self.keys is not None and len(k) != len(self.keys):
            raise ValueError(f"batch={len(k)} texts cannot continue the batch={len(self.keys)} in the cache; "
                             f"start a new KVCache")
        if not self.ring and end > self.capacity:
            raise ValueError(f"{self.length} cached + {k.shape[2]} new positions exceed the cache's room for "
                             f"{self.capacity}; start a new KVCache from the part you want to keep")
        if self.keys is None:
            self.keys, self.values = (x.new_empty(*x.shape[:2], self.capacity, x.shape[3]) for x in (k, v))
            self.positions = torch.arange(self.capacity, device=k.device)
        if not self.ring:
            self.keys[:, :, self.length:end], self.values[:, :, self.length:end] = k, v
            self.length = end
            return self.keys[:, :, :end], self.values[:, :, :end], self.positions[:end]
        new = torch.arange(self.length, end, device=k.device)
        if len(new) > 1:  # the first of the new queries still see what the last of them overwrite
            seen = min(self.length, self.capacity)
            out = (torch.cat([self.keys[:, :, :seen], k], 2), torch.cat([self.values[:, :, :seen], v], 2),
                   torch.cat([self.positions[:seen], new]))
            self._write(k, v, new)
            return out
        self._write(k, v, new)
        seen = min(self.length, self.capacity)
        return self.keys[:, :, :seen], self.values[:, :, :seen], self.positions[:seen]

    def has_room(self, n_texts: int) -> bool:
        """Can `append` take one position more of so many texts: room is there, and nothing wraps round?"""
        return not self.ring and self.keys is not None and self.length < self.capacity and len(self.keys) == n_texts

    def append(self, k: Float[Tensor, "batch kv_head 1 d_head"], v: Float[Tensor, "batch kv_head 1 d_value"]
               ) -> tuple[Float[Tensor, "batch kv_head key d_head"], Float[Tensor, "batch kv_head key d_value"]]:
        """`extend` by one position, where it `has_room`: nothing is looked at but the place."""
        self.keys.narrow(2, self.length, 1).copy_(k)
        self.values.narrow(2, self.length, 1).copy_(v)
        self.length += 1
        return self.keys.narrow(2, 0, self.length), self.values.narrow(2, 0, self.length)

    def forget(self, length: int) -> None:
        """Keep the first `length` positions only: what was read after them was a guess, and wrong.

        A ring has overwritten what stood before, so it can only keep all.
        """
        if not 0 <= length <= self.length or self.ring and length < self.length > self.capacity:
            raise ValueError(f"length={length} of {self.length} cached positions cannot be kept"
                             + (f" by a window that remembers {self.capacity}" if self.ring else "")
                             + "; start a new KVCache")
        self.length = length

    @property
    def bytes(self) -> int:
        """Memory taken, in bytes."""
        return 0 if self.keys is None else self.keys.nbytes + self.values.nbytes

    def _write(self, k: Tensor, v: Tensor, new: Tensor) -> None:
        kept = new[-self.capacity:]
        slots = kept % self.capacity
        self.keys[:, :, slots] = k[:, :, -len(kept):]
        self.values[:, :, slots] = v[:, :, -len(kept):]
        self.positions[slots] = kept
        self.length += len(new)


class StateCache(LayerCache):
    """One linear layer's memory, of a size that no text changes: a matrix for each key head, and the last inputs."""

    def __init__(self):
        self.length, self.state, self.recent = 0, None, None

    def before(self, x: Float[Tensor, "batch seq d_model"], width: int) -> Float[Tensor, "batch width d_model"]:
        """The last `width` inputs before these (zeros where there were none), which are then remembered."""
        before = x.new_zeros(len(x), width, x.shape[-1]) if self.recent is None else self.recent
        self.recent = torch.cat([before, x.detach()], dim=1)[:, -width:]
        return before

    def keep(self, state: Float[Tensor, "batch kv_head d_head d_value"], seq: int) -> None:
        """Remember the state after `seq` more positions."""
        self.state, self.length = state.detach(), self.length + seq

    def forget(self, length: int) -> None:
        """Keep all: a state has mixed what it read, and cannot give back a part."""
        if length != self.length:
            raise ValueError(f"length={length} of {self.length} positions cannot be kept: a linear layer has mixed "
                             f"them; start a new KVCache")

    @property
    def bytes(self) -> int:
        """Memory taken, in bytes."""
        return sum(x.nbytes for x in (self.state, self.recent) if x is not None)


class KVCache:
    """All layers' keys and values: ``model(tokens, cache=cache)`` appends to them.

    Takes 2 x layers x kv_heads x d_head x context_length numbers per sequence (less where there is a window; of
    latent attention, layers x (d_latent + d_rotary) x context_length), at the first call, on the device and in the
    precision of the keys.  For inference only: no gradient flows back through what is cached.
    """

    def __init__(self, config: ModelConfig):
        self.layers = [
            StateCache() if config.is_linear(i) else LayerCache(
                min(config.window, config.context_length) if config.is_windowed(i) else config.context_length,
                ring=config.is_windowed(i))
            for i in range(config.n_layers)]

    def __getitem__(self, layer: int) -> LayerCache | StateCache:
        return self.layers[layer]

    @property
    def length(self) -> int:
        """Positions seen so far."""
        return self.layers[0].length

    def forget(self, length: int) -> None:
        """Keep the first `length` positions of every layer."""
        for layer in self.layers:
            layer.forget(length)

    @property
    def bytes(self) -> int:
        """Memory taken, in bytes."""
        return sum(layer.bytes for layer in self.layers)
