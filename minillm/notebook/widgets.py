"""Let a reader move a slider and see what follows: a stored picture first, a live one from the first touch.

Nothing here uses `interact`, `Output`, pyplot or JavaScript: stored outputs stay equal from run to run, and the same
code works with ipywidgets 7.7.1 (Google Colab) and 8 (JupyterLab).
"""
from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from html import escape
from typing import Any

import ipywidgets
from IPython.display import DisplayHandle, display
from traitlets import HasTraits

from minillm.notebook.controls import STYLE, button, buttons, choice, row, slider, text, toggle
from minillm.notebook.markup import Markup, in_words
from minillm.notebook.narrow import Narrow
from minillm.notebook.plots import DRAWING, Picture, png

__all__ = ["Live", "Parts", "button", "buttons", "choice", "shown", "slider", "text", "toggle"]

Parts = Picture | Markup | Sequence[Picture | Markup]
_SHOWN: dict[str, Live] = {}     # name -> what is on the page now; the next of that name takes it over
_VIEW = "application/vnd.jupyter.widget-view+json"


class Live:
    """Controls above a picture that answers them.

    name       unique in its notebook; shown in words where widgets are not
    controls   name -> control, in order; the names are the keyword arguments of `draw`
    draw       draw(**values) -> Picture, Markup, or a list of them, always of the same kinds and number.
               Make a figure once and update its artists: a new one per call is three times slower
    rules      rules(**values) -> {control: why it does not apply now}; those are disabled and the reason is shown
    on_press   button name -> function called without arguments before the next drawing
    rows       how the controls stand: [["preset"], ["norm", "position"]]; one below the other when left out
    repeatable False where numbers may differ between processors: then the stored text only names the widget

    The last expression of a cell shows it.  Tests and readers drive it by `live["name"].value = …` and look at
    `live.parts`.  Errors in `draw` stop the cell at first, and stand below the controls afterwards.
    """

    def __init__(self, name: str, controls: Mapping[str, ipywidgets.Widget], draw: Callable[..., Parts], *,
                 rules: Callable[..., Mapping[str, str]] | None = None,
                 on_press: Mapping[str, Callable[[], None]] | None = None,
                 rows: Iterable[Iterable[str]] | None = None, repeatable: bool = True):
        _settle()
        self.name, self.controls, self.repeatable = name, dict(controls), repeatable
        self._draw, self._rules, self._on_press = draw, rules, dict(on_press or {})
        self._note = ipywidgets.HTML(STYLE)
        self._words = ipywidgets.HTML()                # what the picture shows, for a screen reader
        rows = [[each] for each in self.controls] if rows is None else [list(names) for names in rows]
        self._box = ipywidgets.VBox([*(row([self.controls[each] for each in names]) for names in rows), self._note,
                                     self._words])
        self._box.add_class("minillm-controls")
        self._origin = [(each, type(control).__name__, repr(getattr(control, "options", None)),
                         repr(getattr(control, "value", None))) for each, control in self.controls.items()]
        self._handles: list[DisplayHandle] = []
        self._views: list[ipywidgets.Widget] = []      # live images and texts, one per part, from the first touch on
        self._narrow: list[Narrow | None] = []         # of each part that is a picture, its form for phones
        self._hidden: list[ipywidgets.Widget] = []
        self._busy = threading.RLock()
        self.parts: list[Picture | Markup] = []
        self.error: Exception | None = None
        self.closed = self._deaf = False
        self._apply_rules()
        for each, control in self.controls.items():
            if isinstance(control, ipywidgets.Button):
                control.on_click(lambda _, name=each: self._safely(self._pressed, name))
            else:
                control.observe(lambda _, name=each: self._safely(self._changed, name), "value")

    def __getitem__(self, name: str) -> ipywidgets.Widget:
        return self.controls[name]

    @property
    def values(self) -> dict[str, Any]:
        """What the controls say now, buttons left out."""
        return {name: control.value for name, control in self.controls.items()
                if not isinstance(control, ipywidgets.Button)}

    def redraw(self) -> list[Picture | Markup]:
        """Draw for the controls' values, and show it where the page is live."""
        with self._busy, DRAWING:
            drawn = self._draw(**self._arguments())
            self.parts = list(drawn) if isinstance(drawn, (list, tuple)) else [drawn]
            self._fill()
        return self.parts

    def close(self) -> None:
        """Take the live objects away; the stored picture stays on the page."""
        self.closed = True
        for widget in [self._box, *self._hidden]:
            _close(widget)

    # what subclasses may extend

    kept: tuple[str, ...] = ()        # attributes that go over to a widget that takes this one's place
    fleeting: tuple[str, ...] = ()    # controls whose values do not
    at_once = False                   # live before the first touch, where the stored outputs would be too long

    def _fill(self) -> None:
        for view, part, narrow in zip(self._views, self.parts, self._narrow, strict=bool(self._views)):
            fill(view, part, narrow)
        self._speak(" ".join(part.alt for part in self.parts))

    def _speak(self, words: str) -> None:
        self._words.value = _spoken(words)

    def _take_over(self, before: Live) -> None:
        """Go on where the widget of this name stood, so that a cell that is run again loses nothing."""
        for name in self.kept:
            setattr(self, name, getattr(before, name))
        with self._silent():
            for name, control in self.controls.items():
                if isinstance(control, ipywidgets.ValueWidget) and name not in self.fleeting:
                    control.value = before.controls[name].value
        self._apply_rules()

    def _arranged(self, views: list[ipywidgets.Widget]) -> list[ipywidgets.Widget]:
        """The live parts as they stand below the controls: one below the other."""
        return views

    @contextmanager
    def _silent(self) -> Iterator[None]:
        """Set controls without an answer."""
        self._deaf = True
        try:
            yield
        finally:
            self._deaf = False

    def _arguments(self) -> dict[str, Any]:
        return self.values

    def _changed(self, name: str = "") -> None:
        self._apply_rules()
        self.redraw()
        self._go_live()

    def _pressed(self, name: str) -> None:
        if name in self._on_press:
            self._on_press[name]()
        self._changed(name)

    def _ipython_display_(self) -> None:
        before = _SHOWN.get(self.name)
        if before is not None and before is not self:
            if not before.closed and not self.parts and before._origin == self._origin:
                self._take_over(before)
            before.close()
        _SHOWN[self.name] = self
        if not self.parts:
            self.redraw()
        labels = ", ".join(filter(None, (control.description for control in self.controls.values())))
        words = f"[controls of “{self.name}”: {labels}. Run this cell to use them.]"
        display({_VIEW: _view(self._box), "text/plain": words}, raw=True)
        if not self._views:
            self._handles = []
            for part in self.parts:
                data, metadata = self._stored(part)
                handle = display(data, raw=True, metadata=metadata, display_id=True)
                self._handles += [handle] if handle else []          # none without a kernel
            if any(isinstance(part, Picture) for part in self.parts):
                data, metadata = in_words(self._stored_words())._repr_mimebundle_()
                display(data, raw=True, metadata=metadata)
            if self.at_once:
                self._go_live()

    def _stored(self, part: Picture | Markup) -> tuple[dict, dict]:
        data, metadata = part._repr_mimebundle_()
        if not self.repeatable:
            data["text/plain"] = f"[picture of “{self.name}”]"
        return data, metadata

    def _stored_words(self) -> str:
        if self.repeatable:
            return " ".join(part.alt for part in self.parts if isinstance(part, Picture))
        asked = " ".join(part.title for part in self.parts if isinstance(part, Picture))
        return f"{asked} The numbers differ between machines: the first touch of a control tells those of this one."

    def _go_live(self) -> None:
        """On the first touch: a live view of each part joins the box, and the stored ones step aside.

        In JupyterLab a style hides them for as long as the live ones are there, so also on a page that was loaded
        again; elsewhere they are replaced by a hidden widget.
        """
        if self._views or not self._handles:
            return
        with self._busy:
            self._views = [_fresh_view(part) for part in self.parts]
            for view in self._views:
                view.add_class("minillm-part")         # the browser tests look for it
            self._narrow = [Narrow(part, view) if isinstance(part, Picture) else None
                            for part, view in zip(self.parts, self._views, strict=True)]
            framed = [narrow.frame if narrow else view for view, narrow in zip(self._views, self._narrow, strict=True)]
            self._box.children = (*self._box.children, *self._arranged(framed))
            n_stored = len(self.parts) + any(isinstance(part, Picture) for part in self.parts)
            self._box.add_class(f"minillm-hides-{n_stored}")
            if not _replaces():
                return
            for part, handle in zip(self.parts, self._handles, strict=True):
                hidden = ipywidgets.HTML(layout=ipywidgets.Layout(display="none"))
                self._hidden.append(hidden)
                data, metadata = self._stored(part)
                handle.update({**data, _VIEW: _view(hidden)}, raw=True, metadata=metadata)

    def _apply_rules(self) -> None:
        reasons = dict(self._rules(**self.values)) if self._rules else {}
        for name, control in self.controls.items():
            control.disabled = name in reasons
        off: dict[str, list[str]] = {}
        for name, why in reasons.items():
            off.setdefault(why, []).append(f"<b>{escape(self.controls[name].description)}</b>")
        self._say(" · ".join(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} off: {escape(why)}"
                             for why, names in off.items()), look="opacity:.75;font-size:12px")

    def _say(self, html: str, *, look: str = "border-left:3px solid #D55E00;padding:2px 10px;font-size:14px") -> None:
        shown = f'<div role="note" style="line-height:1.5;{look}">{html}</div>' if html else ""
        if self._note.value != STYLE + shown:
            self._note.value = STYLE + shown

    def _safely(self, action: Callable, *arguments) -> None:
        """Run a callback: what goes wrong is told in the widget, since a page shows no error of a callback."""
        if self.closed or self._deaf:
            return
        try:
            action(*arguments)
            self.error = None
            for view in self._views:
                view.remove_class("minillm-stale")
        except Exception as error:                     # noqa: BLE001 - whatever it is, the reader must see it
            self.error = error
            trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            for view in self._views:
                view.add_class("minillm-stale")        # it shows what was before
            self._say(f"<b>{escape(type(error).__name__)}</b>: {escape(str(error))}"
                      f"<details><summary>where</summary><pre>{escape(trace)}</pre></details>")


