"""Play with a block: shift and scale a row, unbalance a router, deepen a stack, race its parts."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice

import torch

from minillm.config import ModelConfig
from minillm.layers.norm import LayerNorm, RMSNorm
from minillm.layers.residual import RESIDUALS
from minillm.lessons.block import measures, races
from minillm.lessons.block.measures import CURES, ORDERS, STARTS, WORDS, Sizes
from minillm.lessons.block.plots import DepthChart, NormBars, bars_of_experts, race_picture
from minillm.notebook import markup
from minillm.notebook.clock import Clock
from minillm.notebook.plots import COLOURS, RED, Picture
from minillm.notebook.widgets import Live, choice, slider, toggle
from minillm.optim import adamw, constant
from minillm.training import train

ROW = (1.0, 3.0, 5.0, 7.0)
WAYS = {"inside the root": "inside", "added to the root": "outside", "nowhere": "none"}


def rms_row(x: torch.Tensor, where: str, eps: float = 1e-5) -> torch.Tensor:
    """RMSNorm of a row without a gain, with ε where it belongs or where people put it."""
    square = x.square().mean(-1, keepdim=True)
    if where == "inside":
        return x / torch.sqrt(square + eps)
    return x / (torch.sqrt(square) + (eps if where == "outside" else 0.0))


def norm_dials() -> Live:
    """Scale and shift a row of four numbers, and see which norm notices."""
    figure = NormBars(len(ROW))
    row, layer, size = torch.tensor(ROW), LayerNorm(len(ROW)), RMSNorm(len(ROW))

    def draw(scale: float, shift: float, eps: str) -> Picture:
        x = row * scale + shift
        with torch.no_grad():
            now = [x.tolist(), layer(x).tolist(), rms_row(x, eps).tolist()]
            rest = [list(ROW), layer(row).tolist(), size(row).tolist()]
        figure.draw(now, rest)
        said = []
        for name, new, old in zip(("LayerNorm", "RMSNorm"), now[1:], rest[1:], strict=True):
            if any(map(math.isnan, new)):
                said.append(f"{name} gives 0 / 0, which is no number")
                continue
            far = max(abs(a - b) for a, b in zip(new, old, strict=True))
            said.append(f"{name}'s output {'stands still' if far < 0.005 else f'moves by up to {far:.2f}'}")
        sign = "−" if shift < 0 else "+"
        return figure.figure.describe(f"The row × {scale:g} {sign} {abs(shift):g}: {'; '.join(said)}.")

    controls = {"scale": slider("scale", [0, 1e-3, 1e-2, 0.1, 0.5, 1, 2, 10, 100], 1),
                "shift": slider("shift", [-8, -4, -2, -1, 0, 1, 2, 4, 8], 0),
                "eps": choice("RMSNorm's ε stands", WAYS)}
    return Live("two norms", controls, draw, rows=[["scale", "shift"], ["eps"]])


def fair_widths() -> Live:
    """What each kind of MLP holds and costs, at one width or at equal parameters."""
    def draw(d_model: int, fair: bool) -> markup.Markup:
        rows, counts = [], {}
        for name, kind in {"ReLU, GELU, ReLU²": "gelu", "SwiGLU, GeGLU": "swiglu"}.items():
            config = ModelConfig(d_model=d_model, n_heads=4, n_layers=1, mlp=kind, d_ff=None if fair else 4 * d_model)
            width = config.resolve().d_ff
            matrices = 3 if kind == "swiglu" else 2
            counts[name] = matrices * d_model * width
            rows.append([name, matrices, width, counts[name], 2 * counts[name]])
        plain, gated = counts.values()
        words = (f"At d_model {d_model} the gated MLP holds {gated:,} weights and the plain one {plain:,}: "
                 f"{round(gated / plain - 1, 3) + 0.0:+.1%}.")    # + 0.0: no number is minus zero
        head = ["MLP", "matrices", "hidden width", "weights", "operations per token"]
        return markup.card(f"{markup.table(head, rows)}<div>{words}</div>", words)

    controls = {"d_model": slider("d_model", [64, 128, 512, 768, 2048, 4096], 768), "fair": toggle("equal parameters")}
    return Live("the price of a gate", controls, draw)


def who_moves() -> Live:
    """Change the vector of one word, and see at which words a part's output moves."""
    built = measures.parts()

    def draw(part: str, changed: int) -> markup.Markup:
        moved = measures.moved_by(built[part], changed)
        most = max(moved)
        chips = []
        for place, (word, far) in enumerate(zip(WORDS, moved, strict=True)):
            chip = markup.chip(word, colour=markup.shade(far / most, RED), below=f"{far:.1f}" if far else "0")
            outline = f'<span style="outline:2px solid {COLOURS["query"]};border-radius:4px">{chip}</span>'
            chips.append(outline if place == changed else chip)
        others = [word for place, (word, far) in enumerate(zip(WORDS, moved, strict=True)) if far and place != changed]
        before = [word for place, (word, far) in enumerate(zip(WORDS, moved, strict=True)) if far and place < changed]
        words = f"“{WORDS[changed]}” is changed. Through {part}, "
        words += "no other word moves." if not others else f"{len(others)} other words move"
        words += "" if not others else (": the future reaches the past." if before else ", all of them later ones.")
        return markup.card(f'{markup.flow(chips)}<div>{words}</div>', words)

    controls = {"part": choice("through", list(built)),
                "changed": slider("the word that is changed", range(len(WORDS)), 5)}
    return Live("who moves", controls, draw)


