"""Play with attention: its sharpness, its masks, its shared keys, its window, and the heads of a real model."""
from __future__ import annotations

import numpy as np
import torch
from matplotlib.ticker import MaxNLocator

from minillm.config import ModelConfig
from minillm.costs import cache_bytes, parameters
from minillm.layers import visible
from minillm.lessons.attention import measures
from minillm.lessons.attention.drawings import Sharing
from minillm.lessons.attention.measures import MASKS
from minillm.notebook import plots
from minillm.notebook.looking import attention_reader
from minillm.notebook.plots import COLOURS, INK, MUTED, Picture
from minillm.notebook.widgets import Live, button, choice, slider

WIDTHS = [1, 4, 16, 64, 256, 1024]
DIVISORS = {"nothing": 0.0, "√E": 0.5, "E": 1.0}         # the width to this power
SENTENCE = "Nora has a hamster. The hamster is called Dot. One day Nora and Dot went to the market."


def reader(words: str = SENTENCE) -> Live:
    """Every head of the shipped model on a sentence of the reader's own."""
    return attention_reader(measures.storyteller, words)


# -- how sharp --------------------------------------------------------------------------------------------------------

def width_dial() -> Live:
    """Scores of random queries and keys: their spread, one pattern, and how far it still moves."""
    figure = plots.picture(height=310, title="What does a wider head do to its softmax?")
    left, middle, right = (plots.axes(figure, 1, 3, i, top=76, right=20, left=64, xlabel=xlabel, ylabel=ylabel)
                           for i, (xlabel, ylabel) in enumerate((
                               ("score", "share of all scores"), ("key, by its share", "attention of one query"),
                               ("width E", "moves per unit of score")), 1))
    figure.subplots_adjust(wspace=0.42)
    for ax, title in ((left, "scores"), (middle, "pattern"), (right, "how far it moves")):
        ax.set_title(title, fontsize=10, color=INK, loc="left")
    edges = np.linspace(-4, 4, 41)
    stairs = left.stairs(np.zeros(40), edges, fill=True, color=COLOURS["query"])
    bars = middle.bar(range(16), [0.0] * 16, color=COLOURS["attention"])
    middle.set_ylim(0, 1.02)
    for i, (name, power) in enumerate(DIVISORS.items()):
        right.plot(WIDTHS, [float(measures.responsiveness(_random_pattern(width, power, 1.0)).mean())
                            for width in WIDTHS], color=plots.SERIES[i], linewidth=2, label=f"divided by {name}")
    right.set_xscale("log", base=2)
    right.set_xticks([1, 16, 256], ["1", "16", "256"])
    right.minorticks_off()
    right.set_ylim(0, 0.5)
    right.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="upper right")
    dot, = right.plot([1], [0], "o", color=INK, markersize=7)

    def draw(width: int, divide: float, temperature: float) -> Picture:
        scores, pattern = _random_scores(width, divide, temperature), _random_pattern(width, divide, temperature)
        spread = float(scores.std())
        reach = max(4.0, 4 * spread)
        edges = np.linspace(-reach, reach, 41)
        counts = np.histogram(scores.numpy().ravel(), edges)[0]
        stairs.set_data(counts / counts.sum(), edges)
        left.set_xlim(-reach, reach)
        left.set_ylim(0, 1.1 * counts.max() / counts.sum())
        for bar, share in zip(bars, sorted(pattern[0].tolist(), reverse=True), strict=True):
            bar.set_height(share)
        moves = float(measures.responsiveness(pattern).mean())
        dot.set_data([width], [moves])
        keys = float(measures.entropy(pattern).mean().exp())
        return figure.describe(
            f"Width {width}: scores spread by {spread:.1f}. A query spreads its attention like {keys:.1f} of 16 keys "
            f"that share evenly; its pattern moves by {moves:.2f} per unit of score.")

    return Live("width of a head", {"width": slider("width E", WIDTHS, 64),
                                    "divide": choice("scores divided by", DIVISORS, 0.0),
                                    "temperature": slider("and by a temperature of", [0.25, 0.5, 1.0, 2.0, 4.0], 1.0)},
                draw, rows=[["width", "divide"], ["temperature"]])


def _random_scores(width: int, divide: float, temperature: float) -> torch.Tensor:
    queries, keys = measures.random_vectors(width)
    return queries @ keys.T / (width ** divide * temperature)


