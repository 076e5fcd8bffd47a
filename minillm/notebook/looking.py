"""Look at a model, in training or at rest: what it expects, where it looks, what it writes.

Each asks `current()` for a `Run`, so that it always looks at the model of this moment.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from minillm.inspection import capture
from minillm.notebook import markup, plots
from minillm.notebook.clock import Clock, one_thread
from minillm.notebook.plots import COLOURS, EDGE, INK, MUTED, Picture
from minillm.notebook.tokens import runs_from_right, visible
from minillm.notebook.widgets import Live, button, choice, slider, text


class Run(Protocol):
    """A model with its text, as far as it has come."""
    model: nn.Module
    material: Any                  # .tokenizer, .corpus
    done: int                      # steps made

    def next_batch(self) -> tuple[Tensor, Tensor]: ...
    def after_one_step(self) -> nn.Module: ...
    def writing(self, prompt: str = "", **options: Any) -> Iterator[str]: ...      # the text so far, token by token


# -- one element of one batch ----------------------------------------------------------------------------------------

def batch_microscope(current: Callable[[], Run], *, rows: int, context: int) -> Live:
    """What the model expects at each place of a window, and what one step on its batch changes."""
    looked: dict[str, Any] = {}

    def look() -> dict[str, Any]:
        run = current()
        if looked.get("at") != (id(run), run.done):
            inputs, targets = run.next_batch()
            with one_thread():
                models = run.model, run.after_one_step()
                with torch.no_grad():
                    before, after = (model.eval()(inputs).float().softmax(-1) for model in models)
            run.model.train()
            looked.update(at=(id(run), run.done), inputs=inputs, targets=targets, before=before, after=after)
        return looked

    def draw(row: int, place: int, show: str) -> markup.Markup:
        seen = look()
        tokenizer, rtl = current().material.tokenizer, current().material.corpus.right_to_left
        inputs, targets = seen["inputs"][row], seen["targets"][row]
        shown = seen[show][row]
        p_target = shown.gather(-1, targets[:, None])[:, 0]
        pieces = [visible(piece) for piece in tokenizer.pieces(targets.tolist())]
        chips = [_target_chip(piece, float(p), chosen=i == place) for i, (piece, p) in
                 enumerate(zip(pieces, p_target, strict=True))]
        window = (f'<div style="white-space:nowrap;color:{MUTED}">first read: '
                  f"<b>{escape(visible(tokenizer.pieces([int(inputs[0])])[0]))}</b>; then, on "
                  f"{_scale()}, what really came</div>{markup.flow(chips, rtl=rtl)}")
        two = [seen[when][row, place] for when in ("before", "after")]
        target = int(targets[place])
        ranks = [1 + int((p > p[target]).sum()) for p in two]
        best = two[0].topk(min(8, len(two[0]))).indices.tolist()
        rows = [_alternative(visible(tokenizer.pieces([token])[0]), [float(p[token]) for p in two], token == target)
                for token in [*best, *([] if target in best else [target])]]
        read = tokenizer.decode(inputs[max(0, place - 20):place + 1].tolist())
        words = (f"Position {place} of window {row}: what came has rank {ranks[0]} and probability "
                 f"{percent(two[0][target])}; after one step on this batch rank {ranks[1]} and "
                 f"{percent(two[1][target])}.")
        bars = (f'<div style="display:grid;grid-template-columns:max-content 1fr 1fr;gap:3px 10px;max-width:640px">'
                f'<b>next?</b><b>before the step</b><b>after it</b>{"".join(rows)}</div>')
        story = (f'<div>Having read <bdi style="background:{EDGE};padding:0 4px">…{escape(visible(read))}</bdi>, '
                 f'it must guess. {words}</div>')
        return markup.card(f'{window}<hr style="border:none;border-top:1px solid {EDGE}">{story}{bars}', words)

    controls = {"row": slider("window of the batch", range(rows)),
                "place": slider("position", range(context), 20),
                "show": choice("colours", {"before the step": "before", "after the step": "after"}),
                "refresh": button("look again", "take the model as it is now")}
    return Live("one batch", controls, draw, rows=[["row", "place"], ["show", "refresh"]], repeatable=False)


def percent(p: float | torch.Tensor) -> str:
    """Whole percents; below one, a digit more."""
    return f"{float(p):.0%}" if p >= 0.01 else f"{float(p):.1%}"


def _shade(p: float) -> str:
    """From the card's own colour (expected) to orange (a surprise)."""
    amount = min(1.0, -np.log(max(p, 1e-9)) / 6)
    ends = (np.array([250, 249, 245]), np.array([240, 150, 100]))
    return "#" + "".join(f"{int(round(v)):02x}" for v in ends[0] + amount * (ends[1] - ends[0]))


