"""Say what a run is worth, and why."""
from __future__ import annotations

import builtins
import re
from dataclasses import dataclass, field

from minillm.assignments.run import Run
from minillm.assignments.values import agree

PASSED, PARTLY, WRONG, BLANK, MISSING, CRASHED, TIMED_OUT, FORBIDDEN, MANUAL, TROUBLE = ("passed",
                                                                                         "partly", "wrong",
                                                                                         "not attempted",
                                                                                         "not found",
                                                                                         "crashed",
                                                                                         "timed out",
                                                                                         "forbidden",
                                                                                         "manual",
                                                                                         "grader's trouble")


ANSI = re.compile(r"\x1b\[[0-9;]*m")
ENDLESS = "an endless loop? It was stopped when its time was over"


@dataclass
class Mark:
    """The points of one exercise and the reason for them."""

    exercise: str
    status: str
    points: float
    out_of: float
    reason: str = ""
    remarks: list[str] = field(default_factory=list)  # for the teacher


def same_code(answer: str, stub: str) -> bool:
    def bare(source: str) -> str:
        return "\n".join(
            line.rstrip() for line in source.splitlines() if line.strip() and not line.strip().startswith("#")
        )

    return bare(answer) == bare(stub)


def grader_failed(cells: list, run: Run) -> bool:
    """Did a given cell (or another exercise's reference) fail before the answer had a chance to spoil anything?"""
    for i, cell in enumerate(cells):
        own = cell.metadata.minillm
        if own.role == "check" or (own.role == "answer" and i == _answer_index(cells)):
            return False
        report = run.cells.get(i)
        if report is None or report.outcome != "passed":
            return True
    return False


def _answer_index(cells: list) -> int:
    last = cells[-1].metadata.minillm.exercise
    return next(i
                for i, c in enumerate(cells)
                if c.metadata.minillm.get("exercise") == last and c.metadata.minillm.role == "answer")


def where_it_failed(error: list[str], answer: str) -> str:
    """The kind of an error and the line of the answer's own cell where it arose.

    No word of its text, nor a name that the answer does not spell: it could carry the hidden inputs out.
    """
    kind, lines = error[0], answer.splitlines()
    named = isinstance(getattr(builtins, kind, None), type) or re.search(rf"\b{re.escape(kind)}\b", answer)
    said = kind if named else "an error"
    for number, text in reversed(re.findall(r"^-+> *(\d+) (.*)$", ANSI.sub("", error[2]), re.MULTILINE)):
        if 0 < int(number) <= len(lines) and text.strip() and lines[int(number) - 1].strip() == text.strip():
            return f"{said} in line {number} of the answer: {text.strip()[:120]}"
    return said


def mark_of(id: str, out_of: float, facts: dict, cells: list, run: Run, remarks: list[str], answer: str = "") -> Mark:
    at = _answer_index(cells)
    checks = [i for i, c in enumerate(cells) if c.metadata.minillm.role == "check"]
    points = sum([float(cells[i].metadata.minillm.points)
                  for i in checks
                  if i in run.cells and run.cells[i].outcome == "passed"],
                 0.0)
    if run.ended and points < out_of:
        if "timed out" in run.ended:  # by the cell's clock or by the run's: to the student it is the same
            return Mark(id, TIMED_OUT, round(points, 6), out_of, ENDLESS, remarks)
        return Mark(id, FORBIDDEN, round(points, 6), out_of, f"the run {run.ended}", remarks)
    if points >= out_of - 1e-9:
        return Mark(id, PASSED, out_of, out_of, "", remarks)
    reports = [run.cells.get(i) for i in [at, *checks]]
    if any(r and r.timed_out for r in reports):
        return Mark(id, TIMED_OUT, round(points, 6), out_of, ENDLESS, remarks)
    errors = [r.error for r in reports if r and r.error]
    if errors and errors[0][0] == "NotImplementedError":
        return Mark(
            id, BLANK, round(points, 6), out_of, "the answer still raises NotImplementedError", remarks)
    if errors and errors[0][0] == "PermissionError" and "this exercise asks you" in errors[0][1]:
        names = ", ".join(name for name in facts["forbid"] if name in errors[0][1]) or "what it is asked to build"
        return Mark(id, FORBIDDEN, round(points, 6), out_of, f"this exercise asks you to do without {names}", remarks)
    mine = [run.cells[i].values if i in run.cells else [] for i in checks]
    status = PARTLY if points else WRONG
    for name, known in facts["mistakes"].items():
        same = all(agree(a, list(b), 1e-4) for a, b in zip(mine, known["values"], strict=True))
        if same and (
            errors[0][:2] == list(known["error"] or [])[:2] if errors else any(mine) and not known["error"]):
            return Mark(id, status, round(points, 6), out_of, name, remarks)
    if errors:
        return Mark(id, CRASHED if not points else PARTLY, round(points, 6), out_of, where_it_failed(errors[0], answer),
                    [*remarks, f"says {errors[0][0]}: {errors[0][1]}"[:300]])
    died = [r.trouble for r in reports if r and r.trouble and "kernel" in r.trouble.lower()]
    if died or any(r is None for r in reports):
        return Mark(id, CRASHED, round(points, 6), out_of, "the program ended before it was checked", remarks)
    return Mark(id, status, round(points, 6), out_of, "gives other values than asked for", remarks)