def _random_pattern(width: int, divide: float, temperature: float) -> torch.Tensor:
    return _random_scores(width, divide, temperature).softmax(-1)


# -- masks ------------------------------------------------------------------------------------------------------------

WORDS = ("the", "cat", "sat", ".")
SCORES = torch.tensor([[0.0, 1.0, 2.0, 1.0], [2.0, 1.0, 0.0, 1.0], [0.0, 2.0, 1.0, 2.0], [1.0, 0.0, 2.0, 1.0]])


def mask_stages() -> Live:
    """Scores, scores after the mask, pattern with its sums: for every way to hide the future, right or wrong."""
    figure = plots.picture(height=270, title="What does each mask let through?")
    stages = [_Matrix(figure, i, name) for i, name in enumerate(("scores", "after the mask", "pattern"))]

    def draw(mask: str, over: int) -> Picture:
        changed, pattern = measures.masked_pattern(SCORES, mask, over=over)
        stages[0].draw(SCORES.numpy(), "{:.0f}")
        stages[1].draw(changed.numpy(), "{:.0f}")
        stages[2].draw(pattern.numpy(), "{:.2f}", sums=True)
        return figure.describe(_seen_in(pattern, mask, over))

    axes = {"the keys of each query": -1, "the queries of each key": -2}
    return Live("masks", {"mask": choice("mask", list(MASKS), "−∞ before the softmax"),
                          "over": choice("softmax over", axes)}, draw, rows=[["mask", "over"]])


def _seen_in(pattern: torch.Tensor, mask: str, over: int) -> str:
    rows, leak = pattern.sum(-1), pattern.triu(1).nan_to_num().sum() / len(pattern)
    broken = int(pattern.isnan().any(-1).sum())
    parts = [f"{broken} of 4 rows {'is' if broken == 1 else 'are'} NaN"] if broken else []
    short = int(((rows - 1).abs() > 1e-4).sum())               # NaN is above nothing
    parts += [f"{short} of 4 rows do not sum to one"] if short else [] if broken else ["every row sums to one"]
    parts += [f"{float(leak):.0%} of all attention goes to later tokens" if leak > 1e-6 else
              f"{'of the rest, ' if broken else ''}nothing goes to later tokens"]
    words = "; ".join(parts)
    return f"Mask: {mask}; softmax over the {'keys' if over == -1 else 'queries'}. {words[0].upper()}{words[1:]}."


class _Matrix:
    """Four by four numbers, each in its cell, with the sums of rows and columns where they matter."""

    def __init__(self, figure: Picture, place: int, name: str):
        ax = figure.add_axes((0.075 + 0.305 * place, 0.17, 0.24, 0.56))
        self.image = ax.imshow(np.zeros((4, 4)), cmap=plots.AMOUNT, vmin=0, vmax=1, aspect="auto")
        ax.set_title(name, fontsize=10.5, color=INK, loc="left", pad=18)
        ax.set_yticks(range(4), WORDS if place == 0 else [""] * 4)
        ax.set_xticks(range(4), WORDS)
        ax.xaxis.tick_top()
        ax.tick_params(length=0, labelsize=9, colors=INK, pad=1)
        ax.spines[:].set_visible(False)
        ax.axhspan(-0.5, 0.5, fill=False, edgecolor=COLOURS["query"], linewidth=1.4)
        self.cells = [[ax.text(x, y, "", ha="center", va="center", fontsize=9) for x in range(4)] for y in range(4)]
        self.sums = [ax.text(3.6, y, "", va="center", fontsize=9, color=MUTED) for y in range(4)]
        self.columns = [ax.text(x, 3.82, "", ha="center", va="center", fontsize=9, color=MUTED) for x in range(4)]
        self.note = ax.text(-0.5, 4.35, "", fontsize=9, color=MUTED)

    def draw(self, values: np.ndarray, form: str, *, sums: bool = False) -> None:
        finite = np.nan_to_num(values, nan=0.0, posinf=2.0, neginf=0.0)
        shade = finite / max(1e-9, finite.max())
        self.image.set_data(np.where(np.isfinite(values), shade, 0.0))
        for (y, x), value in np.ndenumerate(values):
            word = {-np.inf: "−∞", np.inf: "+∞"}.get(value, form.format(value).replace("nan", "NaN"))
            self.cells[y][x].set_text(word)
            self.cells[y][x].set_color("white" if np.isfinite(value) and shade[y, x] > 0.5 else INK)
        if sums:
            for total, texts in ((values.sum(1), self.sums), (values.sum(0), self.columns)):
                for value, text in zip(total, texts, strict=True):
                    text.set_text("NaN" if np.isnan(value) else f"{value:.2f}")
            self.note.set_text("beside and below: the sums")


