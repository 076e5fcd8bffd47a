"""Decode with a cache, rightly and in the five wrong ways that are met most often."""
from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from minillm.cache import KVCache, LayerCache
from minillm.config import ModelConfig
from minillm.model import Transformer
from minillm.notebook import plots
from minillm.notebook.plots import COLOURS, INK, Picture
from minillm.notebook.threads import one_thread
from minillm.notebook.widgets import Live, choice, slider

N_TOKENS = 9
CONFIG = ModelConfig(vocab_size=29, d_model=24, n_layers=2, n_heads=3, n_kv_heads=1, context_length=2 * N_TOKENS)


class LeavesOutTheNewest(LayerCache):
    """Writes the new key, and hands back those before it alone."""

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        one = k.shape[2] == 1 <= self.length
        k, v, positions = super().extend(k, v)
        return (k[:, :, :-1], v[:, :, :-1], positions[:-1]) if one else (k, v, positions)


class LosesTheFirst(LayerCache):
    """Never writes the first position: zeros are left in its place."""

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = self.length == 0
        k, v, positions = super().extend(k, v)
        if first:
            k, v = k.clone(), v.clone()                # the first call itself still sees what it computed
            self.keys[:, :, 0], self.values[:, :, 0] = 0.0, 0.0
        return k, v, positions


class Unused(LayerCache):
    """Is never read: each step sees its own keys alone."""

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return k, v, super().extend(k, v)[2][-k.shape[2]:]


class SharesItsStorage(LayerCache):
    """All layers write to one place: each overwrites what the layer below has written."""

    def __init__(self, capacity: int, *, ring: bool, storage: list[Tensor]):
        super().__init__(capacity, ring=ring)
        self.storage = storage

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.keys is None:
            super().extend(k[:, :, :0], v[:, :, :0])   # takes room, which only the first layer keeps
            self.storage.extend([] if self.storage else [self.keys, self.values])
            self.keys, self.values = self.storage
        return super().extend(k, v)


def _of(layer: Callable[..., LayerCache]) -> KVCache:
    made = KVCache(CONFIG)
    made.layers = [layer(CONFIG.context_length, ring=False) for _ in made.layers]
    return made


def _not_reset() -> KVCache:
    made = KVCache(CONFIG)
    model()(_tokens(seed=1)[:, :5], cache=made)        # another text was here before
    return made


CACHES = {  # name -> a fresh cache that makes this mistake
    "right": lambda: KVCache(CONFIG),
    "the newest token is left out": lambda: _of(LeavesOutTheNewest),
    "the first token is never written": lambda: _of(LosesTheFirst),
    "one storage for all layers": lambda: _of(partial(SharesItsStorage, storage=[])),
    "the last text is still in it": _not_reset,
    "it is never used": lambda: _of(Unused)}


@cache
def model() -> Transformer:
    """A small random model, large enough weights that every mistake shows."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        made = Transformer(CONFIG).eval()
        for weight in made.parameters():
            weight.data.mul_(4.0 if weight.ndim == 2 else 1.0)
    return made


def _tokens(seed: int = 0) -> Tensor:
    return torch.randint(CONFIG.vocab_size, (1, N_TOKENS), generator=torch.Generator().manual_seed(seed))


@cache
def errors(mistake: str) -> np.ndarray:
    """(prefill n, position): the largest error of the logits, n tokens read at once and the rest one by one."""
    tokens, found = _tokens(), np.zeros((N_TOKENS, N_TOKENS))
    with one_thread(), torch.no_grad():
        expected = model()(tokens)[0]
        for n in range(N_TOKENS):
            kept = CACHES[mistake]()
            parts = [model()(tokens[:, :n], cache=kept)[0]] if n else []
            parts += [model()(tokens[:, t:t + 1], cache=kept)[0] for t in range(n, N_TOKENS)]
            found[n] = (torch.cat(parts) - expected).abs().amax(-1).numpy()
    return found


def cache_split() -> Live:
    """Read n tokens at once and the rest one by one: the error at every position, for every n."""
    figure = plots.picture(height=320, title="Does decoding with a cache give what reading at once gives?")
    left = plots.axes(figure, 1, 2, 1, top=64, right=24, xlabel="position", ylabel="largest error of a logit")
    right = plots.axes(figure, 1, 2, 2, top=64, right=24, xlabel="position", ylabel="tokens read at once", grid="")
    figure.subplots_adjust(wspace=0.32)
    bars = left.bar(range(N_TOKENS), [0.0] * N_TOKENS, color=COLOURS["wrong"])
    shade = left.axvspan(-0.5, 0.5, color=plots.EDGE, alpha=0.7, linewidth=0)
    left.set_xlim(-0.5, N_TOKENS - 0.5)
    left.set_title("grey: read at once", fontsize=9.5, color=INK, loc="left")
    right.set_title("the same for every split; dark: large", fontsize=9.5, color=INK, loc="left")
    image = right.imshow(np.zeros((N_TOKENS, N_TOKENS)), cmap=plots.AMOUNT, vmin=0, vmax=1, aspect="auto")
    line = right.axhline(0, color=COLOURS["wrong"], linewidth=1.4)
    for ax in (left, right):
        ax.set_xticks(range(0, N_TOKENS, 2))
    for name in CACHES:
        errors(name)

    def draw(prefill: int, mistake: str) -> Picture:
        found = errors(mistake)
        row, largest = found[prefill], max(0.1, float(found.max()))
        for bar, height in zip(bars, row, strict=True):
            bar.set_height(height)
        left.set_ylim(0, 1.1 * largest)
        shade.set_width(prefill)
        image.set_data(found / largest)
        line.set_ydata([prefill, prefill])
        wrong = [t for t in range(N_TOKENS) if row[t] > 1e-3]
        told = (f"Wrong at {len(wrong)} of {N_TOKENS} positions, first at position {wrong[0]}" if wrong else
                "No position differs")
        return figure.describe(f"{prefill} tokens read at once, the rest one by one; the cache: {mistake}. {told}.")

    return Live("cache, split anywhere", {"prefill": slider("tokens read at once", range(N_TOKENS), 5),
                                          "mistake": choice("the cache", list(CACHES))}, draw,
                rows=[["prefill", "mistake"]])
