"""What a teacher may hand to the commands by mistake is refused in one sentence, and no student is lost by it."""
from __future__ import annotations

import csv
import hashlib
import html
import json
import math
import os
import re
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from minillm.__main__ import main
from minillm.assignments import reports, sandbox
from minillm.assignments.build import build
from minillm.assignments.collect import read_roster, read_submission, submissions
from minillm.assignments.grade import Grader, Result, books_of, grade
from minillm.assignments.lint import lint_master, lint_submission
from minillm.assignments.marks import Mark
from minillm.assignments.master import MasterError, read_notebook
from minillm.assignments.variants import choices_of, filled, variant_of
from tests.assignments.conftest import MASTER

EMPTY = v4.new_notebook()


@pytest.fixture
def grading(tmp_path) -> Path:
    """A grading folder without an exercise: enough to open."""
    book = v4.new_notebook(metadata={"minillm": {"assignment": "a", "exercises": {}, "order": []}})
    (tmp_path / "grading").mkdir()
    nbformat.write(book, tmp_path / "grading" / "a.ipynb")
    return tmp_path / "grading"


def told(capsys, *words: object) -> str:
    """What a refused command says: one line, and the exit code 1."""
    assert main(["assign", *map(str, words)]) == 1
    out, err = capsys.readouterr()
    said = (out + err).strip()
    assert said.count("\n") == 0, said
    return said


@pytest.mark.parametrize("verb", ["list", "lint", "check"])
def test_what_is_no_notebook_is_named(verb, tmp_path, capsys):
    (tmp_path / "text.ipynb").write_text("not a notebook")
    assert "absent.ipynb does not exist; name the notebook itself" in told(capsys, verb, tmp_path / "absent.ipynb")
    assert "is a folder; name the notebook itself" in told(capsys, verb, tmp_path)
    assert "text.ipynb is not a Jupyter notebook" in told(capsys, verb, tmp_path / "text.ipynb")


def test_strange_cells_are_read_as_cells_without_a_part(tmp_path):
    cells = [{"cell_type": "code", "metadata": {"minillm": "x", "nbgrader": [1]}, "source": ["a = 1\n", "b"],
              "outputs": [], "execution_count": None}]
    (tmp_path / "s.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}))
    assert [(c.source, dict(c.metadata)) for c in read_notebook(tmp_path / "s.ipynb").cells] == [("a = 1\nb", {})]
    assert main(["assign", "lint", str(tmp_path / "s.ipynb")]) == 1


def master(tmp_path, cells, **metadata):
    path = tmp_path / "m.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": cells}))
    return path


@pytest.mark.parametrize("cells", [
    [3], [None, {}], [{"cell_type": "code"}], [{"cell_type": 3, "source": None, "metadata": None}], [[]],
    [{"cell_type": "code", "source": [1.5, "a"], "metadata": {"tags": 3}, "outputs": "x"}],
    [{"cell_type": "markdown", "source": {"a": 1}, "metadata": {"tags": [["x"], "hint"]}}],
    [{"cell_type": "code", "source": "x", "metadata": {"minillm": {"exercise": {"a": 1}, "forbid": 3}}}]])
def test_cells_of_no_shape_are_read_as_empty_ones_or_named(cells, tmp_path):
    path = master(tmp_path, cells)
    for read in (read_notebook, lint_submission, lint_master):
        try:
            read(path)
        except MasterError as error:
            assert "m.ipynb" in str(error)


@pytest.mark.parametrize("said", [{"points": "two"}, {"points": math.nan}, {"points": 10**400}, {"minutes": [1]},
                                  {"forbid": "sum"}, {"forbid": [3]}, {"equal": 1}, {"tolerance": True},
                                  {"exercise": 3}, {"role": "check", "name": {"a": 1}}])
def test_what_a_cell_says_of_itself_is_of_its_kind(said, tmp_path):
    cell = {"cell_type": "code", "source": "# exercise: a.1\nx = 1", "outputs": [], "execution_count": None,
            "metadata": {"minillm": {"exercise": "a.1", "role": "answer"} | said}}
    found, = lint_master(master(tmp_path, [cell]))
    assert re.search(r"cell 0 has \w+=.* in its metadata; write a", found)


