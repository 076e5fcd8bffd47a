"""Make the controls of a widget: only what ipywidgets 7.7.1 (Google Colab) and 8 (JupyterLab) share."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets

from minillm.notebook import markup, narrow

_OUTPUT = (".jp-OutputArea-child", ".output_area")     # one output, in JupyterLab and in the classic notebook
STYLE = f"<style>{markup.STYLE}{narrow.STYLE}" + "".join([
    ".minillm-any-script textarea, .minillm-any-script input {unicode-bidi: plaintext; text-align: start; "
    "font-size: 15px; line-height: 1.6} ",
    *(f"{one}:has(.minillm-hides-{n}) {f'+ {one} ' * after}{{display: none}} "
      for one in _OUTPUT for n in range(1, 9) for after in range(1, n + 1)),
    ".minillm-stale {opacity: .25} .minillm-frame > img.minillm-part {margin: 0} ",   # else it scrolls by the margins
    ".minillm-controls > *, .minillm-controls > .widget-hbox > * {max-width: calc(100% - 4px) !important} ",  # margins
    ".minillm-controls .widget-html-content {min-width: 0} ",       # a wide table scrolls in its card, not all with it
    *(f".minillm-controls .{kind}-TabBar-content {{flex-wrap: wrap}} .minillm-controls .{kind}-TabBar-tab "
      f"{{flex: none !important; min-width: 0 !important}} " for kind in ("lm", "p")),     # whole names
    f"@media (max-width: {narrow.PHONE}px) {{",  # a phone: the label above its slider, pictures that keep their letters
    ".minillm-controls .widget-inline-hbox {flex-wrap: wrap; height: auto} ",
    ".minillm-controls .widget-label {flex-basis: 100%; text-align: start} ",
    ".minillm-controls .widget-hslider .slider-container {min-width: 120px; flex: 1 1 120px} ",
    ".minillm-controls button, .minillm-controls .widget-checkbox * {white-space: normal; height: auto; "
    "max-width: 100%} .minillm-controls .widget-upload {height: auto; line-height: 1.4} ",
    ".minillm-frame > img.minillm-part {max-width: 480px !important; flex: none} ",    # its frame scrolls, no more
    "}</style>"])
_WIDE = dict(description_width="initial")


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


def buttons(label: str, values: Sequence, value: Any = None) -> ipywidgets.Widget:
    """Choose one of a few short values, each on a button of its own: one press, where a slider takes several."""
    return ipywidgets.ToggleButtons(options=[(str(each), each) for each in values],
                                    value=values[0] if value is None else value, description=label,
                                    style={**_WIDE, "button_width": "auto"},
                                    layout=ipywidgets.Layout(width="auto", max_width="100%"))


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


def upload(label: str, accept: str) -> ipywidgets.FileUpload:
    """Bring files of one's own: `uploaded` reads its value.  `accept` lists what they end in: ".csv,.json"."""
    return ipywidgets.FileUpload(description=label, accept=accept, multiple=True,
                                 layout=ipywidgets.Layout(width="auto"))


def uploaded(value: Any) -> list[tuple[str, bytes]]:
    """The (name, bytes) pairs of a FileUpload's value: a tuple of dicts in ipywidgets 8, a dict of dicts in 7."""
    if isinstance(value, Mapping):
        return [(name, bytes(file["content"])) for name, file in value.items()]
    return [(file["name"], bytes(file["content"])) for file in value]


def row(controls: list[ipywidgets.Widget]) -> ipywidgets.Widget:
    """Controls side by side, as far as the page is wide."""
    if len(controls) == 1:
        return controls[0]
    layout = ipywidgets.Layout(flex_flow="row wrap", align_items="center", grid_gap="0 20px")
    return ipywidgets.HBox(controls, layout=layout)


def beside(views: Sequence[ipywidgets.Widget]) -> ipywidgets.Widget:
    """Parts of a picture side by side, the later ones as wide as the page leaves them; where it is narrow, below."""
    for view in views[1:]:
        view.layout.flex, view.layout.min_width = "1 1 340px", "min(340px, 100%)"
    layout = ipywidgets.Layout(flex_flow="row wrap", align_items="flex-start", grid_gap="4px 12px", width="100%")
    return ipywidgets.HBox(list(views), layout=layout)
