"""Widgets without a page: what their controls do to what they draw, and what stands in the stored notebook."""
import gc

import ipywidgets
import pytest

from minillm.notebook import markup, plots, widgets
from minillm.notebook.widgets import Live, button, buttons, choice, shown, slider, text, toggle


class Notebook:
    """Stand in for the page: keep what is displayed and what replaces it."""

    def __init__(self):
        self.outputs, self.updates = [], []

    def display(self, data, *, raw, metadata=None, display_id=None):
        self.outputs.append((data, metadata))
        return self if display_id else None

    def update(self, data, *, raw, metadata):
        self.updates.append((data, metadata))


@pytest.fixture
def page(monkeypatch):
    notebook = Notebook()
    monkeypatch.setattr(widgets, "display", notebook.display)
    yield notebook
    for live in shown().values():
        live.close()


def dial(name="dial", **options):
    figure = plots.picture(400, 200, title="How high?")
    bar, = plots.axes(figure).bar([0], [1])

    def draw(height, words):
        bar.set_height(height)
        if height == 3:
            raise RuntimeError("three is <too> high")
        return [figure.describe(f"One bar of height {height}."), markup.card(words, words)]
    return Live(name, {"height": slider("height", [1, 2, 3], 1), "words": text("words", "one")}, draw, **options)


def test_a_moved_control_changes_the_picture_and_its_words():
    live = dial()
    live["height"].value = 2
    assert [part.alt for part in live.parts] == ["One bar of height 2.", "one"]


def test_a_few_values_stand_on_buttons_and_one_press_chooses():
    layer = buttons("layer", range(1, 7), 3)
    live = Live("pressed", {"layer": layer}, lambda layer: markup.card("", f"layer {layer}"))
    assert layer.options == tuple((str(each), each) for each in range(1, 7)) and live.redraw()[0].alt == "layer 3"
    layer.index = 4                                     # what a press on the fifth sends
    assert live.parts[0].alt == "layer 5"


def test_the_stored_notebook_has_words_a_picture_and_no_page(page):
    dial()._ipython_display_()
    (controls, _), (picture, metadata), (card, _), (words, _) = page.outputs
    assert controls["text/plain"] == "[controls of “dial”: height, words. Run this cell to use them.]"
    assert picture["text/plain"] == "[picture: One bar of height 1.]" and "image/png" in picture
    assert metadata["image/png"] == {"width": 400, "alt": "One bar of height 1."}
    assert "text/html" in card and card["text/plain"] == "[one]"
    assert words["text/html"].endswith("<summary>The picture in words</summary>One bar of height 1.</details>")


def test_numbers_that_differ_between_machines_stay_out_of_the_stored_words(page):
    dial(repeatable=False)._ipython_display_()
    assert page.outputs[1][0]["text/plain"] == "[picture of “dial”]"
    assert "How high?" in page.outputs[3][0]["text/html"] and "height 1" not in page.outputs[3][0]["text/html"]


def test_what_it_shows_is_told_to_a_screen_reader_before_the_first_touch_too(page):
    live = dial()
    live._ipython_display_()
    assert live._words in live._box.children and ">One bar of height 1. one</div>" in live._words.value


def test_from_the_first_touch_a_style_hides_the_stored_outputs(page):
    """A style holds on a page that was loaded again, too, where nothing can be replaced any more."""
    live = dial()
    live._ipython_display_()
    assert "minillm-hides-3" not in live._box._dom_classes and len(live._box.children) == 4
    live["height"].value = 2
    assert "minillm-hides-3" in live._box._dom_classes and not page.updates
    for after in (1, 2, 3):
        one = ".jp-OutputArea-child"
        assert f"{one}:has(.minillm-hides-3) {f'+ {one} ' * after}{{display: none}}" in live._note.value


