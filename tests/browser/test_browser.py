"""Widgets in JupyterLab, in a real browser: first touch, every kind of control, a cell run again, a page reloaded."""
import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import nbformat
import pytest
from lab import CHROMIUM, CURRENT, PATIENCE, ROOT, Lab, answers

from minillm.notebook.markup import in_words
from minillm.notebook.stored import refresh

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on the PATH")]

DIAL = '''
import torch
from minillm.notebook import Clock, Live, axes, card, choice, chip, flow, picture, slider, text, toggle

def dial():
    figure = picture(640, 240, title="How sharp is the softmax?")
    bars = axes(figure, xlabel="token", ylabel="probability").bar(range(4), [1.0] * 4)
    def draw(temperature, masked, shape, words):
        scores = torch.tensor([1.0, 2.0, 3.0, 4.0 - 3 * masked])
        if words == "break":
            raise RuntimeError("broken on purpose")
        shown = (scores / temperature).softmax(-1) if shape == "softmax" else scores / 10
        for bar, height in zip(bars, shown.tolist()):
            bar.set_height(height)
        return [figure.describe(f"The highest bar is {shown.max():.2f}."), card(flow(map(chip, words.split())), words)]
    controls = {"temperature": slider("temperature", [0.5, 1, 2, 4], 1), "masked": toggle("masked"),
                "shape": choice("shape", ["softmax", "raw"]), "words": text("words", "one مرحبا", rows=2)}
    return Live("dial", controls, draw, rows=[["temperature", "masked", "shape"], ["words"]],
                rules=lambda temperature, masked, shape, words:
                    {"temperature": "raw scores have none"} if shape == "raw" else {})
'''
TRAINER = '''
import time
def trainer():
    figure = picture(640, 240, title="Does it fall?")
    ax = axes(figure, xlabel="step", ylabel="loss")
    line, = ax.plot([], [])
    def start(rate):
        loss = 10.0
        while True:
            time.sleep(0.1 if rate == 0.05 else 0.005)     # the highest rate leaves time to change one's mind
            loss *= 1 - rate
            yield loss
    def draw(history, rate):
        line.set_data(range(len(history)), history)
        ax.axis((0, len(history) + 1, 0, 10))
        return figure.describe(f"{len(history)} steps.")
    return Clock("trainer", {"rate": slider("rate", [0.01, 0.02, 0.05])}, start, draw)
'''
DIAL_CELL, TRAINER_CELL = 3, 5
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}   # else JupyterLab asks for one
OPEN = ("import ipywidgets; registry = getattr(ipywidgets.widgets.widget, '_instances', None); "
        "print(len(ipywidgets.Widget.widgets if registry is None else registry))")
DIALED = "from minillm.notebook.widgets import shown; print(shown()['dial']['temperature'].value)"
STEPS = "from minillm.notebook.widgets import shown; print(len(shown()['trainer'].history))"


@pytest.fixture(scope="module")
def lab():
    with Lab() as running:
        yield running


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A small notebook, run and stored as all are."""
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell("# Widgets"), v4.new_code_cell("", metadata={"tags": ["setup"]}),
             *map(v4.new_code_cell, (DIAL, "dial()", TRAINER, "trainer()"))]
    path = tmp_path_factory.mktemp("stored") / "widgets.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)
    refresh(path)
    return path


@pytest.fixture
def page(lab, stored):
    with lab.open(stored) as opened:
        yield opened


def picture(page, index):
    """(how many pictures the cell shows, the words for a screen reader beside the live one)"""
    cell = page.cell(index)
    pictures = [each for each in cell.locator(".jp-OutputArea img").all() if each.is_visible()]
    words = cell.locator("[role=status]")
    return len(pictures), words.first.inner_text() if words.count() else ""


def until(page, holds, seconds=20):
    """Wait for what follows a moment after the picture has changed."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"did not come about within {seconds} s"
        page.page.wait_for_timeout(50)


