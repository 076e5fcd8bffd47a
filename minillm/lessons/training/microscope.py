"""Look at one element of one batch: what was expected at each place, and what a step on that batch changes."""
from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minillm.inspection import capture
from minillm.lessons.training.experiment import Run
from minillm.notebook import markup, plots
from minillm.notebook.chips import TokenRow
from minillm.notebook.controls import beside
from minillm.notebook.markup import EDGE, FAINT
from minillm.notebook.plots import COLOURS, RED, Picture
from minillm.notebook.threads import one_thread
from minillm.notebook.tokens import visible
from minillm.notebook.widgets import Live, button, choice, slider, toggle

NEXT = -1            # the batch that the next step will learn from, whichever it is
BATCHES = 1000       # any of so many can be looked at
TOP = 10
EVERY = 1.0          # seconds between two looks at a model that goes on training
_NATS = 6.0          # a surprise from which on a token has its deepest colour


class Element:
    """Above: how surprised the model was at each place, before and after the step.  Below, place under place: where
    one head looks."""

    def __init__(self):
        self.figure = plots.picture(560, 400, title="What did each place cost, and where does it look?")
        grid = self.figure.add_gridspec(2, 1, height_ratios=[1, 1.5], hspace=0.1)
        self.loss = plots.axes(self.figure, grid[0], ylabel="nats", left=58, right=14)
        self.gaze = plots.axes(self.figure, grid[1], xlabel="place in the window (below: looked at)",
                               ylabel="place that looks", grid="", left=58, right=14)
        self.lines = [self.loss.step([], [], where="mid", color=colour, linewidth=width, label=label)[0]
                      for colour, width, label in ((COLOURS["train"], 1.8, "before the step"),
                                                   (COLOURS["target"], 1.2, "after it"))]
        self.loss.legend(fontsize=9, edgecolor="none", facecolor=plots.CARD, loc="upper right", ncols=2)
        self.loss.tick_params(labelbottom=False)
        self.image = self.gaze.imshow(np.zeros((1, 1)), cmap=plots.AMOUNT, vmin=0, vmax=1, interpolation="nearest",
                                      aspect="auto")
        self.here = [ax.axvline(0, color=COLOURS["query"], linewidth=1, alpha=0.6) for ax in (self.loss, self.gaze)]
        self.row = self.gaze.axhline(0, color=COLOURS["query"], linewidth=1)

    def draw(self, before: np.ndarray, after: np.ndarray, pattern: np.ndarray, place: int, words: str) -> Picture:
        """Losses of every place in nats, and the pattern (query, key), of which each row is stretched to its most."""
        n = len(before)
        for line, losses in zip(self.lines, (before, after), strict=True):
            line.set_data(np.arange(n), losses)
        self.loss.set(xlim=(-0.5, n - 0.5), ylim=(0, 1.35 * max(1.0, before.max(), after.max())))
        self.image.set_data(pattern / np.maximum(pattern.max(axis=1, keepdims=True), 1e-9))
        self.image.set_extent((-0.5, n - 0.5, n - 0.5, -0.5))
        self.gaze.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
        for line in self.here:
            line.set_xdata([place, place])
        self.row.set_ydata([place, place])
        return self.figure.describe(words)


class Glass(Live):
    """Looks at one of several models; at the first of them, the one in training, also again and again as it learns.

    models     name -> function that gives a `Run` when it is asked: the one in training, the one that ships, …
    """

    def __init__(self, name: str, models: Mapping[str, Callable[[], Run]], controls: Mapping[str, Any],
                 draw: Callable[..., Any], *, rows: list[list[str]]):
        self._models, self._looked, self._seen, self._stays = dict(models), 0.0, {}, False
        own = {"model": choice("model", list(models)), **controls, "follow": toggle("look again while it trains"),
               "refresh": button("look again", "the model as it is now")}
        super().__init__(name, own, draw, repeatable=False, rules=self._off, rows=rows)

    @property
    def due(self) -> bool:
        """Is it time to look again at a model that goes on training?"""
        return (self["follow"].value and self["model"].value == next(iter(self._models)) and bool(self._views)
                and not self.closed and time.monotonic() - self._looked > EVERY)

    def _off(self, model: str, **_: Any) -> dict[str, str]:
        return {} if model == next(iter(self._models)) else {"follow": "this model is not in training"}

    within: tuple[str, ...] = ()      # controls that choose something else to see in the same look

    def step(self, model: str, batch: int = NEXT) -> dict[str, Any]:
        """A run, a batch, a copy of its model, and one that has made a step on that batch: of this moment, or, where
        a control of `within` was touched, of the moment that is looked at."""
        run = self._models[model]()
        if self._stays and self._seen.get("asked") == (id(run), batch):
            return self._seen
        number, self._looked = run.done if batch == NEXT else batch, time.monotonic()
        if self._seen.get("at") != (id(run), run.done, number):
            with one_thread():
                self._seen = {"at": (id(run), run.done, number), "run": run, "done": run.done, "number": number,
                              "batch": run.stream[number], "before": copy.deepcopy(run.model),
                              "after": run.after_one_step(number), "rows": {}}
        self._seen["asked"] = (id(run), batch)
        return self._seen

    def _changed(self, name: str = "") -> None:
        self._stays = name in self.within
        try:
            super()._changed(name)
        finally:
            self._stays = False


