"""What a teacher may hand to the commands by mistake is refused in one sentence, and no student is lost by it."""
from __future__ import annotations

import csv
import hashlib
import html
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from minillm.__main__ import main
from minillm.assignments import reports
from minillm.assignments.collect import read_roster, read_submission, submissions
from minillm.assignments.grade import Grader, Result, grade
from minillm.assignments.marks import Mark
from minillm.assignments.master import MasterError, read_notebook

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