def _turned(names: Mapping[str, str]) -> dict[str, str]:
    """Value -> the name that it has on the page."""
    return {value: name for name, value in names.items()}


def size_by_depth(*, first: int = 1) -> Clock:
    """The stream and its gradient layer by layer, before training and while it trains."""
    chart, orders, starts = DepthChart(), _turned(ORDERS), _turned(STARTS)

    @cache
    def untrained(order: str, start: str, depth: int, residual: str) -> Sizes:
        return measures.layer_sizes(measures.deep(order, start, depth, residual=residual), *measures.window())

    def start(order: str, start: str, depth: int, residual: str) -> Iterator[Sizes]:
        model = measures.deep(order, start, depth, residual=residual)
        inputs, targets = measures.window()
        for _ in train(model, ((inputs, targets) for _ in iter(int, 1)), optimizer=adamw(model, lr=3e-3),
                       schedule=constant(warmup=10), n_steps=200, precision="fp32"):
            yield measures.layer_sizes(model, inputs, targets)

    def draw(history: Sequence[Sizes], order: str, start: str, depth: int, residual: str) -> Picture:
        return chart.draw([untrained(order, start, depth, residual), *history[-1:]], len(history),
                          f"Order {orders[order]}; what writes starts: {starts[start]}; the residual stream "
                          f"{RESIDUALS[residual].label}")

    controls = {"order": choice("order", ORDERS), "start": choice("what writes to the stream starts", STARTS, "none"),
                "depth": slider("layers", [2, 4, 8, 12, 16], 12),
                "residual": choice("residual stream", {kind.label: name for name, kind in RESIDUALS.items()})}
    return Clock("size by depth", controls, start, draw, first=first, run=50, limit=200,
                 rows=[["order", "start"], ["residual", "depth"]])


class Race(Clock):
    """A clock whose run is as long as those that it is compared with."""

    def total(self) -> int:
        return races.COMPARISONS[self.values["runner"][0]].n_steps


def race(*, comparison: str = "MLP, equal parameters") -> Race:
    """Five seeds of each runner as bands, and one more run of the reader's choice, live."""
    everyone = {f"{each}: {name}": (each, name) for each, asked in races.COMPARISONS.items() for name in asked.runners}

    def start(runner: tuple[str, str], seed: int) -> Iterator[tuple[int, float]]:
        yield from islice(races.race_of(*runner, seed), 1, None)     # without the loss before the first step

    def draw(history: Sequence[tuple[int, float]], runner: tuple[str, str], seed: int) -> Picture:
        comparison, name = runner
        seen = [(step, loss) for step, loss in history if not math.isnan(loss)]
        floor = races.letter_entropy() if comparison == races.BREAKS else None
        return race_picture(races.shipped_curves()[comparison], every=races.EVERY, floor=floor, live=(name, seen),
                            title=f"Who wins? {comparison}")

    first = next(each for each in everyone.values() if each[0] == comparison)
    controls = {"runner": choice("race, and your run in it", everyone, first), "seed": slider("its seed", range(5, 15))}
    longest = max(each.n_steps for each in races.COMPARISONS.values())
    return Race("race", controls, start, draw, first=1, run=100, limit=longest,
                rows=[["runner"], ["seed"]])


def router_dial() -> Live:
    """Favour some experts more and more: who is busy, and what the balance loss says, rightly and wrongly computed."""
    def draw(strength: float, experts_per_token: int) -> list:
        scores = measures.favourites(strength)
        load, probability = measures.expert_loads(scores, experts_per_token)
        picture = bars_of_experts({"share of the assignments": load.tolist(), "mean probability": probability.tolist()},
                                  "Who is asked, and how likely?", ylabel="share")
        values = measures.balance_four_ways(scores, experts_per_token)
        rows = [[name, f"{value:.2f}"] for name, value in values.items()]
        words = (f"The balance loss is {values['right']:.2f}; 1 is perfect balance, {scores.shape[-1]} one expert "
                 f"for all.")
        return [picture, markup.card(markup.table(["balance loss", "value"], rows), words)]

    controls = {"strength": slider("how much the first are favoured", [0, 0.25, 0.5, 1, 2, 4]),
                "experts_per_token": slider("experts per token", [1, 2, 4])}
    return Live("router", controls, draw, rows=[["strength", "experts_per_token"]])


def experts(*, first: int = 12) -> Clock:
    """A mixture while it learns: how busy each of its eight experts is."""
    def start(cure: str, seed: int) -> Iterator[measures.Routed]:
        yield from measures.mixture(cure, seed=seed)

    def draw(history: Sequence[measures.Routed], cure: str, seed: int) -> Picture:
        shown = history or [next(measures.mixture(cure, seed=seed))]
        moments = {f"step {i + 1}" if history else "before the first step": shown[i].shares
                   for i in sorted({0, len(shown) // 2, len(shown) - 1})}
        picture = bars_of_experts(moments, f"How busy is each expert? Cure: {cure}")
        when = f"in step {len(history)}" if history else "before the first step"
        return picture.describe(f"{picture.alt} Loss {shown[-1].loss:.2f} {when}.")

    controls = {"cure": choice("against favourites", list(CURES)), "seed": slider("seed", range(5))}
    return Clock("experts", controls, start, draw, first=first, run=50, limit=150, rows=[["cure", "seed"]])
