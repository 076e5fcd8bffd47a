"""Draw a configuration: what follows what, where the norms are, and the shape at every step."""
from __future__ import annotations

from collections.abc import Sequence

from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch

from minillm.config import ModelConfig
from minillm.layers import ADDED, BIASED, MLPS, POSITIONS
from minillm.layers.accounts import label, tally
from minillm.lessons.architectures.insides import order
from minillm.model import labels
from minillm.notebook.drawings import Words
from minillm.notebook.plots import CARD, COLOURS, INK, MUTED, Picture, picture

HEIGHT = 540


def block_diagram(config: ModelConfig, title: str) -> Picture:
    """The model from tokens to logits (left), and one of its blocks opened up (right)."""
    c = config.resolve()
    figure = picture(height=HEIGHT, title=title)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 720), ylim=(HEIGHT, 0))
    ax.axis("off")
    _stack(ax, c)
    _block(ax, c)
    return figure.describe(
        f"{title}: {c.n_layers} blocks with {_said(c, 'norm_order')} ({_said(c, 'norm')}); "
        f"{'; '.join(attention_facts(c))}; {'; '.join(mlp_facts(c))}"
        f"{'; layers differ in ' + ', '.join(strips(c)) if strips(c) else ''}.")


def attention_facts(config: ModelConfig) -> list[str]:
    """What there is to say of the attention, in short lines."""
    c = config.resolve()
    linear = [i for i in range(c.n_layers) if c.is_linear(i)]
    states = [f"{labels('linear_attention')[c.linear_attention]} in {len(linear)} of {c.n_layers} layers: a state of "
              f"{c.d_head} × {c.d_head} a key head"] if linear else []
    states += [f"a convolution of {c.conv_width} before it"] * bool(linear and c.conv_width)
    states += [f"the first of every {c.full_every} keeps its keys"] * bool(linear and c.full_every and c.full_first)
    if len(linear) == c.n_layers:
        return [f"{c.n_heads} query heads of width {c.d_head}", *states, *_beside_heads(c)]
    group = c.n_heads // c.n_kv_heads
    sharing = {1: "one key head per query head (MHA)", c.n_heads: "one key head for all (MQA)"}
    facts = {"heads": [f"{c.n_heads} query heads of width {c.d_head}",
                       sharing.get(group, f"{c.n_kv_heads} key heads, {group} queries share one (GQA)")],
             "latent": [f"{c.n_heads} query heads of width {c.d_head} + {c.d_rotary}",
                        f"keys, values read from a latent of {c.d_latent:,} (MLA)",
                        f"cached: the latent, a rotary key of {c.d_rotary}",
                        *[f"queries read from one of {c.d_query or 0:,}"] * bool(c.d_query)]}[c.attention]
    if c.position == "rope":
        share = "" if c.rope_fraction == 1 else f" on {c.rope_fraction:.0%} of each head"
        longer = f", stretched {c.rope_scaling.factor:g} × ({c.rope_scaling.kind})" if c.rope_scaling else ""
        facts.append(f"RoPE, θ = {c.rope_theta:,.0f}{share}{longer}")
        still = sum(not c.is_turned(i) for i in range(c.n_layers))
        if still:
            facts.append(f"no positions in {still} of {c.n_layers} layers (NoPE)")
        facts += ["neighbours turn together"] * (c.rope_pairs == "neighbours")
    elif c.position in BIASED:
        facts.append(f"{label(BIASED[c.position])}: distance lowers the score")
    if c.qk_norm:
        facts.append({"head": "queries, keys normed per head", "full": "queries, keys normed at full width"}[c.qk_norm])
    windowed = sum(c.is_windowed(i) for i in range(c.n_layers))
    if windowed:
        facts.append(f"window {c.window:,} in {windowed} of {c.n_layers} layers" + (
            f", not in the first of every {c.global_every}" if c.global_first and c.global_every else ""))
    if c.attention_softcap:
        facts.append(f"scores capped at {c.attention_softcap:g}")
    facts += ["a score more, for nothing (sinks)"] * c.attention_sinks
    return [*facts, *states, *_beside_heads(c)]


def _beside_heads(c: ModelConfig) -> list[str]:
    biases = {"all": ["biases everywhere"], "attention": ["biases in attention"],
              "mlp": ["biases in the MLP"], "qkv": ["biases on queries, keys, values"], "none": []}[c.bias]
    return biases + ["a gate on each output"] * c.attention_gate


