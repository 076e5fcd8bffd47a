"""Reach into a model: take heads away, put one reading's vectors into another, and mend a question that fails."""
from __future__ import annotations

from functools import cache
from random import Random

import numpy as np
import torch

from minillm.inspection import attribution_patching, patch_grid
from minillm.lessons.inference import asking, measures
from minillm.notebook import plots
from minillm.notebook.drawings import Sheet
from minillm.notebook.plots import COLOURS, INK, MUTED, SIGNED, Picture
from minillm.notebook.statistics import bands
from minillm.notebook.threads import one_thread
from minillm.notebook.tokens import visible
from minillm.notebook.widgets import Live, choice

MODELS = {"the parrot, on lists read twice": "parrot", "the storyteller, on fresh stories": "storyteller"}
WAYS = {"nothing (zero)": "zero", "its mean": "mean", "what it says elsewhere (resampled)": "resampled"}


SHOWN_AWAY = {"attention": "all heads", "mlp": "MLP", "layer": "layer"}


def ablation_grid() -> Live:
    """What the absence of each head, each whole attention, each MLP and each layer costs, under three ways to be
    absent."""
    figure = plots.picture(height=350, title="What does it cost to take a part away, in nats per token?",
                           colours=measures.STORED)
    ax = plots.axes(figure, left=70, right=24, top=50, bottom=46, grid="", ylabel="layer")
    for model in MODELS.values():                       # all of it now, so that a touch is answered at once
        for instead in WAYS.values():
            n_layers, n_parts = measures.absences(model, instead).shape
    n_heads = n_parts - len(measures.AWAY)
    names = [*(f"head {head}" for head in range(1, n_heads + 1)), *(SHOWN_AWAY[part] for part in measures.AWAY)]
    image = ax.imshow(np.zeros((n_layers, n_parts)), cmap=SIGNED, vmin=-1, vmax=1, aspect="auto")
    ax.set_xticks(range(n_parts), names, fontsize=9)
    ax.set_yticks(range(n_layers), range(1, n_layers + 1))
    ax.axvline(n_heads - 0.5, color=MUTED, linewidth=1.2)
    cells = [[ax.text(part, layer, "", ha="center", va="center", fontsize=10) for part in range(n_parts)]
             for layer in range(n_layers)]

    def draw(model: str, instead: str) -> Picture:
        values = measures.absences(model, instead).numpy()
        shades = np.sign(values) * np.sqrt(np.abs(values) / np.abs(values).max())    # so that small ones are seen, too
        image.set_data(-shades)
        for (layer, part), value in np.ndenumerate(values):
            cells[layer][part].set_text(f"{round(value, 2) + 0.0:+.2f}" if value < 9.995 else f"{value:+.1f}")
            cells[layer][part].set_color("white" if abs(shades[layer, part]) > 0.8 else INK)

        def dearest(columns: slice) -> str:
            layer, part = np.unravel_index(values[:, columns].argmax(), values[:, columns].shape)
            return f"layer {layer + 1}, {names[columns][part]}, {values[:, columns].max():+.1f}"
        return figure.describe(
            f"{model.capitalize()}, parts replaced by {instead}, in nats per token. Dearest head: "
            f"{dearest(slice(n_heads))}; dearest MLP: {dearest(slice(n_heads + 1, n_heads + 2))}; dearest layer but "
            f"the first: layer {values[1:, -1].argmax() + 2}, {values[1:, -1].max():+.1f}.")

    return Live("taken away", {"model": choice("model", MODELS), "instead": choice("in its place", WAYS)}, draw,
                rows=[["model", "instead"]])


# -- patching --------------------------------------------------------------------------------------------------------

PAIRS = {"France for Italy": ("The capital of {} is", "France", "Italy", " Paris", " Rome"),
         "Italy for France": ("The capital of {} is", "Italy", "France", " Rome", " Paris"),
         "Greece for France": ("The capital of {} is", "Greece", "France", " Athens", " Paris"),
         "Kenya for Ghana": ("The capital of {} is", "Kenya", "Ghana", " Nairobi", " Accra")}
PLACES = {"the stream after each layer": "blocks.*", "what each attention writes": "blocks.*.attention",
          "what each MLP writes": "blocks.*.mlp"}


SLOPES = {"one, at the corrupt reading": 1, "the mean of four on the way": 4}


