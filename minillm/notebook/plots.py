"""Draw what the library computes: one palette, one card, figures that say in words what they show."""
from __future__ import annotations

import io
import struct
import threading
import zlib
from base64 import b64encode

import numpy as np
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

# Okabe & Ito 2008: told apart with any common colour blindness.  A meaning keeps its colour in all notebooks.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442")
INK, MUTED, CARD, EDGE = "#1d1f21", "#5c6167", "#faf9f5", "#d9d6cc"
TINTS = ("#cfe3f1", "#f9e6c0", "#c3e8d9", "#f3d0bf", "#ecd3e0")   # of tokens; neighbours differ
COLOURS = {
    "query": BLUE, "key": ORANGE, "value": GREEN,
    "attention": BLUE, "mlp": ORANGE, "residual": MUTED, "norm": GREEN, "embedding": PURPLE,
    "train": BLUE, "validation": ORANGE, "gradient": PURPLE, "floor": MUTED,
    "target": GREEN, "prediction": BLUE, "wrong": RED,
    "ours": BLUE, "reference": ORANGE,
    "char": MUTED, "byte": SKY, "bpe": BLUE, "unigram": ORANGE, "gpt2": PURPLE,
}
SERIES = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, INK)                  # for lines that have no meaning of their own
AMOUNT = LinearSegmentedColormap.from_list("amount", [CARD, "#9ecae1", BLUE, "#08264a"])     # from nothing to much
SIGNED = LinearSegmentedColormap.from_list("signed", [RED, "#f3c6ae", CARD, "#a9cfe6", BLUE])  # minus, zero, plus

# On a dark page pictures are turned into their negative: hues stay, ink grows light, what was strong stays strong.
NEGATIVE = "invert(.9) hue-rotate(180deg) brightness(1.2)"

WIDTH = 720                     # CSS pixels: a notebook's column
DRAWING = threading.RLock()     # matplotlib's fonts are not safe in two threads, and callbacks run beside cells
_DPI, _SHARP = 96, 1.75         # a CSS pixel is 1/96 inch; drawn finer, so that text is crisp on dense screens


class Picture(Figure):
    """A figure that a cell can end with: shown as a PNG, and as words where pictures are not read.

    `describe` sets the words.  They stand below the picture, folded into one line, for readers who cannot see it, and
    the test of stored outputs compares them: build them from the data, rounded far from a rounding edge.
    """

    def describe(self, alt: str) -> Picture:
        """Say from the data what the picture shows, in a sentence or two."""
        self.set_label(" ".join(alt.split()))
        return self

    @property
    def alt(self) -> str:
        if not self.get_label():
            raise ValueError("this picture has no words; call picture.describe('what it shows, from the data')")
        return self.get_label()

    @property
    def width(self) -> int:
        """Width on the page in CSS pixels."""
        return round(self.get_figwidth() * _DPI)

    @property
    def title(self) -> str:
        """The question that it answers."""
        return self._suptitle.get_text() if self._suptitle else ""

    def _ipython_display_(self) -> None:
        from minillm.notebook.markup import in_words
        for data, metadata in (self._repr_mimebundle_(), in_words(self.alt)._repr_mimebundle_()):
            display(data, raw=True, metadata=metadata)

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {"image/png": b64encode(png(self)).decode(), "text/plain": f"[picture: {self.alt}]"}
        return data, {"image/png": {"width": self.width, "alt": self.alt}}


def picture(width: int = WIDTH, height: int = 320, *, title: str = "", colours: int = 256) -> Picture:
    """An empty card of so many CSS pixels; a title asks the question that the picture answers.

    `colours`: stored with so many.  With 256 no eye sees a difference, at 0.4 of the size that all of them take.
    """
    figure = Picture(figsize=(width / _DPI, height / _DPI), dpi=_DPI * _SHARP, facecolor=CARD)
    FigureCanvasAgg(figure)
    figure.colours = colours
    if title:
        figure.suptitle(title, x=14 / width, y=1 - 10 / height, va="top", ha="left", color=INK, fontsize=13,
                        fontweight="bold")
    return figure


def axes(figure: Picture, *where, left: float = 64, right: float = 16, bottom: float = 46, top: float = 44,
         xlabel: str = "", ylabel: str = "", grid: str = "y", **options):
    """Add axes in the house style, `where` as add_subplot takes it: (rows, columns, index).  Margins in CSS pixels."""
    height = figure.get_figheight() * _DPI
    figure.subplots_adjust(left=left / figure.width, right=1 - right / figure.width,
                           bottom=bottom / height, top=1 - top / height)
    ax = figure.add_subplot(*where, facecolor=CARD, **options)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(colors=INK, labelsize=10)
    ax.set_prop_cycle(color=SERIES)
    ax.set_xlabel(xlabel, color=INK, fontsize=11)
    ax.set_ylabel(ylabel, color=INK, fontsize=11)
    if grid:
        ax.grid(True, axis=grid, color=EDGE, linewidth=0.8)
        ax.set_axisbelow(True)
    return ax


def png(figure: Figure, *, live: bool = False) -> bytes:
    """Render to PNG.  Live pictures are packed fast; stored ones small, and never above 100 kB."""
    if live and getattr(figure, "finished", None):   # a picture that no artist will change any more
        return figure.finished
    image = _drawn(figure)
    if live:
        return _at_once(image)
    packed = _packed(image.quantize(getattr(figure, "colours", 256), dither=Image.Dither.NONE), compress_level=9)
    while len(packed) > 100_000:                # fewer colours; of what is still too much, fewer pixels
        packed = _packed(image.quantize(64, dither=Image.Dither.NONE), compress_level=9)
        image = image.resize([side * 3 // 4 for side in image.size])
    return packed


def _drawn(figure: Figure) -> Image.Image:
    with DRAWING:
        if figure.stale:                        # else it is drawn already, and nothing has changed since
            figure.canvas.draw()
        size, pixels = figure.canvas.get_width_height(), figure.canvas.buffer_rgba()
        return Image.frombuffer("RGBA", size, pixels, "raw", "RGBA", 0, 1).convert("RGB")


def _at_once(image: Image.Image) -> bytes:
    """The same pixels as a PNG, in a third of Pillow's time, which tries five filters on every row: each is stored as
    what differs from the row above."""
    pixels = np.asarray(image).reshape(image.height, -1)
    rows = np.concatenate([np.full((image.height, 1), 2, np.uint8), pixels], axis=1)  # 2: less what is above
    rows[1:, 1:] -= pixels[:-1]
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    size = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 0)          # 8 bits of red, green, blue
    chunks = (b"IHDR" + size, b"IDAT" + packer.compress(rows) + packer.flush(), b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks)


def _packed(image: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()
