"""Of the cells of a notebook those are run that an answer rests on, and no others."""
from __future__ import annotations

import copy
from pathlib import Path

import pytest

from minillm.assignments.flow import needed
from minillm.assignments.guard import forbidden_names, imported_as
from minillm.assignments.master import find_exercises, read_master
from minillm.assignments.pristine import QUIET, for_exercise, graded_cells
from minillm.assignments.registry import complete
from minillm.assignments.run import cell
from tests.assignments.test_masters import answer, master

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def kept(given: list[str], answer: str, check: str = "print(f())") -> list[str]:
    """The given cells that stay before an answer and its check."""
    cells = [cell(source, "given") for source in given]
    cells += [cell(answer, "answer", exercise="f"), cell(check, "check", exercise="f")]
    return [each.source for each in needed(copy.deepcopy(cells), "f")][:-2]


def test_given_cells_that_matter_are_kept():
    given = ["from math import *", "def prepare(v):\n    CONFIG['k'] = v", "CONFIG = {}", "prepare(7)", "print(CONFIG)",
             "import random as unused"]
    assert kept(given, "def f():\n    return CONFIG") == given[:4]


@pytest.mark.parametrize("answer", [
    "def f(text):\n    return text", "def f():\n    text = 1\n    return text", "f = lambda text: text",
    "def f():\n    return [text for text in 'ab']", "def f():\n    return here.text",
    "def f(text=1, *, n=2):\n    pass",
    "text = 1\ndef f():\n    return text", "import text\nf = text.f", "class f:\n    text = 1"])
def test_what_an_answer_calls_its_own_is_no_name_of_the_notebook(answer):
    assert kept(["text = 5", "for text in ('a', 'b'):\n    print(len(text))"], answer) == []


@pytest.mark.parametrize(("given", "stays"), [
    (["x = 1", "x = 2"], [1]),                                                              # the last value counts
    (["x = 1", "x = x + 1"], [0, 1]), (["x = 1", "x += 1"], [0, 1]),
    (["x = 1", "if True:\n    x = 2"], [0, 1]), (["x = 1", "try:\n    x = 2\nexcept E:\n    pass"], [0, 1]),
    (["x = []", "x.append(1)", "show(x)", "x"], [0, 1]), (["x = {}", "x['a'] = 1", "y = x['a']"], [0, 1]),
    (["def g():\n    return y", "y = 1", "x = g()", "y = 2"], [0, 1, 2, 3]),          # x may be made of what reads y
    (["y = 1", "def g():\n    return y", "x = g", "y = 2"], [0, 1, 2, 3]),                  # g reads y when f calls it
    (["y = [1]", "def g():\n    y.append(2)", "x = len(y)", "g()"], [0, 2]),                # x is a number by then
    (["x = [1]", "def g():\n    x.append(2)", "g()", "print(x)"], [0, 1, 2]),
    (["x = [1]", "def g(z):\n    z.append(2)", "g(x)", "h(x)"], [0, 1, 2]),
    (["x = 1", "def g():\n    global x\n    x = 2", "g()"], [0, 1, 2]),
    (["import torch", "torch.manual_seed(0)\nbig = torch.rand(9)", "x = torch.ones(2)"], [0, 2]),
    (["async def g():\n    return y", "y = 3", "x = await g()"], [0, 1, 2]),
    (["def f():\n    return y", "y = 1", "x = 2", "for f in (1, y):\n    print(f)"], [2]),   # f is the answer then
    (["x = 1", "%matplotlib inline\nx = 2", "%time y = x"], [1])])
def test_names_flow_from_cell_to_cell(given, stays):
    assert kept(given, "def f():\n    return x") == [given[i] for i in stays]


def test_of_imports_those_stay_that_are_used():
    given = ["import math, heavy\nfrom a import b, c\nfrom lessons import widgets", "widgets.explorer()"]
    assert kept(given, "def f():\n    return math.pi") == ["import math, heavy"]
    assert kept([given[0] + "\nx = 1"], "def f():\n    return x, b") == [given[0] + "\nx = 1"]  # a cell is run whole


@pytest.mark.parametrize("source", ["def f(:\n", "x = a" + ".a" * 9_000, "x = " + "(" * 5_000])
def test_what_cannot_be_read_stays_and_stops_nothing(source):
    assert kept([source, "y = 1"], "def f():\n    return x") == [source]
    assert kept(["y = 1"], source, "print(y)") == ["y = 1"]


def test_public_checks_say_nothing_while_graded_and_a_teachers_own_function_stays():
    hidden = ("print(f(1))", {"exercise": "f", "role": "check", "visibility": "hidden"})
    for given, quiet in (("from minillm.notebook import check, show", True), ("x = 1", True),
                         ("def check(a, b):\n    return b", False)):
        one = find_exercises(master((given, {"role": "given"}), answer(), hidden), "m")
        cut = [each.source for each in for_exercise(
            graded_cells(one), "f", "def f(x):\n    return x\n\ncheck('f', f)", [])]
        assert (cut[0] == QUIET) == quiet and (cut[0] == given) != quiet


@pytest.mark.parametrize("notebook", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
def test_no_exercise_of_the_course_waits_for_what_decides_nothing(notebook):
    """Two cells are the grader's own, two the exercise's; imports, and what reads given models or tables, beyond."""
    one = complete(read_master(NOTEBOOKS / f"{notebook}.ipynb"), seed=1)
    cells = graded_cells(one)
    known = imported_as(each.source for each in cells if each.metadata.minillm.role == "given")
    for id, exercise in one.exercises.items():
        assert forbidden_names(exercise.stub, exercise.forbid, known) == []  # its last line calls minillm's `check`
        cut = for_exercise(cells, id, f"{exercise.solution}\n\ncheck({id!r}, None)", list(exercise.forbid))
        assert len(cut) <= 6, (id, [each.source[:60] for each in cut])
