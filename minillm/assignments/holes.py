"""Find what a master's checks let pass: small changes to its solution that give the same, and mistakes told as one."""
from __future__ import annotations

import ast
import copy
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat

from minillm.assignments.grade import Grader
from minillm.assignments.pristine import for_exercise
from minillm.assignments.registry import registered
from minillm.assignments.run import Run, cell, execute
from minillm.assignments.sandbox import Limits, student_package
from minillm.assignments.syntax import tree_of
from minillm.assignments.values import agree, values_of
from minillm.notebook.judging.mutants import Rewritten, rewritten

COUNT = """\
class _Endless(BaseException):
    pass

_most, _turned = float("inf"), 0

def _turn():
    global _turned
    _turned += 1
    if _turned > _most:
        raise _Endless
"""
ENOUGH = "_most = 3 * _turned + 10  # of the solution's loops; those of a change to it may turn no oftener"


def holes(grading: str | Path, *, limits: Limits = Limits(wall_seconds=900.0, cpu_seconds=900)) -> Iterator[str]:
    """One sentence for each thing that the checks of a teacher's own exercises do not tell apart, with the way out.

    The course's own exercises are left out: its tests ask the same of them.
    """
    grader = Grader(grading)
    book = next(iter(grader._books.values()))
    for id, facts in grader.exercises.items():
        checked = any(c.metadata.minillm.get("exercise") == id and c.metadata.minillm.role == "check"
                      for c in book.cells)
        if facts["manual"] or not checked or any(registered(each["source"]) for each in facts["mistakes"].values()):
            continue
        yield from (f"{id}: {sentence}" for sentence in (*_told_as_one(facts), *_unnoticed(book, id, facts, limits)))


def _told_as_one(facts: dict) -> Iterator[str]:
    """The mistakes that give the same in every check, so that the first is told to whoever made the second."""
    for (a, mine), (b, other) in itertools.combinations(facts["mistakes"].items(), 2):
        if mine["error"] == other["error"] and all(map(_alike, mine["values"], other["values"])):
            yield f"the mistakes {a!r} and {b!r} give the same; add a case in which they differ"


def _unnoticed(book: nbformat.NotebookNode, id: str, facts: dict, limits: Limits) -> Iterator[str]:
    """The changes to the solution that every check lets pass, entries of `equal` that are none, and what was not tried.

    All of them run one after the other in one kernel.  The solution itself runs first and last: where it does not
    give twice what was recorded, nothing that ran between can be judged.
    """
    reference = next(c.source for c in book.cells
                     if c.metadata.minillm.get("exercise") == id and c.metadata.minillm.role == "answer")
    unchanged, changes = rewritten(tree_of(reference))
    cells = for_exercise(book.cells, id, reference, [], whole=facts.get("whole", False))
    at = next(i for i, c in enumerate(cells)
              if c.metadata.minillm.role == "answer" and c.metadata.minillm.exercise == id)
    run, places = _run(cells[:at], cells[at + 1:], [unchanged, *(each.source for each in changes), unchanged], limits)
    same = [_same(cells[at + 1:], run, each) for each in places]
    if same[0] is False or same[-1] is False:
        yield ("run again, the solution gives other values than before, so small changes to it could not be judged; "
               "set a seed, and let no call change what another reads")
        return
    reached = [each is not None for each in same[1:-1]]
    if not all(reached):
        yield (f"{reached.count(False)} of {len(changes)} small changes to the solution were not tried "
               f"({_why(run, places)}); let its checks ask for less, or the solution run without what never ends")
    passed = [change for change, found in zip(changes, same[1:-1], strict=True) if found]
    yield from _survivors(passed, facts.get("equal") or [])
    known, survived = {each.change for each in changes}, {each.change for each in passed}
    for entry in facts.get("equal") or []:
        if entry not in known:
            yield f"`equal` lists {entry!r}, which is no small change to the solution; take it out"
        elif entry not in survived and all(reached):
            yield f"`equal` lists {entry!r}, and a check notices it; take it out"


def _survivors(passed: list[Rewritten], equal: list[str]) -> Iterator[str]:
    """What passed and is not known to be equal: one for each place in the code."""
    told: set[ast.AST] = set()
    for each in passed:
        if each.change not in equal and each.before not in told:
            told |= set(ast.walk(each.before))
            yield (f"no check notices when {each.change}; add a case that does, or, if it changes nothing, "
                   f"list {each.change!r} under `equal` in the metadata of the answer's cell")


def _run(before: list, after: list, answers: list[str], limits: Limits) -> tuple[Run, list[range]]:
    """One run of all answers, each followed by the cells that look at it, and where those of each answer stand."""
    cells, places = [cell(COUNT, "given"), *before], []
    for answer in answers:
        places.append(range(len(cells), len(cells) + 1 + len(after)))
        cells += [cell(f"_turned = 0\n{answer}", "answer"), *after]
        if len(places) == 1:
            cells.append(cell(ENOUGH, "given"))
    with tempfile.TemporaryDirectory(prefix="mgp-") as folder:
        package = student_package(Path(folder), whole=True)
        return execute([copy.deepcopy(each) for each in cells], limits=limits, record=True, package=package), places


def _same(after: list, run: Run, places: range) -> bool | None:
    """Whether every check gave what the solution gives; None: the run did not come so far."""
    reports = [run.cells.get(i) for i in places]
    if any(each is None or each.timed_out or each.trouble for each in reports):
        return None
    return not any(each.error for each in reports) and all(
        _alike(report.values, values_of(each.outputs), float(each.metadata.minillm.tolerance))
        for each, report in zip(after, reports[1:], strict=True) if each.metadata.minillm.role == "check")


def _alike(mine: list[str], others: list[str], tolerance: float = 1e-4) -> bool:
    return agree(list(mine), list(others), tolerance)


def _why(run: Run, places: list[range]) -> str:
    reports = [run.cells.get(i) for each in places for i in each]
    if run.ended:
        return f"the run {run.ended}"
    return "one took too long" if any(each and each.timed_out for each in reports) else "the kernel died"
