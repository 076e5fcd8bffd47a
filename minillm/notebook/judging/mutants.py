"""Derive small mistakes from a right answer: a constant off by one, a factor left out, > for >=, log to another base.

A wrong answer that nobody thought of is often the right one with a single thing changed.  `mutants` makes all such
changes to a reference; what they give is compared with what the reader's answer gave.  Where two agree on every case,
the change is named: "the same comes out when …".
"""
from __future__ import annotations

import ast
import contextlib
import copy
import functools
import inspect
import linecache
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType

from minillm.notebook.judging.changes import instead, is_count


@dataclass(frozen=True)
class Change:
    """One change to a reference: which part of its code is which other."""
    root: ast.AST
    before: ast.AST
    after: ast.AST | None

    @property
    def change(self) -> str:
        """Completes "the same comes out when …": the change, within the expression that it is a part of."""
        before = _shown(self.before)
        if self.after is None:
            return f"`{before}` is left out"
        around = _shown(self._around())
        inside = f", in `{around}`," if around != before and len(around) <= 100 else ""
        return f"{inside[2:] + ' ' if inside else ''}`{before}` is `{_shown(self.after)}`"

    def _around(self) -> ast.AST:
        """The smallest expression, or line, that holds the changed part and can be read by itself."""
        above = {child: parent for parent in ast.walk(self.root) for child in ast.iter_child_nodes(parent)}
        node = above.get(self.before, self.before)
        while node in above and isinstance(node, (ast.Slice, ast.comprehension, ast.keyword, ast.Starred)):
            node = above[node]
        return node if isinstance(node, (ast.expr, ast.Assign, ast.AugAssign)) else self.before


@dataclass(frozen=True)
class Mutant(Change):
    """A change to a function, and the function that it gives."""
    function: Callable


@dataclass(frozen=True)
class Rewritten(Change):
    """A change to a cell, and the whole cell that it gives."""
    source: str


def _shown(node: ast.AST) -> str:
    return (ast.unparse(node).strip().partition("\n")[0] or "nothing").replace(" _turn()", "")


@functools.lru_cache(maxsize=32)
def mutants(reference: Callable) -> tuple[Mutant, ...]:
    """Every mutant of a function that is written in Python, in a file or a cell; none for any other."""
    reference = inspect.unwrap(reference)              # tests wrap what has types
    tree, name = _written(reference)
    if tree is None:
        return ()
    unchanged = _Counted(compile(tree, "<reference>", "exec"), name, reference.__globals__)
    found = []
    for function in tree.body:
        names = [each.arg for each in function.args.args]
        for parent, field, index, before in list(_places(function)):
            for after in instead(before, names, parent, field):
                code = _compiled_with(tree, parent, field, index, after)
                try:
                    mutant = code and _Counted(code, name, reference.__globals__, unchanged)
                except Exception:                      # noqa: BLE001 - some changes cannot even be defined
                    continue
                if mutant:
                    found.append(Mutant(function, before, after, mutant))
    return tuple(found)


def rewritten(cell: ast.Module) -> tuple[str, list[Rewritten]]:
    """A cell's source, and its mutants: one thing changed in a function, a method or a value that it assigns.

    In all of them each turn of a loop calls `_turn()`, which whoever runs them defines.  Docstrings are left out, and
    what decorates a function is never changed.
    """
    tree = copy.deepcopy(cell)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            _bare(node)
    _counting(tree)
    unchanged = ast.unparse(tree)
    found: dict[str, Rewritten] = {}
    for root in [each for node in tree.body for each in (node.body if isinstance(node, ast.ClassDef) else [node])]:
        if not isinstance(root, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign)):
            continue
        names = [] if isinstance(root, ast.Assign) else [each.arg for each in root.args.args]
        kept = {id(each) for one in getattr(root, "decorator_list", ()) for each in ast.walk(one)}
        for parent, field, index, before in list(_places(root)):
            for after in () if id(before) in kept else instead(before, names, parent, field):
                source = _source_with(tree, parent, field, index, after)
                if source and source != unchanged:
                    found.setdefault(source, Rewritten(root, before, after, source))
    return unchanged, [*found.values()]


class Endless(Exception):
    """A mutant's loops went on, long after those of the reference had ended."""


