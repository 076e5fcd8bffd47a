"""Look at a model, in training or at rest: what it expects, where it looks, what it writes.

Each asks `current()` for a `Run`, so that it always looks at the model of this moment.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from minillm.inspection import capture
from minillm.notebook import markup, plots
from minillm.notebook.clock import Clock
from minillm.notebook.plots import COLOURS, INK, Picture
from minillm.notebook.threads import one_thread
from minillm.notebook.tokens import runs_from_right, visible
from minillm.notebook.widgets import Live, slider, text


class Run(Protocol):
    """A model with its text, as far as it has come."""
    material: Any                  # .corpus

    def writing(self, prompt: str = "", **options: Any) -> Iterator[str]: ...      # the text so far, token by token


# -- attention -------------------------------------------------------------------------------------------------------

def attention_reader(model_of: Callable[[], tuple[nn.Module, Any]], words: str, *, most: int = 40) -> Live:
    """A text of the reader's own under the gaze of one of its tokens, in one head; and all heads of that layer.

    model_of   gives the model and its tokenizer when asked, so that neither is loaded before it is needed
    most       tokens that are read; what comes after them is left out, and said to be
    """
    model, tokenizer = model_of()
    heads = GalleryOfHeads(model.config.n_heads)

    def draw(text: str, layer: int, head: int, query: int) -> list:
        ids = tokenizer.prompt(text) if text else []
        if not ids:
            return [heads.draw(np.zeros((model.config.n_heads, 1, 1)), head, 0), markup.card("type something", "")]
        row, name = torch.tensor([ids[:most]]), f"blocks.{layer - 1}.attention.pattern"
        with one_thread(), torch.no_grad(), capture(model, name) as seen:
            model(row)
        patterns, asked, query = seen[name][0].float().numpy(), query, min(query, row.shape[1] - 1)
        pieces = [visible(piece) for piece in tokenizer.pieces(ids[:most])]
        drawn, looks = heads.draw(patterns, head, query), patterns[head - 1, query]
        chips = [gaze_chip(piece, float(p / looks.max()), float(p), chosen=i == query)
                 for i, (piece, p) in enumerate(zip(pieces, looks, strict=True))]
        line = f"{pieces[query]!r} reads {looks.max():.0%} from {pieces[int(looks.argmax())]!r}"
        left_out = f" (the first {most} of {len(ids)} tokens)" if len(ids) > most else ""
        left_out += f" (there is no token {asked}; this is the last)" if asked > query else ""
        rtl = runs_from_right(text)
        return [drawn, markup.card(f"{markup.flow(chips, rtl=rtl)}<div>In layer {layer}, head {head}, "
                                   f"<b>{escape(line)}</b>{left_out}.</div>", f"Layer {layer}, head {head}: {line}.")]

    controls = {"text": text("text", words), "layer": slider("layer", range(1, model.config.n_layers + 1), 3),
                "head": slider("head", range(1, model.config.n_heads + 1), 4),
                "query": slider("token that looks", range(most), 16)}
    return Live("reader", controls, draw, rows=[["text"], ["layer", "head"], ["query"]])


class GalleryOfHeads:
    """The patterns of all heads of a layer, side by side, each row stretched to its own maximum."""

    def __init__(self, n_heads: int):
        columns = min(n_heads, 6)
        rows = -(-n_heads // columns)
        self.figure = plots.picture(height=44 + 128 * rows, title="Where does each head of this layer look?")
        self.axes, self.images, self.lines = [], [], []
        for head in range(n_heads):
            ax = self.figure.add_subplot(rows, columns, head + 1)
            self.images.append(ax.imshow(np.zeros((1, 1)), cmap=plots.AMOUNT, vmin=0, vmax=1, interpolation="nearest",
                                         aspect="auto"))
            self.lines.append(ax.axhline(0, color=COLOURS["query"], linewidth=1))
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"head {head + 1}", fontsize=9.5, color=INK, pad=3)
            self.axes.append(ax)
        height = 44 + 128 * rows
        self.figure.subplots_adjust(left=0.02, right=0.98, bottom=10 / height, top=1 - 58 / height, wspace=0.12)

    def draw(self, patterns: np.ndarray, chosen: int, query: int) -> Picture:
        """`patterns` of shape (head, query, key); heads count from 1, positions from 0."""
        n = patterns.shape[1]
        for head, (ax, image, line, pattern) in enumerate(
                zip(self.axes, self.images, self.lines, patterns, strict=True), 1):
            image.set_data(pattern / np.maximum(pattern.max(axis=1, keepdims=True), 1e-9))
            image.set_extent((-0.5, n - 0.5, n - 0.5, -0.5))
            ax.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
            line.set_ydata([query, query])
            line.set_visible(head == chosen)
            for spine in ax.spines.values():
                colour = COLOURS["query"] if head == chosen else plots.EDGE
                spine.set(color=colour, linewidth=2 if head == chosen else 1)
        n_back = [float((pattern * (np.arange(n)[:, None] - np.arange(n))).sum(axis=1).mean()) for pattern in patterns]
        return self.figure.describe(f"{len(patterns)} heads, {n} tokens; on average they look "
                                    f"{', '.join(f'{each:.1f}' for each in n_back)} positions back.")


def gaze_chip(piece: str, look: float, p: float, *, chosen: bool) -> str:
    """A token in the blue of how much it is looked at (1: most); the one that looks is outlined."""
    chip = markup.chip(piece, colour=markup.shade(look), hint=f"attention {p:.0%}")
    return f'<span style="outline:2px solid {COLOURS["query"]};border-radius:4px">{chip}</span>' if chosen else chip


# -- writing ---------------------------------------------------------------------------------------------------------

def writer(current: Callable[[], Run]) -> Clock:
    """What the model in training goes on with after a prompt, as it writes; typing makes it begin again."""
    def start(prompt: str, temperature: float, top_k: int, n_tokens: int, seed: int) -> Iterator[str]:
        return current().writing(prompt, n_tokens=n_tokens, temperature=temperature, top_k=top_k or None, seed=seed)

    def draw(history: list[str], prompt: str, **_: Any) -> markup.Markup:
        written = history[-1] if history else ""
        side = "rtl" if current().material.corpus.right_to_left else "ltr"
        style = "white-space:pre-wrap;overflow-wrap:anywhere;min-height:6em"
        return markup.card(f'<div dir="{side}" style="{style}"><b>{escape(prompt)}</b>{escape(written)}</div>',
                           f"After {prompt!r} the model writes: {written}")

    controls = {"prompt": text("prompt", ""),
                "temperature": slider("temperature", [0.0, 0.2, 0.5, 0.8, 1.0, 1.3, 2.0], 0.8),
                "top_k": slider("top-k", [1, 2, 5, 10, 20, 0], 0, show=lambda k: str(k or "all")),
                "n_tokens": slider("characters", [50, 100, 200, 400], 200), "seed": slider("seed", range(10))}
    return Clock("writer", controls, start, draw, rows=[["prompt"], ["temperature", "top_k"], ["n_tokens", "seed"]],
                 first=400, auto=0.4, buttons={"reset": "write again"})
