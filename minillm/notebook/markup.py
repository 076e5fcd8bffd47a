"""Write what a picture cannot carry: words, tokens and tables as HTML, in any script, light or dark as the page is.

Fonts for Arabic, Devanagari or Chinese are the browser's: matplotlib has none of them on most machines and draws
empty boxes, so text in those scripts belongs here and never into a picture.  Styles are inline, because JupyterLab
removes style sheets from pages that it does not trust yet; and the words must still read well without any style, as
GitHub shows them.

No colour of a text is set: it is the page's own ink.  Grounds are seen through, so that one and the same looks on a
white page as it does in pictures, and dark under a dark page's light ink.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from html import escape

from matplotlib.colors import to_rgb

from minillm.notebook import plots
from minillm.notebook.plots import BLUE, NEGATIVE


def see_through(colour: str, alpha: float = 0.26) -> str:
    """The colour that gives `colour` on a white page; more of any other page is seen the smaller `alpha` is."""
    levels = [round(255 * (1 - (1 - level) / alpha)) for level in to_rgb(colour)]
    if min(levels) < 0:
        raise ValueError(f"{colour} has a part darker than {1 - alpha:.2f} of white; raise alpha={alpha}")
    return f"rgba({','.join(map(str, levels))},{alpha:g})"


def shade(amount: float, colour: str = BLUE) -> str:
    """So much of a colour, from nothing to most (1), that the page's ink still reads on it."""
    levels = ",".join(str(round(255 * level)) for level in to_rgb(colour))
    return f"rgba({levels},{0.5 * min(1.0, max(0.0, amount)):.2f})"


GROUND, EDGE = see_through(plots.CARD, 0.1), see_through(plots.EDGE)
TINTS = tuple(map(see_through, plots.TINTS))
PLAIN = see_through("#eceae4", 0.18)  # of a token that is not meant
FAINT = "opacity:.85"                 # for words that matter less, in the page's own ink
_CARD = (f"background:{GROUND};border:1px solid {EDGE};border-radius:6px;padding:10px 14px;"
         "line-height:1.5;font-size:14px;max-width:100%;overflow-x:auto;box-sizing:border-box")
_CELL = f"padding:3px 10px;border-bottom:1px solid {EDGE}"
_ROW = '<tr style="background:none">'     # JupyterLab gives each second row of stored HTML a ground
_PICTURE = ".jp-OutputArea:has(.minillm-words) .jp-RenderedImage"
_DARK = {                                 # a dark page -> the part of it that holds one cell's pictures
    'body[data-jp-theme-light="false"]': _PICTURE,  # JupyterLab, and nbconvert --theme dark
    "html[theme=dark]": "body:has(.minillm-words)",  # Colab: each cell's output is a page of its own
    "body.vscode-dark": ".cell_container:has(.minillm-words)"}
_PICTURES = ", ".join(f"{page} {part} img, {page} img.minillm-part" for page, part in _DARK.items())
STYLE = (f"{_PICTURES} {{filter: {NEGATIVE}}} "
         f"@media (max-width: 600px) {{{_PICTURE} {{overflow-x: auto}} {_PICTURE} img {{max-width: 480px}}}} ")


class Markup:
    """HTML that a cell can end with or a widget can draw; `alt` is the same in plain words."""

    def __init__(self, html: str, alt: str, *, math: bool = False):
        self.html, self.alt, self.math = html, " ".join(alt.split()), math

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/html": self.html, "text/plain": f"[{self.alt}]"}, {}


class Later(Markup):
    """Markup that is written when somebody looks at it."""

    def __init__(self, write: Callable[[], Markup]):
        self._write = write

    @cached_property
    def _written(self) -> Markup:
        return self._write()

    @property
    def html(self) -> str:
        return self._written.html

    @property
    def alt(self) -> str:
        return self._written.alt

    @property
    def math(self) -> bool:
        return self._written.math


def card(inside: str, alt: str, *, width: int | None = None, math: bool = False) -> Markup:
    """Put HTML on a card.  `math` typesets $…$ in it, live as well."""
    size = f";width:{width}px" if width else ""
    return Markup(f'<div style="{_CARD}{size}">{inside}</div>', alt, math=math)


def in_words(alt: str) -> Markup:
    """One line below a picture that opens into what the picture shows."""
    look = "font-size:13px;opacity:.8;margin:0 0 6px;max-width:720px"
    return Markup(f'<style>{STYLE}</style><details class="minillm-words" style="{look}">'
                  f"<summary>The picture in words</summary>{escape(alt)}</details>", "in words")


def table(head: Sequence[str], rows: Iterable[Sequence], *, caption: str = "") -> str:
    """Rows as an HTML table: numbers to the right, words to the left, each text in its own direction."""
    def cell(value, tag="td") -> str:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        shown = f"{value:,}" if isinstance(value, int) and number else str(value)
        side = "right;font-variant-numeric:tabular-nums" if number else "left"
        inside = shown if isinstance(value, Raw) else escape(shown)
        return f'<{tag} dir="auto" style="{_CELL};text-align:{side}">{inside}</{tag}>'
    top = "".join(cell(word, "th") for word in head)
    body = "".join(f"{_ROW}{''.join(cell(value) for value in row)}</tr>" for row in rows)
    look = f"text-align:left;white-space:nowrap;color:inherit;{FAINT}"
    title = f'<caption style="{look}">{escape(caption)}</caption>' if caption else ""
    return (f'<table style="border-collapse:collapse;margin:4px 0">{title}'
            f"<thead>{_ROW}{top}</tr></thead><tbody>{body}</tbody></table>")


class Raw(str):
    """A string that is HTML already, so `table` does not escape it."""


def chip(text: str, *, colour: str = TINTS[0], below: str = "", hint: str = "") -> Raw:
    """One token: its text on a colour (of TINTS, PLAIN, `shade`), small print below it (an id, a probability), a hint
    when pointed at."""
    small = f'<br><small style="{FAINT};font-size:10px">{escape(below)}</small>' if below else ""
    title = f' title="{escape(hint)}"' if hint else ""
    return Raw(f'<span{title} style="display:inline-block;text-align:center;background:{colour};'
               f'border-radius:4px;padding:1px 4px;margin:2px 1px;white-space:pre">'
               f"<bdi>{escape(text)}</bdi>{small}</span>")


def flow(chips: Iterable[str], *, rtl: bool = False) -> str:
    """Chips in reading order: from the right where the text runs from the right."""
    return f'<div dir="{"rtl" if rtl else "ltr"}" style="line-height:1.9">{" ".join(chips)}</div>'
