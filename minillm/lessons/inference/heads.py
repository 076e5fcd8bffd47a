"""Look at heads: all of a model on one text, one of them large, and one that is born while it is watched."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from minillm.lessons.inference import asking, birth, measures
from minillm.notebook import plots
from minillm.notebook.clicking import Cells, Clicked
from minillm.notebook.clock import Clock
from minillm.notebook.drawings import Sheet
from minillm.notebook.plots import COLOURS, INK, MUTED, Picture
from minillm.notebook.statistics import bands, heat
from minillm.notebook.tokens import visible
from minillm.notebook.widgets import Live, choice, slider

TEXTS = {"Nora and her hamster": measures.SENTENCE,
         "a diary, quoted": 'Adam wrote in the diary. "David saw a blue bucket." The next day Adam said it to a '
                            'friend. "David saw',
         "a capital": "The capital of France is Paris. Paris is in Europe, and",
         "a capital, stated": asking.STATEMENT.format("France"),
         "a capital, asked for": asking.QUESTION.format("France")}

TILE = 40  # pixels of a head in the mosaic


def _mosaic(ax, n_layers: int, n_heads: int):
    """One image of all heads, a tile each, and a text in the corner of every tile: [layer][head]."""
    image = ax.imshow(np.zeros((TILE * n_layers, TILE * n_heads)), cmap=plots.AMOUNT, vmin=0, vmax=1, aspect="auto",
                      interpolation="nearest")
    ax.set_xticks([TILE * (i + 0.5) - 0.5 for i in range(n_heads)], range(1, n_heads + 1))
    ax.set_yticks([TILE * (i + 0.5) - 0.5 for i in range(n_layers)], range(1, n_layers + 1))
    ax.set_xlabel("head", color=INK, fontsize=10)
    ax.set_ylabel("layer", color=INK, fontsize=10)
    for i in range(1, n_layers):
        ax.axhline(TILE * i - 0.5, color=MUTED, linewidth=0.6)
    for i in range(1, n_heads):
        ax.axvline(TILE * i - 0.5, color=MUTED, linewidth=0.6)
    return image, [[ax.text(TILE * (h + 0.95), TILE * (row + 0.05), "", ha="right", va="top", fontsize=9, color=INK)
                    for h in range(n_heads)] for row in range(n_layers)]


def _tiled(pattern) -> np.ndarray:
    """All heads' patterns, (layer, head, query, key), as one image; each row stretched to its largest share."""
    stretched = (pattern / pattern.amax(-1, keepdim=True).clamp(min=1e-9)).numpy()
    where = np.arange(TILE) * pattern.shape[-1] // TILE
    return np.concatenate([np.concatenate([one[where][:, where] for one in row], 1) for row in stretched])


