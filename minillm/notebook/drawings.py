"""Draw structures: boxes, arrows, rows of tokens and matrices, in CSS pixels, as pure functions of live values.

A drawing of a lesson is a function, values -> Picture, so that it cannot differ from what the code computes::

    def halves(ids):
        sheet = Sheet(420, 120, "Where is the middle?")
        cells = sheet.row(20, 50, [str(i) for i in ids])
        sheet.brace(cells[0].left, cells[len(ids) // 2 - 1].right, 84, "first half")
        return sheet.describe(f"{len(ids)} ids; the first half ends with {ids[len(ids) // 2 - 1]}.")

Everything that is placed comes back as a `Box`, so that arrows lead from one to the next.
"""
from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from PIL import Image, ImageDraw, ImageFont

from minillm.notebook.plots import AMOUNT, CARD, EDGE, INK, MUTED, SIGNED, Picture, picture


@dataclass(frozen=True)
class Box:
    """Where something stands: left and top edge, width and height, in CSS pixels from the top left corner."""
    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def middle(self) -> tuple[float, float]:
        return self.left + self.width / 2, self.top + self.height / 2


class Words(Text):
    """A line of text, centred on its height and drawn in one piece: letter by letter, dozens of lines take a third of a
    second, and somebody waits for them."""

    def draw(self, renderer) -> None:
        """Put the written line where it belongs."""
        size, bold = round(renderer.points_to_pixels(self.get_fontsize())), self.get_fontweight() == "bold"
        ink, left, bottom, wide = _written(self.get_text(), size, bold)
        x, y = self.get_transform().transform(self.get_position())
        x += left - wide * {"left": 0.0, "center": 0.5, "right": 1.0}[self.get_ha()]
        picture = np.empty((*ink.shape, 4), np.uint8)
        picture[..., :3], picture[..., 3] = np.multiply(to_rgb(self.get_color()), 255), ink[::-1]  # from below
        style = renderer.new_gc()
        renderer.draw_image(style, round(x), round(y - bottom), picture)
        style.restore()
        self.stale = False


@lru_cache(maxsize=1024)
def _written(text: str, size: int, bold: bool) -> tuple[np.ndarray, int, int, float]:
    """A line's ink, where its left and its lower edge are from its beginning and its middle, and how wide it is."""
    font = _font(size, bold)
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    _, above, _, below = font.getbbox("lp", anchor="ls")
    ink = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(ink).text((-left, -top), text, fill=255, font=font, anchor="ls")
    return np.asarray(ink), left, round((below - above) / 2 - below) + bottom, font.getlength(text)


@lru_cache(maxsize=16)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont(FontProperties(weight="bold" if bold else "normal")), size)


