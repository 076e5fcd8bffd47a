"""From a master to grades: what is handed out, what is found again, what is reported."""
from __future__ import annotations

import copy
import csv
import importlib
import json
import pkgutil
import random
import re
from datetime import datetime, timezone
from unittest import mock

import nbformat
import pytest
import torch
from nbformat import v4

from minillm.assignments import reports
from minillm.assignments.collect import answers_in, submissions
from minillm.assignments.grade import Result
from minillm.assignments.guard import forbidden_names
from minillm.assignments.lint import lint_master, lint_submission
from minillm.assignments.marks import Mark
from minillm.assignments.master import MasterError, exercise_of, read_master, read_notebook, role_of
from minillm.assignments.registry import CASES
from minillm.assignments.values import EMIT, agree, emitting, values_of
from minillm.assignments.variants import variant_of
from minillm.assignments.verify import verify
from minillm.notebook import checks
from tests.assignments import batch
from tests.assignments.conftest import MASTER, answered
from tests.lessons import answers


def test_students_get_no_solution_no_mistake_and_no_hidden_check(handed_out):
    text = "\n".join(c.source for c in handed_out.cells)
    for secret in (
        "highest = max",
        "[1.0, 2.0, 4.0]",
        "The cat and the Hat",
        "powers",
        "BEGIN",
        "counts.get"):
        assert secret not in text
    assert "raise NotImplementedError" in text
    assert 'assert count_words("a b a")' in text  # the public half of nbgrader's cell stays


def test_what_is_handed_out_speaks_nbgraders_language(handed_out):
    answers = [c.metadata.nbgrader for c in handed_out.cells if role_of(c) == "answer"]
    assert [(a.grade_id, a.solution, a.schema_version) for a in answers] == [
        (f"answer-{id}", True, 3) for id in ("mean", "softmax", "count", "why")]
    assert answers[3].grade
    assert answers[3].points == 2
    all_of_them = [c.metadata.nbgrader for c in handed_out.cells if "nbgrader" in c.metadata]
    assert len({each.grade_id for each in all_of_them}) == len(all_of_them)
    assert all(re.fullmatch("[A-Za-z0-9_-]+", each.grade_id) for each in all_of_them)
    assert sum(each.get("points", 0) for each in all_of_them) == 4 + 5 + 3 + 2  # hidden points, on checks that are here


def test_a_master_without_faults_has_none(tmp_path):
    assert lint_master(MASTER) == []
    notebook = nbformat.read(MASTER, as_version=4)
    for cell in notebook.cells:
        own = cell.metadata.get("minillm", {})
        if own.get("exercise") == "softmax":
            own.pop("points", None)
            if own["role"] in ("solution", "mistake") or own.get("visibility") == "hidden":
                cell.metadata.minillm = {"role": "given"}
                cell.source = "pass"
        if "print(sorted(count_words" in cell.source:
            cell.source = cell.source.replace(
                "print(sorted(count_words", "assert (sorted(count_words"
            ).replace('print(count_words(""))', "")
    nbformat.write(notebook, tmp_path / "m.ipynb")
    found = "\n".join(lint_master(tmp_path / "m.ipynb"))
    for words in (
        "exercise softmax has no points",
        "softmax has no solution",
        "softmax has no hidden check",
        "softmax lists no mistakes",
        "hidden check of exercise count only asserts"):
        assert words in found


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([("x = 1", "answer", None)], "without an exercise id"),
        ([("x = 1", "answer", "a"), ("x = 2", "answer", "a")], "two answer cells"),
        ([("x = 1", "check", "a")], "no answer cell before it")])
def test_a_master_that_cannot_work_is_refused(tmp_path, cells, words):
    made = [
        v4.new_code_cell(s, metadata={"minillm": {"role": r, **({"exercise": e} if e else {})}})
        for s, r, e in cells]
    nbformat.write(v4.new_notebook(cells=made), tmp_path / "m.ipynb")
    with pytest.raises(MasterError, match=words):
        read_master(tmp_path / "m.ipynb")


def test_the_master_is_proved(course):
    proofs = list(verify(course / "grading", times=2))
    assert [p.what for p in proofs if not p.holds] == []
    assert {p.what.partition(":")[0] for p in proofs} == {"solution", "blank", "mistake"}
    recognised = [p for p in proofs if p.what.startswith("mistake")]
    assert all(p.marks[0].reason == p.what.partition(": ")[2] for p in recognised)


@pytest.mark.parametrize("name", batch.BROKEN)
def test_a_broken_file_scores_nothing_and_says_why(grader, handed_out, tmp_path, name):
    batch.BROKEN[name](tmp_path / "ada.ipynb", handed_out)
    result = grader.grade(submissions(tmp_path)[0])
    assert result.points == 0
    assert all(m.status == "not found" and m.reason for m in result.marks)


