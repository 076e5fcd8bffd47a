"""Read a model layer by layer: what it would say so far, and who has said it."""
from __future__ import annotations

from functools import cache
from html import escape

import numpy as np
import torch
from torch import Tensor, nn

from minillm.inspection import Shares, capture, logit_shares
from minillm.lessons.inference import measures
from minillm.notebook import markup, plots
from minillm.notebook.plots import COLOURS, INK, MUTED, Picture
from minillm.notebook.threads import one_thread
from minillm.notebook.tokens import visible
from minillm.notebook.widgets import Live, choice, slider, text

NORMS = {"each layer's own size (right)": "own", "the last layer's size for all": "last", "none at all": "none"}
COMPARED = ("The capital of France is", " Paris", " Rome")


def lens_with(model: nn.Module, tokens: Tensor, norm: str) -> Tensor:
    """The logit lens, (layer, seq, vocab), with the final norm done rightly ("own") or as people get it wrong."""
    with one_thread(), torch.no_grad(), capture(model, "blocks.*") as seen:
        model(tokens)
        x = torch.stack([each[0] for each in seen.values()])
        if norm == "own":
            return model.unembed(model.norm(x))
        size = torch.sqrt(x[-1:].square().mean(-1, keepdim=True) + model.norm.eps) if norm == "last" else 1.0
        return model.unembed(model.norm.weight * x / size)


def entropies(norm: str, words: str = COMPARED[0]) -> list[float]:
    """How many nats of doubt each layer shows under a norm, on average over positions."""
    law = lens_with(measures.shipped("storyteller")[0], measures.read("storyteller", words), norm).softmax(-1)
    return torch.special.entr(law).sum(-1).mean(-1).tolist()


def lens() -> Live:
    """What the storyteller would say after each layer, at each place of a text of the reader's own."""
    model, tokenizer = measures.shipped("storyteller")

    def draw(words: str, norm: str, followed: str) -> markup.Markup:
        ids = tokenizer.encode(words)[:14]
        if not ids:
            return markup.card("type something", "nothing to read")
        law = lens_with(model, torch.tensor([ids]), norm).softmax(-1)
        pieces = [visible(piece) for piece in tokenizer.pieces(ids)]
        wanted = tokenizer.encode(followed)
        head = "".join(f'<th style="{_cell()}"><bdi>{escape(piece)}</bdi></th>' for piece in ["", *pieces])
        rows = []
        for layer in reversed(range(len(law))):
            p, best = law[layer].max(-1)
            cells = [f'<th style="{_cell()}">after layer {layer + 1}</th>']
            for place, (chance, token) in enumerate(zip(p.tolist(), best.tolist(), strict=True)):
                piece = visible(tokenizer.pieces([token])[0])
                small = f"{chance:.0%}"
                if wanted:
                    chance = float(law[layer, place, wanted[0]])
                    small = f"{chance:.0%}"
                cells.append(f'<td style="{_cell(chance)}"><bdi>{escape(piece)}</bdi><br><small>{small}</small></td>')
            rows.append(f"<tr>{''.join(cells)}</tr>")
        last = [visible(tokenizer.pieces([int(each)])[0]) for each in law[:, -1].argmax(-1)]
        what = f"of “{visible(tokenizer.pieces(wanted[:1])[0])}”" if wanted else "of the token written there"
        said = (f"At the last place the layers say {', '.join(f'“{each}”' for each in last)}. Shade and small number: "
                f"the probability {what}.")
        table = f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead>{"".join(rows)}</table>'
        return markup.card(f"{table}<div>{escape(said)}</div>", said)

    controls = {"words": text("text", COMPARED[0]), "norm": choice("divided by", NORMS),
                "followed": choice("shade", {"the likeliest token": "", "“ P”, for Paris": " Paris",
                                             "“ the”": " the", "“ It”": " It"})}
    return Live("lens", controls, draw, rows=[["words"], ["norm", "followed"]])


def _cell(share: float | None = None) -> str:
    look = f"background:{markup.shade(share)}" if share is not None else ""
    return f"padding:2px 6px;text-align:center;font-weight:normal;white-space:nowrap;{look}"


