"""Toggle the mask, turn rank, alpha and rule, fine-tune on the page, compare answers, and talk to the result."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from statistics import median
from typing import Any

import torch
from torch import nn

from minillm.conversation import PromptBatches, Template, pairs_in
from minillm.data import IGNORED
from minillm.lessons.lora import runs
from minillm.lessons.lora.measures import (
    QUESTION,
    TARGETS,
    Setting,
    answer,
    asked,
    forgotten,
    held_out,
    material,
    prepared,
    sample,
    tuning,
)
from minillm.lessons.lora.plots import MEASURES, frame, scale_map
from minillm.lora import RULES
from minillm.notebook import markup, plots
from minillm.notebook.clock import Clock
from minillm.notebook.controls import upload, uploaded
from minillm.notebook.markup import EDGE, FAINT, GROUND, PLAIN, TINTS, shade
from minillm.notebook.plots import BLUE, ORANGE, RED
from minillm.notebook.tokens import visible
from minillm.notebook.widgets import Live, choice, slider, text, toggle
from minillm.sampling import generate

LEARNED, READ = TINTS[2], PLAIN
SHOWN = 16           # tokens of an answer, of two models each, so that a touch takes a moment only
PLACES = {"the first three questions": 0, "three about people": 1, "three with longer answers": 2}


def _chosen(which: int) -> list[tuple[str, str]]:
    rows = asked("fine_tuning")
    keep = [lambda row: True, lambda row: row["kind"] in ("pet", "food", "hobby"),
            lambda row: len(row["answer"].split()) > 2][which]
    return [(row["prompt"], row["answer"]) for row in rows if keep(row)][:3]


def mask() -> Live:
    """What is read and what is learned, token by token, in a batch of three; padding and ends are told apart."""
    tokenizer = material().tokenizer

    def draw(which: int, learn: bool, ends: str) -> markup.Markup:
        pairs = _chosen(which)
        made = PromptBatches(pairs, tokenizer, batch_size=3, context_length=256, seed=0)
        if ends == "left out":
            made.ids = [ids[:-1] for ids in made.ids]
        if not learn:
            made.n_asked = [1] * len(made.ids)
        inputs, targets = made[0]
        if ends == "masked":
            targets = targets.masked_fill(targets == tokenizer.end_of_text, IGNORED)
        counted = targets != IGNORED
        rows = []
        for row in range(len(inputs)):
            real = int((inputs[row] != tokenizer.end_of_text).sum())
            pieces = [visible(piece) for piece in tokenizer.pieces(inputs[row].tolist())]
            nexts = [visible(piece) for piece in tokenizer.pieces(targets[row].clamp(min=0).tolist())]
            chips = [markup.chip("pad" if i >= real else piece, colour=LEARNED if counted[row, i] else READ,
                                 below=f"→ {_end(after)}" if counted[row, i] else "·")
                     for i, (piece, after) in enumerate(zip(pieces, nexts, strict=True))]
            rows.append(markup.flow(chips))
        n_ends = int((targets == tokenizer.end_of_text).sum())
        words = (f"{int(counted.sum())} of {counted.numel()} places are learned from; among their targets are {n_ends} "
                 f"ends of text, for {len(pairs)} answers.")
        verdict = "It will learn to stop." if n_ends == len(pairs) else "Nothing tells it to stop."
        legend = (f'<span style="background:{LEARNED};padding:0 6px;border-radius:3px">learned, → its target</span> '
                  f'<span style="background:{READ};padding:0 6px;border-radius:3px">read only</span>')
        return markup.card(f"{legend}{''.join(rows)}<div><b>{words} {verdict}</b></div>", f"{words} {verdict}")

    controls = {"which": choice("batch", PLACES), "learn": toggle("the mask: learn from answers alone", True),
                "ends": choice("end of text", {"learned, as it should be": "learned",
                                               "masked, because padding is the same token": "masked",
                                               "left out": "left out"})}
    return Live("mask", controls, draw, rows=[["which"], ["learn", "ends"]])


def _end(piece: str) -> str:
    return "END" if piece.startswith("<|") else piece


def what_alpha() -> Live:
    """Rank, alpha and rule: what the correction is multiplied by, and what such a run brought."""
    pictures = {name: scale_map(name) for name in MEASURES}

    def draw(rank: int, alpha: float, rule: str, measure: str) -> list:
        scale = RULES[rule](alpha, rank)
        nearest = min(runs.SCALES, key=lambda each: abs(torch.log(torch.tensor(each / scale))))
        found = runs.shipped()["map"][f"{rank}, {nearest:g}"]
        words = (f"Rank {rank} with alpha {alpha:g} under {rule}: the correction is multiplied by {scale:.3g}. "
                 f"The nearest run that was made, × {nearest:g} (framed): {found['right']:.0%} right, stories "
                 f"{found['forgot']:+.2f} nats per token, ‖ΔW‖ / ‖W‖ {found['change']:.3f}.")
        rows = [[name, *(f"{RULES[name](alpha, each):.3g}" for each in runs.RANKS)] for name in RULES]
        table = markup.table(["rule", *(f"rank {each}" for each in runs.RANKS)], rows)
        return [frame(pictures[measure], rank, nearest), markup.card(f"{table}<div>{words}</div>", words)]

    controls = {"rank": slider("rank", runs.RANKS, 16),
                "alpha": slider("alpha", [1.0, 4.0, 16.0, 64.0], 16.0, show="{:g}".format),
                "rule": choice("rule", list(RULES)), "measure": choice("the map shows", list(MEASURES), "right (%)")}
    return Live("what is alpha", controls, draw, rows=[["rank", "alpha"], ["rule", "measure"]])


@dataclass(frozen=True)
class Moment:
    """One step of the laboratory, and now and then a look at the model."""
    loss: float
    right: float | None = None
    forgot: float | None = None
    said: str = ""


class TuningLab(Clock):
    """Fine-tune the shipped model as the controls say; `lab.model` is it, as it stands."""

    kept = (*Clock.kept, "model")

    def __init__(self, *, first: int = 2):
        self.model: nn.Module | None = None
        self.figure = plots.picture(height=270, title="Does it learn? (What it forgets: in the table)")
        self.left = plots.axes(self.figure, 1, 2, 1, xlabel="step", ylabel="loss (nats per target)")
        self.right = plots.axes(self.figure, 1, 2, 2, xlabel="step", ylabel="countries right (%)")
        self.figure.subplots_adjust(wspace=0.28)
        self.loss, = self.left.plot([], [], color=BLUE, linewidth=1.6)
        self.score, = self.right.plot([], [], "o-", color=ORANGE, linewidth=2)
        self.left.set(xlim=(0, 120), ylim=(0, 7))
        self.right.set(xlim=(0, 120), ylim=(-4, 104))
        controls = {
            "rank": slider("rank", [0, 1, 4, 16, 64], 16, show=lambda r: str(r or "whole model")),
            "alpha": slider("alpha", [1.0, 8.0, 32.0, 128.0], 32.0, show="{:g}".format),
            "rule": choice("rule", list(RULES)),
            "targets": choice("matrices", list(TARGETS)),
            "lr": slider("learning rate", [3e-4, 1e-3, 3e-3, 1e-2, 3e-2], 3e-3, show="{:g}".format),
            "stories": slider("steps that are stories", [0.0, 0.1, 0.25, 0.5], 0.25, show="{:.0%}".format),
            "mask": toggle("the mask", True), "end": toggle("end of text", True),
            "own": upload("your own questions (JSONL or CSV)", ".jsonl,.json,.csv")}
        super().__init__("tuning lab", controls, self._begin, self._show, first=first, run=40, limit=120,
                         rules=self._off, rows=[["rank", "alpha"], ["rule", "targets"], ["lr", "stories"],
                                                ["mask", "end", "own"]])

    @staticmethod
    def _off(rank: int, **_: Any) -> dict[str, str]:
        why = "the whole model learns"
        return {} if rank else {"alpha": why, "rule": why, "targets": why}

    def _begin(self, own: Any, **values: Any) -> Iterator[Moment]:
        setting = Setting(**values, n_steps=240, own=_own(own))
        self.model, question = prepared(setting), _first(setting.own)
        for step in tuning(self.model, setting):
            if (step.step + 1) % 20:
                yield Moment(step.loss)
            else:
                said, stopped = answer(self.model, question, n_tokens=12)
                yield Moment(step.loss, held_out(self.model, sample(40))["all"], forgotten(self.model),
                             said if stopped else f"{said} … (does not stop)")

    def _show(self, history: Sequence[Moment], own: Any, **_: Any) -> list:
        looks = [(step, each) for step, each in enumerate(history, 1) if each.right is not None]
        self.loss.set_data(range(1, len(history) + 1), [each.loss for each in history])
        self.left.set_ylim(0, max([1.0, *(each.loss for each in history)]) * 1.08)
        self.score.set_data([step for step, _ in looks], [100 * each.right for _, each in looks])
        told = f"Loss {history[-1].loss:.2f} after step {len(history)}." if history else "No step yet."
        pairs = _own(own)
        whose = f"{len(pairs)} questions of your own are learned. " if pairs else ""
        rows = [[f"after {step} steps", f"{each.right:.0%}", f"{each.forgot:+.3f}", each.said] for step, each in looks]
        table = markup.table(["", "countries right", "stories dearer by (nats per token)", _first(pairs)],
                             rows[-6:] or [["a look every 20 steps", "", "", ""]])
        said = f"It says: {looks[-1][1].said}" if looks else "No look at its answers yet: there is one every 20 steps."
        return [self.figure.describe(told), markup.card(f"{whose}{table}", f"{whose}{said}")]


def _own(value: Any) -> tuple[tuple[str, str], ...]:
    """The pairs of the reader's own files, in order; none while he has chosen none."""
    return _read(tuple(uploaded(value)))


