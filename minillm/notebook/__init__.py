'''Show models at work: pictures, widgets, checks.  The only place with matplotlib, seaborn and ipywidgets.

**A picture** (plots.py) is made by a pure function, data -> Picture, and says in words what it shows::

    def loss_curve(losses):
        figure = plots.picture(720, 300, title="Does the loss reach the floor?")   # CSS pixels
        ax = plots.axes(figure, xlabel="step", ylabel="loss (nats per token)")
        ax.plot(losses, color=plots.COLOURS["train"])
        return figure.describe(f"A curve from {losses[0]:.1f} to {losses[-1]:.1f} nats in {len(losses)} steps.")

End a cell with it.  Colours have fixed meanings (`COLOURS`; `SERIES` for the rest; colour maps `AMOUNT`, `SIGNED`).
Never pyplot, never tight or constrained layout.  Words in scripts that matplotlib's font lacks (Arabic, Devanagari,
Chinese …) are never drawn into a picture: use HTML, `markup.card`, `markup.table`, `markup.chip`, `markup.flow`.

**A drawing** of a structure (drawings.py) is made in the same way on a `Sheet`, from boxes, arrows, rows and matrices.

**A widget** (widgets.py) is controls + a `draw` function; the figure is made once and its artists are updated::

    def softmax_dial():
        figure = plots.picture(); ax = plots.axes(figure, xlabel="token", ylabel="probability"); bars = ax.bar(...)
        def draw(temperature, mask):                        # the controls' names are the arguments
            ...                                             # bar.set_height(...)
            return figure.describe("…")                     # or markup.card(html, alt), or a list of both kinds
        controls = {"temperature": slider("temperature", [0.5, 1, 2], 1), "mask": toggle("mask")}
        return Live("softmax dial", controls, draw,
                    rules=lambda temperature, mask: {"mask": "there is nothing to mask"} if temperature > 1 else {})

The notebook's cell is one call, `widgets.softmax_dial()`.  A test sets `live["temperature"].value = 2` and looks at
`live.parts`.  Each widget's name is unique in its notebook.  Pass `repeatable=False` where the words hold numbers
that differ between processors.  Long work (training): `clock.Clock`; its `start(**settings)` yields a result per step.

**Letters** (symbols.py): one letter is one thing in the whole course.  Equations of docstrings and notebooks use the
rows of `SYMBOLS` alone (a test reads them); a notebook's table of symbols is written from there.

**Checks** (checks.py): in a lesson's `exercises.py` a list EXERCISES, in its `solutions.py` a dict SOLUTIONS::

    EXERCISES = [Exercise("01.2", "Merge a pair", points=2, minutes=10, difficulty="easy",
                          cases=lambda random: [([1, 2, 1, 2], (1, 2), 9), (random.choices(range(3), k=30), (0, 1), 9)],
                          properties={"a merge never makes a list longer":
                                      lambda out, ids, pair, new: len(out) <= len(ids)})]
    SOLUTIONS = {"01.2": Solution(merge, {"you skip the token after a merged pair": merge_that_skips})}

`check("01.2", answer)` prints one verdict.  tests/lessons/test_exercises.py runs every registered exercise: the
reference passes, each mistake is caught and named, the stub is "not attempted yet".  `same(mine, library, *inputs)`
compares outputs and gradients; `show(Class)` and `equation(Class)` display the library.

**Cells of an exercise** (held by tests/course/test_grammar.py), in this order:
1. markdown with the task below a line `### Exercise 01.2`; the command completes the heading.
2. first line `# exercise: 01.2`; a stub that raises NotImplementedError; `check("01.2", merge)` last.
3. markdown, tag `hint`: three `<details><summary>Hint 1: a nudge</summary>` … (nudge, formula, skeleton).
4. `solution("01.2")`: shows the answer from `solutions.py`, folded, and says that it passes.
`python -m minillm notebooks` writes headings and metadata (title, points, minutes, difficulty), executes, cleans.

**In a browser**: `python tests/browser/lab.py notebooks/01_tokenization.ipynb --shots /tmp/shots` runs all cells in
JupyterLab, touches every control, times click to changed picture, and leaves screenshots (`--dark`: dark theme).
'''
from __future__ import annotations

from importlib import import_module

_EXPORTS = {
    "check": "checks", "same": "agreement", "show": "explain", "equation": "explain", "solution": "explain",
    "Live": "widgets", "slider": "widgets", "choice": "widgets", "toggle": "widgets", "text": "widgets",
    "button": "widgets", "Clock": "clock", "Picture": "plots", "picture": "plots", "axes": "plots",
    "Markup": "markup", "card": "markup", "table": "markup", "chip": "markup", "flow": "markup",
    "show_tokens": "tokens", "Sheet": "drawings",
}


def __getattr__(name: str):
    if name in _EXPORTS:
        return getattr(import_module(f"minillm.notebook.{_EXPORTS[name]}"), name)
    raise AttributeError(f"minillm.notebook has no {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
