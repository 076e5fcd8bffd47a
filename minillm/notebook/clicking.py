"""Let a reader click into a picture: buttons that are seen through lie over a grid in it, one for each cell."""
from __future__ import annotations

from itertools import count, product

import ipywidgets

from minillm.notebook.plots import BLUE
from minillm.notebook.widgets import Live

_NUMBERS = count()
Box = tuple[float, float, float, float]      # left, bottom, width, height in shares of the picture, as for `add_axes`


class Cells:
    """A grid of places in a picture, of which one is chosen: `control.value` is its (row, column), from 1.

    One `ToggleButtons`, as for `TokenRow`: a click is one message, and the Tab key walks through the cells.  `names`
    says what a row and what a column is: they name the buttons for those who cannot see the picture.
    """

    def __init__(self, rows: int, columns: int, where: Box, *, names: tuple[str, str],
                 chosen: tuple[int, int] = (1, 1)):
        cells = list(product(range(1, rows + 1), range(1, columns + 1)))
        labels = [f"{names[0]} {row}, {names[1]} {column}" for row, column in cells]
        self.control = ipywidgets.ToggleButtons(options=list(zip(labels, cells, strict=True)), value=chosen,
                                                layout=ipywidgets.Layout(width=f"{100 * where[2]:.3f}%", margin="0px",
                                                                         height=f"{100 * where[3]:.3f}%"))
        mine = f"minillm-cells-{next(_NUMBERS)}"
        self.control.add_class(mine)
        left, top = 100 * where[0], 100 * (1 - where[1] - where[3])
        grid, one = f".{mine} > div", f".{mine} button.jupyter-button"
        self._sheet = ipywidgets.HTML(
            f"<style>.minillm-over {{position:relative;flex:none;overflow:visible}} "
            f".minillm-over > img.minillm-part {{width:100%;margin:0;max-width:none !important}} "
            f".{mine} {{position:absolute;left:{left:.3f}%;top:{top:.3f}%;overflow:hidden}} "
            f".{mine} > label {{display:none}} "
            f"{grid} {{display:grid;grid-template-columns:repeat({columns},1fr);grid-template-rows:repeat({rows},1fr);"
            f"width:100%;height:100%;gap:0;margin:0}} "
            f"{one} {{width:auto !important;min-width:0;height:auto;margin:0;padding:0;border:0;border-radius:0;"
            f"background:transparent !important;color:transparent !important;font-size:0;box-shadow:none !important;"
            f"cursor:pointer}} {one}:hover, {one}:focus-visible {{outline:2px solid {BLUE};"
            f"outline-offset:-2px}} @media (max-width: 600px) {{.minillm-frame > .minillm-over "
            f"{{width:480px !important;max-width:none !important}}}}</style>",
            layout=ipywidgets.Layout(height="0px", margin="0px", display="none"))

    def over(self, frame: ipywidgets.Box) -> ipywidgets.Box:
        """The same frame, its picture now with these cells on it, in one form for all pages."""
        picture, *narrow = frame.children
        for form in narrow:
            form.close()
        layout = ipywidgets.Layout(width=f"{picture.width}px", max_width="100%")
        held = ipywidgets.Box([picture, self.control, self._sheet], layout=layout)
        held.add_class("minillm-over")
        frame.children = [held]
        return frame

    def close(self) -> None:
        for widget in (self.control, self._sheet):
            widget.close()


class Clicked(Live):
    """A widget whose first picture is clicked: `cells` is one of its controls and lies over that picture.

    Live as soon as its cell has run, since a stored picture cannot be clicked.
    """
    at_once = True

    def __init__(self, name: str, cells: Cells, *arguments, **options):
        self._cells = cells
        super().__init__(name, *arguments, **options)

    def _arranged(self, views: list[ipywidgets.Widget]) -> list[ipywidgets.Widget]:
        return [self._cells.over(views[0]), *views[1:]]

    def close(self) -> None:
        super().close()
        self._cells.close()