@cache
def grids(pair: str, name: str, slopes: int = 1) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    """Exact and linear patching, (layer, position), and the pieces of both texts."""
    template, there, here, right, wrong = PAIRS[pair]
    model, tokenizer = measures.shipped("storyteller")
    texts = [template.format(country) for country in (there, here)]
    clean, corrupt = (measures.read("storyteller", each) for each in texts)
    yes, no = (tokenizer.encode(each)[0] for each in (right, wrong))

    def difference(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, -1, yes] - logits[:, -1, no]

    model.requires_grad_(True)                          # what is captured must know its slope
    try:
        with one_thread():
            exact = (patch_grid(model, clean, corrupt, difference, name=name).numpy() if slopes == 1
                     else grids(pair, name)[0])
            linear = attribution_patching(model, clean, corrupt, difference, name=name, slopes=slopes)
    finally:
        model.requires_grad_(False)
    return exact, linear.numpy(), *([visible(p) for p in tokenizer.pieces(each[0].tolist())]
                                            for each in (clean, corrupt))


def agreement(pair: str, name: str, slopes: int = 1) -> float:
    """Correlation of exact and linear patching over all places."""
    exact, linear, *_ = grids(pair, name, slopes)
    return float(np.corrcoef(exact.ravel(), linear.ravel())[0, 1])


@cache
def agreements(n_pairs: int = 12) -> dict[int, list[float]]:
    """The same for pairs of countries drawn at random, whose names are as long, after each layer: slopes -> each r."""
    model, tokenizer = measures.shipped("storyteller")
    capitals, random = asking.capitals(), Random(0)
    texts = {name: measures.read("storyteller", asking.STATEMENT.format(name)) for name in capitals}
    said = {name: tokenizer.encode(f" {capital}")[0] for name, capital in capitals.items()}
    pairs = [(there, here) for there, here in (random.sample(list(capitals), 2) for _ in range(40 * n_pairs))
             if texts[there].shape == texts[here].shape and said[there] != said[here]][:n_pairs]
    found: dict[int, list[float]] = {slopes: [] for slopes in SLOPES.values()}
    for there, here in pairs:
        def difference(logits: torch.Tensor, yes: int = said[there], no: int = said[here]) -> torch.Tensor:
            return logits[:, -1, yes] - logits[:, -1, no]
        model.requires_grad_(True)
        try:
            with one_thread():
                exact = patch_grid(model, texts[there], texts[here], difference)
                for slopes, each in found.items():
                    estimate = attribution_patching(model, texts[there], texts[here], difference, slopes=slopes)
                    each.append(float(torch.corrcoef(torch.stack([exact.flatten(), estimate.flatten()]))[0, 1]))
        finally:
            model.requires_grad_(False)
    return found


def patching() -> Live:
    """One vector of a clean reading in a corrupt one: exact grid, linear grid, and one against the other."""
    figure = plots.picture(height=330, title="Which vector carries the answer?", colours=measures.STORED)
    axes = [figure.add_axes(place) for place in ((0.065, 0.27, 0.27, 0.53), (0.375, 0.27, 0.27, 0.53))]
    scatter = figure.add_axes((0.745, 0.27, 0.235, 0.53), facecolor=plots.CARD)
    images = [ax.imshow(np.zeros((1, 1)), cmap=SIGNED, vmin=-1, vmax=1, aspect="auto") for ax in axes]
    for ax, name in zip([*axes, scatter], ("exact: one pass per cell", "estimated from slopes", "each point a cell"),
                        strict=True):
        ax.set_title(name, fontsize=10, color=INK, loc="left")
        ax.tick_params(length=0, labelsize=9, colors=INK)
        ax.spines[:].set_visible(False)
    axes[0].set_ylabel("after layer", color=INK, fontsize=10)
    scatter.axline((0, 0), slope=1, color=MUTED, linewidth=1, linestyle=":")
    dots, = scatter.plot([], [], "o", color=COLOURS["prediction"], markersize=4, alpha=0.7)
    scatter.set(xlim=(-0.4, 1.1), ylim=(-0.4, 1.1))
    scatter.set_xlabel("exact", color=INK, fontsize=10)
    scatter.set_ylabel("estimated", color=INK, fontsize=10)
    for pair in PAIRS:                                  # all of it now, so that a touch is answered at once
        for name in PLACES.values():
            for slopes in SLOPES.values():
                grids(pair, name, slopes)
    texts: list = []
    agreeing = scatter.set_title("", fontsize=10, color=INK, loc="left")

    def draw(pair: str, place: str, slopes: int) -> Picture:
        exact, linear, clean, corrupt = grids(pair, place, slopes)
        while texts:
            texts.pop().remove()
        names = [c if c == k else f"{k}→{c}" for c, k in zip(clean, corrupt, strict=True)]
        for ax, image, grid in zip(axes, images, (exact, linear), strict=True):
            image.set_data(grid)
            image.set_extent((-0.5, grid.shape[1] - 0.5, len(grid) - 0.5, -0.5))
            ax.set_xticks(range(len(names)), names, rotation=55, ha="right", parse_math=False)
            ax.set_yticks(range(len(grid)), range(1, len(grid) + 1))
            texts.extend(ax.text(t, layer, f"{grid[layer, t]:.2f}"[-3 if 0 <= grid[layer, t] < 0.995 else 0:],
                                 ha="center", va="center", fontsize=8,
                                 color="white" if abs(grid[layer, t]) > 0.7 else INK)
                         for layer in range(len(grid)) for t in range(grid.shape[1]) if abs(grid[layer, t]) > 0.045)
        dots.set_data(exact.ravel(), linear.ravel())
        layer, t = np.unravel_index(exact.argmax(), exact.shape)
        r = agreement(pair, place, slopes)
        agreeing.set_text(f"each point a cell: r = {r:.2f}")
        return figure.describe(
            f"0 is the corrupt reading, 1 the clean one. {pair}, {place_name(place)}: most comes back, "
            f"{exact.max():.2f}, from layer {layer + 1} at “{clean[t]}”. The estimate from {slopes} "
            f"slope{'s' * (slopes > 1)} correlates with it at {r:.2f}.")

    controls = {"pair": choice("clean for corrupt", list(PAIRS)), "place": choice("what is put in", PLACES),
                "slopes": choice("slopes", SLOPES)}
    return Live("patching", controls, draw, rows=[["pair", "place"], ["slopes"]])


