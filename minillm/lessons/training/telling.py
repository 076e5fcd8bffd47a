"""Put into words and a table where one run, or two that race, stand."""
from __future__ import annotations

from collections.abc import Sequence
from html import escape

from minillm.config import ModelConfig
from minillm.corpora import Corpus
from minillm.costs import parameters
from minillm.lessons.training.experiment import Material, Moment
from minillm.lessons.training.plots import Curve, smooth
from minillm.lessons.training.verdict import coloured, finished, grammar, judged
from minillm.notebook import markup
from minillm.notebook.markup import EDGE, FAINT

SHORT, LATELY = 60, 3     # characters of the first sample; samples whose sentences are counted
HEIGHT = 238              # pixels at most: what is written stands beside the curves, and nothing below it jumps


def curve_of(label: str, moments: Sequence[Moment]) -> Curve:
    """What a run has shown so far, as lines to draw."""
    return Curve(label, [m.step.loss for m in moments], [m.step.lr for m in moments],
                 [m.step.grad_norm for m in moments],
                 [(m.step.step + 1, m.validation) for m in moments if m.validation is not None])


def numbers(curves: Sequence[Curve], configs: Sequence[ModelConfig], n_steps: int, material: Material,
            said: str = "") -> markup.Markup:
    """A row for each run, and how the first of them compares with what is usual."""
    rows = []
    for curve, config in zip(curves, configs, strict=True):
        trained, (at, held) = curve.recent, curve.validation[-1] if curve.validation else (0, None)
        last = [f"{value:.2f}" if value is not None else "–" for value in
                (curve.loss[-1] if curve.loss else None, trained, held,
                 held - float(smooth(curve.loss[:at])[-1]) if held is not None else None)]   # both at that step
        rows.append([curve.label, sum(parameters(config).values()), f"{len(curve.loss)} of {n_steps}", *last,
                     f"{curve.grad_norm[-1]:.1f}" if curve.grad_norm else "–"])
    head = ["", "parameters", "step", "last batch", "last batches", "held-out", "gap", "gradient norm"]
    corpus = material.corpus
    title = (f"<b>{escape(corpus.title or corpus.name)}</b>: {corpus.characters:,} characters, "
             f"{material.tokenizer.vocab_size:,} different tokens")
    said = f"<div>{escape(said)}</div>" if said else ""
    return markup.card(f"{title}{markup.table(head, rows)}{said}",
                       f"Learning {corpus.title or corpus.name}. Step {rows[0][2]}, loss {rows[0][3]}, held-out loss "
                       f"{rows[0][5]}.")


def written(corpus: Corpus, moments: Sequence[Moment]) -> markup.Markup:
    """What the run wrote first, in short, and last; of stories also which sentences their grammar allows."""
    samples = [(each.written_at, each.sample) for each in moments if each.sample is not None]
    if not samples:
        return markup.card(f'<b>What it writes</b><div style="{FAINT}">nothing yet; ask again after 20 steps</div>',
                           "It has written nothing yet.")
    done, text = samples[-1]
    share, shown = "", escape(text.strip())
    if corpus.name == "stories":
        whole = finished(text, ended=False)
        rest = " ".join(grammar().sentences(text)[len(whole):])
        shown = f"{coloured(judged(whole))} {escape(rest)}"
        found = [allowed for _, each in samples[-LATELY:] for _, allowed in judged(finished(each, ended=False))]
        share = f"Of its last {len(found)} sentences the grammar allows {sum(found)}." if found else ""
    side = "rtl" if corpus.right_to_left else "ltr"
    first = [_written(samples[0][0], escape(samples[0][1].strip()[:SHORT]) + "…", side)] if len(samples) > 1 else []
    inside = "".join([f'<b>What it writes</b>, from nothing. <span style="{FAINT}">{share}</span>', *first,
                      _written(done, shown, side)])
    return markup.card(f'<div style="max-height:{HEIGHT}px;overflow-y:auto">{inside}</div>',
                       f"It writes: {text} {share}")


def _written(done: int, html: str, side: str) -> str:
    """A sample below the number of steps after which it was written."""
    look = f"border-top:1px solid {EDGE};padding:2px 0;white-space:pre-wrap;overflow-wrap:anywhere"
    return (f'<div style="{FAINT};font-size:12px">after {done} steps</div>'
            f'<div dir="{side}" style="{look}">{html}</div>')
