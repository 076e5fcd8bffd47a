"""On a phone a picture's title stands above it as words and its panels one below the other, cut where nothing is."""
from __future__ import annotations

import re

import numpy as np
import pytest

from minillm.notebook import Live, axes, choice, picture, widgets
from minillm.notebook.narrow import LEAST, Narrow, parts
from minillm.notebook.plots import CARD


def panels(count: int, *, title: str = "Which of them is the longest?", width: int = 720):
    figure = picture(width, 240, title=title)
    for place in range(count):
        axes(figure, 1, count, place + 1, top=60, xlabel="step", ylabel="loss").plot([0, 1], [place, 2])
    figure.subplots_adjust(wspace=0.5)
    return figure.describe("Panels.")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_panel_is_a_piece_and_no_cut_goes_through_ink(count):
    figure = panels(count)
    cuts = parts(figure)
    assert len(cuts) == count
    assert cuts[0][0] == 0 and cuts[-1][2] == 1
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    ground = [int(CARD[place:place + 2], 16) for place in (1, 3, 5)]
    for (_, top, right), (left, _, _) in zip(cuts[:-1], cuts[1:], strict=True):
        assert left == right
        assert (pixels[round(top * len(pixels)):, round(left * pixels.shape[1])] == ground).all()


def test_the_title_is_cut_off_whole_and_nothing_below_it():
    figure = panels(2)
    (_, top, _), *_ = parts(figure)
    title = figure._suptitle.get_window_extent()
    height = figure.canvas.get_width_height()[1]
    assert height - title.y0 <= top * height
    assert top * height < height - max(ax.get_tightbbox().y1 for ax in figure.axes)


def test_axes_of_one_column_stay_together_and_labels_between_panels_too():
    assert len(parts(_stacked())) == 1
    figure = panels(2)
    figure.text(0.5, 0.4, "from one to the other", ha="center")
    assert len(parts(figure)) == 1


def _stacked():
    figure = picture(720, 400, title="Two rows?")
    for place in (1, 2):
        axes(figure, 2, 1, place)
    return figure.describe("Rows.")


def test_what_stands_beside_the_title_keeps_the_picture_whole():
    figure = panels(2)
    figure.text(0.98, 0.97, "live", ha="right", va="top")
    assert parts(figure) == []
    assert Narrow(figure, widgets._fresh_view(figure)).box is None


def test_pieces_are_as_wide_as_their_panels_and_show_the_whole_below_the_title():
    live = Live("narrow", {"count": choice("count", [1, 2])}, lambda count: panels(2))
    live.redraw()
    view = widgets._fresh_view(live.parts[0])
    narrow = Narrow(live.parts[0], view)
    words, *pieces = narrow.box.children
    assert pieces == [view, view] and "<b>Which of them is the longest?</b>" in words.value
    clips = re.findall(r"inset\(([\d.]+)% ([\d.]+)% 0 ([\d.]+)%\)", words.value)
    assert float(clips[0][1]) + float(clips[1][2]) == pytest.approx(100, abs=0.01)
    own = [float(px) for px in re.findall(r"{width: calc\(max\(min\(100%, ([\d.]+)px\)", words.value)]
    least = [float(px) for px in re.findall(r"{width: calc\(max\(min\(100%, [\d.]+px\), ([\d.]+)px\)", words.value)]
    assert sum(own) == pytest.approx(720, abs=0.2) and least == pytest.approx([LEAST * px for px in own], abs=0.1)
    live.close()


def test_the_form_follows_the_title_and_the_panels(monkeypatch):
    monkeypatch.setattr(widgets, "display", lambda data, **options: options.get("display_id"))
    figures = {1: panels(1), 2: panels(2), 3: panels(3, title="And of <three>?")}
    live = Live("follows", {"count": choice("count", [1, 2, 3])}, lambda count: figures[count])
    live._ipython_display_()
    live["count"].value = 2
    framed = live._box.children[-1]
    view, box = framed.children
    assert len(box.children) == 1 + 2
    live["count"].value = 3
    assert box.children[1:] == (view,) * 3 and "And of &lt;three&gt;?" in box.children[0].value
    live.close()
    assert box.comm is None and view.comm is None
