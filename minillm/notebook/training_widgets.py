"""Train a small model on the page: race it, read one batch with it, see where it looks, let it write."""
from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import ipywidgets
import numpy as np
import torch

from minillm import corpora
from minillm.corpora import Corpus
from minillm.inspection import capture
from minillm.notebook import experiment, markup
from minillm.notebook.clock import Clock, one_thread
from minillm.notebook.experiment import CHANGES, OWN, Material, Moment, Run, configure, rival_of, uploaded
from minillm.notebook.plots import COLOURS, EDGE, INK, MUTED
from minillm.notebook.training_plots import Attention, Board, Curve, Finder, Valley, schedule_curve
from minillm.notebook.widgets import Live, button, choice, slider, text
from minillm.optim import adamw, constant, warmup_cosine, warmup_linear, warmup_stable_decay
from minillm.training import train

MINE = "a file of my own"
NOBODY = "nobody"
AS_IS = {"as the preset has it": ""}


class TrainingLab(Clock):
    """Choose a text and a model, train it, and watch it against a rival on the same batches from the same seed.

    `lab.run` is the model in training and `lab.rival` the other one; `lab.batch()`, `lab.attention()` and
    `lab.writer()` look at `lab.run` as it is at that moment.
    """

    def __init__(self, corpus: Corpus):
        self.material: Material = experiment.prepare(corpus)
        self._first_text = corpus.name
        self.run: Run | None = None
        self.rival: Run | None = None
        self._board = Board()
        upload = ipywidgets.FileUpload(description="choose a file (UTF-8 text)", multiple=True,
                                       layout=ipywidgets.Layout(width="auto"))
        controls = {
            "text": choice("text", {_titled(name): name for name in _texts(corpus)} | {MINE: MINE}),
            "upload": upload,
            "preset": choice("preset", list(experiment.ARCHITECTURES), OWN),
            "size": choice("size", {"nano: 2 layers of width 64": "nano", "small: 4 layers of width 128": "small"}),
            "norm": choice("norm", AS_IS | {"RMSNorm": "rmsnorm", "LayerNorm": "layernorm"}),
            "position": choice("position", AS_IS | {
                "RoPE": "rope", "learned": "learned", "sinusoidal": "sinusoidal", "ALiBi": "alibi", "none": "none"}),
            "mlp": choice("MLP", AS_IS | {"GELU": "gelu", "ReLU²": "relu2", "SwiGLU": "swiglu", "GeGLU": "geglu"}),
            "attention": choice("attention", AS_IS | {
                "MHA: 4 key heads": "mha", "GQA: 2 key heads": "gqa", "MQA: 1 key head": "mqa"}),
            "lr": slider("learning rate", [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1], 3e-3, show="{:g}".format),
            "n_steps": slider("steps", [100, 200, 500, 1000, 2000, 5000], 500),
            "seed": slider("seed", [0, 1, 2, 3, 4], 0),
            "against": choice("race against", {NOBODY: NOBODY} | {f"the same with {name}": name for name in CHANGES},
                              "learning rate ÷ 10"),
        }
        super().__init__("training lab", controls, self._train, self._show, first=20, run=100,
                         rows=[["text", "upload"], ["preset", "size"], ["norm", "position", "mlp", "attention"],
                               ["lr", "n_steps", "seed"], ["against"]])

    # looking at the model in training

    def batch(self) -> Live:
        """One window of the next batch, token by token, before and after the step."""
        return batch_microscope(self)

    def attention(self) -> Live:
        """Where one head of one layer looks."""
        return attention_map(self)

    def writer(self) -> Live:
        """Text from a prompt."""
        return writer(self)

    def current(self) -> Run:
        """The model in training; where no step was made yet, the first ones are."""
        if self.run is None:
            self.advance(self._first)
        return self.run

    # the work of the clock

    def _train(self, *, text: str, upload: Any, lr: float, n_steps: int, seed: int, against: str, preset: str,
               size: str, **fields: str) -> Iterator[tuple[Moment, ...]]:
        self.material = self._prepare(text, upload)
        config = configure(preset, size, self.material.tokenizer.vocab_size, **fields)
        other = None if against == NOBODY else rival_of(config, lr, against)
        self.run = Run(self.material, config, lr=lr, n_steps=n_steps, seed=seed)
        self.rival = other and Run(self.material, other[0], lr=other[1], n_steps=n_steps, seed=seed)
        return zip(*(run.steps() for run in (self.run, self.rival) if run), strict=True)

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

    def _show(self, history: list[tuple[Moment, ...]], *, against: str, **_: Any) -> list:
        if not history:                    # after a reset, or a changed control: show the model before its first step
            self.advance(1)
        labels = ["this model", f"with {against}"]
        runs = [run for run in (self.run, self.rival) if run]
        curves = [_curve(label, [moments[i] for moments in self.history])
                  for i, (label, _) in enumerate(zip(labels, runs, strict=False))]
        board = self._board.draw(curves, vocab_size=self.material.tokenizer.vocab_size)
        return [board, self._numbers(curves, runs)]

    def _numbers(self, curves: list[Curve], runs: list[Run]) -> markup.Markup:
        rows = []
        for i, (curve, run) in enumerate(zip(curves, runs, strict=True)):
            steps = [moments[i].step for moments in self.history]
            late = steps[self._first:][-20:]  # the first steps made the stored picture, and their speed is nobody's
            speed = round(sum(s.tokens for s in late) / sum(s.seconds for s in late), -2) if late else None
            rows.append([curve.label, run.n_parameters, f"{len(steps)} of {run.n_steps}", f"{curve.loss[-1]:.2f}",
                         f"{curve.validation[-1][1]:.2f}", f"{steps[-1].grad_norm:.1f}",
                         f"{speed:,.0f}" if speed else "–"])
        table = markup.table(["", "parameters", "step", "loss of the last batch", "held-out loss", "gradient norm",
                              "tokens/s"], rows)
        corpus = self.material.corpus
        samples = [(moments[0].step.step + 1, moments[0].sample) for moments in self.history
                   if moments[0].sample is not None]
        side = "rtl" if corpus.right_to_left else "ltr"
        written = "".join(
            f'<div style="display:flex;gap:10px;border-top:1px solid {EDGE};padding:3px 0">'
            f'<div style="color:{MUTED};width:105px;flex:none">after {done} step{"s" if done > 1 else ""}</div>'
            f'<div dir="{side}" style="white-space:pre-wrap;flex:1;overflow-wrap:anywhere">{escape(sample.strip())}'
            "</div></div>"
            for done, sample in [*samples[:1], *samples[1:][-3:]])
        head = (f"<b>{escape(corpus.title or corpus.name)}</b>: {corpus.characters:,} characters, "
                f"{self.material.tokenizer.vocab_size:,} different ones")
        return markup.card(f"{head}{table}<b>What it writes</b>, from nothing, as it learns{written}",
                           f"Learning {corpus.title or corpus.name}. Step {rows[0][2]}, loss {rows[0][3]}, held-out "
                           f"loss {rows[0][4]}. After {samples[-1][0]} steps it writes: {samples[-1][1]}")


