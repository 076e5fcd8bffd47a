"""Lay two configurations side by side: what each costs, by part, and in which choices they differ."""
from __future__ import annotations

import re
from dataclasses import fields
from functools import lru_cache
from html import escape
from typing import Any

from minillm.config import ModelConfig, canonical, without_effect
from minillm.costs import activation_bytes, cache_bytes, flops, parameters, state_bytes
from minillm.notebook.markup import FAINT, TINTS, Markup, Raw, card, table
from minillm.notebook.plots import COLOURS

_MARK = f"background:{TINTS[1]};color:inherit;border-radius:3px;padding:0 3px"
_SCALES = "Bars of parameters: share of all its own. Bars of the cache: against the largest here. Marked: changed."
CONTEXTS = tuple(2 ** n for n in range(7, 18))
PART_COLOURS = {"embedding": COLOURS["embedding"], "positions": COLOURS["embedding"],
                "unembedding": COLOURS["embedding"], "attention": COLOURS["attention"], "norms": COLOURS["norm"]}


def ledger(config: ModelConfig, other: ModelConfig, names: tuple[str, str], context: int, *,
           before: ModelConfig | None = None) -> Markup:
    """Parameters by part, operations, memory and cache, beside those of another configuration.

    What takes more positions than a model's own context has no cost there: the cell says where the context ends.
    Rows in which the first differs from what it was `before` are marked.
    """
    rows, old = _rows((config, other), context), _costs(before, context) if before else {}
    now = _costs(config, context) if before else {}
    marked = f'<mark style="{_MARK}">'
    rows = [[label if old.get(label) == now.get(label) else Raw(f"{marked}{escape(label)}</mark>"), *cells]
            for label, *cells in rows]
    totals = [sum(parameters(each).values()) for each in (config, other)]
    return card(table(["the ledger", *names], rows, caption=_SCALES),
                f"the ledger: {names[0]} has {totals[0]:,} parameters, {names[1]} {totals[1]:,}")


def changes(before: ModelConfig, after: ModelConfig, context: int) -> Markup:
    """What a turn changed: every row of the ledger with its value before and after."""
    old, new = _costs(before, context), _costs(after, context)
    rows = [(label, old.get(label, "–"), new.get(label, "–")) for label in dict.fromkeys([*old, *new])
            if old.get(label) != new.get(label)]
    words = f"{len(rows)} rows of the ledger changed" if rows else "no row of the ledger changed"
    return card(table(["what the last turn changed", "before", "after"], rows) if rows else
                f"What the last turn changed: {words}.", f"{words}: {', '.join(label for label, *_ in rows) or 'none'}")


@lru_cache(maxsize=16)
def _costs(config: ModelConfig, context: int) -> dict[str, str]:
    return {label: re.sub(r"<[^>]+>", "", str(cell)) for label, cell in _rows((config,), context)}


def _rows(both: tuple[ModelConfig, ...], context: int) -> list[list]:
    parts = [parameters(each) for each in both]
    totals = [sum(each.values()) for each in parts]
    active = [sum(parameters(c, active=True).values()) for c in both]
    rows = [["parameters", *(f"{total:,}" for total in totals)],
            ["… that one token reads", *(f"{count:,}" for count in active)]]
    rows += [[f"… {part}", *(_bar(each.get(part, 0), total, part) for each, total in zip(parts, totals, strict=True))]
             for part in dict.fromkeys(part for each in parts for part in each)]
    rows.append([f"forward pass of one token at position {context:,}",
                 *(_beyond(c, context) or _big(sum(flops(c, seq=1, cached=context - 1).values()), "FLOP")
                   for c in both)])
    rows.append([f"training on {context:,} tokens",
                 *(_beyond(c, context) or _big(3 * sum(flops(c, seq=context).values()), "FLOP") for c in both)])
    rows.append(["weights in bf16", *(_bytes(2 * total) for total in totals)])
    rows.append(["weights, gradients, AdamW in fp32", *(_bytes(sum(state_bytes(c).values())) for c in both)])
    rows.append([f"kept for the backward pass, one text of {context:,}, fp32",
                 *(_beyond(c, context) or _bytes(sum(activation_bytes(c, batch=1, seq=context).values()))
                   for c in both)])
    longest = max(c.context_length for c in both)
    lengths = sorted({context, *(seq for seq in CONTEXTS[3::3] if seq <= longest)})
    most = max((cache_bytes(c, seq=seq) for c in both for seq in lengths if seq <= c.context_length), default=1)
    rows += [[f"KV cache of {seq:,} tokens in bf16",
              *(_beyond(c, seq) or _share(cache_bytes(c, seq=seq), most) for c in both)] for seq in lengths]
    return rows


def differences(config: ModelConfig, other: ModelConfig, names: tuple[str, str]) -> Markup:
    """The fields in which two configurations really differ; "–" where a model has no use for the field."""
    both = [(canonical(each), without_effect(each)) for each in (config, other)]
    differ = []
    for name in (f.name for f in fields(config)):
        values = [getattr(c, name) for c, _ in both]
        shown = ["–" if name in idle else word(getattr(c, name)) for c, idle in both]
        if values[0] != values[1] and shown != ["–", "–"]:
            differ.append((name, *shown))
    words = f"{len(differ)} of {len(fields(config))} fields differ between {names[0]} and {names[1]}"
    return card(table(["field", *names], differ, caption=words) if differ else escape(words), words)


def word(value: Any) -> str:
    """A value of a configuration, as a reader would write it."""
    if isinstance(value, float):
        return f"{int(value):,}" if value.is_integer() else f"{value:,g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _beyond(config: ModelConfig, seq: int) -> Raw | None:
    if seq <= config.context_length:
        return None
    return Raw(f'<span style="{FAINT}">beyond its {config.context_length:,}</span>')


def _bar(count: int, total: int, part: str) -> Raw | str:
    return _share(count, total, f"{count:,}", PART_COLOURS.get(part, COLOURS["mlp"])) if count else "–"


def _share(count: int, whole: int, words: str = "", colour: str = COLOURS["value"]) -> Raw:
    width = max(1, round(110 * count / whole))
    return Raw(f'<span style="display:inline-block;width:{width}px;height:9px;background:{colour};'
               f'margin-right:6px"></span>{words or _bytes(count)}')


def _bytes(count: int) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.3g} {unit}" if count < 1000 else f"{count:,.0f} {unit}"
        count /= 1000


def _big(count: float, unit: str) -> str:
    for prefix in ("", "k", "M", "G", "T", "P", "E"):
        if count < 1000 or prefix == "E":
            return f"{count:.3g} {prefix}{unit}"
        count /= 1000
