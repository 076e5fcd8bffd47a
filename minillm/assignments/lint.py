"""Say what a master, or a submission, still lacks."""
from __future__ import annotations

import ast
import builtins
from pathlib import Path

import nbformat

from minillm.assignments.collect import answers_in
from minillm.assignments.guard import forbidden_names, imported_as
from minillm.assignments.marks import same_code
from minillm.assignments.master import HIDDEN, MasterError, exercise_of, read_master, read_notebook
from minillm.assignments.registry import complete
from minillm.assignments.syntax import tree_of

ALWAYS = {"display", "get_ipython", "In", "Out", "_", "__", "__name__", "__file__", "__doc__"}  # in every notebook


def lint_master(path: str | Path) -> list[str]:
    """One sentence per thing that a teacher should mend before building; an empty list where nothing is missing."""
    try:
        master = complete(read_master(path), seed=0)
    except MasterError as error:
        return [str(error)]
    found = ([]
             if master.exercises
             else [f"{Path(path).name} has no exercise; start an answer cell with '# exercise: ID'"])
    for e in master.exercises.values():
        if e.points <= 0:
            found.append(f"exercise {e.id} has no points; give its answer cell or its checks some")
        if same_code(e.solution, e.stub) and not e.manual:
            found.append(
                f"exercise {e.id} has no solution; add a solution cell or ### BEGIN SOLUTION markers")
        if not e.manual and not any(c.hidden for c in e.checks):
            found.append(
                f"exercise {e.id} has no hidden check; an answer that replays the public check's output would pass"
            )
        if not e.mistakes and not e.manual:
            found.append(f"exercise {e.id} lists no mistakes; nothing proves that its check catches any")
        for check in e.checks:
            source = "\n".join(HIDDEN.findall(check.source)) or check.source
            if check.hidden and not _prints(source):
                found.append(
                    f"a hidden check of exercise {e.id} only asserts; an object with its own __eq__ passes that, "
                    f"so print the values instead")
    return found


def lint_submission(path: str | Path, master: str | Path | None = None) -> list[str]:
    """One sentence per thing that would cost points before anything is graded: for a student, before handing in.

    Knows the exercises from the notebook's own metadata, or from `master` (the student notebook as handed out).
    """
    notebook = read_notebook(path)
    handed_out = read_notebook(master) if master else notebook
    wanted = {own["exercise"]: c.source for c, own in _told(handed_out) if own.get("role") == "answer"}
    if not wanted:
        wanted = dict.fromkeys(filter(None, (own["exercise"] for _, own in _told(notebook))))
    if not wanted:
        return [
            f"{Path(path).name} names no exercises; compare it with the notebook as handed out: --with STUDENT.ipynb"
        ]
    answers = answers_in(notebook, list(wanted))
    parts = _told(handed_out)
    forbid = {own["exercise"]: own["forbid"] for _, own in parts}
    prose = {own["exercise"] for c, own in parts if own.get("role") == "answer" and c.cell_type != "code"}
    texts = [c.source for c, own in parts if c.cell_type == "code" and own.get("role") != "answer"]
    found = list(answers.problems.values())
    given = _names_of(texts)
    others = _names_of(list(answers.sources.values()))
    for id, source in answers.sources.items():
        if master and wanted[id] and same_code(source, wanted[id]) or unfinished(source):
            found.append(f"exercise {id} is not attempted yet")
            continue
        try:
            tree = tree_of(source if id not in prose else "")
        except SyntaxError as error:
            found.append(f"exercise {id} is not valid Python: {error.msg} (line {error.lineno})")
            continue
        loose = sorted(_used(tree) - _names_of([source]) - given - others - set(dir(builtins)) - ALWAYS)
        if loose and "*" not in given:
            found.append(
                f"exercise {id} uses {', '.join(loose)}, defined in a cell of your own; only answer cells are "
                f"graded, so define it there")
        mine = next((own["forbid"] for c, own in _told(notebook) if c.source == source), [])
        banned = forbidden_names(source, mine or forbid.get(id) or [], imported_as(texts))
        if banned:
            found.append(f"exercise {id} uses {', '.join(banned)}, which it asks to do without")
    return found


def _told(notebook: nbformat.NotebookNode) -> list[tuple[nbformat.NotebookNode, dict]]:
    """Each cell, and what its metadata tell minillm: the exercise, and what it asks to do without."""
    found = []
    for cell in notebook.cells:
        own = cell.metadata.get("minillm") or {}
        names = own.get("forbid") if isinstance(own.get("forbid"), list) else []
        found.append((cell, {**own, "exercise": exercise_of(cell) if own.get("exercise") else None,
                             "forbid": [name for name in names if isinstance(name, str)]}))
    return found


def unfinished(source: str) -> bool:
    """Does a function or method of the answer still do nothing but raise NotImplementedError?

    One that is meant to (of a class that others inherit from, or on some path) is not taken for a stub.
    """
    try:
        tree = tree_of(source)
    except SyntaxError:
        return False
    inherited = {base.id for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
                 for base in node.bases if isinstance(base, ast.Name)}
    bodies = [tree.body] + [node.body for node in tree.body if isinstance(node, ast.ClassDef)
                            and node.name not in inherited]
    return any(_stub(body) for body in bodies) or any(
        _stub(node.body) for body in bodies for node in body if isinstance(node, ast.FunctionDef))


def _stub(body: list[ast.stmt]) -> bool:
    last = body[-1] if body else None
    raised = last.exc if isinstance(last, ast.Raise) else None
    raised = raised.func if isinstance(raised, ast.Call) else raised
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def _prints(source: str) -> bool:
    try:
        tree = tree_of(source)
    except SyntaxError:
        return False
    prints = any(isinstance(n, ast.Call) and getattr(n.func, "id", "") == "print" for n in ast.walk(tree))
    return prints or bool(tree.body and isinstance(tree.body[-1], ast.Expr))


def _names_of(sources: list[str]) -> set[str]:
    found = set()
    for source in sources:
        try:
            tree = tree_of(source)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(node.name)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                a = node.args
                found |= {
                    x.arg
                    for x in [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, [a.vararg, a.kwarg])]}
            elif isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
                found.add(node.id)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                found |= {(x.asname or x.name).partition(".")[0] for x in node.names}
            elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
                found.add(node.name)
    return found


def _used(tree: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
