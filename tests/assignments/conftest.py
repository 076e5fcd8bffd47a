"""One small course, built once for all tests of a worker."""
from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import nbformat
import pytest

from minillm.assignments import sandbox
from minillm.assignments.build import build
from minillm.assignments.grade import Grader
from minillm.assignments.master import exercise_of, role_of

MASTER = Path(__file__).with_name("small_course.json")
QUICK = sandbox.Limits(wall_seconds=20.0, cell_seconds=8.0, cpu_seconds=30, data_bytes=2_000_000_000)
HURRIED = dataclasses.replace(QUICK, wall_seconds=10.0, cell_seconds=4.0)  # for what nothing but a limit ends
PATIENT = dataclasses.replace(QUICK, wall_seconds=600.0, cell_seconds=200.0)  # for what ends by itself, on any machine
isolated = pytest.mark.skipif(
    sandbox.bubblewrap() is None, reason="bubblewrap is missing: the grader says that it cannot stop this")


@pytest.fixture(scope="session")
def course(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("course")
    build(MASTER, out, seed=7)
    return out


@pytest.fixture(scope="session")
def grader(course) -> Grader:
    return Grader(course / "grading", limits=QUICK)


@pytest.fixture(scope="session")
def hurried(course) -> Grader:
    return Grader(course / "grading", limits=HURRIED)


@pytest.fixture(scope="session")
def handed_out(course) -> nbformat.NotebookNode:
    return nbformat.read(course / "student" / "small_course.ipynb", as_version=4)


@pytest.fixture(scope="session")
def references(course) -> dict[str, str]:
    solved = nbformat.read(next((course / "solution").glob("*.ipynb")), as_version=4)
    return {
        exercise_of(c): c.source for c in solved.cells if c.cell_type == "code" and role_of(c) == "answer"}


def answered(handed_out: nbformat.NotebookNode, answers: dict[str, str]) -> nbformat.NotebookNode:
    """The student notebook with some answers in place."""
    notebook = copy.deepcopy(handed_out)
    for cell in notebook.cells:
        if cell.cell_type == "code" and role_of(cell) == "answer" and exercise_of(cell) in answers:
            cell.source = answers[exercise_of(cell)]
    return notebook