def training_lab(corpus: Corpus) -> TrainingLab:
    """Train on a text of one's choice, with a rival."""
    return TrainingLab(corpus)


def _texts(first: Corpus) -> list[str]:
    """The text at hand, then all that can be had by name."""
    return [first.name, *(name for name in corpora.names() if name != first.name)]


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


# -- one element of one batch ----------------------------------------------------------------------------------------

def batch_microscope(lab: TrainingLab) -> Live:
    """What the model expects at each place of a window, and what one step on its batch changes."""
    looked: dict[str, Any] = {}

    def look() -> dict[str, Any]:
        run = lab.current()
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
        tokenizer, rtl = lab.run.material.tokenizer, lab.run.material.corpus.right_to_left
        inputs, targets = seen["inputs"][row], seen["targets"][row]
        shown = seen[show][row]
        p_target = shown.gather(-1, targets[:, None])[:, 0]
        pieces = [_visible(piece) for piece in tokenizer.pieces(targets.tolist())]
        chips = [_target_chip(piece, float(p), chosen=i == place) for i, (piece, p) in
                 enumerate(zip(pieces, p_target, strict=True))]
        window = (f'<div style="white-space:nowrap;color:{MUTED}">first read: '
                  f"<b>{escape(_visible(tokenizer.pieces([int(inputs[0])])[0]))}</b>; then, on "
                  f"{_scale()}, what really came</div>{markup.flow(chips, rtl=rtl)}")
        two = [seen[when][row, place] for when in ("before", "after")]
        target = int(targets[place])
        ranks = [1 + int((p > p[target]).sum()) for p in two]
        best = two[0].topk(min(8, len(two[0]))).indices.tolist()
        rows = [_alternative(_visible(tokenizer.pieces([token])[0]), [float(p[token]) for p in two], token == target)
                for token in [*best, *([] if target in best else [target])]]
        read = tokenizer.decode(inputs[max(0, place - 20):place + 1].tolist())
        words = (f"Position {place} of window {row}: what came has rank {ranks[0]} and probability "
                 f"{float(two[0][target]):.0%}; after one step on this batch rank {ranks[1]} and "
                 f"{float(two[1][target]):.0%}.")
        bars = (f'<div style="display:grid;grid-template-columns:max-content 1fr 1fr;gap:3px 10px;max-width:640px">'
                f'<b>next?</b><b>before the step</b><b>after it</b>{"".join(rows)}</div>')
        story = (f'<div>Having read <bdi style="background:{EDGE};padding:0 4px">…{escape(_visible(read))}</bdi>, '
                 f'it must guess. {words}</div>')
        return markup.card(f'{window}<hr style="border:none;border-top:1px solid {EDGE}">{story}{bars}', words)

    controls = {"row": slider("window of the batch", range(experiment.BATCH)),
                "place": slider("position", range(experiment.CONTEXT), 20),
                "show": choice("colours", {"before the step": "before", "after the step": "after"}),
                "refresh": button("look again", "take the model as it is now")}
    return Live("one batch", controls, draw, rows=[["row", "place"], ["show", "refresh"]], repeatable=False)