@lru_cache(maxsize=4)
def _read(files: tuple[tuple[str, bytes], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for name, content in files for pair in pairs_in(name, content))


def _first(pairs: Sequence[tuple[str, str]]) -> str:
    return pairs[0][0] if pairs else QUESTION


def tuning_lab(*, first: int = 2) -> TuningLab:
    """Fine-tune on the page, with a stop, and dials for all that matters."""
    return TuningLab(first=first)


def side_by_side(before: nn.Module, after: nn.Module) -> Live:
    """The same question to two models."""
    rows = asked("held_out")
    by_kind = {kind: next(row["prompt"] for row in rows if row["kind"] == kind and row["new_phrasing"])
               for kind in sorted({row["kind"] for row in rows})}
    options = {"about France": QUESTION, **{kind.replace("_", "'s "): words for kind, words in by_kind.items()}}

    def draw(kind: str, question: str) -> markup.Markup:
        words = question.strip() or kind
        both = [answer(model, words, n_tokens=SHOWN) for model in (before, after)]
        right = next((row["answer"] for row in rows if row["prompt"] == words), "Paris." if words == QUESTION else "")
        look = f"flex:1 1 240px;border:1px solid {EDGE};border-radius:6px;padding:6px 10px;background:{GROUND}"
        cells = "".join(
            f'<div style="{look}">'
            f'<small style="{FAINT}">{name}</small><div>{escape(said)}</div>'
            f'<small style="{FAINT}">{"stopped by itself" if stopped else f"cut off after {SHOWN} tokens"}'
            f"</small></div>" for name, (said, stopped) in zip(("before", "after"), both, strict=True))
        told = f" The right answer: {right}" if right else ""
        return markup.card(f"<b>{escape(words)}</b>{escape(told)}"
                           f'<div style="display:flex;flex-wrap:wrap;gap:10px;margin-top:6px">{cells}</div>',
                           f"{words} Before: {both[0][0]} After: {both[1][0]}{told}")

    controls = {"kind": choice("a held-out question", options), "question": text("or your own")}
    return Live("before and after", controls, draw, repeatable=False)


def story_lost(*, start: int = 0) -> Live:
    """An unread story; the deeper the colour, the dearer the token became by fine-tuning."""
    tokenizer, ids = material().tokenizer, material().fresh[1:121].tolist()

    def draw(which: str) -> markup.Markup:
        lost = runs.shipped()["forgetting"][which]["rises"]
        chips = [markup.chip(visible(piece), colour=shade(rise / 3, RED), hint=f"{rise:+.2f} nats")
                 for piece, rise in zip(tokenizer.pieces(ids), lost, strict=True)]
        order = sorted(lost, reverse=True)
        share = sum(order[:len(order) // 10]) / sum(rise for rise in lost if rise > 0)
        mean, middle = (round(each, 2) + 0.0 for each in (sum(lost) / len(lost), median(lost)))  # + 0.0: no -0.00
        words = (f"Mean {mean:+.2f} nats per token; the median token {middle:+.2f}; "
                 f"a tenth of the tokens makes up {share:.0%} of all that became dearer.")
        return markup.card(f"{markup.flow(chips)}<div>{words}</div>", words)

    controls = {"which": choice("fine-tuned with", {"questions alone": "stories 0%",
                                                     "a quarter of the steps stories": "stories 25%"})}
    return Live("what a story lost", controls, draw)


def chat(model_of: Callable[[], nn.Module], *, template: Template | None = None) -> Clock:
    """Ask, and watch the answer being written; stop it when you have read enough."""
    form = template or Template()

    def start(question: str, temperature: float) -> Iterator[str]:
        model, tokenizer, said = model_of(), material().tokenizer, []
        yield ""
        for token in generate(model, form.ask(question, tokenizer), n_tokens=60, temperature=temperature,
                              stop=tokenizer.end_of_text):
            said.append(token)
            yield tokenizer.decode(said)

    def draw(history: Sequence[str], question: str, temperature: float) -> markup.Markup:
        said = history[-1].strip() if history else ""
        bubble = "max-width:85%;border-radius:10px;padding:6px 12px;margin:4px 0;overflow-wrap:anywhere"
        return markup.card(
            f'<div style="{bubble};background:{TINTS[0]};margin-left:auto;width:fit-content">{escape(question)}</div>'
            f'<div style="{bubble};background:{READ};width:fit-content;min-height:1.5em">{escape(said) or "…"}</div>',
            f"{question} The model answers: {said}")

    controls = {"question": text("ask", QUESTION), "temperature": slider("temperature", [0.0, 0.5, 1.0], 0.0)}
    return Clock("chat", controls, start, draw, first=61, limit=62, auto=0.6, buttons={"reset": "ask again"},
                 unit="token")


