"""Prove that a master grades as it should before anybody's points depend on it."""
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import nbformat

from minillm.assignments.grade import Grader
from minillm.assignments.marks import Mark, mark_of
from minillm.assignments.pristine import for_exercise
from minillm.assignments.registry import registered
from minillm.assignments.run import execute
from minillm.assignments.sandbox import student_package
from minillm.assignments.warm import Warm


@dataclass
class Proof:
    """One thing that was tried: which exercise, what was handed in, what it should score and what it did."""

    exercise: str
    what: str
    expected: float
    marks: list[Mark]

    @property
    def holds(self) -> bool:
        """The score was as expected, and score, status and reason were the same every time."""
        return (all(abs(m.points - self.expected) < 1e-6 for m in self.marks)
                and len({(m.points, m.status, m.reason) for m in self.marks}) == 1)


def verify(grading: str | Path, *, times: int = 2) -> Iterator[Proof]:
    """Grade the solutions (100 %), the stubs (0) and every listed mistake, `times` times each, in the real sandbox."""
    with tempfile.TemporaryDirectory(prefix="mgp-") as folder, ExitStack() as ends:
        first = Grader(grading)
        graders = [first, *(Grader(grading, warm=first.warm) for _ in range(times - 1))]
        book = next(iter(graders[0]._books.values()))
        whole = Warm(student_package(Path(folder), whole=True), book.cells)
        for each in (whole, first.warm):
            ends.callback(each.close)
        for id, facts in graders[0].exercises.items():
            if facts["manual"]:
                continue
            for what, source, expected in _tried(book, id, facts):
                if registered(source):
                    marks = [_really(book, grader, whole, id, facts, source) for grader in graders]
                else:
                    marks = [g.judge(book, id, source) for g in graders]
                yield Proof(id, what, expected, marks)


def _tried(book: nbformat.NotebookNode, id: str, facts: dict) -> list[tuple[str, str, float]]:
    """What is handed in of an exercise, and what it should score."""
    reference = next(c.source
                     for c in book.cells
                     if c.metadata.minillm.get("exercise") == id and c.metadata.minillm.role == "answer")
    return [("solution", reference, float(facts["points"])), ("blank", facts["stub"], 0.0),
            *((f"mistake: {name}", known["source"], float(known["score"]))
              for name, known in facts["mistakes"].items())]


def _really(book: nbformat.NotebookNode, grader: Grader, whole: Warm, id: str, facts: dict, source: str
            ) -> Mark:
    """The mark of a mistake that a lesson lists, run where its mistakes can be imported, as students cannot."""
    cells = for_exercise(book.cells, id, source, [], whole=facts.get("whole", False))
    run = execute(cells, limits=grader.limits, package=whole.package, warm=whole)
    return mark_of(id, float(facts["points"]), facts, cells, run, [], source)
