"""All notebooks follow one grammar, and the grammar notices what departs from it."""
import ast
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from grammar import FORBIDDEN, faults, words  # noqa: E402

from minillm.notebook import derived, stored  # noqa: E402
from minillm.notebook.checks import Exercise  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_follows_the_grammar(path):
    assert faults(nbformat.read(path, as_version=4), path.stem) == []


OPENING = """# A title

You will be able to add. About 5 minutes.

| letter | axis word |
|---|---|
| $s$ | seq |"""
CLOSING = "## Recap\n\nWe left out much.\n\n[a paper](https://arxiv.org/abs/1)"
EXERCISE = '# exercise: 99.1\ndef add(a, b):\n    raise NotImplementedError\n\ncheck("99.1", add)'
SOLUTION = 'solution("99.1")'
FOLDED = "<details><summary>Solution 99.1</summary>"
HINTS = "\n\n".join(f"<details><summary>Hint {i}</summary>\n\nTry.\n\n</details>" for i in (1, 2, 3))


@pytest.fixture
def good(monkeypatch):
    """A small notebook without a fault, and no other exercise than its own."""
    asked = [Exercise("99.1", "Add", points=1, minutes=1, difficulty="easy")]
    monkeypatch.setattr(derived, "registered", lambda: asked)
    monkeypatch.setitem(faults.__globals__, "registered", lambda: asked)
    v4 = nbformat.v4
    book = v4.new_notebook(cells=[
        v4.new_markdown_cell(OPENING), v4.new_code_cell("", metadata={"tags": ["setup"]}),
        v4.new_markdown_cell("A question.\n\n$$\ny = x\n$$"), v4.new_code_cell("1 + 1"),
        v4.new_markdown_cell("### Exercise 99.1"), v4.new_code_cell(EXERCISE),
        v4.new_markdown_cell(HINTS, metadata={"tags": ["hint"]}),
        v4.new_code_cell(SOLUTION), v4.new_markdown_cell(CLOSING)])
    book.cells[5].outputs = [v4.new_output("stream", name="stdout", text="… 99.1: not attempted yet.\n")]
    book.cells[7].outputs = [v4.new_output("display_data", {"text/markdown": FOLDED, "text/plain": "x"}),
                             v4.new_output("stream", name="stdout", text="99.1: the solution passes.\n")]
    return stored.tidy(book, "99_demo", derived.address())


def said(book):
    return "; ".join(faults(book, "99_demo"))


def test_a_good_notebook_has_no_fault(good):
    assert said(good) == ""


def source(cell, text):
    return lambda book: book.cells[cell].update(source=text)


def output(cell, **data):
    return lambda book: book.cells[cell].outputs.append(nbformat.v4.new_output("display_data", data))


DEPARTURES = {
    "the title is missing": source(0, "No title"),
    "table of symbols": source(0, "# A title\n\nYou will be able to add. 5 minutes"),
    "how many minutes": source(0, OPENING.replace("minutes", "moments")),
    "the set-up cell prints": lambda book: book.cells[1].outputs.append(
        nbformat.v4.new_output("stream", name="stdout", text="hello")),
    "must be the set-up cell": lambda book: book.cells.pop(1),
    "a cell was never run": lambda book: book.cells[3].update(execution_count=None),
    "not stored clean": lambda book: book.cells[3].metadata.update(scrolled=True),
    "$$ must stand on lines": source(2, "So $$y = x$$ holds."),
    "never ends": source(2, "$$\ny"),
    "newcommand": source(2, "$$\n\\newcommand{\\x}{y}\n$$"),
    "150 words between": lambda book: book.cells[6].update(source="word " * 150, metadata={}),
    "26 lines of code": source(3, "x = 1\n" * 26),
    "a magic or a shell command": source(3, "!pip install x"),
    "interact is not for notebooks": source(3, "from ipywidgets import interact"),
    "pyplot is not for notebooks": source(3, "import matplotlib.pyplot as plt"),
    "not Python": source(3, "1 +"),
    "is an error": lambda book: book.cells[3].outputs.append(
        nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])),
    "written to stderr": lambda book: book.cells[3].outputs.append(
        nbformat.v4.new_output("stream", name="stderr", text="warning")),
    "without words": output(3, **{"image/png": "AAAA", "text/plain": "x"}),
    "without its words below": output(3, **{"image/png": "AAAA", "text/plain": "x"}),
    "differs between machines": output(3, **{"text/plain": "<object at 0x7f1e6da4f4c0>"}),
    "two widgets are called": lambda book: [output(cell, **{"text/plain": "[controls of “a”: b]"})(book)
                                            for cell in (3, 5)],
    "the end lacks a recap": source(8, "Bye. What we left out. [x](https://arxiv.org)"),
    "first line must be": source(5, "\n" + EXERCISE),
    "points, minutes or difficulty are missing": lambda book: book.cells[5].metadata.minillm.pop("points"),
    "a stub that raises": source(5, EXERCISE.replace("raise NotImplementedError", "return a + b")),
    "say “not attempted yet”": lambda book: book.cells[5].update(outputs=[]),
    "three folded hints": source(6, HINTS[:70]),
    "its solution must follow": lambda book: book.cells.pop(7),
    "does not pass its own check": lambda book: book.cells[7].outputs.pop(),
    "its solution is not folded": lambda book: book.cells[7].outputs.pop(0),
    "must stand in the cell above": source(4, "Add two numbers."),
    "stands 0 times": lambda book: [book.cells.pop(4) for _ in range(4)],
    "its x is something else after cell 7": lambda book: [
        source(3, "x = 1")(book), source(5, EXERCISE + "\nx + 1")(book), source(7, "x, y = 2, 3")(book)],
    "U is in no row": source(2, "$y = U x$"),
}


@pytest.mark.parametrize("fault", DEPARTURES)
def test_each_departure_is_named(good, fault):
    DEPARTURES[fault](good)
    assert fault in said(good)


def test_words_that_nobody_must_read_do_not_count():
    assert words("Two words $x + y$ `three`") == 3
    assert words("| a | table |\n$$\nx + y\n$$\n<details>folded words</details>[a link](https://x.org/a/b/c)") == 2


DRAWING = sorted(path for part in ("notebook", "lessons") for path in (ROOT / "minillm" / part).rglob("*.py")
                 if path.parent.name != "judging")  # it draws nothing, and gives an answer a clock


@pytest.mark.parametrize("path", DRAWING, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_widgets_use_only_what_jupyterlab_and_colab_share(path):
    """Keywords that ipywidgets 7.7.1 does not know only warn there, and the warning breaks the stored outputs."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                parts = set(f"{getattr(node, 'module', '') or ''}.{alias.name}".split("."))
                assert not parts & FORBIDDEN - {"tqdm", "Stack"}, f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in ("ipywidgets", "widgets"):
            assert node.attr not in FORBIDDEN, f"line {node.lineno}"
        if isinstance(node, ast.Call) and getattr(getattr(node.func, "value", None), "id", "") == "ipywidgets":
            given = {keyword.arg for keyword in node.keywords}
            assert "titles" not in given and not (node.func.attr == "Play" and given & {"playing", "repeat"})
            assert "tooltip" not in given or node.func.attr in ("Button", "ToggleButton"), f"line {node.lineno}"
            assert not (node.func.attr == "RadioButtons" and "orientation" in given), f"line {node.lineno}"
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("Thread", "ThreadPoolExecutor"), "Colab shows nothing that comes from threads"
