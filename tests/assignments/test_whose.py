"""Whose file is it, and which notebook: nothing is mixed up, left out unsaid, or spoiled by one strange file."""
from __future__ import annotations

import csv
import json
import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from minillm.__main__ import main
from minillm.assignments import reading, reports, sandbox
from minillm.assignments.collect import read_times, submissions
from minillm.assignments.grade import Grader, Result
from minillm.assignments.marks import Mark
from minillm.assignments.master import MasterError, read_notebook
from minillm.assignments.syntax import tree_of

UNSAFE = [] if sandbox.bubblewrap() else ["--unsafe"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="names and links as Linux and macOS have them")


def book(name: str | None = None, cells: list | None = None) -> nbformat.NotebookNode:
    return v4.new_notebook(cells=cells or [], metadata={"minillm": {"assignment": name}} if name else {})


def handed_in(folder: Path, places: dict[str, str | None]) -> Path:
    """Notebooks at some places: what they say that they are."""
    for place, name in places.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(book(name), path)
    return folder


def graders(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        made = book(name)
        made.metadata.minillm |= {"exercises": {}, "order": []}
        nbformat.write(made, folder / f"{name}.ipynb")
    return folder


@pytest.mark.parametrize(("places", "students"), [
    (["ann/1/a", "ann/2/a", "ann/3/a", "bob/1/a"], ["ann", "bob"]),                    # attempts
    (["ann/draft/a", "ann/final/a", "ann/old/a", "bob/draft/a", "bob/final/a"], ["ann", "bob"]),
    (["4711001/hw/a", "4711002/hw/a"], ["4711001", "4711002"]),                        # numbers for names
    (["mon/ann/a", "mon/bob/a", "mon/cy/a", "tue/dan/a", "tue/eve/a"], ["ann", "bob", "cy", "dan", "eve"]),
    (["ann/hw/x/a", "ann/hw/a", "bob/hw/a"], ["ann", "bob"])])
def test_the_level_of_the_students_is_found(places, students, tmp_path):
    handed_in(tmp_path, {f"{place}.ipynb": "hw" for place in places})
    assert [s.student for s in submissions(tmp_path, assignment="hw")] == students


def test_the_roster_comes_before_folders(tmp_path):
    handed_in(tmp_path, {f"week{n}/{name}__hw.ipynb": None for n, name in enumerate(("ann", "bob", "eve"))})
    names = {"ann": "Ann", "bob": "Bob"}
    found = {s.student: s.note for s in submissions(tmp_path, roster=names)}
    assert found == {"Ann": "", "Bob": "", "week2": "week2 is not on the roster"}
    handed_in(tmp_path, {"ann/bob.ipynb": None})
    assert any("names Ann and Bob of the roster; whose" in s.note for s in submissions(tmp_path, roster=names))


def test_what_is_not_looked_at_is_said(tmp_path):
    handed_in(tmp_path, {"ann/hw.ipynb": "hw", "ann/mine.ipynb": None, "ann/._hw.ipynb": None, "bob/hw.ipynb": "hw",
                         "ann/.ipynb_checkpoints/hw.ipynb": "hw", "__MACOSX/ann/hw.ipynb": None,
                         "bob/x.ipynb": "other"})
    skipped: list[str] = []
    found = submissions(tmp_path, assignment="hw", skipped=skipped)
    assert [(s.student, s.file, s.note) for s in found] == [("ann", "hw.ipynb", ""), ("bob", "hw.ipynb", "")]
    assert sorted(skipped) == ["ann/mine.ipynb says not which notebook it is, beside ann's that does",
                               "bob/x.ipynb is a notebook of other"]


@POSIX
def test_links_and_endless_folders_are_not_followed(tmp_path):
    work = handed_in(tmp_path / "in", {"ann.ipynb": None})
    os.symlink(handed_in(tmp_path, {"solution.ipynb": None}) / "solution.ipynb", work / "bob.ipynb")
    os.symlink(work, work / "again")
    here = os.getcwd()
    try:
        os.chdir(work)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    skipped: list[str] = []
    assert [s.student for s in submissions(work, skipped=skipped)] == ["ann"]
    assert [sentence.partition(" ")[2][:9] for sentence in sorted(skipped)] == ["is a link", "is a link", "is more t"]
    sandbox.remove(work)  # deeper than Python's own way goes
    assert not work.exists()


def test_the_last_is_what_the_platform_says_and_not_the_date_of_a_file(tmp_path):
    handed_in(tmp_path, {"ann_attempt9.ipynb": None, "ann_attempt10.ipynb": None})
    os.utime(tmp_path / "ann_attempt10.ipynb", (1, 1))
    both = {"ann_attempt9": "ann", "ann_attempt10": "ann"}
    last, = submissions(tmp_path, roster=both)
    assert last.file == "ann_attempt10.ipynb" and "2 files, graded the last by the numbers in their names" in last.note
    handed_in(tmp_path / "n", {"bob/hw/new.ipynb": None, "bob/hw2/old.ipynb": None})
    for place, when in (("hw", "2026-11-02 10:00:00 UTC"), ("hw2", "2026-11-01 10:00:00.123456 +0000")):
        (tmp_path / "n" / "bob" / place / "timestamp.txt").write_text(when)
    last, = submissions(tmp_path / "n", roster={"bob": "bob"})
    assert last.file == "new.ipynb" and "in 2 folders (bob/hw,bob/hw2)" in last.note and last.when.day == 2


@pytest.mark.parametrize(("early", "late", "student", "by"), [
    ("annsmith_101_5007_hw", "annsmith_LATE_101_5012_hw-1", "annsmith", "the platform's numbers"),             # Canvas
    ("Ann Smith_77_assignsubmission_file_/2", "Ann Smith_77_assignsubmission_file_/10", "Ann Smith", "the numbers"),
    ("HW 1_asmith_attempt_2026-11-02-10-22-33_hw", "HW 1_asmith_attempt_2026-11-03-09-00-00_a", "asmith", "when")])
def test_platforms_say_whose_a_file_is_and_which_is_the_last(early, late, student, by, tmp_path):
    handed_in(tmp_path, {f"{early}.ipynb": "hw", f"{late}.ipynb": "hw", "bob_102_5001_hw.ipynb": "hw"})
    os.utime(tmp_path / f"{late}.ipynb", (1, 1))  # as if unpacked in the other order
    found = {one.student: one for one in submissions(tmp_path)}
    assert set(found) == {student, "bob"} and found[student].path.stem == Path(late).name
    assert f"graded the last by {by}" in found[student].note
    assert found[student].late == ("LATE" in late) and not found["bob"].late
    assert submissions(tmp_path, roster={student: "A", "bob": "B"})[0].student == "A"


def test_a_roster_may_say_when_files_were_handed_in(tmp_path):
    handed_in(tmp_path / "in", {"ann__a.ipynb": "hw", "ann__b.ipynb": "hw", "bob.ipynb": "hw"})
    table = tmp_path / "people.csv"
    table.write_text("student,file,when\nann,ann__a,2026-11-03 09:00\nann,ann__b,2026-11-02T09:00+02:00\nbob,,\n")
    times = read_times(table)
    found = submissions(tmp_path / "in", times=times, deadline=datetime(2026, 11, 2, 12, tzinfo=timezone.utc))
    assert [(one.student, one.path.name, one.late) for one in found][0] == ("ann", "ann__a.ipynb", True)
    first = submissions(tmp_path / "in", times=times, keep="first")[0]
    assert first.path.name == "ann__b.ipynb" and first.when < times["ann__a"]
    table.write_text("student,when\nann,soon\n")
    with pytest.raises(MasterError, match="line 2: 'soon' is no time; write it as 2026-11-30 23:59"):
        read_times(table)


def test_two_notebooks_of_one_course_are_each_graded_by_their_own(tmp_path, capsys):
    grading = graders(tmp_path / "grading", "one", "two")
    with pytest.raises(MasterError, match="holds the grading notebooks of one and two"):
        Grader(grading)
    work = handed_in(tmp_path / "in", {"ann/1.ipynb": "one", "ann/2.ipynb": "two", "bob/2.ipynb": "two"})
    words = ["assign", "grade", str(work), "--with", str(grading), "--out", str(tmp_path / "out"), *UNSAFE]
    assert main(words) == 0
    for name, students in (("one", ["ann"]), ("two", ["ann", "bob"])):
        rows = csv.DictReader(open(tmp_path / "out" / name / "grades.csv", newline="", encoding="utf-8"))
        assert [(row["student"], row["assignment"]) for row in rows] == [(each, name) for each in students]
    handed_in(tmp_path / "other", {"ann.ipynb": "three"})
    capsys.readouterr()
    assert main([*words[:2], str(tmp_path / "other"), *words[3:]]) == 1
    said = capsys.readouterr().err
    assert "skipped: ann.ipynb is a notebook of three" in said and "is a notebook of one or two" in said


def test_who_handed_in_nothing_has_a_row_and_tables_that_somebody_edited_stay(tmp_path, capsys):
    work, table = handed_in(tmp_path / "in", {"ann.ipynb": "hw"}), tmp_path / "people.csv"
    table.write_text("student\nann\nbob\n")
    words = ["assign", "grade", str(work), "--with", str(graders(tmp_path / "g", "hw")), "--out", str(tmp_path / "out"),
             "--roster", str(table), *UNSAFE]
    assert main(words) == 0 and main(words) == 0
    path = tmp_path / "out" / "grades.csv"
    rows = list(csv.DictReader(open(path, newline="", encoding="utf-8")))
    assert [(row["student"], row["note"]) for row in rows] == [("ann", ""), ("bob", "handed in nothing")]
    canvas = list(csv.reader(open(tmp_path / "out" / "canvas.csv", newline="", encoding="utf-8")))
    assert canvas[1] == ["    Points Possible", "", "", "", "", "0"]
    assert [row[0] for row in canvas[2:]] == ["ann", "bob"]
    path.write_text(edited := path.read_text("utf-8").replace("bob", "bobby"), "utf-8")
    assert main(words) == 1 and "grades.csv has been edited since it was written" in capsys.readouterr().err
    assert path.read_text("utf-8") == edited


def test_points_by_hand_are_kept_for_the_next_run(tmp_path):
    table, out = tmp_path / "mine.csv", tmp_path / "out"
    assert reports.keep_manual(None, out, "hw") is None
    table.write_text("student,exercise,points\nada,1,2\n")
    kept = reports.keep_manual(table, out, "hw")
    assert reports.keep_manual(None, out, "hw") == kept and kept.read_bytes() == table.read_bytes()


def test_an_empty_cell_of_a_table_is_empty_and_names_of_any_length_have_files(tmp_path):
    people = ["ann", "n" * 255, "n" * 254, "\u674e" * 80, "half \ud800"]
    mark = Mark("1", "wrong", 0.0, 1.0, "\ud800 half")
    reports.write_all([Result(each, "a", "f", [mark]) for each in people], tmp_path)
    assert len(list((tmp_path / "feedback").iterdir())) == len(people)
    for table in tmp_path.glob("*.csv"):
        assert "'" not in [cell for row in csv.reader(open(table, newline="", encoding="utf-8")) for cell in row]


@POSIX
def test_a_strange_file_costs_nobody_else_anything(tmp_path):
    work = handed_in(tmp_path / "in", {"ann.ipynb": "hw"})
    with open(work / "huge.ipynb", "wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no disk
    (work / "deep.ipynb").write_text("[" * 100_000)
    made = book("hw", [v4.new_code_cell("x = 1")])
    made.cells[0].outputs = [v4.new_output("stream", text="x" * reading.LARGE)]
    nbformat.write(made, work / "outputs.ipynb")
    (work / "half.ipynb").write_text(json.dumps(book("hw", [v4.new_code_cell("x = '\ud800'")])))
    subprocess.run(["cp", str(work / "ann.ipynb"), os.fsencode(work) + b"/Jos\xe9.ipynb"], check=False)
    found = {s.student: s.path for s in submissions(work)}
    assert set(found) >= {"ann", "huge", "deep", "outputs", "half"}
    assert read_notebook(found["outputs"]).cells[0].outputs == []
    assert read_notebook(found["half"]).cells[0].source == "x = '?'"
    for name in ("huge", "deep"):
        with pytest.raises(MasterError, match=name):
            read_notebook(found[name])


@pytest.mark.parametrize("source", ["x = a" + ".a" * 20_000, "if a: pass\n" + "elif a: pass\n" * 20_000])
def test_code_that_is_only_hard_to_read_is_refused_by_its_length(source):
    with pytest.raises(SyntaxError, match="characters; at most"):
        tree_of(source)
