"""What a teacher may get wrong in a master hands out no answer, and what is graded is what was recorded."""
from __future__ import annotations

import copy
import marshal
import subprocess
import sys
from dataclasses import replace

import nbformat
import pytest
from nbformat import v4

from minillm.assignments import registry
from minillm.assignments.build import build, check_kept, student_notebook
from minillm.assignments.collect import answers_in
from minillm.assignments.guard import forbidden_names, guard, imported_as
from minillm.assignments.lint import lint_submission
from minillm.assignments.marks import where_it_failed
from minillm.assignments.master import MasterError, find_exercises, read_notebook, role_of
from minillm.assignments.registry import complete
from minillm.assignments.syntax import plain, tree_of
from minillm.notebook import checks
from minillm.notebook.checks import Solution

SOLVED = "def f(x):\n    ### BEGIN SOLUTION\n    secret_of_f = x + 41\n    return secret_of_f\n    ### END SOLUTION\n"


def master(*cells, make=v4.new_code_cell) -> nbformat.NotebookNode:
    return v4.new_notebook(cells=[each if isinstance(each, dict) else make(each[0], metadata={"minillm": each[1]})
                                  for each in cells])


def answer(source: str = SOLVED, **own) -> tuple[str, dict]:
    return source, {"exercise": "f", "role": "answer", "points": 2, **own}


@pytest.mark.parametrize("line", ["### BEGIN SOLUTION ", "### begin solution", "# BEGIN SOLUTION",
                                  "### BEGIN  SOLUTION", "###BEGIN SOLUTION", "### BEGIN SOLUTIONS",
                                  "x = 1  ### BEGIN SOLUTION", "### BEGIN HIDDEN TEST", "### BEGIN_HIDDEN_TESTS"])
def test_a_marker_written_loosely_is_refused(line):
    source = SOLVED.replace("### BEGIN SOLUTION", line)
    with pytest.raises(MasterError, match="cell 0 has the line .*write it exactly"):
        find_exercises(master(answer(source)), "m")


@pytest.mark.parametrize(("source", "words"), [
    (SOLVED.replace("    ### END SOLUTION\n", ""), "without '### END SOLUTION'"),
    (SOLVED.replace("    ### BEGIN SOLUTION\n", ""), "'### END SOLUTION' without its other half"),
    (SOLVED.replace("END SOLUTION", "END HIDDEN TESTS"), "without its other half")])
def test_half_a_pair_of_markers_is_refused(source, words):
    with pytest.raises(MasterError, match=words):
        find_exercises(master(answer(source)), "m")


def test_unknown_roles_and_visibilities_are_refused():
    for own, words in (({"role": "soluton"}, "the role 'soluton'; write one of given, answer"),
                       ({"role": "check", "visibility": "Hidden"}, "the visibility 'Hidden'; write one of public")):
        with pytest.raises(MasterError, match=words):
            find_exercises(master(answer(), ("x", {"exercise": "f", **own})), "m")


def test_lines_that_end_as_on_windows_are_lines(tmp_path):
    nbformat.write(master(answer(SOLVED.replace("\n", "\r\n"))), tmp_path / "m.ipynb")
    one = find_exercises(read_notebook(tmp_path / "m.ipynb"), "m")
    assert "secret_of_f" not in one.exercises["f"].stub and "secret_of_f" in one.exercises["f"].solution


def test_a_last_look_finds_a_solution_that_would_be_handed_out():
    twice = master(answer(), ("secret_of_f = 1 + 41", {"role": "given"}),
                   ("def again(x):\n    secret_of_f = x + 41\n    return secret_of_f", {"role": "given"}))
    one = find_exercises(twice, "m")
    with pytest.raises(MasterError, match="the solution of exercise f would be handed out, in the cell .*'def ag"):
        check_kept(one, student_notebook(one, hints=True, mark={}))


