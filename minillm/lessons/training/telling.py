"""Put into words and a table where one run, or two that race, stand."""
from __future__ import annotations

from collections.abc import Sequence
from html import escape

from minillm.config import ModelConfig
from minillm.costs import parameters
from minillm.lessons.training.experiment import Material, Moment
from minillm.lessons.training.plots import Curve, smooth
from minillm.notebook import markup
from minillm.notebook.markup import EDGE, FAINT


def curve_of(label: str, moments: Sequence[Moment]) -> Curve:
    """What a run has shown so far, as lines to draw."""
    return Curve(label, [m.step.loss for m in moments], [m.step.lr for m in moments],
                 [m.step.grad_norm for m in moments],
                 [(m.step.step + 1, m.validation) for m in moments if m.validation is not None])


def numbers(curves: Sequence[Curve], configs: Sequence[ModelConfig], n_steps: int, material: Material,
            moments: Sequence[Moment], said: str = "") -> markup.Markup:
    """A row for each run, and what the first of them writes as it learns."""
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
    samples = [(each.written_at, each.sample) for each in moments if each.sample is not None]
    side = "rtl" if corpus.right_to_left else "ltr"
    written = "".join(_written(done, sample, side) for done, sample in [*samples[:1], *samples[1:][-1:]])
    title = (f"<b>{escape(corpus.title or corpus.name)}</b>: {corpus.characters:,} characters, "
             f"{material.tokenizer.vocab_size:,} different tokens")
    written = written or f'<div style="{FAINT}">nothing yet; ask again after 20 steps</div>'
    said = f"<div>{escape(said)}</div>" if said else ""
    return markup.card(f"{title}{markup.table(head, rows)}{said}<b>What it writes</b>, from nothing{written}",
                       f"Learning {corpus.title or corpus.name}. Step {rows[0][2]}, loss {rows[0][3]}, held-out loss "
                       f"{rows[0][5]}. It writes: {samples[-1][1] if samples else 'nothing yet'}")


def _written(done: int, sample: str, side: str) -> str:
    """A sample beside the number of steps after which it was written."""
    row, text_style = f"display:flex;gap:10px;border-top:1px solid {EDGE};padding:3px 0", "flex:1;white-space:pre-wrap"
    return (f'<div style="{row}"><div style="{FAINT};width:105px;flex:none">after {done} steps</div>'
            f'<div dir="{side}" style="{text_style};overflow-wrap:anywhere">{escape(sample.strip())}</div></div>')
