"""Show a text as coloured tokens: blanks and line ends as signs, every script in its own direction."""
from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from minillm.notebook.markup import TINTS, Markup, card, chip, flow
from minillm.tokenizers import Tokenizer

SHOWN = 160         # characters of a text that are shown as tokens
VISIBLE = {"\n": "↵", "\t": "⇥", "\r": "␍", " ": "·"}


def visible(piece: str) -> str:
    """Blanks and line ends as signs, so that one sees where they went; not those between bytes in ⟨E2 82⟩.

    A vowel sign right after such bytes gets a circle to sit on, or browsers would lack a glyph for the pair.
    """
    shown = re.sub(r"⟨[0-9A-F ]+⟩|[\n\t\r ]", lambda found: VISIBLE.get(found[0], found[0]), piece)
    return "".join(f"◌{sign}" if before == "⟩" and unicodedata.category(sign).startswith("M") else sign
                   for before, sign in pairwise(f" {shown}"))


def runs_from_right(words: str) -> bool:
    """Is the first letter one of Arabic's or Hebrew's?"""
    kinds = (unicodedata.bidirectional(c) for c in words)
    return next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L"


def token_row(tokenizer: Tokenizer, words: str, below: str) -> str:
    """One text as the coloured tokens of one tokenizer, small print below each: its id, its bytes, or nothing."""
    ids = tokenizer.encode(words[:SHOWN])
    small = {"ids": str, "bytes": lambda i: tokenizer.token_bytes(i).hex(" ").upper()}.get(below, lambda i: "")
    chips = [chip(visible(piece), colour=TINTS[place % len(TINTS)], below=small(i),
                  hint=f"id {i}: {tokenizer.token_bytes(i).hex(' ').upper()}")
             for place, (i, piece) in enumerate(zip(ids, tokenizer.pieces(ids), strict=True))]
    return flow(chips, rtl=runs_from_right(words)) + (" …" if len(words) > SHOWN else "")


def show_tokens(tokenizer: Tokenizer, words: str, *, below: str = "ids") -> Markup:
    """One text as coloured tokens: `below` each its "ids", its "bytes", or "nothing"."""
    ids = tokenizer.encode(words)
    return card(token_row(tokenizer, words, below),
                f"{len(ids)} tokens: {' | '.join(map(visible, tokenizer.pieces(ids)))}")
