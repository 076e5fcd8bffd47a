"""Play with the choice of the next token: cut its distribution, let it repeat, guess ahead of it."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import torch

from minillm.lessons.inference import measures
from minillm.notebook import markup, plots
from minillm.notebook.clock import Clock
from minillm.notebook.drawings import Sheet
from minillm.notebook.plots import COLOURS, INK, MUTED, Picture
from minillm.notebook.tokens import visible
from minillm.notebook.widgets import Live, button, choice, slider
from minillm.sampling import generate, penalize_repeats

PROMPTS = {"One day …": "One day", "… lived Nora and a": "In a small house in Oakford lived Nora and a",
           "The capital of France is": "The capital of France is", "… went to the": "Nora and Dot went to the",
           "Nora's hamster is called Dot. Nora": "Nora's hamster is called Dot. Nora"}
SHOWN = 24


def sampling_dials() -> Live:
    """The storyteller's next token, cut down by every dial; what is cut stays visible, as cut."""
    figure = plots.picture(height=340, title="Which tokens are left, and how likely is each?", colours=measures.STORED)
    ax = plots.axes(figure, left=64, bottom=92, right=20, top=64, ylabel="probability (%)")
    places = range(SHOWN)
    raw = ax.bar(places, [0.0] * SHOWN, width=0.86, facecolor="none", edgecolor=MUTED, linewidth=1, label="at first")
    now = ax.bar(places, [0.0] * SHOWN, width=0.56, color=COLOURS["prediction"], label="after the dials")
    cuts = [ax.text(i, 0, "×", ha="center", va="bottom", color=COLOURS["wrong"], fontsize=11) for i in places]
    ax.set_xticks(places)
    ax.set_xlim(-0.7, SHOWN - 0.3)
    ax.legend(frameon=False, fontsize=9.5, labelcolor=INK, loc="upper right")
    note = ax.text(0.5, 0.72, "", transform=ax.transAxes, ha="center", fontsize=10, color=MUTED)

    def draw(prompt: str, temperature: float, top_k: int, top_p: float, min_p: float, last: bool,
             penalty: float) -> Picture:
        logits = measures.next_logits(prompt)
        first = logits.softmax(-1)
        logits = penalize_repeats(logits, measures.read("storyteller", prompt)[0], penalty)
        left = measures.cut_down(logits, temperature, top_k or None, top_p, min_p, temperature_last=last)
        tokens = first.topk(SHOWN).indices
        pieces = [visible(piece) for piece in measures.shipped("storyteller")[1].pieces(tokens.tolist())]
        highest = 100 * max(float(first.max()), float(left.max()))
        for i, token in enumerate(tokens.tolist()):
            raw[i].set_height(100 * float(first[token]))
            now[i].set_height(100 * float(left[token]))
            cuts[i].set_visible(left[token] == 0)
            cuts[i].set_y(100 * float(first[token]))
        ax.set_ylim(0, 1.12 * highest)
        ax.set_xticklabels(pieces, rotation=60, ha="right", fontsize=9, parse_math=False)
        n = int((left > 0).sum())
        other = measures.cut_down(logits, temperature, top_k or None, top_p, min_p, temperature_last=not last)
        changed = int(((other > 0) != (left > 0)).sum())
        note.set_text(f"{n} of {len(left)} tokens are left" + (
            f"; in the other order {int((other > 0).sum())}" if changed else ""))
        return figure.describe(
            f"{n} of {len(left)} tokens are left; the likeliest, “{pieces[0]}”, has {float(left.max()):.0%} instead of "
            f"{float(first.max()):.0%}. In the other order {int((other > 0).sum())} would be left.")

    controls = {"prompt": choice("after", PROMPTS, PROMPTS["… went to the"]),
                "temperature": slider("temperature", [0, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0], 1.0),
                "top_k": slider("top-k", [0, 40, 20, 10, 5, 2, 1], show=lambda k: str(k or "all")),
                "top_p": slider("top-p", [1.0, 0.99, 0.95, 0.9, 0.7, 0.5, 0.3], 0.9),
                "min_p": slider("min-p", [0.0, 0.01, 0.05, 0.1, 0.3, 0.6]),
                "penalty": slider("repetition penalty", [1.0, 1.1, 1.2, 1.5, 2.0]),
                "last": choice("order", {"temperature, then the cuts (ours)": False,
                                         "the cuts, then temperature": True})}
    return Live("dials of a choice", controls, draw,
                rows=[["prompt", "last"], ["temperature", "top_k"], ["top_p", "min_p"], ["penalty"]])