class Sheet:
    """A card to draw on.  `figure` is the picture; `describe(words)` ends the drawing and gives it back."""

    def __init__(self, width: int, height: int, title: str, *, colours: int = 256):
        self.figure = picture(width, height, title=title, colours=colours)
        self.ax = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, width), ylim=(height, 0))
        self.ax.axis("off")

    def describe(self, words: str) -> Picture:
        """Say what the drawing shows, in words that do without it."""
        return self.figure.describe(words)

    def words(self, x: float, y: float, text: str, *, size: float = 9.5, colour: str = INK, side: str = "left",
              bold: bool = False, ground: bool = False) -> None:
        """A line of text, centred on y; `ground` wipes away what is drawn behind it.

        Refuses signs that the font lacks, or writes wrongly: such text belongs into HTML (`markup`).
        """
        if missing := _missing(text):
            raise ValueError(f"pictures have no glyph for {missing!r}; show such text with markup.chip or markup.flow")
        self.ax.text(x, y, text, ha={"middle": "center"}.get(side, side), va="center", color=colour, fontsize=size,
                     fontweight="bold" if bold else "normal", parse_math=False,
                     bbox={"fc": CARD, "ec": "none", "pad": 1.5} if ground else None)

    def box(self, left: float, top: float, width: float, height: float, lines: str | Sequence[str] = (), *,
            colour: str = MUTED, strong: float = 0.15, dashed: bool = False) -> Box:
        """A rounded box with lines of text in it, the first of several in bold."""
        lines = [lines] if isinstance(lines, str) else list(lines)
        self.ax.add_artist(FancyBboxPatch(
            (left, top), width, height, boxstyle="round,pad=0,rounding_size=5", ec=colour, lw=0.8 if dashed else 1.2,
            fc=colour + f"{round(255 * strong):02x}" if strong else "none", ls=":" if dashed else "-"))
        middle = top + height / 2 - 7.5 * (len(lines) - 1)
        for i, line in enumerate(lines):
            self.words(left + width / 2, middle + 15 * i, line, side="middle", size=9.5 if i == 0 else 8.5,
                       bold=i == 0 and len(lines) > 1)
        return Box(left, top, width, height)

    def line(self, *points: tuple[float, float], colour: str = INK, width: float = 1.0, dashed: bool = False) -> None:
        """A line through points."""
        xs, ys = zip(*points, strict=True)
        self.ax.add_artist(Line2D(xs, ys, color=colour, lw=width, ls=":" if dashed else "-"))

    def arrow(self, *points: tuple[float, float], colour: str = INK, words: str = "", width: float = 1.0) -> None:
        """A line through points that ends in a head; words stand beside its middle."""
        (x0, y0), (x1, y1) = points[-2:]
        self.line(*points, colour=colour, width=width)
        self.ax.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "->", "color": colour, "lw": width,
                                                             "shrinkA": 0, "shrinkB": 0})
        if words:
            self.words((x0 + x1) / 2 + 6, (y0 + y1) / 2, words, size=8.5, colour=MUTED)

    def plus(self, x: float, y: float) -> Box:
        """Where two streams are added."""
        self.ax.add_artist(Circle((x, y), 9, fc=CARD, ec=INK, lw=1.2))
        self.words(x, y, "+", side="middle", size=12)
        return Box(x - 9, y - 9, 18, 18)

    def row(self, left: float, top: float, cells: Sequence[str], *, width: float = 30, height: float = 26,
            colours: Sequence[str | None] | None = None, gap: float = 2) -> list[Box]:
        """Cells side by side, such as the tokens of a text; None leaves a cell pale."""
        colours = colours or [None] * len(cells)
        return [self.box(left + i * (width + gap), top, width, height, cell, colour=colour or MUTED,
                         strong=0.3 if colour else 0.08)
                for i, (cell, colour) in enumerate(zip(cells, colours, strict=True))]

    def matrix(self, left: float, top: float, values, *, cell: float = 16, label: str = "", signed: bool = False,
               written: bool = False, rows: Sequence[str] = (), columns: Sequence[str] = ()) -> Box:
        """Numbers as shades, from nothing to the largest size; `written` puts whole numbers into the cells."""
        table = [[float(value) for value in line] for line in values]
        most = max((abs(value) for line in table for value in line), default=0) or 1.0
        for i, line in enumerate(table):
            for j, value in enumerate(line):
                shade = SIGNED((value / most + 1) / 2) if signed else AMOUNT(0.75 * abs(value) / most)
                self.ax.add_artist(Rectangle((left + j * cell, top + i * cell), cell, cell, fc=shade, ec=EDGE, lw=0.6))
                if written:
                    self.words(left + (j + 0.5) * cell, top + (i + 0.5) * cell, f"{value:g}", side="middle", size=8)
        for i, name in enumerate(rows):
            self.words(left - 6, top + (i + 0.5) * cell, name, side="right", size=8.5, colour=MUTED)
        for j, name in enumerate(columns):
            self.words(left + (j + 0.5) * cell, top - 8, name, side="middle", size=8.5, colour=MUTED)
        box = Box(left, top, cell * len(table[0]), cell * len(table))
        if label:
            self.words(box.middle[0], box.bottom + 11, label, side="middle", size=8.5)
        return box

    def brace(self, left: float, right: float, y: float, words: str, *, colour: str = MUTED) -> None:
        """A bracket below a stretch from left to right, with words under it."""
        self.line((left, y - 4), (left, y), (right, y), (right, y - 4), colour=colour)
        self.words((left + right) / 2, y + 10, words, side="middle", size=8.5, colour=colour)

    def arc(self, left: float, right: float, y: float, height: float, *, colour: str = MUTED,
            width: float = 1.0) -> None:
        """A bow above y from left to right; its top is three quarters of `height` above."""
        points = [(left, y), (left, y - height), (right, y - height), (right, y)]
        codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
        self.ax.add_artist(PathPatch(Path(points, codes), fc="none", ec=colour, lw=width))


def _missing(text: str) -> str:
    known = get_font(findfont(FontProperties())).get_charmap()
    return "".join(dict.fromkeys(sign for sign in text if not sign.isspace() and (
        ord(sign) not in known or unicodedata.bidirectional(sign) in ("R", "AL"))))       # those letters must join
