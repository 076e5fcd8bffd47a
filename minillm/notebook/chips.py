"""Let a reader click a token: one control with a button for each, coloured from outside."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import ipywidgets

from minillm.notebook.markup import GROUND, TINTS

_NUMBERS = count()


class TokenRow:
    """Up to `n` tokens side by side, of which one is chosen: `control.value` is its place, from 0.

    One `ToggleButtons` and one style sheet (`sheet`, which must stand on the page too) instead of a widget for each
    token: a click is one message, and the Tab key walks through them.  `fill` says what stands on them.
    """

    def __init__(self, n: int, chosen: int = 0):
        self._name = f"minillm-tokens-{next(_NUMBERS)}"
        self.control = ipywidgets.ToggleButtons(options=[(str(place), place) for place in range(n)], value=chosen,
                                                style={"button_width": "auto"},
                                                layout=ipywidgets.Layout(width="100%", max_width="980px"))
        self.control.add_class("minillm-tokens")
        self.control.add_class(self._name)
        self.sheet = ipywidgets.HTML(layout=ipywidgets.Layout(height="0px", margin="0px"))
        self._labels: list[str] = []

    def fill(self, pieces: Sequence[str], shades: Sequence[str], *, rtl: bool = False,
             outline: str = "currentColor") -> None:
        """Write these pieces on the buttons, each on its own colour.  The caller keeps his observers silent."""
        chosen = min(self.control.value or 0, len(pieces) - 1)
        if list(pieces) != self._labels:
            self._labels = list(pieces)
            self.control.options = [(piece, place) for place, piece in enumerate(pieces)]
        if self.control.value != chosen:
            self.control.value = chosen
        row = f".{self._name}"
        rules = [f"{row}, {row} > div {{direction:{'rtl' if rtl else 'ltr'};flex-wrap:wrap;gap:3px 2px;height:auto}}",
                 f"{row} button {{width:auto !important;min-width:1.3em;height:auto;padding:1px 4px;margin:0;"
                 f"line-height:1.5;font-size:14px;color:inherit !important;border-radius:4px;white-space:pre;"
                 f"box-shadow:none;background:{GROUND};unicode-bidi:plaintext}}",
                 *(f"{row} button:nth-child({place}) {{background:{shade} !important}}"
                   for place, shade in enumerate(shades, 1)),
                 f"{row} button:nth-child({chosen + 1}) {{outline:2px solid {outline};font-weight:bold}}"]
        self.sheet.value = f"<style>{' '.join(rules)}</style>"


def alternating(n: int) -> list[str]:
    """Colours for tokens that mean nothing but where one ends and the next begins."""
    return [TINTS[place % len(TINTS)] for place in range(n)]