def shown() -> dict[str, Live]:
    """The widgets on the page now, by name."""
    return {name: live for name, live in _SHOWN.items() if not live.closed}


@cache
def _settle() -> None:
    """Once: tell Python not to search through what torch, matplotlib and the others made while they were imported, or
    its search for garbage costs the odd touch 150 to 300 ms."""
    gc.collect()
    gc.freeze()


def _replaces() -> bool:
    """Is this a page whose outputs stand in frames of their own, where no style reaches from one to the next?"""
    return "google.colab" in sys.modules or "VSCODE_PID" in os.environ


def _view(widget: ipywidgets.Widget) -> dict:
    return {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}


def _fresh_view(part: Picture | Markup) -> ipywidgets.Widget:
    if isinstance(part, Markup):
        return ipywidgets.HTMLMath(part.html) if part.math else ipywidgets.HTML(part.html)
    return ipywidgets.Image(value=png(part, live=True), format="png", width=part.width,
                            layout=ipywidgets.Layout(max_width="100%", object_fit="contain"))


def fill(view: ipywidgets.Widget, part: Picture | Markup, narrow: Narrow | None) -> None:
    """Show a part in its live view."""
    view.value = part.html if isinstance(part, Markup) else png(part, live=True)
    if narrow:
        narrow.follow(part)


def _spoken(words: str) -> str:
    hidden = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap"
    return f'<div role="status" style="{hidden}">{escape(words)}</div>'


def _close(widget: ipywidgets.Widget) -> None:
    """Close a widget with all that it is made of; its layout and style are widgets of their own."""
    for child in getattr(widget, "children", ()):
        _close(child)
    for part in ("layout", "style"):
        if isinstance(getattr(widget, part, None), HasTraits):
            getattr(widget, part).close()
    widget.close()