class Microscope(Glass):
    """Any batch, any of its windows, any position of it: click a token.  While the model goes on training, what is
    looked at stays as it was, until it is looked at again."""
    at_once, within = True, ("row", "show", "layer", "head", "place")

    def __init__(self, models: Mapping[str, Callable[[], Run]], *, rows: int, context: int):
        self._tokens, self._element = TokenRow(context, 20), Element()
        controls = {
            "batch": slider("batch", [NEXT, *range(BATCHES)], show=lambda n: "the next" if n == NEXT else str(n)),
            "row": slider("window of the batch", range(rows)),
            "show": choice("colours", {"before the step": "before", "after the step": "after"}),
            "layer": slider("layer", range(1, 9)), "head": slider("head", range(1, 9)),
            "place": self._tokens.control}
        for name in ("layer", "head"):
            controls[name].layout.width = "300px"
        super().__init__("microscope", models, controls, self._picture, rows=[
            ["model", "batch", "row"], ["layer", "head", "show", "follow", "refresh"], ["place"]])
        self._box.children = (self._tokens.sheet, *self._box.children)

    def _arranged(self, views: list) -> list:
        views[0].layout.display = "none"             # the buttons are these chips, alive
        return [views[0], beside([views[2], views[1]])]

    def look(self, model: str, batch: int, row: int) -> tuple[dict[str, Any], dict[str, Tensor], list[Tensor]]:
        """What `step` saw; probabilities at every place of a window, (place, token), by the model as it was and by a
        copy one step on; and where each layer's heads look, (head, query, key)."""
        seen = self.step(model, batch)
        if row not in seen["rows"]:
            inputs, p = seen["batch"][0][row:row + 1], {}
            with one_thread(), torch.no_grad():
                with capture(seen["before"].eval(), "blocks.*.attention.pattern") as patterns:
                    p["before"] = seen["before"](inputs)[0].float().softmax(-1)
                p["after"] = seen["after"].eval()(inputs)[0].float().softmax(-1)
            seen["rows"][row] = p, [each[0].float() for each in patterns.values()]
        return seen, *seen["rows"][row]

    def _picture(self, model: str, batch: int, row: int, show: str, layer: int, head: int, follow: bool,
                 place: int) -> list:
        row = min(row, self.step(model, batch)["run"].batch_size - 1)
        seen, both, patterns = self.look(model, batch, row)
        run, tokenizer = seen["run"], seen["run"].material.tokenizer
        inputs, targets = (part[row] for part in seen["batch"])
        place, config = min(place, len(targets) - 1), run.model.config
        p = {when: each.gather(-1, targets[:, None])[:, 0] for when, each in both.items()}
        pieces, rtl = [visible(piece) for piece in tokenizer.pieces(targets.tolist())], \
            run.material.corpus.right_to_left
        shades = [shade(float(each)) for each in p[show]]
        with self._silent():
            self._tokens.fill(pieces, shades, rtl=rtl, outline=COLOURS["target"])
        first = (f'<div style="{FAINT}">batch {seen["number"]}, window {row}, after <b><bdi>'
                 f"{escape(visible(tokenizer.pieces([int(inputs[0])])[0]))}</bdi></b>: each token is a target"
                 f"{self._age(model, seen)}</div>")
        chips = markup.card(first + markup.flow(
            [_chip(piece, colour, i == place) for i, (piece, colour) in enumerate(zip(pieces, shades, strict=True))],
            rtl=rtl), "the window, token by token")
        layer, head = min(layer, config.n_layers), min(head, config.n_heads)
        before, after = (-p[when].clamp(min=1e-12).log().numpy() for when in ("before", "after"))
        pattern = patterns[layer - 1][head - 1].numpy()
        words = (f"Window {row} of batch {seen['number']}: {before.mean():.2f} nats a token before the step, "
                 f"{after.mean():.2f} after it; dearest is place {int(before.argmax())} with {before.max():.1f}. In "
                 f"layer {layer} of {config.n_layers}, head {head} of {config.n_heads}, place {place} looks most at "
                 f"place {int(pattern[place].argmax())} ({pattern[place].max():.0%}).")
        story = self._story(seen, row, place, [each[place] for each in both.values()], tokenizer)
        return [chips, story, self._element.draw(before, after, pattern, place, words)]

    def _age(self, model: str, seen: dict[str, Any]) -> str:
        """When it was looked at a model that has learned more since."""
        learns = model == next(iter(self._models)) and seen["run"].done > seen["done"]
        return f" (seen after {seen['done']:,} steps; “look again” for now)" if learns else ""

    def _story(self, seen: dict[str, Any], row: int, place: int, two: list[Tensor], tokenizer: Any) -> markup.Markup:
        """What came at a place, what was expected, and what the step made of that."""
        inputs, target = seen["batch"][0][row], int(seen["batch"][1][row, place])
        ranks = [1 + int((p > p[target]).sum()) for p in two]
        best = two[0].topk(min(TOP, len(two[0]))).indices.tolist()
        name = {token: visible(tokenizer.pieces([token])[0]) for token in (*best, target)}
        rows = [_alternative(name[token], [float(p[token]) for p in two], token == target)
                for token in [*best, *([] if target in best else [target])]]
        read = tokenizer.decode(inputs[max(0, place - 20):place + 1].tolist())
        words = (f"{name[target]} came: rank {ranks[0]} and probability {percent(two[0][target])}; after one step on "
                 f"this batch rank {ranks[1]} and {percent(two[1][target])}.")
        bars = (f'<div style="display:grid;grid-template-columns:max-content 1fr 1fr;gap:2px 10px;margin-top:4px">'
                f'<b>next?</b><b>before</b><b>after the step</b>{"".join(rows)}</div>')
        told = (f'<span style="{FAINT}">On {scale()}</span><br>Having read <bdi style="background:{EDGE};'
                f'padding:0 4px">…{escape(visible(read[-24:]))}</bdi>, it guessed. <b>{escape(words)}</b>')
        return markup.card(f"<div>{told}</div>{bars}", f"Batch {seen['number']}, window {row}, place {place}: {words}")