class _Counted:
    """A function whose loops are counted; they may turn a few times as often as those of `unchanged`, no more."""

    def __init__(self, code: CodeType, name: str, world: dict, unchanged: _Counted | None = None):
        self.world, self.unchanged = {**world, "_turn": self._turn}, unchanged
        self.turns, self.most = 0, math.inf
        exec(code, self.world)                         # noqa: S102 - the reference's own source, one thing changed
        self.function = self.world[name]

    def _turn(self) -> None:
        self.turns += 1
        if self.turns > self.most:
            raise Endless

    def __call__(self, *arguments):
        self.turns, self.most = 0, math.inf
        if self.unchanged is not None:
            self.unchanged(*copy.deepcopy(arguments))
            self.most = 3 * self.unchanged.turns + 10
        return self.function(*arguments)


def _written(function: Callable) -> tuple[ast.Module | None, str]:
    """The function's definition with those of its neighbours that it calls, as one module of their own."""
    if not inspect.isfunction(function):
        return None, ""
    module = _parsed(function.__code__.co_filename)
    if module is None:
        return None, ""
    defined = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    first = function.__code__.co_firstlineno
    here = next((node for node in defined.values() if node.name == function.__name__
                 and first in (node.lineno, *(each.lineno for each in node.decorator_list))), None)
    if here is None:
        here = _lambda(module, first)
        if here is None:
            return None, ""
    wanted, todo = {}, [here]
    while todo:
        node = todo.pop()
        wanted[node.name] = node
        todo += [defined[each.id] for each in ast.walk(node)
                 if isinstance(each, ast.Name) and each.id in defined and each.id not in wanted]
    return _counting(ast.Module([_copied(node) for node in wanted.values()], [])), here.name


def _copied(node: ast.FunctionDef) -> ast.FunctionDef:
    copied = _bare(ast.parse(ast.unparse(node)).body[0])
    copied.decorator_list = []
    return copied


def _bare(function: ast.FunctionDef) -> ast.FunctionDef:
    """The function without its docstring and its annotations."""
    body = function.body
    if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        function.body = body[1:]
    function.returns = None
    for each in [*function.args.args, *function.args.kwonlyargs, *function.args.posonlyargs]:
        each.annotation = None
    return function


def _lambda(module: ast.Module, line: int) -> ast.FunctionDef | None:
    found = [node for node in ast.walk(module) if isinstance(node, ast.Lambda) and node.lineno == line]
    if len(found) != 1:
        return None
    text = ast.unparse(ast.Module([ast.FunctionDef(
        name="_reference", args=found[0].args, body=[ast.Return(found[0].body)], decorator_list=[], returns=None,
        type_params=[], lineno=1, col_offset=0)], []))
    return ast.parse(text).body[0]


@functools.lru_cache(maxsize=32)
def _parsed(file: str) -> ast.Module | None:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return None


def _places(root: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    for parent in ast.walk(root):
        for field, value in ast.iter_fields(parent):
            if isinstance(parent, ast.FunctionDef) and field == "args" or is_count(parent):
                continue
            if isinstance(value, ast.AST):
                yield parent, field, None, value
            elif isinstance(value, list):
                for index, each in enumerate(value):
                    if isinstance(each, ast.AST):
                        yield parent, field, index, each


def _compiled_with(tree: ast.Module, parent: ast.AST, field: str, index: int | None,
                   after: ast.AST | None) -> CodeType | None:
    """The tree with one node exchanged, compiled."""
    with _exchanged(parent, field, index, after):
        return _compiled(tree)


def _source_with(tree: ast.Module, parent: ast.AST, field: str, index: int | None, after: ast.AST | None) -> str:
    """The tree with one node exchanged, as text; "" where that is no Python."""
    with _exchanged(parent, field, index, after):
        source = ast.unparse(tree) if _compiled(tree) else ""
    return source if source and _compiled(source) else ""


@contextlib.contextmanager
def _exchanged(parent: ast.AST, field: str, index: int | None, after: ast.AST | None) -> Iterator[None]:
    """Meanwhile one node of a tree is another; afterwards the tree is as before."""
    holder, key = (vars(parent), field) if index is None else (getattr(parent, field), index)
    before, holder[key] = holder[key], ast.fix_missing_locations(ast.Pass() if after is None else after)
    try:
        yield
    finally:
        holder[key] = before


def _compiled(code: ast.Module | str) -> CodeType | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")            # "perhaps you missed a comma?" is not for the reader
            return compile(code, "<mutant>", "exec")
    except (SyntaxError, ValueError, TypeError):
        return None


def _counting(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.While, ast.For)):
            node.body.insert(0, ast.Expr(ast.Call(ast.Name("_turn", ast.Load()), [], [])))
    return ast.fix_missing_locations(tree)