def place_name(place: str) -> str:
    return next(name for name, each in PLACES.items() if each == place)


def patching_drawing() -> Picture:
    """Two readings, one vector carried from the clean one into the corrupt one, and the scale between both ends."""
    clean, corrupt = (measures.shipped("storyteller")[1].pieces(measures.read("storyteller", text)[0].tolist())
                      for text in ("The capital of France is", "The capital of Italy is"))
    sheet = Sheet(720, 236, "What is patching?", colours=measures.STORED)
    rows = []
    for top, name, pieces, other in ((58, "clean", clean, corrupt), (148, "corrupt", corrupt, clean)):
        sheet.words(20, top + 13, name, bold=True)
        rows.append(sheet.row(90, top, [visible(p) for p in pieces], width=70, colours=[
            COLOURS["target"] if p != q and name == "clean" else COLOURS["wrong"] if p != q else None
            for p, q in zip(pieces, other, strict=True)]))
        sheet.words(604, top + 13, "says “·P”: 1" if name == "clean" else "says “·R”: 0", size=9.5)
    source, goal = rows[0][4], rows[1][4]
    sheet.arrow((source.middle[0], source.bottom), (goal.middle[0], goal.top), colour=COLOURS["prediction"], width=2.2)
    sheet.words(source.middle[0] + 10, 116, "one vector, after one layer, at one position", size=9,
                colour=COLOURS["prediction"])
    sheet.words(90, 208, "then everything behind it is computed anew: how far from 0 to 1 does the answer come?")
    return sheet.describe(f"The clean text has {len(clean)} tokens, the corrupt one {len(corrupt)}; one vector of the "
                          f"clean reading takes the place of the corrupt one's, and the rest is computed anew.")


# -- the question that fails -----------------------------------------------------------------------------------------

def rescue_picture() -> Picture:
    """The right capital's probability by depth: stated, asked, and asked with one vector of the statement put in."""
    readings = {"stated (“The capital of …”)": (asking.STATEMENT, None),
                "asked (“What is …?”)": (asking.QUESTION, None),
                "asked, one vector put in": (asking.QUESTION, 1)}
    curves = {}
    for name, (prompt, patched) in readings.items():
        values = np.sort(100 * asking.first_token_of_capitals(prompt, patched=patched)[:, :-1].numpy(), 0)
        tenth = len(values) // 10
        curves[name] = values[tenth:-tenth]
    n_layers = values.shape[1]
    figure = plots.picture(height=340, title="Where in the depth is the capital?", colours=measures.STORED)
    ax = plots.axes(figure, xlabel="after layer", ylabel="probability of the capital (%)", right=232)
    bands(ax, curves, range(1, n_layers + 1), colours=(COLOURS["target"], COLOURS["wrong"], COLOURS["prediction"]))
    ax.lines[2].set_linestyle("--")
    ax.set(ylim=(-2, 104), xticks=range(1, n_layers + 1))
    ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc="center left", bbox_to_anchor=(1.01, 0.5))
    told = "; ".join(f"{name}: {values[:, -1].mean():.0f}% at the end" for name, values in curves.items())
    return figure.describe(f"First token of the right capital, the middle eight tenths of {len(asking.capitals())} "
                           f"countries and their mean. {told}.")