def loop_picture() -> Picture:
    """How likely each token was that greedy decoding took, with every round of the sentence that it repeats."""
    pieces, chances = measures.greedy()
    found = measures.rounds(pieces, measures.ROUND)
    figure = plots.picture(height=330, title="Why does greedy decoding repeat itself?", colours=measures.STORED)
    ax = plots.axes(figure, bottom=96, top=60, right=20, ylabel="probability (%)")
    colours = [MUTED] * len(pieces)
    for i, (start, end) in enumerate(found):
        colours[start:end] = [plots.SERIES[i % len(plots.SERIES)]] * (end - start)
    ax.bar(range(len(pieces)), [100 * p for p in chances], color=colours, width=0.8)
    ax.set_xticks(range(len(pieces)), [visible(piece) for piece in pieces], rotation=70, ha="right", fontsize=8,
                  parse_math=False)
    ax.set(xlim=(-0.7, len(pieces) - 0.3), ylim=(0, 118))
    chance = round_chances()
    for (start, end), p in zip(found, chance, strict=True):
        which = found.index((start, end)) + 1
        ax.text((start + end - 1) / 2, 109, f"round {which}: {p:.1%}", ha="center", fontsize=9.5, color=INK)
    return figure.describe(f"The storyteller goes on after “{measures.LOOPING}” and writes “{measures.ROUND.strip()}” "
                           f"{len(found)} times. The whole sentence had a probability of "
                           f"{', then '.join(f'{p:.1%}' for p in chance)}.")


def round_chances() -> list[float]:
    """How likely each round of the repeated sentence was as a whole: the product over its tokens."""
    pieces, chances = measures.greedy()
    return [float(torch.tensor(chances[start:end]).prod()) for start, end in measures.rounds(pieces, measures.ROUND)]


def streams(*, first: int = 24, n_streams: int = 3) -> Clock:
    """Several samples side by side, token by token as they are written, with the seeds that repeat them."""
    def start(prompt: str, temperature: float, top_p: float, seed: int) -> Iterator[list[str]]:
        model, tokenizer = measures.shipped("storyteller")
        ids = tokenizer.prompt(prompt)
        runs = [generate(model, ids, temperature=temperature, top_p=top_p, seed=seed + i, stop=tokenizer.end_of_text,
                         n_tokens=120) for i in range(n_streams)]
        written: list[list[int]] = [[] for _ in runs]
        while True:
            more = [next(run, None) for run in runs]
            if all(token is None for token in more):
                return
            for ids_of_one, token in zip(written, more, strict=True):
                ids_of_one += [] if token is None else [token]
            yield [tokenizer.decode(each) for each in written]

    def draw(history: Sequence[list[str]], prompt: str, temperature: float, top_p: float, seed: int) -> markup.Markup:
        texts = history[-1] if history else [""] * n_streams
        columns = "".join(
            f'<div style="border-left:3px solid {markup.EDGE};padding:0 8px"><div style="{markup.FAINT}">seed '
            f'{seed + i}</div><bdi style="{markup.FAINT}">{escape(prompt)}</bdi>{escape(text)}</div>'
            for i, text in enumerate(texts))
        words = f"{n_streams} texts after “{prompt}” at temperature {temperature:g}, top-p {top_p:g}."
        grid = "display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:8px;min-height:150px"
        return markup.card(f'<div>{escape(words)}</div><div style="{grid}">{columns}</div>', words)

    controls = {"prompt": choice("after", PROMPTS),
                "temperature": slider("temperature", [0, 0.5, 0.7, 1.0, 1.5, 3.0], 1.0),
                "top_p": slider("top-p", [1.0, 0.95, 0.9, 0.5], 1.0), "seed": slider("first seed", range(0, 30, 3))}
    return Clock("three texts", controls, start, draw, first=first, run=40, limit=121,
                 rows=[["prompt", "temperature"], ["top_p", "seed"]])


# -- guessing ahead --------------------------------------------------------------------------------------------------

def guessing_drawing() -> Picture:
    """One reading that judges several guesses: those that are kept, the first that is not, what is drawn instead."""
    sheet = Sheet(720, 236, "One reading judges several guesses", colours=measures.STORED)
    text, guesses, wrote = ["Nora", "and", "Dot"], ["went", "to", "the", "park"], ["went", "to", "a"]
    sheet.words(20, 58, "already written", colour=MUTED)
    sheet.words(262, 58, "guesses of something cheap", colour=MUTED)
    before = sheet.row(20, 70, text, width=62, colours=[MUTED] * 3)
    colours = [COLOURS["target"], COLOURS["target"], COLOURS["wrong"], None]
    guessed = sheet.row(262, 70, guesses, width=62, colours=colours)
    box = sheet.box(20, 116, 498, 34, "the model reads all of it at once: one reading", colour=COLOURS["prediction"])
    for cell in [*before, *guessed]:
        sheet.arrow((cell.middle[0], cell.bottom), (cell.middle[0], box.top), colour=MUTED)
    out = sheet.row(262, 176, wrote, width=62, colours=[COLOURS["target"], COLOURS["target"], COLOURS["prediction"]])
    for i, cell in enumerate(out):
        sheet.arrow((cell.middle[0], box.bottom), (cell.middle[0], cell.top),
                    colour=COLOURS["target"] if i < 2 else COLOURS["wrong"])
    sheet.words(20, 189, "what is written")
    sheet.words(470, 184, "refused, and drawn anew by a rule;", size=9)
    sheet.words(470, 200, "what was guessed behind is dropped", size=9)
    return sheet.describe(f"{len(guesses)} guesses are read at once; two are kept, the third is refused and drawn "
                          f"anew, the fourth thrown away: {len(wrote)} tokens for one reading.")


