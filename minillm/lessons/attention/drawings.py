"""Draw what attention does to its tensors: how heads are cut and joined, who shares whose keys."""
from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from minillm.config import ModelConfig
from minillm.costs import cache_bytes
from minillm.notebook import plots
from minillm.notebook.plots import COLOURS, INK, MUTED, TINTS, Picture
from minillm.notebook.widgets import Live, choice

TOKENS, HEADS, WIDTH = 4, 3, 2       # all different, so that no wrong cut has the right shape by accident
SPLITS = {"cut the last axis, then swap": True, "one view, as a short cut": False}


class Reshapes:
    """Numbers of four tokens on their way into three heads and back, each in the colour of its token."""

    def __init__(self):
        self.figure = plots.picture(height=250, title="Whose numbers are in which head?")
        ax = self.figure.add_axes((0, 0, 1, 1))
        ax.set(xlim=(0, 720), ylim=(250, 0))
        ax.axis("off")
        self.blocks = []
        whole = HEADS * WIDTH
        corners = [(96, 96, whole), *((300 + 82 * h, 96, WIDTH) for h in range(HEADS)), (560, 96, whole)]
        for x, y, columns in corners:
            self.blocks.append((ax.imshow(np.ones((TOKENS, columns, 3)), extent=(x, x + 24 * columns, y + 112, y),
                                          aspect="auto", interpolation="nearest"),
                                [[ax.text(x + 24 * c + 12, y + 28 * t + 14, "", ha="center", va="center", fontsize=9,
                                          color=INK) for c in range(columns)] for t in range(TOKENS)]))
        for t in range(TOKENS):
            ax.text(84, 96 + 28 * t + 14, f"token {t}", ha="right", va="center", fontsize=10, color=INK)
        words = [(96, "what q_proj gives"), *((300 + 82 * h, f"head {h}") for h in range(HEADS)), (560, "joined again")]
        for x, label in words:
            ax.text(x, 82, label, fontsize=10.5, color=INK)
        for x in (262, 526):
            ax.annotate("", (x + 20, 152), (x - 8, 152), arrowprops={"arrowstyle": "->", "color": MUTED})
        ax.text(96, 228, "colour: the token that a number belongs to; digit: which of its six numbers it is",
                fontsize=9.5, color=MUTED)
        ax.set(xlim=(0, 720), ylim=(250, 0))

    def draw(self, split: bool, join: bool) -> Picture:
        numbers = np.arange(TOKENS * HEADS * WIDTH).reshape(TOKENS, HEADS * WIDTH)
        heads = (numbers.reshape(TOKENS, HEADS, WIDTH).swapaxes(0, 1) if split else
                 numbers.reshape(HEADS, TOKENS, WIDTH))
        joined = (heads.swapaxes(0, 1) if join else heads).reshape(TOKENS, HEADS * WIDTH)
        for (image, texts), block in zip(self.blocks, [numbers, *heads, joined], strict=True):
            tokens = block // (HEADS * WIDTH)
            image.set_data(np.array([to_rgb(tint) for tint in TINTS])[tokens])
            for (t, c), number in np.ndenumerate(block):
                texts[t][c].set_text(str(number % (HEADS * WIDTH)))
        return self.figure.describe(f"{self._of_heads(heads)} {self._of_rows(joined)}")

    @staticmethod
    def _of_heads(heads: np.ndarray) -> str:
        rows = heads // (HEADS * WIDTH)
        if (rows == np.arange(TOKENS)[None, :, None]).all():
            return "Each head holds its own two numbers of every token."
        held = " and ".join(f"{n} of token {t}" for t, n in enumerate(np.bincount(rows[0].ravel())) if n)
        return f"Of the six numbers of each token, head 0 holds {held}, and none of the others."

    @staticmethod
    def _of_rows(joined: np.ndarray) -> str:
        rows = joined // (HEADS * WIDTH)
        if (rows == np.arange(TOKENS)[:, None]).all():
            return "Joined again, each row is its token's."
        return f"Joined, the row of token 1 holds numbers of {_listed(rows[1])}."


def _listed(tokens: np.ndarray) -> str:
    return " and ".join(f"token {t}" for t in np.unique(tokens))


def reshape_flow() -> Live:
    """Follow every number of four tokens through both reshapes, right and wrong."""
    figure = Reshapes()
    controls = {"split": choice("into heads", SPLITS), "join": choice("and back", {
        "swap, then merge": True, "one view": False})}
    return Live("through the reshapes", controls, figure.draw, rows=[["split", "join"]])


class Sharing:
    """Query heads above, key heads below, and who reads whose keys."""

    def __init__(self, ax, n_heads: int):
        self.ax, self.n_heads, self.lines = ax, n_heads, []
        ax.set(xlim=(-0.8, n_heads - 0.2), ylim=(-0.75, 1.75), aspect="equal")
        ax.axis("off")
        for h in range(n_heads):
            ax.add_artist(Circle((h, 1.2), 0.3, color=COLOURS["query"]))
            ax.text(h, 1.2, str(h), color="white", ha="center", va="center", fontsize=10)
        self.keys = [(ax.add_artist(Circle((0, 0), 0.3, color=COLOURS["key"], zorder=2)),
                      ax.text(0, 0, "", color=INK, ha="center", va="center", fontsize=10, zorder=3))
                     for _ in range(n_heads)]
        self.edges = [ax.add_line(Line2D([], [], color=MUTED, linewidth=1.2, zorder=0)) for _ in range(n_heads)]
        ax.text(-0.7, 1.62, "query heads", color=INK, fontsize=10)
        ax.text(-0.7, -0.62, "key heads, each with its values", color=INK, fontsize=10)

    def draw(self, n_kv_heads: int) -> None:
        group = self.n_heads // n_kv_heads
        for i, (circle, label) in enumerate(self.keys):
            there = i < n_kv_heads
            circle.set_visible(there)
            label.set_text(str(i) if there else "")
            place = (i * group + (group - 1) / 2, 0.0)
            circle.set_center(place)
            label.set_position(place)
        for h, edge in enumerate(self.edges):
            edge.set_data([h, (h // group) * group + (group - 1) / 2], [0.9, 0.3])


LENGTHS = [2 ** n for n in range(8, 18)]


def memory_picture(**kinds: ModelConfig) -> Picture:
    """Bytes of cache by the length of the text, for each configuration, as the ledger counts them."""
    figure = plots.picture(height=310, title="What must be kept of a text?")
    ax = plots.axes(figure, xlabel="tokens read", ylabel="cache (MB)", left=72)
    told = []
    for (name, config), colour in zip(kinds.items(), plots.SERIES, strict=False):
        size = [cache_bytes(config, seq=length) / 1e6 for length in LENGTHS]
        ax.plot(LENGTHS, size, color=colour, linewidth=2.2, label=name.replace("_", " "))
        told.append(f"{name.replace('_', ' ')} {size[0]:.1f} to {size[-1]:,.1f}")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(LENGTHS[::2], [f"{length:,}" for length in LENGTHS[::2]])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=9.5, labelcolor=INK, loc="upper left")
    return figure.describe(f"Megabytes of cache from {LENGTHS[0]:,} to {LENGTHS[-1]:,} tokens: {'; '.join(told)}.")
