"""Put answers into the pristine notebook, and record what the right ones give."""
from __future__ import annotations

import copy

import nbformat

from minillm.assignments import guard
from minillm.assignments.flow import lines_of, needed
from minillm.assignments.master import Exercise, Master, MasterError
from minillm.assignments.run import cell, execute
from minillm.assignments.sandbox import Limits
from minillm.assignments.values import agree, emitting, values_of
from minillm.assignments.warm import Warm

QUIET = "check = lambda *answers: None  # public checks give feedback, not points\n"


def graded_cells(master: Master) -> list[nbformat.NotebookNode]:
    """The code of a run with all reference answers, in the master's order; checks that bring no points are left out."""
    cells, quiet = [], _quiet(master)
    for i, (old, role) in enumerate(zip(master.notebook.cells, master.roles, strict=True)):
        exercise = owner(master, i)
        if old.cell_type == "code" and role == "given" and old.source.strip():
            cells.append(cell(old.source, "given"))
        elif role == "answer" and not exercise.manual:
            if quiet:
                cells.append(cell(QUIET, "given"))
            cells.append(cell(exercise.solution, "answer", exercise=exercise.id))
        for check in [c for e in master.exercises.values() if not e.manual for c in e.checks]:
            if check.cell == i and check.points > 0:
                try:
                    source = emitting(check.source)
                except SyntaxError as error:
                    raise MasterError(
                        f"the check in cell {i} is not plain Python (line {error.lineno}); write it "
                        f"without magics") from error
                asker = next(e for e in master.exercises.values() if check in e.checks)
                cells.append(
                    cell(source, "check", exercise=asker.id, points=check.points, tolerance=check.tolerance))
    return cells


def _quiet(master: Master) -> bool:
    """Whether `check`, as answers call it, is minillm's own or nothing, and not a function of the teacher's."""
    return not any("check" in line.binds and not line.imports.startswith("from minillm.notebook ")
                   for c, role in zip(master.notebook.cells, master.roles, strict=True)
                   if c.cell_type == "code" and role == "given" for line in lines_of(c.source) or ())


def for_exercise(cells: list[nbformat.NotebookNode], id: str, answer: str, forbid: list[str], *, whole: bool = False
                 ) -> list[nbformat.NotebookNode]:
    """A run that judges one answer: reference answers elsewhere, cut after the last of its checks, guarded.

    Of the other cells only those stay that the answer or its checks rest on, so nobody waits for pictures and
    training runs that decide nothing; `whole` keeps all, where these would give something else.
    """
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
    return chosen if whole else needed(chosen, id)


def recorded(cells: list[nbformat.NotebookNode], limits: Limits, what: str, warm: Warm) -> dict[int, list[str]]:
    """The values that each cell gives; MasterError where one fails, since then nobody could pass."""
    run = execute(copy.deepcopy(cells), limits=limits, record=True, package=warm.package, warm=warm)
    for i, made in enumerate(cells):
        report = run.cells.get(i)
        if report is None or report.outcome != "passed":
            why = run.ended or (": ".join(report.error[:2])
                                if report and report.error
                                else report.trouble
                                if report
                                else "no report")
            raise MasterError(
                f"{what}: the cell starting {made.source.strip().splitlines()[0][:60]!r} fails ({why})")
    return {i: run.cells[i].values for i in range(len(cells))}


def mistaken_values(master: Master, limits: Limits, warm: Warm) -> dict[str, dict[str, dict]]:
    """What each listed mistake gives: exercise -> mistake -> its score, source, values and error.

    All of them run one after the other in one kernel, behind the reference answers.
    """
    cells = graded_cells(master)
    tried: list[tuple[str, str, float, str, range]] = []
    for e in master.exercises.values():
        checks = [c
                  for c in cells
                  if c.metadata.minillm.get("exercise") == e.id and c.metadata.minillm.role == "check"]
        for name, (source, score) in {} if e.manual else e.mistakes.items():
            cells = [*cells, cell(source, "answer", exercise=e.id), *copy.deepcopy(checks)]
            tried.append((e.id, name, score, source, range(len(cells) - len(checks) - 1, len(cells))))
    found: dict[str, dict[str, dict]] = {}
    if not tried:
        return found
    run = execute(copy.deepcopy(cells), limits=limits, record=True, package=warm.package, warm=warm)
    for id, name, score, source, places in tried:
        reports = [run.cells[i] for i in places if i in run.cells]
        if len(reports) < len(places):
            why = run.ended or "the kernel died"
            raise MasterError(f"the mistake {name!r} of exercise {id} could not be run ({why})")
        found.setdefault(id, {})[name] = {"score": score,
                                          "source": source,
                                          "values": [r.values for r in reports[1:]],
                                          "error": next((r.error[:2] for r in reports if r.error), None)}
    return found


def resting_on_all(master: Master, cells: list[nbformat.NotebookNode], limits: Limits, warm: Warm) -> set[str]:
    """The exercises whose reference gives something else where only the cells are run that it seems to rest on.

    So what is recorded and what is graded come from the same cells.
    """
    found = set()
    for id in {c.metadata.minillm.get("exercise") for c in cells if c.metadata.minillm.role == "check"}:
        cut = for_exercise(cells, id, master.exercises[id].solution, [])
        run = execute(copy.deepcopy(cut), limits=limits, package=warm.package, record=True, warm=warm)
        for i, each in enumerate(cut):
            own = each.metadata.minillm
            got = run.cells[i].values if i in run.cells and run.cells[i].outcome == "passed" else None
            if own.role == "check" and (got is None or not agree(got, values_of(each.outputs), float(own.tolerance))):
                found.add(id)
    return found


def owner(master: Master, index: int) -> Exercise | None:
    return next(
        (e for e in master.exercises.values() if e.answer == index or any(c.cell == index for c in e.checks)),
        None)