def acceptance_dial() -> Live:
    """How alike guesser and model are, how many tokens are guessed, what a guess costs: what comes out."""
    figure = plots.picture(height=330, title="When does guessing ahead pay?", colours=measures.STORED)
    left = plots.axes(figure, 1, 2, 1, top=74, left=58, right=20, xlabel="token", ylabel="probability")
    right = plots.axes(figure, 1, 2, 2, top=74, left=58, right=20, xlabel="guesses at a time",
                       ylabel="times as fast")
    figure.subplots_adjust(wspace=0.28)
    n = 8
    p = torch.tensor([3.0, 2.2, 1.6, 1.0, 0.4, -0.2, -0.8, -1.5]).softmax(-1)
    far = p.flip(0)
    over = left.bar(range(n), [0.0] * n, color=COLOURS["target"], width=0.8, label="kept: min(p, q)")
    edges = [i - 0.5 for i in range(n + 1)]
    model, = left.step(edges, [0] * (n + 1), color=COLOURS["prediction"], label="model, p")
    guess, = left.step(edges, [0] * (n + 1), color=COLOURS["wrong"], linestyle="--", label="guesser, q")
    left.set(ylim=(0, 0.62), xticks=range(n))
    left.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper center")
    curve = right.plot(range(13), [1.0] * 13, color=COLOURS["prediction"], linewidth=2)[0]
    dot = right.plot([0], [1], "o", color=INK, markersize=7)[0]
    right.axhline(1, color=MUTED, linewidth=1, linestyle=":")
    right.set(xlim=(-0.3, 12.3), ylim=(0, 4.2))
    said = [ax.set_title("", fontsize=10, color=INK, loc="left") for ax in (left, right)]

    def draw(alike: float, n_guesses: int, cost: float) -> Picture:
        q = alike * p + (1 - alike) * far
        both = torch.minimum(p, q)
        kept = float(both.sum())
        for bar, height in zip(over, both.tolist(), strict=True):
            bar.set_height(height)
        for line, law in ((model, p), (guess, q)):
            line.set_ydata([float(law[0]), *law.tolist()])
        gains = [measures.tokens_per_reading(kept, k) / (1 + k * cost) for k in range(13)]
        curve.set_ydata(gains)
        dot.set_data([n_guesses], [gains[n_guesses]])
        best = max(range(13), key=lambda k: gains[k])
        said[0].set_text(f"{kept:.0%} of the guesses are kept")
        said[1].set_text(f"{gains[n_guesses]:.2f} times; best: {gains[best]:.2f} times, at {best}")
        return figure.describe(
            f"Of the guesses {kept:.0%} are kept. {n_guesses} at a time give "
            f"{measures.tokens_per_reading(kept, n_guesses):.1f} tokens a reading and, at {cost:g} readings for each "
            f"guess, {gains[n_guesses]:.2f} times the speed; best are {best} at a time, {gains[best]:.2f} times.")

    controls = {"alike": slider("guesser like the model", [0.0, 0.25, 0.5, 0.7, 0.85, 0.95, 1.0], 0.7),
                "n_guesses": slider("guesses at a time", range(13), 4),
                "cost": slider("a guess costs, in readings", [0.0, 0.05, 0.1, 0.28, 0.5, 1.0], 0.28)}
    return Live("guessing ahead", controls, draw)


def speed_table() -> Live:
    """Tokens per second on this machine: without a cache, with one, and with counted guesses, as they are measured."""
    found: dict[str, tuple[float, measures.Tally]] = {}

    def measure() -> None:
        found[live["way"].value] = measures.speed(live["way"].value)

    def draw(way: str) -> markup.Markup:
        plain = found.get(measures.CACHED, (0.0, None))[0]
        rows = []
        for name, n_guesses in measures.FASTER.items():
            if name not in found:
                rows.append([name, "not measured yet", "", "", ""])
                continue
            pace, tally = found[name]
            worth = [f"{tally.kept} of {tally.guessed}", tally.readings] if n_guesses else ["", ""]
            rows.append([name, f"{pace:.0f}", f"{pace / plain:.2f}" if plain else "", *worth])
        table = markup.table(["way", "tokens per second", "× cache alone", "guesses kept", "readings"], rows)
        return markup.card(table, "; ".join(f"{row[0]}: {row[1]}" for row in rows))

    live = Live("speed", {"way": choice("way to write", list(measures.FASTER)),
                          "measure": button("measure", "write 32 tokens in this way")},
                draw, on_press={"measure": measure}, rows=[["way", "measure"]])
    return live
