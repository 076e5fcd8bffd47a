"""Race two models or more before the reader's eyes.

On the same batches from the same seed, with equally many parameters, or in equal time; always in bits per byte, which
all tokenizers share.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ipywidgets
import numpy as np
import torch
from matplotlib.ticker import MaxNLocator

from minillm.config import ModelConfig
from minillm.corpora import Corpus
from minillm.costs import parameters
from minillm.lessons.training import experiment
from minillm.lessons.training.experiment import (
    CONTEXT,
    OWN,
    TOKENIZERS,
    WARMUP,
    Material,
    Run,
    configure,
    offered,
)
from minillm.notebook import markup, plots
from minillm.notebook.clock import Clock
from minillm.notebook.controls import beside
from minillm.notebook.plots import CARD, SERIES, Picture
from minillm.notebook.widgets import choice, slider
from minillm.optim import warmup_cosine
from minillm.training import evaluate

LR, MOST, EVERY, HELD_OUT = 3e-3, 5, 20, 4096      # HELD_OUT bytes of text that everybody is measured on
_GATE = "attention_gate"
FIELDS: dict[str, dict[str, dict[str, Any]]] = {   # what differs -> name -> fields of the configuration
    **{title: {word: {choice: value} for word, value in offered(choice).items()}
       for title, choice in (("norm", "norm"), ("position", "position"), ("MLP", "mlp"))},
    "attention": {words: fields for words, fields in experiment.ATTENTION.values()},
    "gate on each head": {"no gate": {_GATE: False}, "a gate": {_GATE: True}}}
WHAT = [*FIELDS, "optimizer", "tokenizer", "nothing but the seed"]
RULES = {"AdamW": "adamw", "Muon": "muon"}


@dataclass(frozen=True)
class Turn:
    """One step of one run, and what it is worth on held-out text, now and then."""
    name: str
    seed: int
    step: int                     # steps made
    seconds: float                # spent on its steps so far
    bits: float | None = None     # per byte of held-out text


def names(what: str) -> list[str]:
    """Who can race where this is what differs."""
    others = {"optimizer": list(RULES), "tokenizer": list(TOKENIZERS),
              "nothing but the seed": [f"seed {seed}" for seed in range(5)]}
    return list(FIELDS[what]) if what in FIELDS else others[what]


def evened(config: ModelConfig, n_parameters: int) -> ModelConfig:
    """The same with an MLP as wide as brings it nearest to so many parameters.  Refuses where none is near."""
    def count(d_ff: int) -> int:
        return sum(parameters(replace(config, d_ff=d_ff)).values())
    slope = count(9) - count(8)
    d_ff = 8 + round((n_parameters - count(8)) / slope)
    if d_ff < 8 or abs(count(d_ff) - n_parameters) > slope:
        raise ValueError(f"d_ff={d_ff} would be needed for {n_parameters:,} parameters, and 8 is the least; race these "
                         f"with equal batches, or in equal time")
    return replace(config, d_ff=d_ff)


def measured_on(material: Material) -> tuple[torch.Tensor, int]:
    """Held-out ids that cover about HELD_OUT bytes, the same text for every tokenizer, and how many bytes."""
    _, part = material.corpus.hold_out()
    ids, n_bytes = [material.first], 0
    for document in part.documents:
        words = document[:HELD_OUT - n_bytes]
        ids += [*material.tokenizer.encode(words), material.first]
        n_bytes += len(words.encode()) + 1              # what ends a document counts as one
        if n_bytes >= HELD_OUT:
            break
    return torch.tensor(ids), n_bytes


class Contest:
    """Several runs that take turns: `turns()` yields one step at a time, of whoever is behind."""

    def __init__(self, material: Material, what: str, who: Sequence[str], *, equal: str, n_seeds: int, n_steps: int,
                 seconds: float):
        if len(who) < 2:
            raise ValueError(f"{len(who)} racer is no race; choose two or more (Ctrl or Shift and click)")
        if len(who) > MOST:
            raise ValueError(f"{len(who)} racers take long, and are hard to tell apart; choose at most {MOST}")
        self.who, self.equal, self.n_steps, self.seconds = list(who), equal, n_steps, seconds
        self.runs: dict[tuple[str, int], Run] = {}
        self._texts: dict[str, tuple[torch.Tensor, int]] = {}
        self.spent: dict[tuple[str, int], float] = {}
        first = None
        for name in who:
            config, other, rule = self._made(material, what, name)
            if equal == "parameters":
                config = evened(config, first) if first else config
            first = first or sum(parameters(config).values())
            for seed in range(n_seeds):
                lane = 10 * int(name.split()[-1]) + seed if what == WHAT[-1] else seed
                run = Run(other, config, lr=LR, n_steps=n_steps if equal != "time" else 10 ** 6, seed=lane,
                          optimizer=rule, writes=False)
                run.every = 0                              # this contest looks by itself
                self.runs[name, seed], self.spent[name, seed] = run, 0.0
                if equal == "time":
                    run.schedule = self._by_time(name, seed)

    def _made(self, material: Material, what: str, name: str) -> tuple[ModelConfig, Material, str]:
        if what == "tokenizer":
            material = experiment.prepare(material.corpus, name) if name != material.kind else material
        config = configure(OWN, "nano", material.tokenizer.vocab_size)
        if what in FIELDS:
            config = replace(config, **FIELDS[what][name])
        return config, material, RULES.get(name, "adamw")

    def _by_time(self, name: str, seed: int):
        """The rate falls with the time that a run has had, and not with its steps."""
        falls = warmup_cosine(1000, floor=0.1)
        return lambda step: min(1.0, (step + 1) / WARMUP) * falls(
            min(999, int(1000 * self.spent[name, seed] / self.seconds)))

    def over(self, key: tuple[str, int]) -> bool:
        return self.spent[key] >= self.seconds if self.equal == "time" else self.runs[key].done >= self.n_steps

    def total(self) -> int | None:
        return None if self.equal == "time" else self.n_steps * len(self.runs)

    def turns(self) -> Iterator[Turn]:
        """Whoever has made the fewest steps, or had the least time, is next."""
        steps = {key: run.steps() for key, run in self.runs.items()}
        while left := [key for key in self.runs if not self.over(key)]:
            key = min(left, key=lambda key: self.spent[key] if self.equal == "time" else self.runs[key].done)
            moment = next(steps[key])
            self.spent[key] += moment.step.seconds
            run = self.runs[key]
            looks = run.done in (5, 10) or run.done % EVERY == 0 or self.over(key)
            yield Turn(*key, run.done, self.spent[key], self.bits(run) if looks else None)

    def bits(self, run: Run) -> float:
        """Bits per byte of the held-out text that all of them are measured on."""
        if run.material.kind not in self._texts:
            self._texts[run.material.kind] = measured_on(run.material)
        ids, n_bytes = self._texts[run.material.kind]
        return evaluate(run.model, ids, context_length=CONTEXT) * (len(ids) - 1) / (n_bytes * math.log(2))


def verdict(ends: Mapping[str, Sequence[float]]) -> str:
    """Who is ahead, and by more than another seed changes?  `ends` holds, by name, the bits per byte of each seed."""
    order = sorted(ends, key=lambda name: float(np.mean(ends[name])))
    best, second = order[:2]
    ahead = float(np.mean(ends[second]) - np.mean(ends[best]))
    if min(map(len, ends.values())) < 2:
        return (f"{best} is ahead of {second} by {ahead:.3f} bits per byte, with one seed each: another seed may "
                f"change as much; choose more seeds to see")
    spread = max(max(each) - min(each) for each in ends.values())
    if max(ends[best]) < min(ends[second]):
        return (f"{best} is ahead of {second} by {ahead:.3f} bits per byte, for every seed; another seed changes "
                f"up to {spread:.3f}")
    return (f"no winner: {best} is ahead of {second} by {ahead:.3f} bits per byte, while another seed changes up to "
            f"{spread:.3f}")


class Track:
    """Held-out bits per byte over steps, or over seconds: a line for each racer, a band from seed to seed."""

    def __init__(self):
        self.figure = plots.picture(width=600, height=290, title="Who learns faster?")
        self.ax = plots.axes(self.figure, ylabel="held-out bits per byte")
        self.ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        self.artists: list[Any] = []

    def draw(self, lanes: Mapping[str, Mapping[int, Sequence[tuple[float, float]]]], xlabel: str) -> Picture:
        """`lanes`: name -> seed -> (steps or seconds, bits per byte), in order."""
        for artist in self.artists:
            artist.remove()
        self.artists, said, highest, lowest, furthest = [], [], 0.1, math.inf, 1.0
        for (name, seeds), colour in zip(lanes.items(), SERIES, strict=False):
            lines = [np.array(line) for line in seeds.values() if len(line)]
            if not lines:
                continue
            x = lines[0][:min(map(len, lines)), 0]
            ys = np.stack([np.interp(x, line[:, 0], line[:, 1]) for line in lines])
            mean = ys.mean(0)
            if len(lines) > 1:
                self.artists.append(self.ax.fill_between(x, ys.min(0), ys.max(0), color=colour, alpha=0.2, linewidth=0))
            self.artists += self.ax.plot(x, mean, "o-", color=colour, markersize=3, linewidth=1.8, label=name)
            highest, lowest = max(highest, ys.max()), min(lowest, ys.min())
            furthest = max(furthest, x[-1])
            said.append(f"{name} {mean[-1]:.2f}")
        seen = (lowest * 0.92, min(highest, 6.5) * 1.02) if said else (0, 6.5)
        self.ax.set(xlim=(0, 1.02 * furthest), ylim=seen, xlabel=xlabel)
        if said:
            self.artists.append(self.ax.legend(fontsize=10, edgecolor="none", facecolor=CARD, loc="upper right"))
        return self.figure.describe(f"Bits per byte of held-out text: {', '.join(said)}." if said else
                                    "Nobody has been measured yet.")


class Race(Clock):
    """Choose what differs and who races; each turn of the clock is one step of whoever is behind."""
    kept = (*Clock.kept, "contest")

    def __init__(self, corpus: Corpus, *, first: int = 60):
        self._material, self.contest, self._track = experiment.prepare(corpus), None, Track()
        who = ipywidgets.SelectMultiple(options=names("norm"), value=names("norm")[:2], rows=4, description="who races",
                                        layout=ipywidgets.Layout(width="360px", max_width="100%"))
        controls = {"what": choice("what differs", WHAT), "who": who,
                    "equal": choice("equal are", {"seed and batches": "batches", "these, and parameters": "parameters",
                                                  "seconds of training": "time"}),
                    "n_seeds": slider("seeds of each", [1, 2, 3]), "n_steps": slider("steps", [100, 200, 400], 200),
                    "seconds": slider("seconds each", [5, 10, 20, 40], 10)}
        for name in ("n_seeds", "n_steps", "seconds"):
            controls[name].layout.width = "330px"
        super().__init__("race", controls, self._begin, self._picture, first=first, run=200, rules=self._off,
                         rows=[["what", "equal", "who"], ["n_seeds", "n_steps", "seconds"]],
                         buttons={"step": "one turn", "run": "run 200 turns", "reset": "reset"})

    def _arranged(self, views: list) -> list:
        return [beside(views)]

    def _off(self, equal: str, **_: Any) -> dict[str, str]:
        return {"n_steps": "the seconds are set"} if equal == "time" else {"seconds": "the steps are set"}

    def _changed(self, name: str = "") -> None:
        if name == "what":
            with self._silent():
                self["who"].options = names(self["what"].value)
                self["who"].value = names(self["what"].value)[:2]
        super()._changed(name)

    def _begin(self, *, what: str, who: Sequence[str], equal: str, n_seeds: int, n_steps: int, seconds: float
               ) -> Iterator[Turn]:
        self.contest = Contest(self._material, what, who, equal=equal, n_seeds=n_seeds, n_steps=n_steps,
                               seconds=seconds)
        return self.contest.turns()

    def total(self) -> int | None:
        return self.contest.total() if self.contest and self.history else None

    def _saying(self) -> list[str]:
        return [each.replace("steps/s", "steps/s, all together").replace("step ", "turn ")
                for each in super()._saying()]

    def _picture(self, history: list[Turn], *, who: Sequence[str], equal: str, **_: Any) -> list:
        lanes: dict[str, dict[int, list[tuple[float, float]]]] = {name: {} for name in who}
        last: dict[str, Turn] = {}
        for turn in history:
            last[turn.name] = turn
            if turn.bits is not None:
                x = turn.seconds if equal == "time" else turn.step
                lanes[turn.name].setdefault(turn.seed, []).append((x, turn.bits))
        drawn = self._track.draw(lanes, "seconds of training" if equal == "time" else "step")
        ends = {name: [line[-1][1] for line in seeds.values()] for name, seeds in lanes.items() if seeds}
        said = verdict(ends) if len(ends) > 1 else "nobody has been measured yet"
        rows = []
        for name in who:
            turn = last.get(name)
            run = self.contest.runs[name, turn.seed] if turn and self.contest else None
            rows.append([name, run.n_parameters if run else "–", turn.step if turn else 0,
                         f"{turn.step / turn.seconds:.1f}" if turn and self._views else "–",     # no time is stored
                         f"{np.mean(ends[name]):.3f}" if name in ends else "–",
                         f"{max(ends[name]) - min(ends[name]):.3f}" if len(ends.get(name, ())) > 1 else "–"])
        table = markup.table(["", "parameters", "steps", "steps/s", "bits per byte", "from seed to seed"], rows)
        return [drawn, markup.card(f"{table}<b>{said}</b>", said)]


def race(corpus: Corpus) -> Race:
    """Models that differ in one thing."""
    return Race(corpus)