def percent(p: float | Tensor) -> str:
    """Whole percents; below one, a digit more."""
    return f"{float(p):.0%}" if p >= 0.01 else f"{float(p):.1%}"


def shade(p: float) -> str:
    """From nothing (expected) to red (a surprise)."""
    return markup.shade(-np.log(max(p, 1e-9)) / _NATS, RED)


def scale() -> str:
    """The legend of the shades."""
    return " ".join(f'<span style="background:{shade(p)};padding:0 5px;border-radius:3px">{name}</span>'
                    for p, name in ((1.0, "expected"), (0.2, "1 in 5"), (0.0025, "1 in 400")))


def _chip(piece: str, colour: str, chosen: bool) -> str:
    chip = markup.chip(piece, colour=colour)
    return f'<span style="outline:2px solid {COLOURS["target"]};border-radius:4px">{chip}</span>' if chosen else chip


def _alternative(piece: str, p: list[float], is_target: bool) -> str:
    """One candidate: its piece, and two bars."""
    colour = COLOURS["target"] if is_target else COLOURS["prediction"]
    came = ' <span style="font-size:11px">(came)</span>' if is_target else ""
    bars = "".join(f'<div><span style="display:inline-block;background:{colour};height:11px;'
                   f'width:{max(1, round(70 * x))}%"></span> <small>{percent(x)}</small></div>' for x in p)
    return f'<div><b><bdi>{escape(piece)}</bdi></b>{came}</div>{bars}'
