"""Put answers into the pristine notebook, and record what the right ones give."""
from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import nbformat

from minillm.assignments import guard
from minillm.assignments.master import Exercise, Master, MasterError
from minillm.assignments.run import cell, execute
from minillm.assignments.sandbox import Limits, student_package
from minillm.assignments.values import emitting


def graded_cells(master: Master) -> list[nbformat.NotebookNode]:
    """The code of a run with all reference answers, in the master's order; checks that bring no points are left out."""
    cells = [cell("check = lambda *answers: None  # public checks give feedback, not points", "given")]
    for i, (old, role) in enumerate(zip(master.notebook.cells, master.roles, strict=True)):
        exercise = owner(master, i)
        if old.cell_type == "code" and role == "given" and old.source.strip():
            cells.append(cell(old.source, "given"))
        elif role == "answer" and not exercise.manual:
            cells.append(cell(exercise.solution, "answer", exercise=exercise.id))
        for check in [c for e in master.exercises.values() if not e.manual for c in e.checks]:
            if check.cell == i and check.points > 0:
                try:
                    source = emitting(check.source)
                except SyntaxError as error:
                    raise MasterError(
                        f"the check in cell {i} is not plain Python (line {error.lineno}); write it "
                        f"without magics"
                    ) from error
                asker = next(e for e in master.exercises.values() if check in e.checks)
                cells.append(
                    cell(source, "check", exercise=asker.id, points=check.points, tolerance=check.tolerance)
                )
    return cells


def for_exercise(
    cells: list[nbformat.NotebookNode], id: str, answer: str, forbid: list[str]
) -> list[nbformat.NotebookNode]:
    """A run that judges one answer: reference answers elsewhere, cut after the last of its checks, guarded."""
    mine = [i for i, c in enumerate(cells) if c.metadata.minillm.get("exercise") == id]
    chosen = []
    for old in cells[: mine[-1] + 1]:
        new, own = copy.deepcopy(old), old.metadata.minillm
        if own.role == "check" and own.exercise != id:
            continue
        if own.role == "answer" and own.exercise == id:
            if forbid:
                chosen.append(cell(guard.guard(forbid), "given"))
            new.source = answer
        elif own.role == "check" and forbid:
            new.source = guard.ALLOW + new.source
        chosen.append(new)
    return chosen


def recorded(cells: list[nbformat.NotebookNode], limits: Limits, what: str) -> dict[int, list[str]]:
    """The values that each cell gives; MasterError where one fails, since then nobody could pass.

    What runs here is the teacher's: it sees the whole package.
    """
    with tempfile.TemporaryDirectory(prefix="mgp-") as folder:
        run = execute(
            [copy.deepcopy(c) for c in cells],
            limits=limits,
            record=True,
            package=student_package(Path(folder), whole=True),
        )
    for i, made in enumerate(cells):
        report = run.cells.get(i)
        if report is None or report.outcome != "passed":
            why = run.ended or (
                ": ".join(report.error)
                if report and report.error
                else report.trouble
                if report
                else "no report"
            )
            raise MasterError(
                f"{what}: the cell starting {made.source.strip().splitlines()[0][:60]!r} fails ({why})"
            )
    return {i: run.cells[i].values for i in range(len(cells))}


def mistaken_values(master: Master, exercise: Exercise, limits: Limits) -> dict[str, dict]:
    known = {}
    for name, (source, score) in exercise.mistakes.items():
        cells = for_exercise(graded_cells(master), exercise.id, source, [])
        with tempfile.TemporaryDirectory(prefix="mgp-") as folder:
            run = execute(
                cells, limits=limits, record=True, package=student_package(Path(folder), whole=True)
            )
        checks = [i for i, c in enumerate(cells) if c.metadata.minillm.role == "check"]
        reports = [run.cells.get(i) for i in checks]
        known[name] = {
            "score": score,
            "source": source,
            "values": [r.values if r else [] for r in reports],
            "error": next((list(r.error) for r in run.cells.values() if r.error), None),
        }
    return known


def owner(master: Master, index: int) -> Exercise | None:
    return next(
        (e for e in master.exercises.values() if e.answer == index or any(c.cell == index for c in e.checks)),
        None,
    )