def atlas() -> Live:
    """Every head of a model on one text, a number on each; the one that is clicked large, with labels and values."""
    figure = plots.picture(height=470, title="What does each head do? (Click one)", colours=measures.STORED)
    c = measures.shipped("storyteller")[0].config
    where = (0.05, 0.1, 0.45, 0.76)
    left, right = figure.add_axes(where), figure.add_axes((0.605, 0.2, 0.375, 0.66))
    mosaic, marks = _mosaic(left, c.n_layers, c.n_heads)
    frame, = left.plot([], [], color=COLOURS["wrong"], linewidth=2)
    large = right.imshow(np.zeros((1, 1)), cmap=plots.AMOUNT, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    right.set_title("", fontsize=10)
    for ax in (left, right):
        ax.tick_params(length=0, labelsize=8, colors=INK)
        ax.spines[:].set_visible(False)
    values: list = []

    def draw(model: str, text: str, summary: str, place: tuple[int, int]) -> Picture:
        layer, head = place
        pattern, pieces = measures.patterns(model, text)
        numbers, n = measures.summaries(model, text)[summary], len(pieces)
        mosaic.set_data(_tiled(pattern))
        for row, line in enumerate(marks):
            for column, mark in enumerate(line):
                value = float(numbers[row, column])
                mark.set_text(f"{value:.0%}" if summary != "how many keys" else f"{value:.1f}")
        x, y = TILE * (head - 1) - 0.5, TILE * (layer - 1) - 0.5
        frame.set_data([x, x + TILE, x + TILE, x, x], [y, y, y + TILE, y + TILE, y])
        one = pattern[layer - 1, head - 1].numpy()
        large.set_data(one)
        large.set_extent((-0.5, n - 0.5, n - 0.5, -0.5))
        names = [visible(piece) for piece in pieces]
        right.set_xticks(range(n), names, rotation=90, fontsize=7.5 if n < 26 else 6, parse_math=False)
        right.set_yticks(range(n), names, fontsize=7.5 if n < 26 else 6, parse_math=False)
        right.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
        right.set_title(f"layer {layer}, head {head}: a row looks at columns", fontsize=9.5, color=INK, loc="left")
        while values:
            values.pop().remove()
        if n <= 16:
            values.extend(right.text(k, q, f"{100 * one[q, k]:.0f}", ha="center", va="center", fontsize=6.5,
                                     color="white" if one[q, k] > 0.5 else INK)
                          for q in range(n) for k in range(q + 1) if one[q, k] >= 0.1)
        strongest = divmod(int(numbers.argmax()), numbers.shape[1])
        most = f"{float(numbers.max()):.0%}" if summary != "how many keys" else f"{float(numbers.max()):.1f}"
        looked = int(one[-1].argmax())
        return figure.describe(
            f"{summary.capitalize()}: most, {most}, in layer {strongest[0] + 1}, head {strongest[1] + 1}. In layer "
            f"{layer}, head {head}, “{names[-1]}” reads most from “{names[looked]}”, {one[-1, looked]:.0%}.")

    cells = Cells(c.n_layers, c.n_heads, where, names=("layer", "head"), chosen=(3, 3))
    controls = {"model": choice("model", {"storyteller": "storyteller", "parrot, which copies": "parrot"}),
                "text": choice("text", TEXTS), "summary": choice("number on each head", list(measures.SUMMARIES)),
                "place": cells.control}
    return Clicked("atlas", cells, controls, draw, rows=[["model", "text"], ["summary"]])


def circuit_drawing() -> Picture:
    """Two heads that copy together: the one that looks one place back, and the one that asks for what it found."""
    sheet = Sheet(720, 250, "How do two heads copy?", colours=measures.STORED)
    words, left, top, width, gap = ["red", "boat", "sails", "red", "boat", "?"], 40, 176, 92, 14
    cells = sheet.row(left, top, words, width=width, gap=gap,
                      colours=[None, COLOURS["key"], COLOURS["value"], None, COLOURS["query"], None])
    sheet.words(left, 224, "1  a head in an earlier layer writes onto every token which one came before it: “sails” "
                           "now carries “after boat”", size=9)
    sheet.words(left, 240, "2  a head in a later layer, at “boat”, asks: who carries “after boat”? and copies that "
                           "token's own name", size=9)
    sheet.arc(cells[1].middle[0], cells[2].middle[0], top - 3, 62, colour=COLOURS["key"], width=2)
    sheet.words((cells[1].middle[0] + cells[2].middle[0]) / 2, top - 60, "1  previous token", side="middle",
                colour=COLOURS["key"])
    sheet.arc(cells[2].middle[0], cells[4].middle[0], top - 3, 130, colour=COLOURS["query"], width=2)
    sheet.words((cells[2].middle[0] + cells[4].middle[0]) / 2, top - 112,
                "2  induction: looks at what came next the first time", side="middle", colour=COLOURS["query"])
    return sheet.describe("After red boat sails red boat: an earlier head has told “sails” that it stands after "
                          "“boat”; the induction head at the second “boat” finds it by that, and says “sails”.")


def birth_clock(*, first: int = 41) -> Clock:
    """Losses and scores on one axis of time: bands of three shipped seeds, and a run of the reader's own."""
    figure = plots.picture(height=420, title="When is the head that copies born?", colours=measures.STORED)
    losses = plots.axes(figure, 2, 1, 1, top=66, bottom=52, right=176, ylabel="loss (nats)")
    scores = plots.axes(figure, 2, 1, 2, top=66, bottom=52, right=176, ylabel="score", xlabel="step")
    figure.subplots_adjust(hspace=0.28)

    def start(variant: str, seed: int) -> Iterator[tuple[birth.Moment | None, object]]:
        run = birth.Run(variant, seed)
        for moment in run.moments():
            yield moment, run.model

    def draw(history: Sequence[tuple], variant: str, seed: int) -> Picture:
        seen = [moment for moment, _ in history if moment is not None] or [birth.Run(variant, seed).look(0)]
        steps = range(0, birth.STEPS + 1, birth.EVERY)
        shipped = birth.shipped_births()[variant]
        lines = {losses: (("first", "nothing repeats yet", COLOURS["validation"]),
                          ("repeated", "everything repeats", COLOURS["train"])),
                 scores: (("previous", "previous token", COLOURS["key"]), ("induction", "induction", COLOURS["query"]))}
        for ax, asked in lines.items():
            for artist in [*ax.lines, *ax.collections]:
                artist.remove()
            for name, label, colour in asked:
                band = np.array(shipped[name])
                ax.fill_between(steps, band.min(0), band.max(0), color=colour, alpha=0.18, linewidth=0)
                now = [getattr(moment, name) for moment in seen]
                ax.plot([moment.step for moment in seen],
                        [max(map(max, each)) if isinstance(each, list) else each for each in now],
                        color=colour, linewidth=2.2, label=label)
            ax.axvline(max(0, len(history) - 1), color=MUTED, linewidth=1)     # where the run stands now
            ax.set_xlim(0, birth.STEPS)
            ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc="center left", bbox_to_anchor=(1.01, 0.5))
        losses.axhline(np.log(birth.IDS), color=MUTED, linewidth=1, linestyle=":", label=f"guessing: ln {birth.IDS}")
        losses.legend(frameon=False, fontsize=9, labelcolor=INK, loc="center left", bbox_to_anchor=(1.01, 0.5))
        losses.set_ylim(0, 4.6)
        scores.set_ylim(0, 1.03)
        end = seen[-1]
        ends = {name: [row[-1] for row in rows] for name, rows in shipped.items()}
        return figure.describe(
            f"{variant}, step {end.step}: loss {end.first:.1f} where nothing repeats, {end.repeated:.1f} where "
            f"everything does; best scores: previous token {max(map(max, end.previous)):.2f}, induction "
            f"{max(map(max, end.induction)):.2f}. Three shipped seeds end at {min(ends['repeated']):.1f} to "
            f"{max(ends['repeated']):.1f} nats.")

    controls = {"variant": choice("what is trained", list(birth.VARIANTS)), "seed": slider("seed", range(3, 9))}
    return Clock("birth", controls, start, draw, first=first, run=100, limit=birth.STEPS + 1,
                 rows=[["variant", "seed"]])