def test_before_anything_runs_the_stored_picture_and_words_are_shown(page):
    assert picture(page, DIAL_CELL)[0] == 1
    text = page.cell(DIAL_CELL).inner_text()
    assert "controls of “dial”" in text and "Error displaying widget" not in text and "Loading widget" not in text


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_control_changes_the_picture_and_one_picture_stays(lab, stored, dark, tmp_path):
    with lab.open(stored, dark=dark) as page:
        page.run_all()
        assert picture(page, DIAL_CELL)[0] == 1 and "0.64" in picture(page, DIAL_CELL)[1], "told before the first touch"
        for label, words in (("temperature", "0.46"), ("masked", "0.43"), ("words", ""), ("shape", "0.30")):
            kind, control = page.control(DIAL_CELL, label)
            took = page.timed(DIAL_CELL, kind, control)
            print(f"{label}: {took and round(took)} ms")
            assert took is not None, f"{label} changed nothing"
            until(page, lambda words=words: picture(page, DIAL_CELL)[0] == 1 and words in picture(page, DIAL_CELL)[1])
        assert "temperature is off: raw scores have none" in page.cell(DIAL_CELL).inner_text()
        assert "temperature" not in [label for _, label, _ in page.controls(DIAL_CELL)]
        page.shot(tmp_path / "dial.png", DIAL_CELL)


def test_typed_text_of_any_script_is_shown_and_an_error_is_told(page):
    page.run_all()
    kind, box = page.control(DIAL_CELL, "words")
    page.timed(DIAL_CELL, kind, box, "שלום 世界 नमस्ते")
    page.cell(DIAL_CELL).get_by_text("नमस्ते", exact=True).wait_for(timeout=PATIENCE)
    page.touch(kind, box, "break")
    until(page, lambda: "RuntimeError: broken on purpose" in page.cell(DIAL_CELL).inner_text())
    page.touch(kind, box, "well again")
    page.cell(DIAL_CELL).get_by_text("again", exact=True).wait_for(timeout=PATIENCE)
    assert "broken on purpose" not in page.cell(DIAL_CELL).inner_text()


def test_a_cell_run_again_takes_over_what_was_set_and_leaves_nothing_behind(page):
    page.run_all()
    fresh = int(page.evaluate(OPEN))
    for value in ("2", "4"):
        kind, control = page.control(DIAL_CELL, "temperature")
        assert page.timed(DIAL_CELL, kind, control) is not None
        page.run_cell(DIAL_CELL)
        until(page, lambda: picture(page, DIAL_CELL)[0] == 1)
        assert int(page.evaluate(OPEN)) == fresh
        assert page.evaluate(DIALED) == value


def reload(page, lab, name):
    page.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.page.wait_for_timeout(1000)
    lab.visit(page, name)


def test_a_page_loaded_again_twice_loses_nothing_and_shows_one_picture(page, lab, stored):
    page.run_all()
    kind, control = page.control(DIAL_CELL, "temperature")
    page.timed(DIAL_CELL, kind, control)
    for _ in range(2):
        reload(page, lab, stored.name)
        page.cell(DIAL_CELL).locator(".widget-slider").wait_for(timeout=PATIENCE)
        kind, control = page.control(DIAL_CELL, "temperature")
        assert page.timed(DIAL_CELL, kind, control) is not None
        until(page, lambda: picture(page, DIAL_CELL)[0] == 1)     # the stored one does not stay below the live one
    steps = int(page.evaluate(STEPS))
    page.run_cell(TRAINER_CELL)
    assert int(page.evaluate(STEPS)) == steps, "what was trained is still there"


def test_a_page_that_is_not_trusted_finds_its_widgets_again(page, lab, stored):
    page.run_all()
    kind, control = page.control(DIAL_CELL, "temperature")
    page.timed(DIAL_CELL, kind, control)
    page.touch(*page.control(TRAINER_CELL, "one step"))
    until(page, lambda: int(page.evaluate(STEPS)) == 21)
    page.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.page.wait_for_timeout(1000)
    text = (page.folder / stored.name).read_text("utf-8")        # a signature is of the content: changed, it is void
    (page.folder / stored.name).write_text(text.replace("# Widgets", "# Widgets, again"), "utf-8")
    lab.visit(page, stored.name)
    assert "Run this cell" in page.cell(TRAINER_CELL).inner_text()
    page.run_cell(TRAINER_CELL)
    assert int(page.evaluate(STEPS)) == 21
    page.run_cell(DIAL_CELL)
    until(page, lambda: picture(page, DIAL_CELL)[0] == 1)
    assert page.evaluate(DIALED) == "2"


