"""A picture is clicked: cells lie over a grid in it, each with a name, and one is chosen."""
from __future__ import annotations

import re

import pytest

from minillm.notebook import axes, choice, picture, widgets
from minillm.notebook.clicking import Cells, Clicked

WHERE = (0.1, 0.2, 0.5, 0.6)


def widget() -> tuple[Clicked, Cells]:
    figure = picture(height=200, title="Which?")
    ax = axes(figure)
    cells = Cells(2, 3, WHERE, names=("row", "column"), chosen=(1, 2))

    def draw(colour: str, place: tuple[int, int]):
        ax.set_title(f"{colour} {place}")
        return figure.describe(f"{colour}, row {place[0]}, column {place[1]}")
    controls = {"colour": choice("colour", ["red", "blue"]), "place": cells.control}
    return Clicked("grid", cells, controls, draw, rows=[["colour"]]), cells


def test_each_cell_has_a_name_and_a_place():
    live, cells = widget()
    assert [name for name, _ in cells.control.options] == [f"row {i}, column {j}" for i in (1, 2) for j in (1, 2, 3)]
    assert live.redraw()[0].alt == "red, row 1, column 2"
    live["place"].value = (2, 3)
    assert live.parts[0].alt == "red, row 2, column 3" and live.error is None
    live.close()


def test_the_cells_lie_over_their_part_of_the_picture(monkeypatch):
    """As shares of the picture, from its upper left corner, so that they fit at any width; as soon as it is shown."""
    monkeypatch.setattr(widgets, "display", lambda data, **options: options.get("display_id"))
    live, cells = widget()
    live._ipython_display_()
    frame = live._box.children[-1]
    held, = frame.children
    image, control, sheet = held.children
    assert "minillm-part" in image._dom_classes and "minillm-over" in held._dom_classes
    assert control is cells.control and held.layout.width == f"{live.parts[0].width}px"
    found = dict(re.findall(r"(left|top):([0-9.]+)%", sheet.value))
    assert (float(found["left"]), float(found["top"])) == (pytest.approx(10), pytest.approx(20))
    assert (control.layout.width, control.layout.height) == ("50.000%", "60.000%")
    assert "repeat(3,1fr)" in sheet.value and "repeat(2,1fr)" in sheet.value
    before = image.value
    control.value = (2, 1)
    assert image.value != before
    live.close()
    assert live.closed and control.comm is None and image.comm is None


def test_cells_that_were_never_shown_are_closed_as_well():
    live, cells = widget()
    live.close()
    assert cells.control.comm is None