# -- shared keys ------------------------------------------------------------------------------------------------------

N_HEADS, D_HEAD, N_KEYS = 8, 64, 1024


def sharing_dial() -> Live:
    """Fewer key heads: who serves whom, what it saves, and how long a step of decoding takes on this machine."""
    figure = plots.picture(height=400, title="What do shared keys save?")
    grid = figure.add_gridspec(2, 2, height_ratios=[1, 1.25], wspace=0.3, hspace=0.2)
    top = figure.add_axes((0.06, 0.51, 0.9, 0.38))
    cost = plots.axes(figure, grid[1, 0], left=110, right=24, top=44, bottom=50, xlabel="share of what MHA needs",
                      grid="x")
    speed = plots.axes(figure, grid[1, 1], left=110, right=24, top=44, bottom=50, xlabel="key heads",
                       ylabel="ms per step")
    sharing = Sharing(top, N_HEADS)
    bars = cost.barh([1, 0], [1.0, 1.0], color=[COLOURS["embedding"], COLOURS["key"]], height=0.5)
    cost.set_yticks([1, 0], ["parameters", "cache"])
    cost.set(xlim=(0, 1.35), ylim=(-0.6, 1.6))
    labels = [cost.text(0, y, "", va="center", fontsize=10, color=INK) for y in (1, 0)]
    lines = {name: speed.plot([], [], "o-", color=colour, label=name)[0]
             for name, colour in (("copied", COLOURS["wrong"]), ("read once", COLOURS["ours"]))}
    speed.set_xscale("log", base=2)
    speed.set(xlim=(0.8, 10), ylim=(0, 1))
    speed.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    speed.minorticks_off()
    speed.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper right")
    note = speed.text(0.5, 0.45, "press “measure”", transform=speed.transAxes, ha="center", color=MUTED, fontsize=10)
    measured: dict[int, dict[str, float]] = {}

    def measure() -> None:
        n = live["n_kv_heads"].value
        measured[n] = measures.decoding_times(n, n_heads=N_HEADS, d_head=D_HEAD, n_keys=N_KEYS)

    def draw(n_kv_heads: int) -> Picture:
        sharing.draw(n_kv_heads)
        config, full = (ModelConfig(d_model=N_HEADS * D_HEAD, n_heads=N_HEADS, n_kv_heads=n, n_layers=1,
                                    context_length=N_KEYS) for n in (n_kv_heads, N_HEADS))
        facts = [(parameters(each)["attention"], cache_bytes(each, seq=N_KEYS, bytes_per_number=4))
                 for each in (config, full)]
        shown = (f"{facts[0][0]:,}", f"{facts[0][1] / 2**20:.1f} MiB")
        for bar, label, word, now, then in zip(bars, labels, shown, *facts, strict=True):
            bar.set_width(now / then)
            label.set_x(now / then + 0.02)
            label.set_text(word)
        times = dict(sorted(measured.items()))
        for name, line in lines.items():
            line.set_data(list(times), [each[name] for each in times.values()])
        speed.set_yticks([0]) if not times else speed.yaxis.set_major_locator(MaxNLocator(5))
        speed.set_ylim(0, 1.6 * max([1e-3, *(t for each in times.values() for t in each.values())]))
        note.set_visible(not measured)
        kind = {N_HEADS: "MHA", 1: "MQA"}.get(n_kv_heads, "GQA")
        now = measured.get(n_kv_heads)
        told = f" A step takes {now['copied']:.1f} ms copied, {now['read once']:.1f} ms read once." if now else ""
        return figure.describe(f"{n_kv_heads} key heads for {N_HEADS} query heads ({kind}): {shown[0]} parameters, "
                               f"{shown[1]} of cache for {N_KEYS:,} positions.{told}")

    live = Live("shared keys", {"n_kv_heads": slider("key heads", [1, 2, 4, 8], 2),
                                "measure": button("measure", "time a step of decoding with this many key heads")},
                draw, on_press={"measure": measure}, rows=[["n_kv_heads", "measure"]])
    return live