def test_where_no_style_reaches_the_first_touch_replaces_the_stored_picture(page, monkeypatch):
    monkeypatch.setenv("VSCODE_PID", "1")
    live = dial()
    live._ipython_display_()
    live["height"].value = 2
    image, html = live._views
    assert isinstance(image, ipywidgets.Image) and isinstance(html, ipywidgets.HTML)
    assert [set(data) for data, _ in page.updates] == [
        {"image/png", "text/plain", widgets._VIEW}, {"text/html", "text/plain", widgets._VIEW}]
    before, number = image.value, len(page.updates)
    live["height"].value = 1
    assert image.value != before and len(page.updates) == number, "afterwards only the image changes"
    assert "One bar of height 1." in live._words.value


def test_showing_a_name_again_closes_the_old_one_with_all_its_parts(page):
    def open_widgets():
        registry = getattr(ipywidgets.widgets.widget, "_instances", None)
        return len(ipywidgets.Widget.widgets if registry is None else registry)
    before = open_widgets()
    for turn in range(5):
        live = dial()
        live._ipython_display_()
        live["height"].value = 1 + (turn + 1) % 2
        alone = alone if turn else open_widgets() - before
    assert open_widgets() - before == alone, "only the last one is left"
    live.close()
    assert open_widgets() == before


def test_a_cell_that_is_run_again_takes_over_what_was_set(page):
    first = dial()
    first._ipython_display_()
    first["height"].value, first["words"].value = 2, "mine"
    again = dial()
    again._ipython_display_()
    assert first.closed and again.values == {"height": 2, "words": "mine"}
    assert again.parts[0].alt == "One bar of height 2."


def test_a_cell_that_was_changed_starts_anew(page):
    first = dial()
    first._ipython_display_()
    first["height"].value = 2
    other = Live("dial", {"height": slider("height", [1, 2, 3, 4], 1)}, lambda height: markup.card("", str(height)))
    other._ipython_display_()
    assert other.values == {"height": 1}


def test_two_names_live_side_by_side(page):
    first, second = dial("a"), dial("b")
    first._ipython_display_()
    second._ipython_display_()
    assert set(shown()) == {"a", "b"} and not first.closed


def test_an_error_in_a_callback_is_told_in_the_widget_and_passes(page):
    live = dial()
    live._ipython_display_()
    live["height"].value = 3
    assert isinstance(live.error, RuntimeError)
    live["height"].value = 2
    live["height"].value = 3
    assert all("minillm-stale" in view._dom_classes for view in live._views), "what it shows is not new"
    assert "<b>RuntimeError</b>: three is &lt;too&gt; high" in live._note.value
    live["height"].value = 2
    assert live.error is None and "RuntimeError" not in live._note.value
    assert not any("minillm-stale" in view._dom_classes for view in live._views)


def test_an_error_at_first_stops_the_cell(page):
    live = dial()
    live["height"].value = 3
    live.parts = []
    with pytest.raises(RuntimeError):
        live._ipython_display_()


def test_what_makes_no_sense_is_off_and_says_why():
    live = dial(rules=lambda height, words: {"words": "nobody reads at height 2"} if height == 2 else {})
    live["height"].value = 2
    assert live["words"].disabled and "<b>words</b> is off: nobody reads at height 2" in live._note.value
    live["height"].value = 1
    assert not live["words"].disabled and "is off" not in live._note.value


def test_a_button_acts_before_the_drawing():
    count = []
    live = Live("counter", {"more": button("more")}, lambda: markup.card(str(len(count)), str(len(count))),
                on_press={"more": lambda: count.append(1)})
    live["more"].click()
    live["more"].click()
    assert live.parts[0].alt == "2"


def test_a_closed_widget_no_longer_answers():
    live = dial()
    live.close()
    live["height"].value = 2
    assert not live.parts


def test_controls_take_their_values():
    assert slider("s", [1, 2, None], 2, show=lambda each: "off" if each is None else f"{each}").value == 2
    assert choice("c", {"one": 1, "two": 2}).value == 1 and choice("c", ["a", "b"], "b").value == "b"
    assert toggle("t", True).value is True and isinstance(text("x", rows=3), ipywidgets.Textarea)


def test_a_touch_does_not_wait_for_a_search_through_all_that_was_imported():
    dial()
    assert gc.get_freeze_count() > 10_000