def test_pictures_are_told_in_words_on_the_page(page):
    page.run_all()
    folded = page.cell(DIAL_CELL).locator("details")
    folded.locator("summary").click()
    assert "The highest bar is 0.64." in folded.inner_text()


@pytest.mark.parametrize(("opening", "negative"), [
    ('<html theme="dark"><body>', True), ('<html theme="light"><body>', False),                   # Colab's frames
    ('<html><body class="vscode-dark">', True), ('<html><body class="vscode-light">', False)])
def test_elsewhere_too_a_picture_is_dark_where_the_page_is(page, opening, negative):
    other = page.page.context.new_page()
    try:
        other.set_content(f"{opening}<div class='cell_container'><img id='ours'>{in_words('seen').html}</div>"
                          "<div class='cell_container'><img class='minillm-part' id='live'></div></body></html>")
        for name in ("ours", "live"):
            style = other.locator(f"#{name}").evaluate("img => getComputedStyle(img).filter")
            assert (style != "none") == negative, (name, style)
    finally:
        other.close()


def test_play_trains_until_paused_and_a_cell_run_again_stops_it(page):
    page.run_all()
    kind, play = page.control(TRAINER_CELL, "play")
    assert int(page.evaluate(STEPS)) == 20
    page.timed(TRAINER_CELL, kind, play)
    until(page, lambda: int(page.evaluate(STEPS)) > 40)
    page.touch(*page.control(TRAINER_CELL, "play"))
    page.page.wait_for_timeout(1000)
    paused = int(page.evaluate(STEPS))
    page.page.wait_for_timeout(1000)
    assert int(page.evaluate(STEPS)) == paused, "paused, it goes on"
    page.touch(*page.control(TRAINER_CELL, "play"))
    page.page.wait_for_timeout(500)
    page.run_cell(TRAINER_CELL)
    page.page.wait_for_timeout(1000)
    made = int(page.evaluate(STEPS))
    page.page.wait_for_timeout(1000)
    assert int(page.evaluate(STEPS)) == made >= paused, "the old run's clock ticks on"
    for label, steps in (("one step", made + 1), ("run 100 steps", made + 101), ("reset", 0)):
        kind, button = page.control(TRAINER_CELL, label)
        assert page.timed(TRAINER_CELL, kind, button) is not None
        until(page, lambda steps=steps: int(page.evaluate(STEPS)) == steps)


def test_a_long_run_can_be_stopped_by_its_own_button(page):
    page.run_all()
    page.touch(*page.control(TRAINER_CELL, "rate"), "End")
    kind, button = page.control(TRAINER_CELL, "run 100 steps")
    page.timed(TRAINER_CELL, kind, button)
    page.touch(*page.control(TRAINER_CELL, "stop"))
    page.control(TRAINER_CELL, "run 100 steps")
    page.page.wait_for_timeout(500)                  # the slice that was under way
    made = int(page.evaluate(STEPS))
    page.page.wait_for_timeout(800)
    assert 0 < int(page.evaluate(STEPS)) == made < 100