def test_answers_are_found_by_metadata_tag_or_comment_and_never_guessed():
    def cell(source, **meta):
        return v4.new_code_cell(source, metadata=meta)

    notebook = v4.new_notebook(
        cells=[
            cell("a = 1", minillm={"exercise": "a", "role": "answer"}),
            cell("b = 1", tags=["exercise:b", "answer"]),
            cell("# exercise: c\nc = 1"),
            cell("# exercise: d\nd = 1"),
            cell("# exercise: d\nd = 2"),
            cell("# exercise: c\nc = 1"),
        ])
    found = answers_in(notebook, ["a", "b", "c", "d", "e"])
    assert found.sources == {"a": "a = 1", "b": "b = 1", "c": "# exercise: c\nc = 1"}
    assert "2 different cells" in found.problems["d"]
    assert "no cell answers exercise e" in found.problems["e"]


def test_format_3_is_read(handed_out, tmp_path):
    (tmp_path / "old.ipynb").write_text(json.dumps(nbformat.convert(copy.deepcopy(handed_out), 3)))
    assert len(answers_in(read_notebook(tmp_path / "old.ipynb"), ["mean"]).sources) == 1


def test_one_of_several_files_counts_and_late_is_seen(handed_out, tmp_path):
    import os

    for name, when in (("ada__1.ipynb", 1_000), ("ada__2.ipynb", 3_000), ("alan.ipynb", 2_000)):
        nbformat.write(handed_out, tmp_path / name)
        os.utime(tmp_path / name, (when, when))
    deadline = datetime.fromtimestamp(2_500, timezone.utc)
    last = submissions(tmp_path, deadline=deadline, roster={"ada": "Ada Lovelace"})
    assert [(s.student, s.path.name, s.late) for s in last] == [
        ("Ada Lovelace", "ada__2.ipynb", True),
        ("alan", "alan.ipynb", False)]
    assert "not on the roster" in last[1].note
    assert submissions(tmp_path, keep="first")[0].path.name == "ada__1.ipynb"


def test_values_agree_within_the_tolerance_and_counts_exactly():
    assert agree(["[0.333333, 2]"], ["[0.3333334, 2]"], 1e-5)
    assert not agree(["[0.3334, 2]"], ["[0.3333, 2]"], 1e-5)
    assert not agree(["3"], ["4"], 10.0)
    assert not agree(["a 1.0"], ["b 1.0"], 1.0)
    assert agree(["4.0"], ["4"], 1e-5)
    assert not agree(["nan"], ["1.0"], 1.0)
    assert not agree(["#"], ["1.0"], 1.0)


def emitted(*values) -> list[str]:
    """What a check cell that prints these says of them."""
    shown: list[dict] = []
    with mock.patch("IPython.display.display", lambda data, raw: shown.append({"output_type": "display_data",
                                                                               "data": data})):
        space: dict = {}
        exec(EMIT, space)
        for value in values:
            space["_minillm_emit"](value)
    return values_of(shown)


def test_a_tensor_of_floats_is_none_of_whole_numbers():
    ids = torch.tensor([[1, 2], [3, 4]])
    assert agree(emitted(ids, (ids, 3)), emitted(ids.int().numpy(), (ids.short(), 3.0)), 1e-4)
    assert not agree(emitted(ids), emitted(ids.float()), 1e-4)
    assert not agree(emitted(ids), emitted(ids.tolist()), 1e-4)
    assert agree(emitted([1, (2, 3)]), emitted((1, [2, 3])), 1e-4)
    assert agree(emitted(ids.sum(), [1, 2.0]), emitted(10.0, [1.0, 2]), 1e-4)


WITH_CASES = [each for each in checks.registered() if each.cases]
RIGHT = {id: found for module in pkgutil.iter_modules(answers.__path__)
         for id, found in importlib.import_module(f"{answers.__name__}.{module.name}").RIGHT.items()}


@pytest.mark.parametrize("exercise", WITH_CASES, ids=lambda each: each.id)
def test_other_peoples_right_answers_give_what_the_solution_gives(exercise):
    """In whatever kind of row: `check` has passed a list for a tuple, and the grade must not say otherwise."""
    for right in RIGHT[exercise.id]:
        for each in exercise.cases(random.Random(1)):
            expected = emitted(checks._solution(exercise.id).reference(*copy.deepcopy(each)))
            assert agree(emitted(right(*copy.deepcopy(each))), expected, exercise.tolerance)


def test_an_answer_that_changes_what_it_is_given_is_told_apart():
    def in_place(ids, pair, new):
        ids[:] = checks._solution("01.3").reference(ids, pair, new)
        return ids

    said = []
    for answer in (checks._solution("01.3").reference, in_place):
        shown: list[dict] = []
        with mock.patch("IPython.display.display", lambda data, raw, to=shown: to.append(
                {"output_type": "display_data", "data": data})):
            exec(emitting(CASES.format(room="tokenization", seeds=[1], id="01.3", name="merge")), {"merge": answer})
        said.append(values_of(shown))
    assert all(each.endswith("False") for each in said[0]) and any(each.endswith("True") for each in said[1])