def lens_picture() -> Picture:
    """Layers' doubt under the right norm and the wrong ones."""
    figure = plots.picture(height=300, title="Does a layer look undecided, or was it measured wrongly?",
                           colours=measures.STORED)
    ax = plots.axes(figure, xlabel="after layer", ylabel="entropy (nats)", right=220)
    model = measures.shipped("storyteller")[0]
    told = []
    for (name, norm), colour in zip(NORMS.items(), (COLOURS["prediction"], COLOURS["wrong"], MUTED), strict=True):
        values = entropies(norm)
        ax.plot(range(1, len(values) + 1), values, "o-", color=colour, linewidth=2, label=name)
        told.append(f"{name}: {values[0]:.1f} after the first layer, {values[-1]:.1f} after the last")
    top = float(np.log(model.config.vocab_size))
    ax.axhline(top, color=MUTED, linewidth=1, linestyle=":")
    ax.text(1, top + 0.1, "all tokens alike", fontsize=9, color=MUTED)
    ax.set(ylim=(0, top + 0.9), xticks=range(1, model.config.n_layers + 1))
    ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure.describe("Entropy of the lens. " + "; ".join(told) + ".")


# -- shares of a logit -----------------------------------------------------------------------------------------------

@cache
def shares_of(words: str, token: str, other: str) -> Shares:
    """What each part of the storyteller adds to the logit of a token's first piece, or to a difference of two."""
    model, tokenizer = measures.shipped("storyteller")
    ids = [tokenizer.encode(each)[0] if each else None for each in (token, other)]
    with one_thread():
        return logit_shares(model, measures.read("storyteller", words), ids[0], ids[1])


PAIRS = {"The capital of France is …": ("The capital of France is", " Paris", " Rome"),
         "The capital of Italy is …": ("The capital of Italy is", " Rome", " Paris"),
         "What is the capital of France? …": ("What is the capital of France?", " Paris", " It"),
         "Nora and Dot went to the …": ("Nora and Dot went to the", " park", " market")}


def share_bars() -> Live:
    """Bars of the parts that add most to a logit, one after the other, so that the last ends at it."""
    figure = plots.picture(height=430, title="Who says it?", colours=measures.STORED)
    ax = plots.axes(figure, left=164, right=60, top=50, bottom=46, xlabel="logit so far", grid="x")

    def draw(pair: tuple[str, str, str], against: bool, most: int) -> Picture:
        words, token, other = pair
        found = shares_of(words, token, other if against else "")
        order = found.values.abs().argsort(descending=True).tolist()
        rest = float(found.values.sum() - found.values[order[:most]].sum())
        bars = [(found.names[i], float(found.values[i])) for i in order[:most]]
        bars.append((f"the other {len(order) - most}", rest))
        ax.clear()
        plots_style(ax, "logit so far")
        at = 0.0
        for row, (_, value) in enumerate(bars):
            ax.barh(row, value, left=at, height=0.7, color=COLOURS["target"] if value > 0 else COLOURS["wrong"])
            ax.text(max(at, at + value), row, f" {value:+.2f}", va="center", fontsize=9, color=INK)
            ax.plot([at + value] * 2, [row - 0.35, row + 1.35], color=MUTED, linewidth=0.8)
            at += value
        ax.barh(len(bars), at, height=0.7, color=COLOURS["prediction"])
        ax.text(max(at, 0), len(bars), f" {at:.2f}", va="center", fontsize=9, color=INK)
        ends = [at, 0.0, *np.cumsum([value for _, value in bars])]
        room = 0.16 * (max(ends) - min(ends))
        ax.set(ylim=(len(bars) + 0.6, -0.6), xlim=(min(ends) - room / 3, max(ends) + room))
        pieces = [measures.shipped("storyteller")[1].pieces([measures.shipped("storyteller")[1].encode(each)[0]])[0]
                  for each in (token, other)]
        goal = f"“{visible(pieces[0])}”" + (f" minus “{visible(pieces[1])}”" if against else "")
        ax.set_yticks(range(len(bars) + 1), [*(name for name, _ in bars), f"logit of {goal}"], fontsize=9)
        return figure.describe(f"After “{words}”, the logit of {goal} is {at:.2f}. Most of it comes from {bars[0][0]}, "
                               f"{bars[0][1]:+.2f}, then {bars[1][0]}, {bars[1][1]:+.2f}.")

    controls = {"pair": choice("text", PAIRS), "against": choice("explain", {
        "the difference of two logits": True, "one logit": False}), "most": slider("parts shown", [4, 8, 12, 16], 12)}
    return Live("shares of a logit", controls, draw, rows=[["pair", "against"], ["most"]])


def plots_style(ax, xlabel: str) -> None:
    """The house's style, on axes that were cleared."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(colors=INK, labelsize=10)
    ax.set_xlabel(xlabel, color=INK, fontsize=11)
    ax.grid(True, axis="x", color=plots.EDGE, linewidth=0.8)
    ax.set_axisbelow(True)
