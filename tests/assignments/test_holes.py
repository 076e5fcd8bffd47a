"""What a teacher's own checks let pass is told: small changes to a solution, and mistakes that give the same."""
import ast

import nbformat
import pytest
from nbformat import v4

from minillm.assignments.build import build
from minillm.assignments.holes import holes
from minillm.cli import main
from minillm.notebook.judging.mutants import rewritten

COUNT_DOWN = """\
def halvings(n):
    \"\"\"How often n can be halved until it is 1.\"\"\"
    steps = 0
    while n > 1:
        n //= 2
        steps += 1
    return steps + 0
"""


def told(folder, solution, check, *, equal=(), mistakes=(), **limits) -> list[str]:
    """What is told of a course with one exercise, "it", whose answer is a function of one argument."""
    def cell(source, role, **own):
        return v4.new_code_cell(source, metadata={"minillm": {"exercise": "it", "role": role, **own}})
    name = ast.parse(solution).body[-1].name
    made = [cell(f"def {name}(n):\n    raise NotImplementedError", "answer", points=2, equal=list(equal)),
            cell(check, "check", points=2, visibility="hidden"), cell(solution, "solution"),
            *(cell(source, "mistake", name=what) for what, source in mistakes)]
    nbformat.write(v4.new_notebook(cells=made), folder / "own.ipynb")
    build(folder / "own.ipynb", folder)
    return [*holes(folder / "grading", **limits)]


def test_a_change_that_every_check_lets_pass_is_a_warning_and_verify_still_succeeds(course, capsys):
    assert main(["assign", "verify", str(course / "grading")]) == 0
    warned = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert [line.split(":")[1].strip() for line in warned] == ["softmax"]      # no case of `mean` or `count` lacks
    assert "no check notices when in `highest = max(scores)`, `max(scores)` is `min(scores)`; add a case" in warned[0]


def test_what_is_equal_is_not_told_and_a_stale_entry_is(tmp_path):
    found = told(tmp_path, COUNT_DOWN, "print([halvings(n) for n in (1, 2, 3, 8, 100)])",
                 equal=["`steps + 0` is `steps`", "`steps + 0` is `steps * 2`", "`n //= 2` is left out"])
    assert [each.partition(";")[0] for each in found] == [
        "it: no check notices when `steps + 0` is `steps - 0`",
        "it: `equal` lists '`steps + 0` is `steps * 2`', which is no small change to the solution",
        "it: `equal` lists '`n //= 2` is left out', and a check notices it"]    # though it never ends


def test_two_mistakes_that_give_the_same_are_told(tmp_path):
    found = told(tmp_path, "def twice(n):\n    return 2 * n", "print(twice(2), twice(5))",
                 mistakes=[("none", "def twice(n):\n    return n"), ("once", "def twice(n):\n    return 1 * n"),
                           ("square", "def twice(n):\n    return n * n")])
    assert found == ["it: the mistakes 'none' and 'once' give the same; add a case in which they differ"]


@pytest.mark.parametrize("solution, check, said", [
    ("import os\ndef kept(n):\n    return n + 1 if n >= 0 else os._exit(0)", "print(kept(1), kept(4), kept(0))",
     "small changes to the solution were not tried (the kernel died)"),
    ("import random\ndef kept(n):\n    return random.random()", "print(kept(1))", "gives other values than before")])
def test_what_could_not_be_judged_is_said(tmp_path, solution, check, said):
    assert said in " ".join(told(tmp_path, solution, check))


def test_a_cell_is_changed_in_its_functions_methods_and_values_and_keeps_what_decorates_them():
    cell = ast.parse('import math\nHALF = 0.5\n@keep(1)\ndef f(x: int = 3) -> int:\n    """One."""\n'
                     '    for i in range(x):\n        x += 1\n    return x\n'
                     'class A:\n    def g(self, y):\n        return -y')
    unchanged, changes = rewritten(cell)
    assert "One." not in unchanged
    assert "_turn()" in unchanged
    assert all("@keep(1)" in each.source and "import math" in each.source for each in changes)
    words = {each.change for each in changes}
    assert {"in `HALF = 0.5`, `0.5` is `0.0`", "`3` is `4`", "`x += 1` is left out", "`-y` is `y`"} <= words
    assert len({unchanged, *(each.source for each in changes)}) == 1 + len(changes)