def births_picture() -> Picture:
    """The repeated part's loss under every variant, three seeds each."""
    figure = plots.picture(height=330, title="Under which conditions is it born?", colours=measures.STORED)
    ax = plots.axes(figure, xlabel="step", ylabel="loss on what repeats (nats)", right=236)
    shipped = birth.shipped_births()
    bands(ax, {name: np.array(each["repeated"]) for name, each in shipped.items()},
          range(0, birth.STEPS + 1, birth.EVERY))
    ax.set_ylim(0, 4.2)
    ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc="center left", bbox_to_anchor=(1.01, 0.5))
    told = "; ".join(f"{name} {min(r[-1] for r in each['repeated']):.1f} to {max(r[-1] for r in each['repeated']):.1f}"
                     for name, each in shipped.items())
    return figure.describe(f"After {birth.STEPS} steps, in nats, lowest and highest of three seeds: {told}.")


def scores_picture() -> Picture:
    """Both scores of every head of the parrot, as heat maps with their numbers."""
    scores = measures.twice_read()[0]
    n_layers, n_heads = scores.induction.shape
    figure = plots.picture(height=300, title="Which heads of the parrot do which half?", colours=measures.STORED)
    for i, (name, values) in enumerate((("previous token", scores.previous), ("induction", scores.induction)), 1):
        ax = plots.axes(figure, 1, 2, i, top=76, left=60, right=20, bottom=46, xlabel="head", grid="",
                        ylabel="layer" if i == 1 else "")
        heat(ax, values.numpy(), rows=[str(layer + 1) for layer in range(n_layers)],
             columns=[str(head + 1) for head in range(n_heads)])
        ax.set_title(name, fontsize=10.5, color=INK, loc="left")
        ax.set(xlabel="head", ylabel="layer" if i == 1 else "")
    best = [divmod(int(each.argmax()), n_heads) for each in (scores.previous, scores.induction)]
    return figure.describe(f"Best previous-token head: layer {best[0][0] + 1}, head {best[0][1] + 1}, "
                           f"{float(scores.previous.max()):.2f}. Best induction head: layer {best[1][0] + 1}, head "
                           f"{best[1][1] + 1}, {float(scores.induction.max()):.2f}.")