def mlp_facts(config: ModelConfig) -> list[str]:
    """What there is to say of the MLP or the mixture, in short lines."""
    c = config.resolve()
    mlp = _said(c, "mlp")
    if not c.n_experts:
        return [f"{mlp}, {tally(MLPS[c.mlp], 1, 1).learned} matrices", f"{c.d_model:,} → {c.d_ff:,} → {c.d_model:,}"]
    groups = f", from {c.groups_per_token} of {c.n_expert_groups} groups" * (c.groups_per_token < c.n_expert_groups)
    facts = [f"router: {c.experts_per_token} of {c.n_experts} experts{groups}",
             f"each {mlp} {c.d_model:,} → {c.d_expert:,}"]
    if c.n_shared_experts:
        facts.append(f"and {c.n_shared_experts} that every token visits")
    facts += ["the router has a bias"] * c.router_bias
    facts += ["each judged by itself (sigmoid)"] * (c.router == "sigmoid")
    facts += ["a bias that is nudged balances them"] * c.balance_bias
    if c.n_dense_layers:
        facts.append(f"first {c.n_dense_layers} of {c.n_layers} layers dense")
    return facts


def _said(c: ModelConfig, choice: str) -> str:
    return labels(choice)[getattr(c, choice)]


def _stack(ax, c: ModelConfig) -> None:
    steps = [("tokens", MUTED, "seq"), (f"embed {c.vocab_size:,} × {c.d_model:,}", COLOURS["embedding"], None)]
    if c.embed_scale:
        steps.append((f"× √{c.d_model:,}", COLOURS["embedding"], None))
    if c.position in ADDED:
        steps.append((f"+ {label(POSITIONS[c.position])}", COLOURS["embedding"], None))
    if c.embed_norm:
        steps.append((_said(c, "norm"), COLOURS["norm"], None))
    if c.residual != "plain":
        steps.append((f"before each block: {_said(c, 'residual')}", COLOURS["residual"], None))
    steps[-1] = (*steps[-1][:2], f"seq × {c.d_model:,}")
    steps.append((f"{c.n_layers} × block", COLOURS["residual"], f"seq × {c.d_model:,}"))
    if c.norm_order != "post":
        steps.append((_said(c, "norm"), COLOURS["norm"], None))
    tied = " (tied)" if c.tie_embeddings else ""
    steps.append((f"unembed{tied} {c.d_model:,} × {c.vocab_size:,}", COLOURS["embedding"], f"seq × {c.vocab_size:,}"))
    if c.logit_softcap:
        steps.append((f"cap logits at {c.logit_softcap:g}", COLOURS["norm"], None))
    y = 46
    for i, (words, colour, shape) in enumerate(steps):
        block = words.endswith("× block")
        rows = strips(c) if block else {}
        tall = max(86, 40 + 14 * len(rows)) if block else 30
        _box(ax, 16, y, 230, tall, [words, *[""] * (len(rows) + (len(rows) > 0))], colour)
        for n, (what, holds) in enumerate(rows.items()):
            _strip(ax, y + tall - 8 - 14 * (len(rows) - n), what, holds)
        if block:
            for edge in (y + 4, y + tall - 4):
                _line(ax, [246, 290], [edge, 46 if edge == y + 4 else HEIGHT - 14], color=MUTED, lw=0.8, ls=":")
        gap = 24 if shape else 12
        if i + 1 < len(steps):
            _arrow(ax, 131, y + tall, y + tall + gap)
        if shape:
            _words(ax, 139, y + tall + gap / 2 + 1, shape, fontsize=8.5, color=MUTED)
        y += tall + gap


def strips(c: ModelConfig) -> dict[str, list[bool]]:
    """In what the layers differ, and of which that holds, from the first to the last."""
    def local(i: int) -> bool:
        return c.is_windowed(i) and c.rope_theta_local not in (None, c.rope_theta)
    traits = {"window": c.is_windowed, "its own θ": local, "linear": c.is_linear,
              "no positions": lambda i: c.position == "rope" and not c.is_linear(i) and not c.is_turned(i),
              "dense": lambda i: c.n_experts > 0 and not c.is_mixture(i)}
    found = {name: [holds(i) for i in range(c.n_layers)] for name, holds in traits.items()}
    return {name: held for name, held in found.items() if len(set(held)) > 1}


def _strip(ax, y: float, what: str, holds: Sequence[bool]) -> None:
    """One cell for each layer, filled where something holds."""
    left, wide = 96, 142 / len(holds)
    _words(ax, left - 6, y + 5, what, ha="right", fontsize=8.5)
    gap = min(1.0, wide / 5)
    for colour, wanted in ((COLOURS["residual"] + "40", False), (COLOURS["attention"], True)):
        corners = [[(left + wide * i, y), (left + wide * (i + 1) - gap, y), (left + wide * (i + 1) - gap, y + 10),
                    (left + wide * i, y + 10)] for i, held in enumerate(holds) if held is wanted]
        ax.add_artist(PolyCollection(corners, facecolors=colour, linewidths=0))