def _scale() -> str:
    """The legend of the shades."""
    return " ".join(f'<span style="background:{_shade(p)};color:{INK};padding:0 5px;border-radius:3px">{name}</span>'
                    for p, name in ((1.0, "expected"), (0.2, "1 in 5"), (0.0025, "1 in 400")))


def _target_chip(piece: str, p: float, *, chosen: bool) -> str:
    chip = markup.chip(piece, colour=_shade(p), hint=f"probability {percent(p)}")
    return f'<span style="outline:2px solid {COLOURS["target"]};border-radius:4px">{chip}</span>' if chosen else chip


def _alternative(piece: str, p: list[float], is_target: bool) -> str:
    """One candidate: its piece, and two bars."""
    colour = COLOURS["target"] if is_target else COLOURS["prediction"]
    came = ' <span style="font-size:11px">(came)</span>' if is_target else ""
    bars = "".join(f'<div><span style="display:inline-block;background:{colour};height:11px;'
                   f'width:{max(1, round(78 * x))}%"></span> <small>{percent(x)}</small></div>' for x in p)
    return f'<div style="color:{INK}"><b><bdi>{escape(piece)}</bdi></b>{came}</div>{bars}'


# -- attention -------------------------------------------------------------------------------------------------------

class Attention:
    """One head's pattern: each row is a query, and shows where it looks; rows are stretched to their own maximum."""

    def __init__(self):
        self.figure = plots.picture(460, 440, title="Where does each position look?")
        ax = plots.axes(self.figure, xlabel="key: position looked at", ylabel="query: position that looks", grid="",
                        right=24)
        self.image = ax.imshow(np.zeros((1, 1)), cmap=plots.AMOUNT, vmin=0, vmax=1, interpolation="nearest",
                               aspect="auto")
        self.row = ax.axhline(0, color=COLOURS["query"], linewidth=1)
        self.ax = ax

    def draw(self, pattern: np.ndarray, query: int, *, layer: int, head: int) -> Picture:
        n = len(pattern)
        self.image.set_data(pattern / pattern.max(axis=1, keepdims=True))
        self.image.set_extent((-0.5, n - 0.5, n - 0.5, -0.5))
        self.row.set_ydata([query, query])
        self.ax.set_xlim(-0.5, n - 0.5)
        self.ax.set_ylim(n - 0.5, -0.5)
        best = int(pattern[query].argmax())
        back = float((pattern * (np.arange(n)[:, None] - np.arange(n))).sum(axis=1).mean())
        return self.figure.describe(
            f"Layer {layer}, head {head}: position {query} looks most at position {best} "
            f"({pattern[query, best]:.0%}); on average this head looks {back:.0f} positions back.")


