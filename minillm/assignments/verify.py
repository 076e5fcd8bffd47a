"""Prove that a master grades as it should before anybody's points depend on it."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minillm.assignments.grade import Grader
from minillm.assignments.marks import Mark
from minillm.assignments.registry import registered
from minillm.assignments.values import agree, values_of


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
    graders = [Grader(grading) for _ in range(times)]
    book = next(iter(graders[0]._books.values()))
    for id, facts in graders[0].exercises.items():
        if facts["manual"]:
            continue
        reference = next(c.source
                         for c in book.cells
                         if c.metadata.minillm.get("exercise") == id and c.metadata.minillm.role == "answer")
        tried = [("solution", reference, float(facts["points"])), ("blank", facts["stub"], 0.0)]
        tried += [(f"mistake: {name}", known["source"], float(known["score"]))
                  for name, known in facts["mistakes"].items()]
        for what, source, expected in tried:
            if registered(source):  # no source of its own; its values are compared
                yield Proof(
                    id, what, expected, [_by_values(book, id, facts, what.partition(": ")[2])] * times)
            else:
                yield Proof(id, what, expected, [g.judge(book, id, source) for g in graders])


def _by_values(book, id: str, facts: dict, name: str) -> Mark:

    checks = [c
              for c in book.cells
              if c.metadata.minillm.get("exercise") == id and c.metadata.minillm.role == "check"]
    given = facts["mistakes"][name]["values"]
    points = sum(float(c.metadata.minillm.points)
                 for c, values in zip(checks, given, strict=True)
                 if agree(list(values), values_of(c.outputs), float(c.metadata.minillm.tolerance)))
    return Mark(id, "wrong", points, float(facts["points"]), name)