def _visible(piece: str) -> str:
    return piece.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "␣")


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
    chip = markup.chip(piece, colour=_shade(p), hint=f"probability {p:.0%}")
    return f'<span style="outline:2px solid {COLOURS["target"]};border-radius:4px">{chip}</span>' if chosen else chip


def _alternative(piece: str, p: list[float], is_target: bool) -> str:
    """One candidate: its piece, and two bars."""
    colour = COLOURS["target"] if is_target else COLOURS["prediction"]
    came = ' <span style="font-size:11px">(came)</span>' if is_target else ""
    bars = "".join(f'<div><span style="display:inline-block;background:{colour};height:11px;'
                   f'width:{max(1, round(78 * x))}%"></span> <small>{x:.0%}</small></div>' for x in p)
    return f'<div style="color:{INK}"><b><bdi>{escape(piece)}</bdi></b>{came}</div>{bars}'


# -- attention -------------------------------------------------------------------------------------------------------

def attention_map(lab: TrainingLab) -> Live:
    """The pattern of one head on one window, and the text under the gaze of one position."""
    figure = Attention()

    def draw(layer: int, head: int, row: int, query: int) -> list:
        run = lab.current()
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
        chips = [_gaze_chip(_visible(piece), float(look), float(p), chosen=i == query) for i, (piece, look, p) in
                 enumerate(zip(tokenizer.pieces(inputs[0].tolist()), looks, pattern[query], strict=True))]
        head_line = (f"Layer {layer} of {config.n_layers}, head {head} of {config.n_heads}. The outlined position "
                     f"looks back at the blue ones; what comes after it, it cannot see.")
        return [drawn, markup.card(f"<div>{head_line}</div>{markup.flow(chips, rtl=rtl)}", head_line)]

    controls = {"layer": slider("layer", range(1, 5)), "head": slider("head", range(1, 5)),
                "row": slider("window of the batch", range(experiment.BATCH)),
                "query": slider("position that looks", range(experiment.CONTEXT), 40),
                "refresh": button("look again", "take the model as it is now")}
    return Live("attention", controls, draw, rows=[["layer", "head"], ["row", "query"], ["refresh"]], repeatable=False)


def _gaze_chip(piece: str, look: float, p: float, *, chosen: bool) -> str:
    ends = (np.array([250, 249, 245]), np.array([120, 180, 220]))
    colour = "#" + "".join(f"{int(round(v)):02x}" for v in ends[0] + look * (ends[1] - ends[0]))
    chip = markup.chip(piece, colour=colour, hint=f"attention {p:.0%}")
    return f'<span style="outline:2px solid {COLOURS["query"]};border-radius:4px">{chip}</span>' if chosen else chip


# -- writing ---------------------------------------------------------------------------------------------------------