def _block(ax, c: ModelConfig) -> None:
    ax.add_artist(FancyBboxPatch((290, 46), 416, HEIGHT - 60, boxstyle="round,pad=0,rounding_size=6", fill=False,
                                ec=MUTED, lw=0.8, ls=":"))
    attention = ("attention", [*attention_facts(c), "runs: " + " → ".join(order(c))], COLOURS["attention"])
    mlp = ("mixture of experts" if c.n_experts else "MLP", mlp_facts(c), COLOURS["mlp"])
    norm, x = _said(c, "norm") + ("" if c.norm_weight else ", no gain"), 312
    before = {"pre": norm, "sandwich": norm}.get(c.norm_order)
    after = {"output": norm, "sandwich": norm}.get(c.norm_order)
    _words(ax, x + 8, 64, f"seq × {c.d_model:,}", fontsize=8.5, color=MUTED)
    if c.norm_order.startswith("parallel"):
        _beside(ax, c, x, norm, attention, mlp)
        return
    y, start = 78, 54
    for name, facts, colour in (attention, mlp):
        y0 = y
        _branch(ax, x, 372, y0)
        if before:
            y = _step(ax, 352, y, 340, [before], COLOURS["norm"])
        y = _step(ax, 352, y, 340, [name, *facts], colour)
        if after:
            y = _step(ax, 352, y, 340, [after], COLOURS["norm"])
        y += 10
        _line(ax, [522, 522, x + 9], [y - 22, y, y])
        _arrow(ax, x, start, y - 9)
        _plus(ax, x, y)
        start = y + 9
        if c.norm_order == "post":
            _arrow(ax, x, start, y + 22)
            _box(ax, 298, y + 22, 150, 26, [norm], COLOURS["norm"])
            start, y = y + 48, y + 44
        y += 26
    _arrow(ax, x, start, max(y + 4, HEIGHT - 30))


def _beside(ax, c: ModelConfig, x: float, norm: str, *parts: tuple[str, list[str], str]) -> None:
    """Two columns from the same stream, one sum."""
    columns, bottoms = ((346, 178), (532, 166)), []
    shared = c.norm_order == "parallel-shared"
    top = 96
    if shared:
        _branch(ax, x, 430, 96)
        top = _step(ax, 346, 96, 352, [norm], COLOURS["norm"])
    else:
        _line(ax, [x, 615], [80, 80])
        for left, width in columns:
            _arrow(ax, left + width / 2, 80, 96)
    for (left, width), (name, facts, colour) in zip(columns, parts, strict=True):
        y = top if shared else _step(ax, left, top, width, [norm], COLOURS["norm"])
        lines = [name, *(part for fact in facts for part in _folded(fact, 28))]
        bottoms.append(_step(ax, left, y, width, lines, colour) - 12)
    y = max(bottoms) + 34
    for (left, width), bottom in zip(columns, bottoms, strict=True):
        _line(ax, [left + width / 2] * 2, [bottom, y])
    _line(ax, [columns[1][0] + columns[1][1] / 2, x + 9], [y, y])
    _arrow(ax, x, 54, y - 9)
    _plus(ax, x, y)
    _arrow(ax, x, y + 9, HEIGHT - 30)


def _folded(words: str, width: int) -> list[str]:
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _step(ax, left: float, y: float, width: float, lines: Sequence[str], colour: str) -> float:
    """A box with a short line under it; returns where the next one begins."""
    height = 12 + 15 * len(lines)
    _box(ax, left, y, width, height, lines, colour)
    _line(ax, [left + width / 2] * 2, [y + height, y + height + 12])
    return y + height + 12


def _box(ax, left: float, y: float, width: float, height: float, lines: Sequence[str], colour: str) -> None:
    ax.add_artist(FancyBboxPatch((left, y), width, height, boxstyle="round,pad=0,rounding_size=5", fc=colour + "26",
                                ec=colour, lw=1.2))
    middle = y + height / 2 - 7.5 * (len(lines) - 1)
    for i, line in enumerate(lines):
        _words(ax, left + width / 2, middle + 15 * i, line, ha="center", color=INK,
                fontsize=9.5 if i == 0 else 8.5, fontweight="bold" if i == 0 and len(lines) > 1 else "normal")


def _words(ax, x: float, y: float, text: str, **style) -> None:
    ax.add_artist(Words(x, y, text, **{"va": "center", "color": INK, **style}))


def _line(ax, xs: Sequence[float], ys: Sequence[float], **style) -> None:
    ax.add_artist(Line2D(xs, ys, **{"color": INK, "lw": 1, **style}))  # plot() would look for new limits each time


def _branch(ax, x: float, to: float, y: float) -> None:
    _line(ax, [x, to, to], [y - 8, y - 8, y])


def _arrow(ax, x: float, top: float, bottom: float) -> None:
    _line(ax, [x, x], [top, bottom])
    _line(ax, [x - 3, x, x + 3], [bottom - 4, bottom, bottom - 4])


def _plus(ax, x: float, y: float) -> None:
    ax.add_artist(Circle((x, y), 9, fc=CARD, ec=INK, lw=1.2))
    _words(ax, x, y, "+", ha="center", fontsize=12)
