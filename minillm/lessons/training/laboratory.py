"""Train a small model on the page, before the reader's eyes: start, pause, step, reset, go on another day."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import ipywidgets

from minillm import corpora
from minillm.config import ModelConfig
from minillm.corpora import Corpus
from minillm.costs import parameters
from minillm.lessons.training import experiment
from minillm.lessons.training.experiment import (
    CHANGES,
    OWN,
    Material,
    Moment,
    Run,
    configure,
    offered,
    rival_of,
)
from minillm.lessons.training.health import Health
from minillm.lessons.training.microscope import Glass, Microscope
from minillm.lessons.training.plots import Board, Curve
from minillm.notebook import markup
from minillm.notebook.clock import Clock
from minillm.notebook.controls import uploaded
from minillm.notebook.looking import writer
from minillm.notebook.markup import EDGE, FAINT
from minillm.notebook.widgets import choice, slider

MINE = "a file of my own"
NOBODY = "nobody"
AS_IS = {"as the preset has it": ""}


class TrainingLab(Clock):
    """Choose a text and a model, train it, and watch it against a rival on the same batches from the same seed.

    `lab.run` is the model in training and `lab.rival` the other one; `lab.microscope()` and `lab.writer()` look at
    `lab.run` as it is at that moment.
    """

    def __init__(self, corpus: Corpus, *, against: str = "learning rate ÷ 10", first: int = 20):
        self.material: Material = experiment.prepare(corpus)
        self.run: Run | None = None
        self.rival: Run | None = None
        self._board, self._glasses = Board(), []
        upload = ipywidgets.FileUpload(description="choose a file (UTF-8 text)", multiple=True,
                                       layout=ipywidgets.Layout(width="auto"))
        controls = {
            "text": choice("text", {_titled(name): name for name in _texts(corpus)} | {MINE: MINE}),
            "upload": upload,
            "preset": choice("preset", list(experiment.ARCHITECTURES), OWN),
            "size": choice("size", {"nano: 2 layers of width 64": "nano", "small: 4 layers of width 128": "small"}),
            "norm": choice("norm", AS_IS | offered("norm")),
            "position": choice("position", AS_IS | offered("position")),
            "mlp": choice("MLP", AS_IS | offered("mlp")),
            "attention": choice("attention", AS_IS | {
                words: kind for kind, (words, _) in experiment.ATTENTION.items()}),
            "lr": slider("learning rate", [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1], 3e-3, show="{:g}".format),
            "n_steps": slider("steps", [100, 200, 500, 1000, 2000, 5000], 500),
            "seed": slider("seed", [0, 1, 2, 3, 4], 0),
            "against": choice("race against", {NOBODY: NOBODY} | {f"the same with {name}": name for name in CHANGES},
                              against),
        }
        super().__init__("training lab", controls, self._train, self._show, first=first, run=100,
                         rows=[["text", "upload"], ["preset", "size"], ["norm", "position", "mlp", "attention"],
                               ["lr", "n_steps"], ["seed", "against"]])

    # looking at the model in training

    def microscope(self) -> Microscope:
        """Any window of any batch, token by token, before and after the step; the model that ships as well."""
        return self._watched(Microscope(self._models(), rows=experiment.BATCH, context=experiment.CONTEXT))

    def health(self) -> Health:
        """Every part of the model: its gradient, how far a step moves it, how much of it is dead."""
        return self._watched(Health(self._models()))

    def writer(self) -> Clock:
        """Text from a prompt."""
        return writer(self.current)

    def _models(self) -> dict[str, Callable[[], Run]]:
        return {"the laboratory's": self.current, "the storyteller, which ships": experiment.shipped}

    def _watched(self, glass: Glass) -> Glass:
        self._glasses[:] = [*(each for each in self._glasses if each.name != glass.name), glass]
        return glass

    def current(self) -> Run:
        """The model in training; where no step was made yet, the first ones are."""
        if self.run is None:
            self.advance(self._first)
        return self.run

    # the work of the clock

    kept = (*Clock.kept, "material", "run", "rival", "_glasses")

    def advance(self, n: int | None = None, *, seconds: float | None = None) -> int:
        """As any clock; where a microscope looks on, a tick leaves it the time."""
        return super().advance(n, seconds=0.0 if seconds is not None and self._glass() else seconds)

    def redraw(self):
        glass = self._glass() if self.playing else None
        if glass:                                        # one picture a tick: this time it is the microscope's
            glass._safely(glass.redraw)
            return self.parts
        return super().redraw()

    def _glass(self) -> Glass | None:
        """The microscope whose turn it is to look again, if any."""
        return next((glass for glass in self._glasses if glass.due), None)

    def total(self) -> int:
        return self["n_steps"].value

    def speed(self) -> str:
        if not self.meter.speed:
            return ""
        tokens = self.meter.speed * experiment.BATCH * experiment.CONTEXT
        whole = "both models, looks at held-out text and drawing included" if self.rival else "drawing included"
        return f"{float(f'{tokens:.2g}'):,.0f} tokens/s ({whole})"

    def _train(self, *, text: str, upload: Any, lr: float, n_steps: int, seed: int, against: str, preset: str,
               size: str, **fields: str) -> Iterator[tuple[Moment, ...]]:
        (config, lr), *other = self._planned(text, upload, lr, against, preset, size, fields)
        self.run = Run(self.material, config, lr=lr, n_steps=n_steps, seed=seed)
        self.rival = Run(self.material, other[0][0], lr=other[0][1], n_steps=n_steps, seed=seed,
                         writes=False) if other else None
        return zip(*(run.steps() for run in (self.run, self.rival) if run), strict=True)

    def _planned(self, text: str, upload: Any, lr: float, against: str, preset: str, size: str,
                 fields: dict[str, str]) -> list[tuple[ModelConfig, float]]:
        """Configuration and learning rate of the model, and of its rival, as the controls say; the text made ready."""
        self.material = self._prepare(text, upload)
        config = configure(preset, size, self.material.tokenizer.vocab_size, **fields)
        return [(config, lr)] + ([] if against == NOBODY else [rival_of(config, lr, against)])

    def reset(self) -> None:
        super().reset()
        self.run = self.rival = None

    def _prepare(self, name: str, upload: Any) -> Material:
        if name == MINE:
            files = uploaded(upload)
            if not files:
                raise ValueError("no file was chosen yet; press “choose a file”, or choose another text")
            return experiment.prepare(corpora.read(files))
        return self.material if name == self.material.corpus.name else experiment.known(name)

    def _changed(self, name: str = "") -> None:
        if name == "upload" and self["text"].value != MINE:
            self["text"].value = MINE      # which comes back here under its own name
            return
        super()._changed(name)

    def _show(self, history: list[tuple[Moment, ...]], *, text: str, upload: Any, lr: float, n_steps: int, seed: int,
              against: str, preset: str, size: str, **fields: str) -> list:
        plans = self._planned(text, upload, lr, against, preset, size, fields)
        curves = [_curve(label, [moments[i] for moments in history])
                  for i, (label, _) in enumerate(zip(["this model", f"with {against}"], plans, strict=False))]
        board = self._board.draw(curves, vocab_size=self.material.tokenizer.vocab_size)
        sizes = [sum(parameters(config).values()) for config, _ in plans]
        return [board, self._numbers(curves, sizes, n_steps)]

    def _numbers(self, curves: list[Curve], sizes: list[int], n_steps: int) -> markup.Markup:
        rows = []
        for curve, n_parameters in zip(curves, sizes, strict=True):
            last = [f"{values[-1]:.{digits}f}" if values else "–" for values, digits in (
                (curve.loss, 2), ([loss for _, loss in curve.validation], 2), (curve.grad_norm, 1))]
            rows.append([curve.label, n_parameters, f"{len(curve.loss)} of {n_steps}", *last])
        head = ["", "parameters", "step", "loss of the last batch", "held-out loss", "gradient norm"]
        table = markup.table(head, rows)
        corpus = self.material.corpus
        samples = [(moments[0].written_at, moments[0].sample) for moments in self.history
                   if moments[0].sample is not None]
        side = "rtl" if corpus.right_to_left else "ltr"
        written = "".join(_written(done, sample, side) for done, sample in [*samples[:1], *samples[1:][-3:]])
        head = (f"<b>{escape(corpus.title or corpus.name)}</b>: {corpus.characters:,} characters, "
                f"{self.material.tokenizer.vocab_size:,} different ones")
        written = written or f'<div style="{FAINT}">nothing yet; ask again after 20 steps</div>'
        return markup.card(f"{head}{table}<b>What it writes</b>, from nothing, as it learns{written}",
                           f"Learning {corpus.title or corpus.name}. Step {rows[0][2]}, loss {rows[0][3]}, held-out "
                           f"loss {rows[0][4]}. It writes: {samples[-1][1] if samples else 'nothing yet'}")


def _written(done: int, sample: str, side: str) -> str:
    """A sample beside the number of steps after which it was written."""
    row, text_style = f"display:flex;gap:10px;border-top:1px solid {EDGE};padding:3px 0", "flex:1;white-space:pre-wrap"
    return (f'<div style="{row}"><div style="{FAINT};width:105px;flex:none">after {done} steps</div>'
            f'<div dir="{side}" style="{text_style};overflow-wrap:anywhere">{escape(sample.strip())}</div></div>')


def training_lab(corpus: Corpus, *, against: str = "learning rate ÷ 10", first: int = 20) -> TrainingLab:
    """Train on a text of one's choice, with a rival (`CHANGES` lists them; NOBODY for none)."""
    return TrainingLab(corpus, against=against, first=first)


def _texts(first: Corpus) -> list[str]:
    """The text at hand, then all that can be had by name; a parallel text is too short to learn much from."""
    return [first.name, *(name for name in corpora.names() if name != first.name and "parallel" not in name)]


def _titled(name: str) -> str:
    try:
        card = corpora.card(name)
    except ValueError:
        return name
    return f"{card.title} ({card.language}{'' if card.shipped else ', fetched when chosen'})"


def _curve(label: str, moments: list[Moment]) -> Curve:
    return Curve(label, [m.step.loss for m in moments], [m.step.lr for m in moments],
                 [m.step.grad_norm for m in moments],
                 [(m.step.step + 1, m.validation) for m in moments if m.validation is not None])
