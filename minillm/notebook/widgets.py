"""Let a reader move a slider and see what follows: a stored picture first, a live one from the first touch.

Nothing here uses `interact`, `Output`, pyplot or JavaScript: stored outputs stay equal from run to run, and the same
code works with ipywidgets 7.7.1 (Google Colab) and 8 (JupyterLab).
"""
from __future__ import annotations

import gc
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from html import escape
from typing import Any

import ipywidgets
from IPython.display import DisplayHandle, display
from traitlets import HasTraits

from minillm.notebook.markup import Markup
from minillm.notebook.plots import DRAWING, Picture, png

Parts = Picture | Markup | Sequence[Picture | Markup]
_SHOWN: dict[str, Live] = {}     # name -> what is on the page now; showing the name again closes it
_VIEW = "application/vnd.jupyter.widget-view+json"
_WIDE = dict(description_width="initial")
_STYLE = ("<style>.minillm-any-script textarea, .minillm-any-script input "
          "{unicode-bidi: plaintext; text-align: start; font-size: 15px; line-height: 1.6}</style>")


# -- controls: only what ipywidgets 7.7.1 and 8 share ----------------------------------------------------------------

def slider(label: str, values: Sequence, value: Any = None, *, show: Callable[[Any], str] = str) -> ipywidgets.Widget:
    """Choose one of `values`, in order: numbers, powers of two, None for "off"; `show` writes one for the reader."""
    options = [(show(each), each) for each in values]
    return ipywidgets.SelectionSlider(options=options, value=values[0] if value is None else value, description=label,
                                      style=dict(_WIDE), layout=ipywidgets.Layout(width="440px", max_width="100%"))


def choice(label: str, options: Sequence | Mapping[str, Any], value: Any = None) -> ipywidgets.Widget:
    """Choose one from a short list; a mapping gives names to values."""
    pairs = list(options.items()) if isinstance(options, Mapping) else [(str(each), each) for each in options]
    return ipywidgets.Dropdown(options=pairs, value=pairs[0][1] if value is None else value, description=label,
                               style=dict(_WIDE),
                               layout=ipywidgets.Layout(width="auto", max_width="100%", align_self="flex-start"))


def toggle(label: str, value: bool = False) -> ipywidgets.Widget:
    """Switch something on or off."""
    return ipywidgets.Checkbox(value=value, description=label, indent=False,
                               layout=ipywidgets.Layout(width="auto", max_width="100%"))


def text(label: str, value: str = "", *, rows: int = 1) -> ipywidgets.Widget:
    """Type in any script; each text runs in its own direction, and each key stroke counts."""
    kind, more = (ipywidgets.Text, {}) if rows == 1 else (ipywidgets.Textarea, {"rows": rows})
    box = kind(value=value, description=label, continuous_update=True, style=dict(_WIDE),
               layout=ipywidgets.Layout(width="700px", max_width="100%"), **more)
    box.add_class("minillm-any-script")
    return box


def button(label: str, hint: str = "") -> ipywidgets.Button:
    """Do something once.  Its press reaches `draw` through Live(..., on_press={name: function})."""
    return ipywidgets.Button(description=label, tooltip=hint or label, layout=ipywidgets.Layout(width="auto"))


# -- the pattern -----------------------------------------------------------------------------------------------------

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
        self._note = ipywidgets.HTML(_STYLE)
        self._words = ipywidgets.HTML()                # what the picture shows, for a screen reader
        rows = [[each] for each in self.controls] if rows is None else [list(row) for row in rows]
        self._box = ipywidgets.VBox([_row([self.controls[each] for each in row]) for row in rows] + [self._note])
        self._handles: list[DisplayHandle] = []
        self._views: list[ipywidgets.Widget] = []      # live images and texts, one per part, from the first touch on
        self._hidden: list[ipywidgets.Widget] = []
        self._busy = threading.RLock()
        self.parts: list[Picture | Markup] = []
        self.error: Exception | None = None
        self.closed = False
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
            for view, part in zip(self._views, self.parts, strict=bool(self._views)):
                _fill(view, part)
            self._words.value = _spoken(" ".join(part.alt for part in self.parts))
        return self.parts

    def close(self) -> None:
        """Take the live objects away; the stored picture stays on the page."""
        self.closed = True
        for widget in [self._box, *self._hidden]:
            _close(widget)

    # what subclasses may extend

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

    # how it works

    def _ipython_display_(self) -> None:
        before = _SHOWN.get(self.name)
        if before is not None and before is not self:
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

    def _stored(self, part: Picture | Markup) -> tuple[dict, dict]:
        data, metadata = part._repr_mimebundle_()
        if not self.repeatable:
            data["text/plain"] = f"[picture of “{self.name}”]"
        return data, metadata

    def _go_live(self) -> None:
        """On the first touch: a live view of each part joins the box, and the stored one steps aside."""
        if self._views or not self._handles:
            return
        with self._busy:
            self._views = [_fresh_view(part) for part in self.parts]
            for view in self._views:
                view.add_class("minillm-part")         # the browser tests look for it
            self._box.children = (*self._box.children, *self._views, self._words)
            for part, handle in zip(self.parts, self._handles, strict=True):
                hidden = ipywidgets.HTML(layout=ipywidgets.Layout(display="none"))
                self._hidden.append(hidden)
                data, metadata = self._stored(part)
                handle.update({**data, _VIEW: _view(hidden)}, raw=True, metadata=metadata)

    def _apply_rules(self) -> None:
        reasons = dict(self._rules(**self.values)) if self._rules else {}
        for name, control in self.controls.items():
            control.disabled = name in reasons
        self._say("".join(f"<div><b>{escape(self.controls[name].description)}</b> is off: {escape(why)}</div>"
                          for name, why in reasons.items()))

    def _say(self, html: str) -> None:
        shown = f'<div style="opacity:.8;line-height:1.4">{html}</div>' if html else ""
        if self._note.value != _STYLE + shown:
            self._note.value = _STYLE + shown

    def _safely(self, action: Callable, *arguments) -> None:
        """Run a callback: what goes wrong is told in the widget, since a page shows no error of a callback."""
        if self.closed:
            return
        try:
            action(*arguments)
            self.error = None
        except Exception as error:                     # noqa: BLE001 - whatever it is, the reader must see it
            self.error = error
            trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
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


def _row(controls: list[ipywidgets.Widget]) -> ipywidgets.Widget:
    if len(controls) == 1:
        return controls[0]
    layout = ipywidgets.Layout(flex_flow="row wrap", align_items="center", grid_gap="0 20px")
    return ipywidgets.HBox(controls, layout=layout)


def _view(widget: ipywidgets.Widget) -> dict:
    return {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}


def _fresh_view(part: Picture | Markup) -> ipywidgets.Widget:
    if isinstance(part, Markup):
        return ipywidgets.HTMLMath(part.html) if part.math else ipywidgets.HTML(part.html)
    return ipywidgets.Image(value=png(part, live=True), format="png", width=part.width,
                            layout=ipywidgets.Layout(max_width="100%", object_fit="contain"))


def _fill(view: ipywidgets.Widget, part: Picture | Markup) -> None:
    view.value = part.html if isinstance(part, Markup) else png(part, live=True)


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
