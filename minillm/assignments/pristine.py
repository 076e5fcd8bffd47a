"""Put answers into the pristine notebook, and record what the right ones give."""
from __future__ import annotations

import ast
import copy
from contextlib import suppress

import nbformat

from minillm.assignments import guard
from minillm.assignments.master import Exercise, Master, MasterError
from minillm.assignments.run import cell, execute
from minillm.assignments.sandbox import Limits
from minillm.assignments.syntax import tree_of
from minillm.assignments.values import agree, emitting, values_of
from minillm.assignments.warm import Warm


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
                        f"without magics") from error
                asker = next(e for e in master.exercises.values() if check in e.checks)
                cells.append(
                    cell(source, "check", exercise=asker.id, points=check.points, tolerance=check.tolerance))
    return cells


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


def needed(cells: list[nbformat.NotebookNode], id: str) -> list[nbformat.NotebookNode]:
    """The cells of a run without those that give no name which a later one uses, and touch none.

    Goes from the last cell to the first.  A cell stays if it defines a wanted name, or has a line of its own that
    does something with one (a seed, an append); what it uses is wanted in turn.  What cannot be read stays.
    """
    kept: list[nbformat.NotebookNode] = []
    wanted: set[str] = set()
    made = _made(cells)
    for each in reversed(cells):
        own = each.metadata.minillm
        try:
            defines, uses, touches = names_in(each.source, made)
        except SyntaxError:
            defines = uses = touches = wanted = wanted | {"check"}
        guards = own.role == "given" and each.source.startswith(guard.GUARD[:40])
        if own.get("exercise") == id or guards or "*" in defines or wanted & (defines | touches):
            kept.insert(0, each)
            wanted = wanted | uses
    return kept


def _made(cells: list[nbformat.NotebookNode]) -> dict[str, set[str]]:
    """The functions that the cells make, and the names that each uses, those of functions called in it too."""
    made: dict[str, set[str]] = {}
    for each in cells:
        with suppress(SyntaxError):
            for node in tree_of(each.source).body:
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    made.setdefault(node.name, set()).update(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
    for _ in range(len(made)):
        before = sum(map(len, made.values()))
        for names in made.values():
            names.update(*(made[name] for name in [*names] if name in made))
        if sum(map(len, made.values())) == before:
            break
    return made


def names_in(source: str, made: dict[str, set[str]] | None = None) -> tuple[set[str], set[str], set[str]]:
    """The names that a cell defines, those that it uses, and those that lines standing for themselves use.

    A line that calls a function of the notebook's own (`made`: what each uses) may change all that this one uses.
    """
    tree = tree_of(source)
    defines, uses, touches = set(), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defines.add(node.name)
        elif isinstance(node, ast.Name):
            (uses if isinstance(node.ctx, ast.Load) else defines).add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defines |= {(a.asname or a.name).partition(".")[0] for a in node.names}
    for node in tree.body:
        stored = [t for t in getattr(node, "targets", []) if not isinstance(t, ast.Name)]  # x[0] = …, x.y = …
        if (isinstance(node, (ast.Expr, ast.For, ast.While, ast.With, ast.If, ast.AugAssign, ast.Try))
            or stored):
            shown = isinstance(node, ast.Expr) and not isinstance(node.value, (ast.Call, ast.Await))
            called = (
                node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None)
            if isinstance(called, ast.Name) and called.id in (made or {}):
                touches |= made[called.id] | {called.id} | {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            if shown or isinstance(called, ast.Name):  # print(x) and Widget(x) show; x.append(1) does
                continue
            touches |= {n.id for n in ast.walk(called or node) if isinstance(n, ast.Name)}
    return defines, uses, touches


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