@pytest.mark.skipif(os.name != "posix", reason="a terminal's Ctrl-C is pressed here")
def test_the_command_opens_a_trusted_copy_alarms_nobody_and_stops_at_once(lab, stored, tmp_path, hearing):
    """`python -m minillm lab NAME` from another folder: the address opens; until its end the terminal is quiet."""
    root = tmp_path / "clone"
    shutil.copytree(ROOT / "minillm", root / "minillm", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copyfile(ROOT / name, root / name)
    (root / "notebooks").mkdir()
    shutil.copy(stored, root / "notebooks")
    places = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA")}
    places["JUPYTER_RUNTIME_DIR"] = tempfile.mkdtemp()      # a socket's path is short
    terminal = tmp_path / "terminal"
    with terminal.open("w") as written:
        process = subprocess.Popen([sys.executable, "-m", "minillm", "lab", "widgets", "--no-browser"], cwd=tmp_path,
                                   env={**os.environ, **places, "PYTHONPATH": str(root)}, stdout=written,
                                   stderr=subprocess.STDOUT, start_new_session=True)
    try:
        while "Ctrl-C in this window" not in terminal.read_text():
            assert process.poll() is None, terminal.read_text()
            time.sleep(0.1)
        line = re.search(r"http://\S+", terminal.read_text())[0]
        with lab.browser.new_context(viewport=lab.size) as context:
            page = context.new_page()
            assert answers(line, process)
            page.goto(line, timeout=PATIENCE)
            cell = page.locator(f".jp-Cell[data-windowed-list-index='{DIAL_CELL}']")
            assert "controls of “dial”" in cell.inner_text()
            page.get_by_text("| Idle").wait_for(timeout=PATIENCE)       # in the status bar: the kernel is there
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_text("Run All Cells", exact=True).click()
            cell.locator(".widget-slider").wait_for(timeout=PATIENCE)
        said = [line.strip() for line in terminal.read_text().split("\n") if line.strip()]
    finally:
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)                 # as a terminal sends it: to all that runs in it
        try:
            process.wait(60)
        finally:
            process.kill()
    assert time.monotonic() - began < 60 and process.returncode == 0
    assert said == ["JupyterLab starts at", line,
                    "and your notebooks are in my_notebooks/. Ctrl-C in this window stops it."]
    assert (root / "my_notebooks" / stored.name).exists()


EXPLORER = "from minillm.lessons import architectures\nwidget = architectures.Explorer()"
LABORATORY = ("from minillm import corpora\nfrom minillm.lessons import training\n"
              "widget = training.training_lab(corpora.load('stories'))")
RACE = LABORATORY.replace("training_lab", "race")


@pytest.mark.parametrize(("made", "touched"), [(EXPLORER, "preset"), (LABORATORY, "one step"), (RACE, "one turn")],
                         ids=["explorer", "laboratory", "race"])
def test_all_that_a_turn_changes_is_seen_at_once(lab, tmp_path, made, touched):
    """Controls, picture, and what is told of it: at most 650 pixels high in a window 1,280 wide."""
    v4 = nbformat.v4
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(made), v4.new_code_cell("widget")], metadata=KERNEL),
                   tmp_path / "one.ipynb")
    with lab.open(tmp_path / "one.ipynb") as page:
        page.run_all()
        shown = page.cell(1)
        shown.locator(".minillm-controls").first.wait_for(timeout=PATIENCE)
        kind, control = page.control(1, touched)
        assert page.timed(1, kind, control, patience=60) is not None
        until(page, lambda: picture(page, 1)[0] == 1)
        outputs = shown.locator(".jp-Cell-outputWrapper").bounding_box()
        assert 400 < outputs["height"] <= 650
        assert outputs["width"] <= 1280


# -- every widget of the course, as wide as a tablet and a phone ------------------------------------------------------

NARROW = """cell => {
    const within = (...kinds) => kinds.flatMap(kind => [...cell.querySelectorAll(".minillm-controls " + kind)])
        .filter(node => node.offsetWidth);
    const longer = node => node.scrollWidth > node.clientWidth + 1;
    return {
        cut: within(".widget-label", ".widget-label-basic", "label", "button", ".widget-readout",
            ".lm-TabBar-tabLabel").filter(longer),
        track: within(".noUi-target").filter(node => node.offsetWidth < 80),
        scrolls: [...cell.querySelectorAll(".minillm-controls"), ...within(".widget-box")].filter(node =>
            longer(node) && !node.matches(".minillm-frame, .minillm-narrow") && !node.closest(".widget-tab-contents")),
        letters: within("img.minillm-part").filter(img => img.clientWidth < 0.66 * img.naturalWidth / 1.75),
        twice: within(".minillm-frame:has(> .minillm-narrow)").filter(frame =>          // one form of the two is seen
            [...frame.children].filter(form => form.offsetWidth).length !== 1),
    };
}"""
SIDEWAYS = """() => [...document.querySelectorAll(".jp-WindowedPanel-outer, .jp-Notebook, body")]
    .filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.className)"""
FRAMES = """cell => [...cell.querySelectorAll(".minillm-frame")].filter(one => one.scrollWidth > one.clientWidth)
    .map(one => `${one.scrollWidth} > ${one.clientWidth}`)"""
