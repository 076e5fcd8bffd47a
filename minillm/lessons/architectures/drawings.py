"""Draw what a model keeps and passes on: the residual stream, the cache, three matrices in one."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from minillm.config import ModelConfig
from minillm.costs import cache_bytes
from minillm.inspection import capture
from minillm.model import Transformer
from minillm.notebook.drawings import Sheet
from minillm.notebook.plots import COLOURS, MUTED, Picture

_TURNS = (COLOURS["query"], COLOURS["key"], COLOURS["value"])


def stream(model: Transformer, tokens: Tensor) -> Picture:
    """What each part of a model with norms before its parts writes into the stream, and how large the stream is."""
    n = len(model.blocks)
    names = [f"blocks.{i}.{part}" for i in range(n) for part in ("attention", "mlp")]
    with torch.no_grad(), capture(model, "embed", *names) as seen:
        model(tokens)
    x = seen["embed"]
    size = [float(x.pow(2).mean().sqrt())]
    sheet = Sheet(720, 196, "The residual stream: every part reads it and adds to it")
    start = sheet.box(16, 106, 84, 40, ["embed", f"size {size[0]:.2g}"], colour=COLOURS["embedding"]).right
    step = 560 / len(names)
    for i, name in enumerate(names):
        kind = name.rpartition(".")[2]
        wrote, plus = seen[name], 116 + step * (i + 0.8)
        x = x + wrote
        size.append(float(x.pow(2).mean().sqrt()))
        sheet.box(plus - step * 0.62, 52, step * 0.66, 34, [kind, f"+ {float(wrote.pow(2).mean().sqrt()):.2g}"],
                  colour=COLOURS[kind])
        sheet.arrow((start, 126), (plus - 9, 126))
        sheet.arrow((plus - step * 0.45, 126), (plus - step * 0.45, 88), colour=MUTED)
        sheet.arrow((plus, 86), (plus, 116), colour=COLOURS[kind])
        sheet.plus(plus, 126)
        sheet.words(plus, 148, f"{size[-1]:.2g}", side="middle", size=8.5, colour=MUTED)
        start = plus + 9
    sheet.arrow((start, 126), (704, 126))
    sheet.words(16, 178, "numbers: root mean square of what is added (boxes) and of the stream (below it)", size=8.5,
                colour=MUTED)
    return sheet.describe(f"A line from the embedding through {len(names)} sums; at each, attention or MLP reads the "
                          f"stream and adds to it. Its size goes from {size[0]:.2g} to {size[-1]:.2g}.")


def kept(configs: Mapping[str, ModelConfig], *, seq: int) -> Picture:
    """What the cache of each model holds for one layer and position, to scale, and all of it for a text."""
    sheet = Sheet(720, 66 + 62 * len(configs), "What does the cache keep of one position, in one layer?")
    amounts = {}
    for name, config in configs.items():
        c = config.resolve()
        amounts[name] = ([("latent", c.d_latent), ("turned key", c.d_rotary)] if c.attention == "latent" else
                         [(f"{c.n_kv_heads} × key", c.n_kv_heads * c.d_head),
                          (f"{c.n_kv_heads} × value", c.n_kv_heads * c.d_head)])
    most = max(sum(count for _, count in parts) for parts in amounts.values())
    for row, (name, parts) in enumerate(amounts.items()):
        y, left = 50 + 62 * row, 170.0
        sheet.words(16, y + 14, name, bold=True)
        for (what, count), colour in zip(parts, (COLOURS["key"], COLOURS["value"]), strict=True):
            wide = max(3.0, 530 * count / most)
            sheet.box(left, y, wide, 28, f"{what}: {count:,}" if wide > 120 else "", colour=colour, strong=0.3)
            left += wide + 2
        total = cache_bytes(configs[name], seq=seq)
        sheet.words(170, y + 39, f"{sum(count for _, count in parts):,} numbers; {total / 1e9:.2f} GB for "
                    f"{seq:,} tokens in {configs[name].n_layers} layers", size=8.5, colour=MUTED)
    said = {name: " and ".join(f"{count:,} numbers ({what})" for what, count in parts)
            for name, parts in amounts.items()}
    return sheet.describe("; ".join(f"{name} keeps {what}" for name, what in said.items())
                          + " for each position in each layer.")


def fused_rows(n_heads: int) -> Picture:
    """In which order queries, keys and values stand in one matrix: one after the other, or head by head."""
    sheet = Sheet(620, 210, "Whose rows stand where in the fused matrix?")
    orders = {"GPT-2": [(part, head) for part in range(3) for head in range(n_heads)],
              "BLOOM, GPT-NeoX": [(part, head) for head in range(n_heads) for part in range(3)]}
    for row, (family, order) in enumerate(orders.items()):
        y = 66 + 74 * row
        sheet.words(16, y + 13, family, bold=True)
        cells = [f"{'qkv'[part]}{head}" for part, head in order]
        sheet.row(150, y, cells, width=min(40, 440 / len(cells)), colours=[_TURNS[part] for part, _ in order])
    said = {family: " ".join(f"{'qkv'[part]}{head}" for part, head in order) for family, order in orders.items()}
    return sheet.describe(f"Rows from the top, by head: GPT-2 {said['GPT-2']}; BLOOM {said['BLOOM, GPT-NeoX']}.")