@pytest.mark.parametrize("variants", [3, [1], {"n": 3}, {"n": []}])
def test_numbers_that_vary_have_values_to_choose_from(variants, tmp_path):
    with pytest.raises(MasterError, match="write the values of each name in a list"):
        choices_of(read_notebook(master(tmp_path, [], minillm={"variants": variants})))


@pytest.mark.parametrize("own", [{}, {"exercises": 3}, {"exercises": {}, "assignment": [1], "order": []},
                                 {"exercises": {}, "assignment": "a", "order": ["a.1"]}])
def test_a_grading_notebook_says_what_build_wrote(own, tmp_path):
    with pytest.raises(MasterError, match="m.ipynb is not a grading notebook"):
        books_of(master(tmp_path, [], minillm=own))


WHOLE = {"assignment": "a", "order": ["a.1"], "exercises": {
    "a.1": {"points": 1.0, "stub": "x = 1", "manual": False, "forbid": [], "mistakes": {}}}}
CELL = {"cell_type": "code", "source": "x = 2", "outputs": [], "execution_count": None,
        "metadata": {"minillm": {"role": "answer", "exercise": "a.1"}}}


def test_a_grading_notebook_has_an_answer_and_the_facts_of_each_exercise(tmp_path):
    assert [*books_of(master(tmp_path, [CELL], minillm=WHOLE))] == ["a"]
    facts = WHOLE["exercises"]["a.1"]
    for cells, own in [([], WHOLE), ([CELL | {"metadata": {}}], WHOLE), ([CELL], WHOLE | {"variants": {"n": []}}),
                       ([CELL], WHOLE | {"assignment": "../a"}),
                       *(([CELL], WHOLE | {"exercises": {"a.1": facts | {name: [[]]}}}) for name in facts)]:
        with pytest.raises(MasterError, match="m.ipynb is not a grading notebook"):
            books_of(master(tmp_path, cells, minillm=own))


@pytest.mark.parametrize("change", [{"cell_type": "sheet"}, {"novelty": 1}])
def test_a_cell_that_jupyter_would_not_write_is_named_before_anything_is_handed_out(change, tmp_path):
    with pytest.raises(MasterError, match="m has a cell that is not as Jupyter writes it"):
        build(master(tmp_path, [{"cell_type": "markdown", "source": "hi", "metadata": {}} | change]), tmp_path / "out")


@pytest.mark.parametrize("stub", ["def f(:", "1 + 1"])
def test_an_answer_of_the_course_that_defines_nothing_is_named(stub, tmp_path):
    cell = {"cell_type": "code", "source": f"# exercise: 01.1\n{stub}", "outputs": [], "execution_count": None,
            "metadata": {"minillm": {"exercise": "01.1", "role": "answer", "points": 1}}}
    assert "the answer cell of exercise 01.1" in lint_master(master(tmp_path, [cell]))[0]


@pytest.mark.skipif(os.name != "posix", reason="pipes and links are made as POSIX makes them")
@pytest.mark.parametrize("name", ["grades.json", ".written.json", "a.done.jsonl"])
def test_grades_are_neither_waited_for_nor_read_elsewhere(name, tmp_path):
    (tmp_path / "out").mkdir()
    one = Result("ann", "a", "a.ipynb", [Mark("a.1", "ok", 1.0, 2.0)])
    reports.write_all([one], tmp_path / "out")
    (tmp_path / "secret").write_text("[]")
    place = tmp_path / "out" / name
    for put in (lambda: os.mkfifo(place), lambda: place.symlink_to(tmp_path / "secret")):
        place.unlink(missing_ok=True)
        put()
        if name == "a.done.jsonl":
            with pytest.raises(ValueError, match="a pipe or a device|leads out of its folder"):
                reports.Log(place, "d").read()
        elif name == "grades.json":
            with pytest.raises(MasterError, match="not one that `minillm assign grade` wrote"):
                reports.check_place(tmp_path / "out", "a", ["ann"])
        else:
            reports.check_place(tmp_path / "out", "a", ["ann"])  # it only tells of edits


@pytest.mark.skipif(os.name != "posix", reason="pipes are made as POSIX makes them")
def test_a_time_beside_a_file_is_not_waited_for(tmp_path):
    (tmp_path / "ann").mkdir()
    nbformat.write(EMPTY, tmp_path / "ann" / "a.ipynb")
    os.mkfifo(tmp_path / "ann" / "timestamp.txt")
    assert [one.student for one in submissions(tmp_path)] == ["ann"]