# -- a window ---------------------------------------------------------------------------------------------------------

def window_dial(n_tokens: int = 12) -> Live:
    """Which keys each query sees, how many these are, and how many positions the cache must keep."""
    figure = plots.picture(height=300, title="How far back does each token see?")
    left = figure.add_axes((0.09, 0.16, 0.36, 0.66))
    image = left.imshow(np.zeros((n_tokens, n_tokens)), cmap=plots.AMOUNT, vmin=0, vmax=1.6, aspect="auto")
    left.set_xlabel("key", color=INK, fontsize=11)
    left.set_ylabel("query", color=INK, fontsize=11)
    left.tick_params(colors=INK, labelsize=9)
    left.spines[:].set_visible(False)
    counts = [left.text(n_tokens - 0.3, row, "", va="center", fontsize=9, color=INK) for row in range(n_tokens)]
    left.text(n_tokens - 0.3, -1.1, "keys seen", fontsize=9, color=MUTED)
    right = plots.axes(figure, xlabel="tokens read", ylabel="positions in the cache", left=430, right=20)
    steps = np.arange(1, n_tokens + 1)
    right.plot(steps, steps, color=MUTED, linewidth=1.4, linestyle=":")
    right.text(1, n_tokens - 1, "dotted: without a window", va="center", fontsize=9, color=MUTED)
    kept, = right.plot(steps, steps, color=COLOURS["key"], linewidth=2.4)
    right.set_ylim(0, n_tokens + 1)
    right.set_xticks(steps[1::2])

    def draw(window: int) -> Picture:
        positions = torch.arange(n_tokens)
        seen = visible(positions, positions, *([window] if window else []))
        image.set_data(seen.float().numpy())
        for label, count in zip(counts, seen.sum(1).tolist(), strict=True):
            label.set_text(str(count))
        needed = [min(int(step), window or n_tokens) for step in steps]
        kept.set_ydata(needed)
        n_seen, s = int(seen[-1].sum()), "" if window == 1 else "s"
        return figure.describe(f"{f'Window {window}' if window else 'No window'}: the last of {n_tokens} tokens sees "
                               f"{n_seen} key{s}, and the cache keeps at most {max(needed)} position{s}.")

    return Live("window", {"window": slider("window", [1, 2, 3, 4, 6, 8, 0], 4,
                                            show=lambda w: str(w or "none"))}, draw)


# -- the heads of a model ---------------------------------------------------------------------------------------------

def head_atlas() -> Live:
    """Layers × heads of the shipped model: where each looks on stories that it has not read."""
    shares = measures.attended(measures.fresh_patterns())
    figure = plots.picture(height=330, title="Where does each head look?")
    first = next(iter(shares.values())).numpy()
    ax = plots.axes(figure, left=70, right=24, top=64, bottom=46, grid="", xlabel="head", ylabel="layer")
    image = ax.imshow(first, cmap=plots.AMOUNT, vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(first.shape[1]), range(1, first.shape[1] + 1))
    ax.set_yticks(range(first.shape[0]), range(1, first.shape[0] + 1))
    cells = [[ax.text(x, y, "", ha="center", va="center", fontsize=10) for x in range(first.shape[1])]
             for y in range(first.shape[0])]

    def draw(place: str) -> Picture:
        values = shares[place].numpy()
        share = values.max() <= 1
        top = 1.0 if share else float(values.max())
        image.set_data(values / top)
        for (y, x), value in np.ndenumerate(values):
            cells[y][x].set_text(f"{value:.0%}" if share else f"{value:.1f}")
            cells[y][x].set_color("white" if value > 0.5 * top else INK)
        y, x = np.unravel_index(values.argmax(), values.shape)
        most = f"{values.max():.0%}" if share else f"{values.max():.1f}"
        return figure.describe(f"Attention to {place}: most, {most}, in layer {y + 1}, head {x + 1}; the mean over all "
                               f"heads is {values.mean():.0%}." if share else
                               f"{place.capitalize()}: most, {most}, in layer {y + 1}, head {x + 1}.")

    return Live("atlas of heads", {"place": choice("attention to", list(shares), "the token before")}, draw)