@pytest.mark.parametrize("exercise", WITH_CASES, ids=lambda each: each.id)
def test_every_mistake_that_a_lesson_lists_gives_values_that_are_told_apart(exercise):
    """Else nobody could build its notebook.  An error shows by itself."""
    solution = checks._solution(exercise.id)
    for hint, wrong in solution.mistakes.items():
        for seed in range(1, 60):
            try:
                if not all(agree(emitted(wrong(*copy.deepcopy(each))), emitted(solution.reference(*each)),
                                 exercise.tolerance) for each in exercise.cases(random.Random(seed))):
                    break
            except Exception:  # noqa: BLE001
                break
        else:
            pytest.fail(f"no case shows {hint!r}")


@pytest.mark.parametrize(
    ("source", "forbid", "found"),
    [
        ("import torch\ntorch.softmax(x, 0)", ["torch.softmax"], ["torch.softmax"]),
        ("from torch import softmax as s\ns(x)", ["torch.softmax"], ["torch.softmax"]),
        ("import torch as t\nt.softmax(x, 0)", ["torch.softmax"], ["torch.softmax"]),
        ("x.softmax(0)", ["torch.Tensor.softmax"], ["torch.Tensor.softmax"]),
        ("F.softmax(x)", ["torch.nn.functional.softmax"], ["torch.nn.functional.softmax"]),
        ("from minillm.layers import RMSNorm", ["minillm"], ["minillm"]),
        ("softmax = 1\nsoftmax + 1", ["torch.softmax"], []),
        ("torch.softplus(x)", ["torch.softmax"], [])])
def test_forbidden_names_are_found_where_they_are_used(source, forbid, found):
    assert forbidden_names(source, forbid) == found


def test_variants_differ_between_students_and_stay(course):
    choices = {"n": list(range(10)), "m": [1, 2]}
    drawn = [variant_of(s, choices, seed=3)["n"] for s in ("ada", "alan", "grace", "edsger", "barbara")]
    assert drawn == [
        variant_of(s, choices, seed=3)["n"] for s in ("ada", "alan", "grace", "edsger", "barbara")]
    assert len(set(drawn)) > 2


RESULTS = [
    Result(
        "ada",
        "a",
        "ada.ipynb",
        [Mark("1", "passed", 4.0, 4.0), Mark("2", "wrong", 0.0, 2.0, "divide by the sum")]),
    Result(
        "=cmd()",
        "a",
        "x.ipynb",
        [Mark("1", "crashed", 0.0, 4.0, "<b>"), Mark("2", "manual", 0.0, 2.0)],
        late=True)]


def test_reports_are_what_courses_import(tmp_path):
    reports.write_all(RESULTS, tmp_path, late_share=0.5)
    rows = list(csv.DictReader(open(tmp_path / "grades.csv", newline="")))
    assert rows[1]["total"] == "4"
    assert rows[0]["student"] == "'=cmd()"  # a spreadsheet must not run it
    assert json.loads((tmp_path / "gradescope/ada/results.json").read_text())["score"] == 4.0
    page = (tmp_path / "feedback/_cmd__.html").read_text()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page.replace("<b>0 of 6", "")
    assert next(csv.DictReader(open(tmp_path / "moodle.csv")))["username"] == "'=cmd()"
    statistics = list(csv.DictReader(open(tmp_path / "statistics.csv")))
    assert (statistics[0]["passed"], statistics[0]["mean_share"]) == ("1", "0.500")


def test_points_by_hand_are_merged_and_bounded(tmp_path):
    table = tmp_path / "manual.csv"
    table.write_text("student,exercise,points,comment\nada,2,1.5,good reason\n")
    merged = reports.add_manual(
        [Result("ada", "a", "f", [Mark("1", "passed", 4.0, 4.0), Mark("2", "manual", 0.0, 2.0)])], table)
    assert (merged[0].points, merged[0].marks[1].reason) == (5.5, "good reason")
    table.write_text("student,exercise,points\nada,2,9\n")
    with pytest.raises(MasterError, match="9 points of 2 possible"):
        reports.add_manual(merged, table)


def test_a_student_hears_before_handing_in(handed_out, references, tmp_path):
    answers = {
        **references,
        "softmax": "# exercise: softmax\ndef softmax(scores):\n    return helper(scores)\n",
    }
    notebook = answered(handed_out, answers)
    notebook.cells.insert(0, v4.new_code_cell("def helper(x):\n    return x"))
    notebook.cells = [c for c in notebook.cells if exercise_of(c) != "mean" or role_of(c) != "answer"]
    nbformat.write(notebook, tmp_path / "mine.ipynb")
    nbformat.write(handed_out, tmp_path / "given.ipynb")
    found = "\n".join(lint_submission(tmp_path / "mine.ipynb", tmp_path / "given.ipynb"))
    assert "no cell answers exercise mean" in found
    assert "exercise softmax uses helper, defined in a cell of your own" in found
    assert "exercise count" not in found


def test_thirty_made_up_submissions_come_out_as_they_must(capsys):
    assert batch.main(30, seed=1, jobs=2, rounds=1) == 0, capsys.readouterr().out
