"""Find the cells that an answer and its checks rest on, by the names that flow from cell to cell."""
from __future__ import annotations

import ast
import symtable
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import nbformat

from minillm.assignments import guard
from minillm.assignments.syntax import tree_of

DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
AT_ONCE = ("listcomp", "setcomp", "dictcomp")  # scopes of their own that are over when the line is


@dataclass(frozen=True)
class Line:
    """What a cell's statement does with the notebook's names.  Attributes and what a function calls its own are none.

    binds    gives a value to
    surely   gives one whatever happens, so that what they were before is forgotten
    reads    by itself, or in a function that it holds
    changes  what they stand for: x[0] = …, x.append(1), torch.manual_seed(0); and what it gives to functions to change
    calls    functions
    later    whether it holds a function or class, which does all this when it is called
    imports  its own text where it is an import, which can stand alone
    """

    binds: frozenset[str]
    surely: frozenset[str]
    reads: frozenset[str]
    changes: frozenset[str]
    gives: frozenset[str]
    calls: frozenset[str]
    later: bool
    imports: str


def needed(cells: list[nbformat.NotebookNode], id: str) -> list[nbformat.NotebookNode]:
    """The cells of a run without those that give no name which a later one uses, and change none.

    Goes from the last cell to the first.  A cell stays if it binds a wanted name, or changes what one stands for (an
    append; to call a module's function changes none); what it reads is wanted in turn, and what it surely binds is
    wanted no longer.  Of a cell of which nothing but imports is wanted, these stay.  What cannot be read stays.
    """
    read = [lines_of(each.source) for each in cells]
    every = [line for lines in read for line in lines or ()]
    own = frozenset().union(*(line.binds for line in every if not line.imports))
    known = own.union(*(line.binds for line in every))
    mine = [line for each, lines in zip(cells, read, strict=True) if _asked(each, id) for line in lines or ()]
    final = frozenset().union(*(line.surely for line in mine))  # whoever calls these afterwards calls the answer
    last = mine + [replace(line, binds=line.binds - final) for line in every if line not in mine]
    reads, changes = _later(last, lambda line: line.reads), _later(last, lambda line: line.changes & line.reads)
    kept: list[nbformat.NotebookNode] = []
    wanted: frozenset[str] = frozenset()
    for each, lines in zip(reversed(cells), reversed(read), strict=True):
        asked = _asked(each, id)
        found = [line for line in lines or ()
                 if "*" in line.binds or wanted & (line.binds | _changed(line, changes) & own)]
        if found and not asked and all(line.imports for line in found):
            each.source, lines = "\n".join(line.imports for line in found), found
        if found or asked or lines is None:
            kept.insert(0, each)
            for line in reversed(lines or ()):
                wanted = wanted - line.surely | _all(line.reads, reads) & known
    return kept


def _asked(cell: nbformat.NotebookNode, id: str) -> bool:
    facts = cell.metadata.minillm
    return facts.get("exercise") == id or facts.role == "given" and cell.source.startswith(guard.GUARD[:40])


def _changed(line: Line, changes: dict[str, set[str]]) -> frozenset[str]:
    """What a statement changes when it runs, by the notebook's own functions, too."""
    if line.later:
        return frozenset()
    own = line.calls & changes.keys()
    return line.changes.union(line.gives if own else (), *(changes[name] for name in own))


@lru_cache(maxsize=2000)
def lines_of(source: str) -> tuple[Line, ...] | None:
    """The statements of a cell; None where it cannot be read."""
    try:
        return tuple(map(_line, tree_of(source).body))
    except (SyntaxError, RecursionError, MemoryError, ValueError):
        return None


def _line(node: ast.stmt) -> Line:
    binds, reads, scopes = set(), set(), [symtable.symtable(ast.unparse(node), "a cell", "exec")]
    for scope in scopes:  # and those inside, which are added meanwhile
        kind = scope.get_type()
        for each in scope.get_symbols():
            if kind == "module" or each.is_global() or kind == "class" and each.is_referenced():
                if each.is_referenced() or kind != "module":
                    reads.add(each.get_name())
                if kind != "class" and (each.is_assigned() or each.is_imported()):
                    binds.add(each.get_name())
        scopes += scope.get_children()
    changes, gives, calls = set(), set(), set()
    for each in ast.walk(node):
        if isinstance(each, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)):
            for target in getattr(each, "targets", None) or [each.target]:
                changes |= _names(target)
        elif isinstance(each, ast.Call) and isinstance(each.func, ast.Name):
            calls.add(each.func.id)
        elif isinstance(each, ast.ImportFrom) and each.names[0].name == "*":
            binds.add("*")
        if isinstance(each, ast.AugAssign):
            reads |= _names(each.target)
        if isinstance(each, ast.Expr):  # print(x) and Widget(x) show; f(x) of the notebook's own may change x
            call = each.value.value if isinstance(each.value, ast.Await) else each.value
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                gives |= _names(call)
            elif isinstance(call, ast.Call):
                changes |= _names(call.func)
    surely = {node.name} if isinstance(node, DEFINES) else binds if isinstance(node, (ast.Assign, *IMPORTS)) else set()
    return Line(*map(frozenset, (binds, surely, reads, changes, gives, calls)),
                any(scope.get_name() not in AT_ONCE for scope in scopes[1:]),
                ast.unparse(node) if isinstance(node, IMPORTS) else "")


def _later(lines: Iterable[Line], does: Callable[[Line], frozenset[str]]) -> dict[str, set[str]]:
    """Of each name that stands for something to call, or for what was made by it, all that it may do to names then."""
    later: dict[str, set[str]] = {}
    size = -1
    while size != (size := len(later) + sum(map(len, later.values()))):
        for line in lines:
            if line.later or line.reads & later.keys():
                for name in line.binds:
                    later.setdefault(name, set()).update(does(line), _all(line.reads, later) - line.reads)
    return later


def _all(names: frozenset[str], later: dict[str, set[str]]) -> frozenset[str]:
    """Some names, and all that is done by what they stand for."""
    return names.union(*(later[name] for name in names if name in later))


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