def attention_map(current: Callable[[], Run], *, rows: int, context: int) -> Live:
    """The pattern of one head on one window, and the text under the gaze of one position."""
    figure = Attention()

    def draw(layer: int, head: int, row: int, query: int) -> list:
        run = current()
        inputs = run.next_batch()[0][row:row + 1]
        config = run.model.config
        layer, head = min(layer, config.n_layers), min(head, config.n_heads)
        name = f"blocks.{layer - 1}.attention.pattern"
        with one_thread(), torch.no_grad(), capture(run.model.eval(), name) as seen:
            run.model(inputs)
        run.model.train()
        pattern = seen[name][0, head - 1].float().numpy()
        drawn = figure.draw(pattern, query, layer=layer, head=head)
        tokenizer, rtl = run.material.tokenizer, run.material.corpus.right_to_left
        looks = pattern[query] / pattern[query].max()
        chips = [gaze_chip(visible(piece), float(look), float(p), chosen=i == query) for i, (piece, look, p) in
                 enumerate(zip(tokenizer.pieces(inputs[0].tolist()), looks, pattern[query], strict=True))]
        head_line = (f"Layer {layer} of {config.n_layers}, head {head} of {config.n_heads}. The outlined position "
                     f"looks back at the blue ones; what comes after it, it cannot see.")
        return [drawn, markup.card(f"<div>{head_line}</div>{markup.flow(chips, rtl=rtl)}", head_line)]

    controls = {"layer": slider("layer", range(1, 5)), "head": slider("head", range(1, 5)),
                "row": slider("window of the batch", range(rows)),
                "query": slider("position that looks", range(context), 40),
                "refresh": button("look again", "take the model as it is now")}
    return Live("attention", controls, draw, rows=[["layer", "head"], ["row", "query", "refresh"]], repeatable=False)


def attention_reader(model_of: Callable[[], tuple[nn.Module, Any]], words: str, *, most: int = 40) -> Live:
    """A text of the reader's own under the gaze of one of its tokens, in one head; and all heads of that layer.

    model_of   gives the model and its tokenizer when asked, so that neither is loaded before it is needed
    most       tokens that are read; what comes after them is left out, and said to be
    """
    model, tokenizer = model_of()
    heads = GalleryOfHeads(model.config.n_heads)

    def draw(text: str, layer: int, head: int, query: int) -> list:
        ids = tokenizer.encode(text)
        if not ids:
            return [heads.draw(np.zeros((model.config.n_heads, 1, 1)), head, 0), markup.card("type something", "")]
        row, name = torch.tensor([ids[:most]]), f"blocks.{layer - 1}.attention.pattern"
        with one_thread(), torch.no_grad(), capture(model, name) as seen:
            model(row)
        patterns, query = seen[name][0].float().numpy(), min(query, row.shape[1] - 1)
        pieces = [visible(piece) for piece in tokenizer.pieces(ids[:most])]
        drawn, looks = heads.draw(patterns, head, query), patterns[head - 1, query]
        chips = [gaze_chip(piece, float(p / looks.max()), float(p), chosen=i == query)
                 for i, (piece, p) in enumerate(zip(pieces, looks, strict=True))]
        line = f"{pieces[query]!r} reads {looks.max():.0%} from {pieces[int(looks.argmax())]!r}"
        left_out = f" (the first {most} of {len(ids)} tokens)" if len(ids) > most else ""
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
                spine.set(color=COLOURS["query"] if head == chosen else EDGE, linewidth=2 if head == chosen else 1)
        n_back = [float((pattern * (np.arange(n)[:, None] - np.arange(n))).sum(axis=1).mean()) for pattern in patterns]
        return self.figure.describe(f"{len(patterns)} heads, {n} tokens; on average they look "
                                    f"{', '.join(f'{each:.1f}' for each in n_back)} positions back.")


def gaze_chip(piece: str, look: float, p: float, *, chosen: bool) -> str:
    """A token in the blue of how much it is looked at (1: most); the one that looks is outlined."""
    ends = (np.array([250, 249, 245]), np.array([120, 180, 220]))
    colour = "#" + "".join(f"{int(round(v)):02x}" for v in ends[0] + look * (ends[1] - ends[0]))
    chip = markup.chip(piece, colour=colour, hint=f"attention {p:.0%}")
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