def test_a_hidden_check_is_wholly_gone():
    hidden = {"exercise": "f", "role": "check", "visibility": "hidden"}
    block = "### BEGIN HIDDEN TESTS\nprint(f(17))\n### END HIDDEN TESTS"
    one = find_exercises(master(answer(), ("print(f(1234))", hidden), (f"# tests\n{block}", {"role": "check"}),
                                (f"open_part = f(1)\n{block}", {"role": "check"}), (f"mine()\n{block}", hidden)), "m")
    made = student_notebook(one, hints=True, mark={})
    assert [c.source for c in made.cells if role_of(c) == "check"] == ["open_part = f(1)"]
    assert not any("17" in c.source or "1234" in c.source for c in made.cells)


def test_prose_in_markdown_is_handed_out_and_found():
    prose = ("YOUR ANSWER HERE", {"exercise": "why", "role": "answer", "points": 5, "manual": True})
    one = find_exercises(master(prose, make=v4.new_markdown_cell), "m")
    made = student_notebook(one, hints=True, mark={})
    assert made.cells[0].cell_type == "markdown" and made.cells[0].source == "YOUR ANSWER HERE"
    made.cells[0].source = "Because."
    assert answers_in(made, ["why"]).sources == {"why": "Because."}


@pytest.mark.parametrize(("source", "python"), [
    ("%matplotlib inline\nx = 1", "pass\nx = 1"), ("!pip list\nx = 1", "pass\nx = 1"), ("%%time\nx = 1", "#\nx = 1"),
    ("%time x = f()", "x = f()"), ("x = !ls", "x = None"), ("f?\nx = 1", "\nx = 1"), ("%%bash\nrm x", "")])
def test_magics_are_read_as_ipython_reads_them(source, python):
    assert plain(source) == python
    tree_of(source)
    assert plain("z = 5\nz %= 2") == "z = 5\nz %= 2" and len(tree_of("z = (5\n  % 3)").body) == 1


def test_a_magic_hides_nothing_that_is_forbidden():
    for source in ("%matplotlib inline\nimport statistics", "%%time\nimport statistics", "%time import statistics"):
        assert forbidden_names(source, ["statistics"]) == ["statistics"]
    known = imported_as(["import statistics as st\nfrom math import fsum as total"])
    assert forbidden_names("st.mean(x)", ["statistics"], known) == ["statistics"]
    assert forbidden_names("total(x)", ["math.fsum"], known) == ["math.fsum"]


def test_an_argument_is_no_import_of_the_same_name():
    known = imported_as(["import statistics as st"])
    for honest in ("def mean(st):\n    return st.mean() / st", "mean = lambda st: st.mean()"):
        assert not forbidden_names(honest, ["statistics"], known)
    for inside in ("def mean(x, st=st):\n    return st.mean(x)", "mean = (lambda st: lambda x: st.mean(x))(st)"):
        assert forbidden_names(inside, ["statistics"], known) == ["statistics"]


def test_a_library_may_use_what_an_answer_may_not():
    """`statistics` imports `fractions` by itself; an answer that may not use the second may use the first."""
    answer = compile("import statistics, json\nprint(statistics.mean([1, 2]))\ntry: import fractions\n"
                     "except PermissionError as error: print(error)", "answer", "exec")
    made = guard(["minillm", "fractions", "math.fsum"]) + f"exec(marshal.loads({marshal.dumps(answer)!r}))"
    ran = subprocess.run([sys.executable, "-c", f"import marshal\n{made}"], capture_output=True, text=True)
    assert ran.stdout.splitlines() == ["1.5", "this exercise asks you to do without fractions"], ran.stderr


def test_an_error_is_told_by_its_kind_and_the_answers_own_line():
    source = "def f(x):\n    y = x\n    raise KeyError(y)"
    trace = "Cell In[1], line 1\n----> 1 print(f([98765]))\nCell In[1], line 3, in f(x)\n----> 3     raise KeyError(y)"
    told = where_it_failed(["KeyError", "98765", trace], source)
    assert told == "KeyError in line 3 of the answer: raise KeyError(y)"
    assert where_it_failed(["K98765", "98765", "----> 1 print(f([98765]))"], source) == "an error"


