"""Train a small model on the page, before the reader's eyes: start, pause, step, reset, go on another day."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minillm import corpora
from minillm.config import ModelConfig
from minillm.corpora import Corpus
from minillm.lessons.training import choosing, experiment, runs, usual
from minillm.lessons.training.choosing import MINE
from minillm.lessons.training.cores import Cores
from minillm.lessons.training.experiment import Change, Material, Moment, Run, configure, rival_of
from minillm.lessons.training.health import Health
from minillm.lessons.training.microscope import Glass, Microscope
from minillm.lessons.training.plots import Board
from minillm.lessons.training.records import table_of_runs
from minillm.lessons.training.telling import curve_of, numbers, written
from minillm.lessons.training.verdict import verdict
from minillm.notebook.clock import Clock, playing
from minillm.notebook.controls import beside, uploaded
from minillm.notebook.looking import writer
from minillm.notebook.widgets import Live, shown

NOBODY = choosing.NOBODY
SAVE_EVERY = 20.0    # seconds between two savings of a run that goes on


class TrainingLab(Clock):
    """Choose a text and a model, train it, and watch it against a rival on the same batches from the same seed.

    `lab.run` is the model in training and `lab.rival` the other one; `lab.microscope()`, `lab.health()` and
    `lab.writer()` look at `lab.run` as it is at that moment.  A run that was started on the page is kept in a folder
    of its own (`runs.home()`), when it pauses and every 20 seconds; “continue” goes on with one after a lost page or
    a kernel that ended.
    """

    def __init__(self, corpus: Corpus, *, against: str = "learning rate ÷ 10", first: int = 20):
        self.material: Material = experiment.prepare(corpus)
        self._given = corpus
        self._own: Corpus | None = None
        self.run: Run | None = None
        self.rival: Run | None = None
        self.folder: Path | None = None
        self._saved: float | None = None     # when; before that, since when the page's clock runs
        self._since = 0.0
        self._board, self._just_looked = Board(), False
        rows = [*(row for rows in choosing.TABS.values() for row in rows), ["sentences"]]
        super().__init__("training lab", choosing.controls(corpus, against), self._train, self._show, first=first,
                         run=100, views=["kept"], rows=rows)
        self._box.children = choosing.folded(self._box.children)
        self._list_kept()
        self._play.observe(lambda change: change["new"] or self._safely(self._keep), playing(self._play))

    # looking at the model in training

    def microscope(self) -> Microscope:
        """Any window of any batch, token by token, before and after the step; the model that ships as well."""
        return Microscope(self._models(), rows=self["batch"].options[-1][1], context=experiment.CONTEXT)

    def health(self) -> Health:
        """Every part of the model: its gradient, how far a step moves it, how much of it is dead."""
        return Health(self._models())

    def verdict(self) -> Clock:
        """Stories that the model writes, and which of their sentences the grammar allows."""
        return verdict(self._current_of_page)

    def runs(self) -> Live:
        """All runs that were kept, with their curves."""
        return table_of_runs(lambda: (self._current_of_page(), [moments[0] for moments in self._of_page().history]))

    def writer(self) -> Clock:
        """Text from a prompt."""
        return writer(self._current_of_page)

    def current(self) -> Run:
        """The model in training; where no step was made yet, the first ones are."""
        if self.run is None:
            self.advance(self._first)
        return self.run

    def _of_page(self) -> TrainingLab:
        """The laboratory on the page: this one, or the one that took its place when its cell was run again."""
        there = shown().get(self.name) if self.closed else None
        return there if isinstance(there, TrainingLab) else self

    def _current_of_page(self) -> Run:
        return self._of_page().current()

    def _models(self) -> dict[str, Callable[[], Run]]:
        return {"the laboratory's": self._current_of_page, "the storyteller, which ships": experiment.shipped}

    def _glass(self) -> Glass | None:
        """The microscope whose turn it is to look again, if any; after each the board has its turn."""
        return None if self._just_looked else next(
            (glass for glass in shown().values() if isinstance(glass, Glass) and glass.due), None)

    # keeping runs, and going on with them

    def keep(self) -> Path:
        """Write the run into its folder now, and say where that is."""
        run = self.current()
        if self.folder is None:
            self.folder = runs.fresh_folder(run.material.corpus.name)
        said = {name: value for name, value in self.values.items() if name not in ("upload", "path", "kept")}
        runs.keep(run, [moments[0] for moments in self.history], self.folder, choices=said)
        if self.rival:
            runs.keep(self.rival, [moments[1] for moments in self.history], self.folder / "rival", choices=said)
        self._saved = time.time()
        return self.folder

    def take_up(self, folder: str | Path) -> None:
        """Go on with a kept run, and its rival: the next step is the one that would have come."""
        run, moments, said = runs.take_up(Path(folder))
        rivals = [runs.take_up(Path(folder) / "rival")] if said["against"] != NOBODY else []
        Clock.reset(self)
        self.run, self.rival = run, rivals[0][0] if rivals else None
        self.material, self.folder, self._saved = run.material, Path(folder), time.time()
        known = {value for _, value in self["text"].options}
        if said["text"] not in known - {MINE}:
            self._own, said["text"] = run.material.corpus, MINE
        with self._silent():
            for name, value in ({"dropout": 0.0} | said).items():      # runs from before there was a choice
                if name in self.controls:
                    self[name].value = value
        self._apply_rules()
        self.history = [*zip(moments, *(log for _, log, _ in rivals), strict=True)]
        self._work, self.finished = self._side_by_side(), run.done >= run.n_steps

    def _keep(self) -> None:
        """Keep what was trained on the page; the steps that a cell makes for its picture are not worth a folder."""
        if self.run and self._views and len(self.history) > self._first and not self.closed:
            self.keep()
            self._list_kept()
            self._tell()

    def _list_kept(self) -> None:
        """The runs that can be gone on with, the last one first."""
        found = {kept.label: str(kept.folder) for kept in runs.listed()}
        control = self["kept"]
        with self._silent():
            chosen = control.value
            control.options = [*(found.items() or [("none yet", "")])]
            control.value = chosen if chosen in found.values() else next(iter(found.values()), "")

    # from nothing to sentences

    def write_sentences(self) -> None:
        """Set every control to what writes sentences soonest, forget this run, and train to the end."""
        with self._alone():
            with self._silent():
                for name, value in choosing.SENTENCES.items():
                    self[name].value = value
            self.reset()
            Live._changed(self, "sentences")
        self._run_to(self.total())

    # the work of the clock

    _cores = Cores()
    kept = (*Clock.kept, "material", "run", "rival", "folder", "threads", "_own", "_saved", "_cores")
    fleeting = (*Clock.fleeting, "kept", "upload")

    def _take_over(self, before: Live) -> None:
        super()._take_over(before)
        self._tell()

    def advance(self, n: int | None = None, *, seconds: float | None = None) -> int:
        """As any clock; where a microscope looks on or the run is saved, a tick leaves it the time."""
        busy = seconds is not None and self._due and (self._glass() or self._must_save())
        self.threads = self._cores.note(self.history)
        return super().advance(n, seconds=0.0 if busy else seconds)

    def redraw(self):
        if self.playing:                                 # one long thing a tick: a saving, a microscope, or the board
            if self._must_save():
                self._keep()
                return self.parts
            if glass := self._glass():
                self._just_looked = True
                glass._safely(glass.redraw)
                return self.parts
        self._just_looked = False
        return super().redraw()

    def _must_save(self) -> bool:
        self._since = self._since or time.time()
        return self.playing and time.time() - (self._saved or self._since) > SAVE_EVERY

    def _pressed(self, name: str) -> None:
        if name == "sentences":
            self.write_sentences()
            return
        if name != "go_on":
            super()._pressed(name)
            return
        folder = self["kept"].value
        if not folder:
            raise ValueError(f"no run is kept in {runs.home()} yet; train one, it is kept by itself")
        with self._alone():
            self.take_up(folder)
            Live._changed(self, "kept")                  # a clock's would wait for itself
        if not self.finished:
            self._run_to(self.total())

    def total(self) -> int:
        return self["n_steps"].value

    def speed(self) -> str:
        tokens = (self.meter.speed or 0) * self["batch"].value * experiment.CONTEXT
        whole = "both models, looks at held-out text and drawing included" if self.rival else "drawing included"
        return f"{float(f'{tokens:.2g}'):,.0f} tokens/s ({whole})" if tokens else ""

    def _saying(self) -> list[str]:
        return [*super()._saying(), f"{runs.age(self._saved)}{f' in {self.folder}' if self.folder else ''}"]

    def reset(self) -> None:
        """Keep what there is, forget it, and begin a fresh run with the next step."""
        super().reset()
        self.run = self.rival = self.folder = self._saved = None
        self._since = 0.0

    def _train(self, **values: Any) -> Iterator[tuple[Moment, ...]]:
        (config, change), *other = self._planned(**values)
        self.run = self._one(config, change, values)
        self.rival = self._one(*other[0], values, writes=False) if other else None
        return self._side_by_side()

    def _one(self, config: ModelConfig, change: Change, values: dict[str, Any], *, writes: bool = True) -> Run:
        return Run(self.material, config, lr=values["lr"] * change.factor, n_steps=values["n_steps"],
                   seed=values["seed"] + change.seed, optimizer=change.optimizer or values["optimizer"],
                   amount=values["amount"], batch_size=values["batch"], floor=values["floor"], writes=writes)

    def _side_by_side(self) -> Iterator[tuple[Moment, ...]]:
        self._cores, self.threads = Cores(self.run if self._views else None), 1
        runs = list(filter(None, (self.run, self.rival)))
        runs[-1].precision = self.run.precision          # a rival that differs in size is rounded alike
        return zip(*(run.steps() for run in runs), strict=True)

    def _planned(self, *, text: str, upload: Any, path: str, tokenizer: str, against: str, preset: str, size: str,
                 lr: float, optimizer: str, floor: float, n_steps: int, batch: int, seed: int, amount: str,
                 kept: str = "", **fields: str | float) -> list[tuple[ModelConfig, Change]]:
        """Configuration of the model, and of its rival with what it does otherwise; the text made ready."""
        self.material = self._prepare(text, upload, path, tokenizer)
        config = configure(preset, size, self.material.tokenizer.vocab_size, **fields)
        return [(config, Change())] + ([] if against == NOBODY else [rival_of(config, against, optimizer)])

    def _prepare(self, name: str, upload: Any, path: str, kind: str) -> Material:
        if name == MINE:
            files = uploaded(upload) or ([path.strip()] if path.strip() else [])
            if not files and self._own is None:
                raise ValueError("no file was chosen yet; press “choose a file”, type its path, or choose another text")
            corpus = self._own or corpora.read(files)
            name, self._own = corpus.name, corpus
            if self.material.corpus != corpus or self.material.kind != kind:
                return experiment.prepare(corpus, kind)
        if (name, kind) == (self.material.corpus.name, self.material.kind):
            return self.material
        return experiment.prepare(self._given, kind) if name == self._given.name else experiment.known(name, kind)

    def _changed(self, name: str = "") -> None:
        if name in ("upload", "path"):
            self._own = None
            if self["text"].value != MINE:
                self["text"].value = MINE      # which comes back here under its own name
                return
        super()._changed(name)
        if name not in ("", "play", "kept", "step", "run", "reset") and self._handles:
            with self._alone():                          # its first step, measured: how long will this take here?
                self.meter.begin(0)
                self.advance(1)
                Live._changed(self, name)
                self.meter.note(len(self.history))
                self.meter.pause()
                self._tell()

    def _arranged(self, views: list) -> list:
        return [beside(views[:2]), *views[2:]]

    def _show(self, history: list[tuple[Moment, ...]], **values: Any) -> list:
        plans = self._planned(**values)
        labels = ["this model", f"with {values['against']}"]
        curves = [curve_of(label, [moments[i] for moments in history])
                  for i, (label, _) in enumerate(zip(labels, plans, strict=False))]
        vocab_size = self.material.tokenizer.vocab_size
        band = usual.usual(self.material.corpus.name, self.material.kind, values["size"], values["n_steps"])
        said = usual.judged(curves[0], band, vocab_size=vocab_size, choices=values)
        board = self._board.draw(curves, vocab_size=vocab_size, floor=usual.floor(self.material), band=band, said=said)
        return [board, written(self.material.corpus, [moments[0] for moments in history]),
                numbers(curves, [config for config, _ in plans], values["n_steps"], self.material, said)]


def training_lab(corpus: Corpus, *, against: str = "learning rate ÷ 10", first: int = 20) -> TrainingLab:
    """Train on a text of one's choice, with a rival (`CHANGES` lists them; NOBODY for none)."""
    return TrainingLab(corpus, against=against, first=first)
