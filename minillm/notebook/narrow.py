"""Give a wide picture a form for narrow pages: its title as words above it, its panels one below the other.

Nothing tells a kernel how wide a page is.  So the same live image is shown once more for each panel, and styles alone
cut it and choose the form: nothing else is drawn or sent.
"""
from __future__ import annotations

from html import escape
from itertools import count, pairwise

import ipywidgets
import numpy as np
from matplotlib.colors import to_rgb

from minillm.notebook.plots import DRAWING, Picture

PHONE = 600          # CSS pixels: pages that are at most as wide get the narrow form
LEAST = 2 / 3        # of a picture's size, so that its letters can be read; what is wider than the page then scrolls
_NUMBERS = count()
Cut = tuple[float, float, float]      # left, top and right of a piece, in shares of the picture from its upper left

STYLE = (".minillm-narrow {display: none !important} "
         f"@media (max-width: {PHONE}px) {{.minillm-frame:has(> .minillm-narrow) > img.minillm-part {{display: none}} "
         ".minillm-frame > .minillm-narrow {display: flex !important; flex-flow: row wrap; width: 100%; "
         "align-items: flex-start} .minillm-narrow > .widget-html {flex: 0 0 100%; height: auto; margin: 0} "
         ".minillm-narrow > img.minillm-part {max-width: none !important; flex: none; height: auto}} ")


class Narrow:
    """The narrow form of one picture, beside its live image `view`; `follow` fits it to a new drawing.

    `frame` holds both, is as wide as the page at most, and scrolls where the picture is wider.  A picture whose title
    cannot be told from what is drawn beside it has no narrow form: `box` is None.
    """

    def __init__(self, picture: Picture, view: ipywidgets.Image):
        self.box = None
        self._view, self._name = view, f"minillm-narrow-{next(_NUMBERS)}"
        self._laid: tuple = ()
        if parts(picture):
            self._words = ipywidgets.HTML()
            self.box = ipywidgets.Box([self._words])
            for name in ("minillm-narrow", self._name):
                self.box.add_class(name)
            self.follow(picture)
        forms = [view, self.box] if self.box else [view]
        self.frame = ipywidgets.Box(forms, layout=ipywidgets.Layout(align_items="flex-start"))
        self.frame.add_class("minillm-frame")

    def follow(self, picture: Picture) -> None:
        """Cut anew where the panels or the title have changed."""
        laid = (picture.title, picture.width, *(tuple(ax.get_position().bounds) for ax in picture.axes))
        if self.box is None or laid == self._laid:
            return
        self._laid, cuts = laid, parts(picture) or [(0, 0, 1)]
        self._words.value = f"<style>{''.join(self._rules(picture, cuts))}</style><b>{escape(picture.title)}</b>"
        if len(self.box.children) != 1 + len(cuts):
            self.box.children = [self._words, *[self._view] * len(cuts)]

    def _rules(self, picture: Picture, cuts: list[Cut]) -> list[str]:
        """For each panel a piece of the image: what lies around it is clipped, and takes no room."""
        tall = picture.get_figheight() / picture.get_figwidth()
        rules = []
        for place, (left, top, right) in enumerate(cuts, start=2):
            own = picture.width * (right - left)
            shown = f"max(min(100%, {own:.1f}px), {own * LEAST:.1f}px)"       # the piece's width on the page
            whole = 1 / (right - left)                                        # the image's, in widths of the piece
            margins = " ".join(f"calc({shown} * {-side * whole:.5f})" for side in (top * tall, 1 - right, 0, left))
            rules.append(f".{self._name} > :nth-child({place}) {{width: calc({shown} * {whole:.5f}) !important; "
                         f"margin: {margins} !important; "
                         f"clip-path: inset({top:.3%} {1 - right:.3%} 0 {left:.3%})}}")
        return rules


def parts(picture: Picture) -> list[Cut]:
    """Where each panel lies below the title; [] where the title cannot be cut off."""
    with DRAWING:
        if picture.stale:
            picture.canvas.draw()
        pixels = np.asarray(picture.canvas.buffer_rgba())[..., :3]
        ground = np.round(255 * np.array(to_rgb(picture.get_facecolor()))).astype(pixels.dtype)
        height, width = pixels.shape[:2]
        top = 0
        if picture.title:
            title = picture._suptitle.get_window_extent()
            top = round(height - title.y0) + 2
            blank = (pixels[:top] == ground).all(-1)
            blank[:, max(0, int(title.x0) - 2):int(title.x1) + 3] = True
            if not blank.all():
                return []
        middles = [round((first + last) / 2) for first, last in _between(picture) if last - first >= 1]
    empty = [place / width for place in middles if (pixels[top:, place - 1:place + 1] == ground).all()]
    return [(left, top / height, right) for left, right in pairwise([0, *empty, 1])]


def _between(picture: Picture) -> list[tuple[float, float]]:
    """The drawn pixels from the right end of each column of axes, labels included, to the left end of the next."""
    shown = [ax for ax in picture.axes if ax.get_visible()]
    if len(shown) < 2:
        return []                                        # nothing to cut, and asking where labels end takes its time
    spans: list[list[float]] = []
    for box in sorted((ax.get_tightbbox() for ax in shown), key=lambda box: box.x0):
        if spans and box.x0 < spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], box.x1)
        else:
            spans.append([box.x0, box.x1])
    return [(before[1], after[0]) for before, after in pairwise(spans)]