def test_graded_work_that_cannot_be_read_again_is_graded_again(tmp_path):
    log, one = reports.Log(tmp_path / "log", "d"), Result("ann", "a", "a.ipynb", [Mark("a.1", "ok", 1.0, 2.0)])
    log.append("good", one)
    good = (tmp_path / "log").read_text()
    row = json.loads(good)
    bad = [3, "x", [], {}, row | {"result": 3}, row | {"key": "k", "result": row["result"] | {"marks": [3]}},
           row | {"key": "k", "result": {name: x for name, x in row["result"].items() if name != "late"}}]
    (tmp_path / "log").write_bytes(b"\xff\n" + b"[" * 100_000 + b"\n" + "".join(
        json.dumps(each) + "\n" for each in bad).encode() + good.encode())
    assert log.read() == {"good": one}


def test_grading_nothing_is_refused_and_writes_nothing(grading, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    where = ("--with", grading, "--out", tmp_path / "grades")
    assert "absent does not exist" in told(capsys, "grade", tmp_path / "absent", *where)
    assert "holds no notebook (.ipynb)" in told(capsys, "grade", tmp_path / "empty", *where)
    assert "holds no grading notebook" in told(capsys, "grade", grading, "--with", tmp_path / "empty",
                                               "--out", tmp_path / "grades")
    assert not (tmp_path / "grades").exists()


def test_a_table_may_come_from_any_spreadsheet_and_a_wrong_one_is_named(tmp_path):
    table = tmp_path / "people.csv"
    for text in ("student,file\nAda L,ada\n", "\ufeffstudent;file\r\n Ada L ; ada \r\n", "file,student\nada,Ada L\n\n"):
        table.write_bytes(text.encode())
        assert read_roster(table)["ada"] == "Ada L"
    table.write_text("student,file\nAda\n")  # a short row is a student without a file of another name
    assert read_roster(table) == {"Ada": "Ada"}
    for data, reason in ((b"name\nAda\n", "no column 'student'"), (b"student\nZo\xeb\n", "not UTF-8"),
                         (b"student\n", "no rows"), (b"student\n../up\n", "cannot be a folder"), (b"", "no column")):
        table.write_bytes(data)
        with pytest.raises(MasterError, match=f"people.csv.*{reason}"):
            read_roster(table)
    table.write_text("student,exercise,points\nada,1,four\n")
    with pytest.raises(MasterError, match="line 2: 'four' is no number"):
        reports.add_manual([Result("ada", "a", "f", [Mark("1", "manual", 0.0, 4.0)])], table)


@pytest.mark.parametrize(("places", "students"), [
    (["ann/hw1/a", "bob/hw1/a", "eve/hw1/a"], ["ann", "bob", "eve"]),  # as nbgrader collects
    (["mon/ann/a", "mon/bob/a", "tue/eve/a"], ["ann", "bob", "eve"]),  # sections of a course
    (["ann/a", "bob/a"], ["ann", "bob"]), (["ann__2", "bob"], ["ann", "bob"]), (["ann/1/a", "bob/a"], ["ann", "bob"]),
    (["hw1/ann", "hw1/bob__2"], ["ann", "bob"]), (["ann/hw1/a"], ["ann"])])
def test_no_student_is_taken_for_another(places, students, tmp_path):
    for place in places:
        path = tmp_path / f"{place}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(EMPTY, path)
    assert [s.student for s in submissions(tmp_path)] == students


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_stops_nobody_else(tmp_path):
    for name in ("ann", "bob"):
        nbformat.write(EMPTY, tmp_path / f"{name}.ipynb")
    (tmp_path / "ann.ipynb").chmod(0)
    ann, bob = (read_submission(s.path, ["1"]).problems["1"] for s in submissions(tmp_path))
    assert "cannot be read" in ann and "no cell answers" in bob


def test_a_deadline_means_what_its_offset_says(capsys):
    from minillm.cli.assign import deadline
    assert deadline("2026-11-30T23:59") == datetime(2026, 11, 30, 23, 59, tzinfo=timezone.utc)
    assert deadline("2026-11-30T23:59+02:00") == datetime(2026, 11, 30, 23, 59, tzinfo=timezone(timedelta(hours=2)))
    with pytest.raises(SystemExit):
        main("assign grade a --with b --out c --deadline soon".split())
    assert "'soon' is no time; write it as 2026-11-30T23:59" in capsys.readouterr().err


def result(student: str, status: str = "passed") -> Result:
    return Result(student, "a", f"{student}.ipynb", [Mark("1", status, 1.0, 1.0)])


@pytest.mark.parametrize("students", [
    ["O'Brien", "O Brien", "ann"], ["Ann", "ann"], ["a b", "a/b", "a\\b", "a_b"], ["\u00c5sa", "\u212bsa"],
    ["..", "__", "_."], ["O'Brien", "O Brien", "O_Brien~" + hashlib.sha256(b"O'Brien").hexdigest()[:8]]])
def test_every_student_has_files_of_their_own_and_the_table_says_where(students, tmp_path):
    reports.write_all(results := [result(student) for student in students], tmp_path)
    rows = list(csv.DictReader(open(tmp_path / "grades.csv", newline="", encoding="utf-8")))
    assert {row["student"] for row in rows} == set(students)
    for row in rows:
        page = tmp_path / row["feedback"]
        assert f"<p>{html.escape(row['student'])}: " in page.read_text("utf-8")
        assert (tmp_path / "gradescope" / page.stem / "results.json").exists()
    assert len({row["feedback"].casefold() for row in rows}) == len(students)
    assert len(list((tmp_path / "feedback").iterdir())) == len(list((tmp_path / "gradescope").iterdir())) == len(rows)
    names = reports.file_names(students)
    assert reports.file_names(reversed(students)) == names
    assert [path.name for path in reports.write_all(results, tmp_path)].count("results.json") == len(students)


def test_a_file_bears_the_students_name_where_no_other_shares_it():
    assert reports.file_names(["ada", "Zo\u00eb L.", "\u674e\u660e", "O'Brien"]) == {
        "ada": "ada", "Zo\u00eb L.": "Zo\u00eb_L.", "\u674e\u660e": "\u674e\u660e", "O'Brien": "O_Brien"}


def test_the_log_survives_a_cut_and_forgets_what_another_notebook_graded(tmp_path):
    log = reports.Log(tmp_path / "log", "first")
    log.append("k1", result("ann"))
    log.append("k2", result("eve", "grader's trouble"))  # is graded again
    with open(log.path, "a") as lines:
        lines.write('{"key": "k3", "resu')  # cut off in the middle of a line
    log.append("k4", result("\udc80bob"))
    assert set(log.read()) == {"k1", "k4"} and log.read()["k1"] == result("ann")
    assert reports.Log(log.path, "second").read() == {}


def test_graded_work_is_late_or_not_by_the_deadline_of_today(grading, tmp_path):
    nbformat.write(EMPTY, tmp_path / "ann.ipynb")
    late, = submissions(tmp_path / "ann.ipynb", deadline=datetime(2001, 1, 1, tzinfo=timezone.utc))
    before = Result("ann", "a", "old.ipynb", [Mark("1", "passed", 1.0, 1.0)])
    again, = grade([late], Grader(grading), done={late.key: before})
    assert again.late and again.file == "ann.ipynb" and again.marks == before.marks


def test_another_grading_notebook_has_another_digest(grading):
    before = Grader(grading).digest
    assert Grader(grading).digest == before
    with open(grading / "a.ipynb", "a") as book:
        book.write("\n")
    assert Grader(grading).digest != before


def test_every_option_of_every_verb_is_explained(capsys):
    for verb in ("list", "lint", "build", "verify", "grade", "check"):
        with pytest.raises(SystemExit):
            main(["assign", verb, "--help"])
        said = capsys.readouterr().out
        options = said.partition("options:")[2].splitlines()
        assert said.partition("\n\n")[2][:1].isupper()  # it begins with what the verb does
        assert all(len(line.split("  ")) > 2 or following.startswith(" " * 10) for line, following in zip(
            options, options[1:], strict=False) if line.startswith("  -"))


def test_building_again_writes_over_nothing_that_was_edited(course, tmp_path):
    again = tmp_path / "course"
    shutil.copytree(course, again)
    build(MASTER, again, seed=7)                                    # unedited, or merely run: built again
    path = again / "student" / "small_course.ipynb"
    notebook = read_notebook(path)
    notebook.cells.append(v4.new_markdown_cell("Hand this in by Friday."))
    nbformat.write(notebook, path)
    before = path.read_bytes()
    with pytest.raises(MasterError, match="not as it was built.*move it away"):
        build(MASTER, again, seed=7)
    assert path.read_bytes() == before


def test_a_master_is_never_built_over_itself(tmp_path):
    (tmp_path / "student").mkdir()
    master = tmp_path / "student" / MASTER.name
    shutil.copy(MASTER, master.with_suffix(".ipynb"))
    with pytest.raises(MasterError, match="it is yours"):
        build(master.with_suffix(".ipynb"), tmp_path)
    assert master.with_suffix(".ipynb").read_bytes() == MASTER.read_bytes()


def test_another_seed_does_not_pass_unseen(course, capsys):
    assert main(["assign", "build", str(MASTER), "--out", str(course)]) == 1
    assert "was built with seed 7, and seed 0 would draw other numbers" in capsys.readouterr().err


def test_a_roster_that_changes_nothing_is_said(tmp_path, capsys):
    (tmp_path / "people.csv").write_text("student\nada\n")
    notebook = read_notebook(MASTER)
    notebook = filled(notebook, variant_of("", notebook.metadata.minillm.pop("variants")))
    nbformat.write(notebook, tmp_path / "one.ipynb")
    assert main(["assign", "build", str(tmp_path / "one.ipynb"), "--out", str(tmp_path / "c"), "--roster",
                 str(tmp_path / "people.csv")]) == 0
    assert "no number varies in one.ipynb" in capsys.readouterr().err


@pytest.fixture
def graded(grading, tmp_path):
    """What `assign grade` is called with, for two students."""
    work = tmp_path / "work"
    work.mkdir()
    for name in ("ada", "bob"):
        nbformat.write(EMPTY, work / f"{name}.ipynb")
    return ["assign", "grade", str(work), "--with", str(grading), "--out", str(tmp_path / "grades"),
            *([] if sandbox.bubblewrap() else ["--unsafe"])]


def test_grades_of_others_are_not_written_over(graded, grading, tmp_path, capsys):
    assert main(graded) == 0 and main(graded) == 0                  # the same class again: written anew
    one = [*graded[:2], str(tmp_path / "work" / "ada.ipynb"), *graded[3:]]
    before = (tmp_path / "grades" / "grades.csv").read_bytes()
    assert main(one) == 1 and "holds grades of bob, of whom there is no submission" in capsys.readouterr().err
    book = read_notebook(grading / "a.ipynb")
    book.metadata.minillm.assignment = "b"
    nbformat.write(book, grading / "a.ipynb")
    assert main(graded) == 1 and "holds the grades of a, which those of b would replace" in capsys.readouterr().err
    assert (tmp_path / "grades" / "grades.csv").read_bytes() == before
    (tmp_path / "grades" / "grades.json").write_text("mine")
    assert main(graded) == 1 and "is not one that `minillm assign grade` wrote" in capsys.readouterr().err


def test_a_share_for_late_work_needs_a_deadline(graded, tmp_path, capsys):
    assert main([*graded, "--late-share", "0.5"]) == 1
    assert "give it with --deadline" in capsys.readouterr().err and not (tmp_path / "grades").exists()


def test_points_by_hand_are_read_before_anything_is_graded(graded, tmp_path, capsys):
    table = tmp_path / "points.csv"
    table.write_text("student,exercise,points\nada,9,1\n")
    assert main([*graded, "--manual", str(table)]) == 1
    assert "line 2: no exercise 9 of ada is graded" in capsys.readouterr().err and not (tmp_path / "grades").exists()
    table.write_text("student,exercise,points\nada,9,1\nada,9,2\n")
    with pytest.raises(MasterError, match="line 3: exercise 9 of ada has points already"):
        reports.by_hand(table, {("ada", "9"): 4.0})


def test_grading_afresh_keeps_what_was_known(graded, tmp_path):
    assert main(graded) == 0
    log = tmp_path / "grades" / "a.done.jsonl"
    before = log.read_bytes()
    assert main([*graded, "--fresh"]) == 0
    assert log.with_suffix(".before.jsonl").read_bytes() == before