def test_a_mistake_that_no_case_shows_is_drawn_for_again_or_refused(monkeypatch):
    known, solution = checks.find("05.4"), checks._solution("05.4")
    assert registry._telling(known, 3) == [3001, 3002]
    rare = replace(known, cases=lambda random: [(1, 1, 4, random.choice([3] * 9 + [10_000]), 4096, 2)])
    narrow = Solution(solution.reference, {"window": lambda layers, heads, d_head, seq, window, size: (
        solution.reference(layers, heads, d_head, seq, None, size))})
    with monkeypatch.context() as changed:
        changed.setattr(checks, "_solution", lambda id: narrow)
        telling = [registry._telling(rare, seed) for seed in range(9)]
    assert max(map(len, telling)) == 3  # two seeds alone would not tell
    monkeypatch.setitem(solution.mistakes, "is right", solution.reference)
    with pytest.raises(MasterError, match="05.4 shows the mistake 'is right'; build with another --seed"):
        registry._telling(known, 0)


def test_a_listed_mistake_that_scores_in_full_is_refused(tmp_path):
    cells = [answer(), ("print(f(1))", {"exercise": "f", "role": "check", "visibility": "hidden"}),
             ("def f(x):\n    return 42", {"exercise": "f", "role": "mistake", "name": "always 42"})]
    nbformat.write(master(*cells), tmp_path / "m.ipynb")
    with pytest.raises(MasterError, match="no hidden check of exercise f notices the mistake 'always 42'"):
        build(tmp_path / "m.ipynb", tmp_path / "course")


def test_before_handing_in_nothing_false_is_said(tmp_path):
    one = find_exercises(master(("from math import *", {"role": "given"}),
                                answer("def f(x):\n    raise NotImplementedError", forbid=["statistics"])), "m")
    made = student_notebook(complete(one, seed=0), hints=True, mark={})

    def said(source: str) -> str:
        mine = copy.deepcopy(made)
        mine.cells[1].source = source
        nbformat.write(mine, tmp_path / "mine.ipynb")
        return " ".join(lint_submission(tmp_path / "mine.ipynb"))

    assert not said("%matplotlib inline\ndef f(x):\n    display(x)\n    match x:\n        case [a, *b]: return sqrt(a)")
    assert not said("class Base:\n    def g(self): raise NotImplementedError\nclass F(Base):\n"
                    "    def g(self): return 1\ndef f(x):\n    if x: return 1\n    return 'raise NotImplementedError'")
    assert "not attempted yet" in said("def f(x):\n    '''Mine.'''\n    raise NotImplementedError()")
    assert "uses statistics" in said("import statistics\ndef f(x):\n    return statistics.mean(x)")


def test_what_rests_on_a_cell_that_was_cut_is_graded_with_all_of_them(tmp_path):
    hidden = {"exercise": "f", "role": "check", "visibility": "hidden"}
    cells = [("STATE = [1]", {"role": "given"}), ("globals()['STA' + 'TE'].append(2)", {"role": "given"}),
             answer("def f(x):\n    ### BEGIN SOLUTION\n    return x + len(STATE)\n    ### END SOLUTION\n"),
             ("print(f(1))", hidden), ("def g(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION\n",
                                       {"exercise": "g", "role": "answer", "points": 1}),
             ("print(g(4))", hidden | {"exercise": "g"})]
    nbformat.write(master(*cells), tmp_path / "m.ipynb")
    build(tmp_path / "m.ipynb", tmp_path / "course")
    book = read_notebook(tmp_path / "course" / "grading" / "m.ipynb")
    assert {id: facts["whole"] for id, facts in book.metadata.minillm.exercises.items()} == {"f": True, "g": False}
