"""Play with tokenizers: type in any script, merge step by step, turn the vocabulary's size, compare languages."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

import numpy as np

from minillm.lessons.tokenization.measures import (
    COMPARED,
    FOLLOWED,
    LANGUAGES,
    SIZES,
    family,
    growth,
    measured,
)
from minillm.notebook import plots
from minillm.notebook.markup import PLAIN, TINTS, Raw, card, chip, flow, table
from minillm.notebook.tokens import SHOWN, runs_from_right, token_row, visible
from minillm.notebook.widgets import Live, button, choice, slider, text
from minillm.tokenizers import PATTERNS, BPETokenizer, GPT2Tokenizer

SAMPLES = {
    "a bit of everything": "Hello, 12345 tokens!  Привет, мир. 你好，世界。 👋🏽",
    "English": "The tokenizer doesn't see letters.", "Arabic": "القط جلس على السجادة.",
    "Hebrew": "החתול ישב על השטיח.", "Hindi": "बिल्ली चटाई पर बैठी थी।", "Thai": "แมวนั่งบนเสื่อ",
    "Japanese": "猫が畳に座った。", "code": "for i in range(10):\n    print(i ** 2)", "emoji": "👩‍👩‍👧 🏳️‍🌈 1️⃣",
}
QUESTIONS = {"tokens, compared with English": "How many times the tokens of English does the same content take?",
             "tokens per character": "How many tokens does a character take?",
             "bytes per token": "How many bytes does a token carry?",
             "bits per byte": "What does a byte of text cost, under the tokens' own frequencies?"}


def explorer(words: str = SAMPLES["a bit of everything"]) -> Live:
    """Type in any script: the tokens of every tokenizer, with ids, bytes and counts."""
    rows = dict(family())
    trouble = []

    def fetch():
        try:
            rows["GPT-2 (1.5 MB, fetched)"] = GPT2Tokenizer()
            trouble.clear()
        except ConnectionError as error:
            trouble[:] = [str(error)]

    def draw(sample, words, below):
        parts, counts = [f"<div>{escape(each)}</div>" for each in trouble], []
        size = len(words.encode("utf-8", errors="surrogatepass"))  # a page can send half a character
        for name, tokenizer in rows.items():
            try:
                n = len(tokenizer.encode(words))
                shown = token_row(tokenizer, words, below)
            except ValueError as error:
                parts.append(f"<div style='margin-top:8px'><b>{escape(name)}</b>: refused, "
                             f"{escape(str(error).split(';')[0])}</div>")
                counts.append(f"{name} refuse it")
                continue
            per = f", {size / n:.2f} bytes each" if n else ""
            parts.append(f"<div style='margin-top:8px'><b>{escape(name)}</b>: {n} tokens{per}</div>{shown}")
            counts.append(f"{name} {n}")
        return card("".join(parts), f"Tokens of a text of {len(words)} characters and {size} bytes: "
                                    f"{'; '.join(counts)}.")

    controls = {"sample": choice("start from", list(SAMPLES)), "words": text("text", words, rows=2),
                "below": choice("below each token", ["ids", "bytes", "nothing"]),
                "gpt2": button("add GPT-2's vocabulary", "fetches 1.5 MB once, then keeps it")}
    live = Live("token explorer", controls, draw, on_press={"gpt2": fetch},
                rows=[["sample", "below", "gpt2"], ["words"]])

    def start_over(change):
        live["words"].value = SAMPLES[change["new"]]
    live["sample"].observe(start_over, "value")
    return live


def merge_steps(words: Sequence[str], steps: int = 12) -> Live:
    """Byte-pair encoding by hand: the words after n merges, and the pair that is next."""
    learnt = BPETokenizer.train(words, 256 + steps, special=())
    names = [token.decode("utf-8", errors="replace") for token in learnt.tokens[256:]]

    def draw(merges):
        tokenizer = BPETokenizer(learnt.tokens[:256 + merges], special=())
        now = [tokenizer.pieces(tokenizer.encode(word)) for word in words]
        rows = "".join(f"<div>{flow(_parts_as_chips(word, names[:merges]))}</div>" for word in now)
        n, so_far, following = sum(map(len, now)), ", ".join(names[:merges]) or "none yet", ""
        if merges < len(names):
            pair = tuple(part.decode("utf-8", errors="replace") for part in learnt.merges[merges])
            count = sum(each == pair for word in now for each in pairwise(word))
            following = (f"<div>next: join <b>{escape(pair[0])}</b> and <b>{escape(pair[1])}</b>, "
                         f"which stand together {count} times</div>")
        return card(f"<div style='columns:2'>{rows}</div><div>{n} tokens; learnt: {escape(so_far)}</div>{following}",
                    f"{len(words)} words after {merges} merges: {n} tokens; learnt: {so_far}.")

    return Live("merge by merge", {"merges": slider("merges", range(len(names) + 1), 0)}, draw)


def _parts_as_chips(word: Sequence[str], learnt: Sequence[str]) -> list[Raw]:
    return [chip(part, colour=TINTS[(1 + learnt.index(part)) % len(TINTS)] if part in learnt else PLAIN)
            for part in word]


def split_patterns(words: str = "It's 1234567 o'clock.  naïve बिल्ली चटाई\nDON'T stop!!") -> Live:
    """Where each published model cuts a text before any merge."""
    cutters = {name: BPETokenizer([bytes([i]) for i in range(256)], pattern=name) for name in PATTERNS}

    def draw(words):
        parts, counts = [], []
        for name, cutter in cutters.items():
            chunks = cutter.split(words[:SHOWN])
            chips = [chip(visible(chunk), colour=TINTS[i % len(TINTS)]) for i, chunk in enumerate(chunks)]
            parts.append(f"<div style='margin-top:8px'><b>{name}</b>: {len(chunks)} chunks</div>"
                         f"{flow(chips, rtl=runs_from_right(words))}")
            counts.append(f"{name} {len(chunks)}")
        return card("".join(parts), f"Chunks of a text of {len(words)} characters: {', '.join(counts)}.")

    return Live("split patterns", {"words": text("text", words, rows=2)}, draw)


def segmentations(word: str = " counting", best: int = 5) -> Live:
    """The most probable ways to cut a word, under the Unigram model."""
    scores = family()["Unigram, 19 languages"].piece_scores()

    def draw(word):
        found = [(score, parts) for score, parts in _best_cuts(word[:40], scores, best)]
        if not found:
            return card("no piece of the vocabulary starts this text: it would be spelled in bytes",
                        "no segmentation into pieces")
        total = sum(math.exp(score - found[0][0]) for score, _ in found)
        rows = [(Raw(" ".join(chip(visible(part), colour=TINTS[i % len(TINTS)]) for i, part in enumerate(parts))),
                 f"{score:.1f}", f"{math.exp(score - found[0][0]) / total:.0%}") for score, parts in found]
        return card(table(["segmentation", "ln p", "share of these"], rows),
                    f"The most probable of {len(found)} segmentations shown: {' | '.join(found[0][1])}.")

    return Live("best segmentations", {"word": text("text", word)}, draw)


def _best_cuts(word: str, scores: Mapping[str, float], n: int) -> list[tuple[float, list[str]]]:
    """The n best segmentations of every beginning, from the n best of shorter ones."""
    best = [[(0.0, [])]]
    for end in range(1, len(word) + 1):
        ways = [(score + scores[word[start:end]], [*parts, word[start:end]])
                for start in range(end) if word[start:end] in scores for score, parts in best[start]]
        best.append(sorted(ways, key=lambda way: -way[0])[:n])
    return best[-1]


def vocabulary_dial() -> Live:
    """Turn the size of one vocabulary for 19 languages: shorter texts, a larger embedding."""
    largest, curves = growth()
    figure = plots.picture(height=330, title="What does a larger vocabulary buy, and what does it cost?")
    left = plots.axes(figure, 1, 2, 1, top=54, right=40, xlabel="vocabulary (tokens)",
                      ylabel="bytes per token, unseen text")
    for language, values in curves.items():
        left.plot(SIZES, values, color=FOLLOWED[language], label=LANGUAGES[language], linewidth=2)
    left.set_xscale("log", base=2)
    left.set_xticks([256, 1024, 4096], ["256", "1,024", "4,096"])
    left.minorticks_off()
    left.legend(frameon=False, fontsize=9, loc="upper left", labelcolor=plots.INK)
    marker = left.axvline(SIZES[0], color=plots.INK, linewidth=1, linestyle="--")
    right = plots.axes(figure, 1, 2, 2, top=54, right=40, xlabel="parameters (millions)", grid="x")
    figure.subplots_adjust(wspace=0.5)
    bars = right.barh([0, 1], [1, 1], color=[plots.COLOURS["embedding"], plots.COLOURS["residual"]], height=0.55)
    right.set_yticks([0, 1], ["embedding", "6 blocks"])
    right.set_ylim(-0.6, 1.6)
    labels = [right.text(0, y, "", va="center", color=plots.INK, fontsize=10) for y in (0, 1)]

    def draw(vocab_size, d_model):
        marker.set_xdata([vocab_size, vocab_size])
        counts = (vocab_size * d_model, 6 * 12 * d_model**2)
        for bar, label, count in zip(bars, labels, counts, strict=True):
            bar.set_width(count / 1e6)
            label.set_position((count / 1e6, label.get_position()[1]))
            label.set_text(f" {count / 1e6:.2f}")
        right.set_xlim(0, 1.25 * max(counts) / 1e6)
        at = SIZES.index(vocab_size)
        size = min(vocab_size, len(largest.tokens))
        newest = range(max(256, size - 14), size)
        chips = [chip(visible(piece), colour=TINTS[i % len(TINTS)]) for i, piece in enumerate(largest.pieces(newest))]
        found = ", ".join(f"{LANGUAGES[language]} {values[at]:.1f}" for language, values in curves.items())
        return [figure.describe(f"Vocabulary {vocab_size:,}: bytes per token {found}. The embedding has "
                                f"{counts[0] / 1e6:.2f} million parameters, six blocks {counts[1] / 1e6:.2f} million."),
                card(f"the last tokens learnt at this size: {flow(chips) if chips else 'none, only the 256 bytes'}",
                     f"{len(chips)} tokens that were learnt last.")]

    return Live("vocabulary size", {"vocab_size": slider("vocabulary", SIZES, 1024, show=lambda n: f"{n:,}"),
                                    "d_model": slider("d_model", [64, 128, 256, 512], 256)}, draw)


def scripts_map() -> Live:
    """Languages × tokenizers, by any of four measures."""
    pictures = {measure: _language_map(QUESTIONS[measure], values) for measure, values in measured().items()}
    for picture in pictures.values():
        picture.canvas.draw()  # a hundred words take their time; later only the picture is exchanged

    def draw(measure):
        return pictures[measure]

    return Live("scripts and tokenizers", {"measure": choice("measure", list(pictures))}, draw)


def _language_map(title: str, values: np.ndarray) -> plots.Picture:
    """Values as a heat map of (languages, tokenizers), each written into its cell."""
    figure = plots.picture(height=620, title=title)
    ax = plots.axes(figure, left=92, right=24, top=84, bottom=12, grid="")
    ax.xaxis.tick_top()
    ax.set_xticks(range(len(COMPARED)), [name.replace(", ", ",\n") for name in COMPARED])
    ax.set_yticks(range(len(LANGUAGES)), LANGUAGES.values())
    ax.tick_params(length=0)
    ax.imshow(values / values.max(), aspect="auto", cmap=plots.AMOUNT, vmin=0, vmax=1)
    for (y, x), value in np.ndenumerate(values):
        ax.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=10,
                color="white" if value > 0.5 * values.max() else plots.INK)
    languages = list(LANGUAGES.values())
    worst = [f"{name}: {languages[values[:, x].argmax()]} {values[:, x].max():.1f}" for x, name in enumerate(COMPARED)]
    return figure.describe(f"{title} Highest for {'; '.join(worst)}.")