def writer(lab: TrainingLab) -> Live:
    """What the model in training goes on with after a prompt."""
    def draw(prompt: str, temperature: float, top_k: int, n_tokens: int, seed: int) -> markup.Markup:
        run = lab.current()
        with one_thread():
            written = run.write(prompt, n_tokens=n_tokens, temperature=temperature, top_k=top_k or None,
                                seed=seed)
        side = "rtl" if run.material.corpus.right_to_left else "ltr"
        style = "white-space:pre-wrap;overflow-wrap:anywhere"
        return markup.card(f'<div dir="{side}" style="{style}"><b>{escape(prompt)}</b>{escape(written)}</div>',
                           f"After {prompt!r} the model writes: {written}")

    controls = {"prompt": text("prompt", ""),
                "temperature": slider("temperature", [0.0, 0.2, 0.5, 0.8, 1.0, 1.3, 2.0], 0.8),
                "top_k": slider("top-k", [1, 2, 5, 10, 20, 0], 0, show=lambda k: str(k or "all")),
                "n_tokens": slider("characters", [50, 100, 200, 400], 200), "seed": slider("seed", range(10)),
                "refresh": button("write again", "take the model as it is now")}
    return Live("writer", controls, draw, repeatable=False,
                rows=[["prompt"], ["temperature", "top_k"], ["n_tokens", "seed"], ["refresh"]])


# -- dials -----------------------------------------------------------------------------------------------------------

def optimizer_valley() -> Live:
    """Walk down a bowl that is 25 times steeper one way than the other."""
    figure = Valley()
    makers = {"gradient descent": lambda p, lr: torch.optim.SGD([p], lr=lr),
              "with momentum 0.9": lambda p, lr: torch.optim.SGD([p], lr=lr, momentum=0.9),
              "AdamW": lambda p, lr: torch.optim.AdamW([p], lr=lr, betas=(0.9, 0.95), weight_decay=0.0)}

    def draw(rule: str, lr: float, n_steps: int):
        place = torch.nn.Parameter(torch.tensor(Valley.start))
        optimizer, path = makers[rule](place, lr), [Valley.start]
        for _ in range(n_steps):
            optimizer.zero_grad()
            with torch.enable_grad():
                Valley.height(place[0], place[1]).backward()
            optimizer.step()
            path.append(tuple(place.tolist()))
        return figure.draw(np.array(path), rule, lr)

    return Live("valley", {"rule": choice("optimiser", list(makers)),
                           "lr": slider("learning rate", [0.003, 0.01, 0.03, 0.06, 0.078, 0.081, 0.1, 0.3, 1.0], 0.06),
                           "n_steps": slider("steps", [5, 10, 20, 40, 80], 40)}, draw)


def schedule_dial() -> Live:
    """The learning rate over a run, for four usual schedules."""
    makers = {"cosine": warmup_cosine, "straight line": warmup_linear, "stable, then decay": warmup_stable_decay}

    def draw(kind: str, n_steps: int, warmup: int, floor: float):
        schedule = constant(warmup=warmup) if kind == "constant" else makers[kind](n_steps, warmup=warmup, floor=floor)
        return schedule_curve([schedule(step) for step in range(n_steps)], kind, warmup=warmup)

    def rules(kind: str, **_: Any) -> dict[str, str]:
        return {"floor": "a constant schedule never falls"} if kind == "constant" else {}

    return Live("schedule", {"kind": choice("schedule", [*makers, "constant"]),
                             "n_steps": slider("steps", [100, 200, 500, 1000], 200),
                             "warmup": slider("warm-up steps", [0, 10, 20, 50, 100], 20),
                             "floor": slider("floor", [0.0, 0.1, 0.2, 0.5], 0.1)}, draw, rules=rules)


def learning_rate_finder(corpus: Corpus) -> Clock:
    """Train for 60 steps, each with a learning rate a fifth above the last, and see where the loss turns."""
    material, figure = experiment.prepare(corpus), Finder()

    def start(norm: str, rule: str) -> Iterator:
        config = configure(OWN, "nano", material.tokenizer.vocab_size, norm=norm)
        run = Run(material, config)
        optimizer = {"adamw": lambda: adamw(run.model, lr=1e-4),
                     "sgd": lambda: torch.optim.SGD(run.model.parameters(), lr=1e-4)}[rule]()
        return train(run.model, run.stream, optimizer=optimizer, schedule=lambda step: 1.2 ** step, n_steps=60,
                     precision="fp32")

    def draw(history: list, **_: Any):
        return figure.draw([step.lr for step in history], [step.loss for step in history])

    def safe(**settings: Any) -> Iterator:
        try:
            yield from start(**settings)
        except FloatingPointError:      # far too large a rate: the picture shows it, and there is nothing to add
            return

    controls = {"norm": choice("norm", {"RMSNorm": "rmsnorm", "LayerNorm": "layernorm"}),
                "rule": choice("optimiser", {"AdamW": "adamw", "gradient descent": "sgd"})}
    return Clock("learning-rate finder", controls, safe, draw, first=60, run=60, rows=[["norm", "rule"]])