NAMED = f"""cell => {{
    const size = node => `${{node.scrollWidth}} > ${{node.clientWidth}}`;
    return Object.entries(({NARROW})(cell)).flatMap(([kind, nodes]) =>
        nodes.map(node => `${{kind}}: ${{(node.innerText || node.className).slice(0, 40)}}, ${{size(node)}}`));
}}"""
ROOMS = "architectures, attention, block, inference, lora, positions, tokenization, training"


def widgets_that_need_nothing() -> list[str]:
    """Every cell of the notebooks that shows a widget and reads no name but its room's."""
    found = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            shown = " ".join(str(output.get("data", {}).get("text/plain")) for output in cell.get("outputs", []))
            if "[controls of" in shown:
                read = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
                found += [cell.source] * (read <= set(ROOMS.split(", ")))
    return found


@pytest.fixture(scope="module")
def all_widgets(tmp_path_factory):
    cells = [f"from minillm.lessons import {ROOMS}", *widgets_that_need_nothing(), "architectures.Explorer()"]
    path = tmp_path_factory.mktemp("all") / "all.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, cells)], metadata=KERNEL), path)
    return path


def test_nothing_is_cut_on_a_tablet_or_a_phone_and_no_page_scrolls_sideways(lab, all_widgets, tmp_path):
    """Labels, buttons and tracks are whole; a picture keeps its letters and scrolls in a frame of its own."""
    with lab.open(all_widgets) as page:
        page.run_all()
        cells, faults = page.widget_cells(), []
        assert len(cells) > 25
        for index in cells:                              # a touch, so that the live picture is there
            usable = [each for each in page.controls(index) if each[0] in ("slider", "choice", "toggle")]
            if usable:
                page.touch(usable[0][0], usable[0][2])
        page.page.wait_for_function(f"() => {CURRENT}.sessionContext.session.kernel.status === 'idle'",
                                    timeout=PATIENCE)
        for width in (800, 360):
            page.page.set_viewport_size({"width": width, "height": 1000})
            page.page.wait_for_timeout(500)
            for index in cells:
                cell = page.cell(index)
                page.page.wait_for_timeout(100)
                faults += [f"{width} px, cell {index}, {fault}" for fault in cell.evaluate(NAMED)]
                if width == 800:
                    faults += [f"800 px, cell {index}: a picture scrolls, {each}" for each in cell.evaluate(FRAMES)]
                page.shot(tmp_path / f"{width}-{index:03}.png", index)
            faults += [f"{width} px: {each} scrolls sideways" for each in page.page.evaluate(SIDEWAYS)]
        assert not faults, "\n".join(faults)


CELLS = '''
from minillm.notebook import axes, choice, picture
from minillm.notebook.clicking import Cells, Clicked
figure = picture(height=300, title="Which?")
ax = figure.add_axes((0.1, 0.2, 0.5, 0.6))
cells = Cells(2, 3, (0.1, 0.2, 0.5, 0.6), names=("row", "column"))

def draw(place):
    ax.set_title(str(place))
    return figure.describe(f"Row {place[0]}, column {place[1]}.")

Clicked("cells", cells, {"place": cells.control}, draw, rows=[])
'''


def test_a_picture_is_clicked_at_any_width_and_by_key(lab, tmp_path):
    path = tmp_path / "cells.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELLS)], metadata=KERNEL), path)
    with lab.open(path) as page:
        page.run_all()
        for width, place in ((1280, (2, 3)), (360, (1, 2))):
            page.page.set_viewport_size({"width": width, "height": 900})
            image = page.cell(0).locator("img.minillm-part")
            image.scroll_into_view_if_needed()
            box = image.bounding_box()                   # the middle of that cell, as a hand finds it in the picture
            x, y = 0.1 + 0.5 * (place[1] - 0.5) / 3, 0.2 + 0.6 * (place[0] - 0.5) / 2
            image.click(position={"x": x * box["width"], "y": y * box["height"]}, force=True)
            until(page, lambda place=place: f"Row {place[0]}, column {place[1]}." in picture(page, 0)[1])
        page.page.keyboard.press("Tab")
        page.page.keyboard.press("Enter")
        until(page, lambda: "Row 1, column 3." in picture(page, 0)[1])
        assert not page.cell(0).evaluate(NAMED)
