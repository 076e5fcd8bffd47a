"""Find names in an answer that it must not use, because they are what it is asked to build."""
from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Callable, Sequence

USUAL = {"F": "torch.nn.functional", "nn": "torch.nn", "np": "numpy"}


def forbidden_in(tree: ast.AST, forbid: Sequence[str], known: dict[str, str] | None = None) -> list[str]:
    """Which forbidden names a program mentions: ("torch.softmax", "codecs", ".encode").

    A name covers all below it ("torch.optim" also torch.optim.AdamW); with a dot in front it is a method of anything;
    without any dot it is a module, or a function of that name wherever it comes from ("cross_entropy" is also F's).
    `known` says what names stand for that are imported elsewhere.
    """
    found = mentioned(tree, known)
    return [name for name in forbid if any(covers(name, each) for each in found)]


def mentioned(tree: ast.AST, known: dict[str, str] | None = None) -> set[str]:
    """All names of a program, in full: attributes, imports, bare names; of each method also "Tensor." + its name.

    What it defines itself is its own, whatever else bears that name, and so are the arguments of its functions.
    """
    alias, found, given = dict(known or {}), set(), _arguments(tree)
    own = {node.name for node in (tree.body if isinstance(tree, ast.Module) else ())
           if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                alias[each.asname or each.name.partition(".")[0]] = (
                    each.name if each.asname else each.name.partition(".")[0])
                found.add(each.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                alias[each.asname or each.name] = f"{node.module}.{each.name}"
                found |= {node.module, f"{node.module}.{each.name}"}
    for node in ast.walk(tree):
        parts, at = [], node
        while isinstance(at, ast.Attribute):
            parts.append(at.attr)
            at = at.value
        if (isinstance(at, ast.Name) and isinstance(node, (ast.Attribute, ast.Name))
                and at.id not in own and at not in given):
            root = alias.get(at.id, USUAL.get(at.id, at.id))
            found.add(".".join([root, *reversed(parts)]))
        if isinstance(node, ast.Attribute):
            found |= {f"Tensor.{node.attr}", f".{node.attr}"}
    return found


def _arguments(tree: ast.AST) -> set[ast.Name]:
    """Where a function's own arguments are named inside of it; their defaults stand outside."""
    found = set()
    for each in ast.walk(tree):
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            names = {node.arg for node in ast.walk(each.args) if isinstance(node, ast.arg)}
            for part in each.body if isinstance(each.body, list) else [each.body]:
                found |= {node for node in ast.walk(part) if isinstance(node, ast.Name) and node.id in names}
    return found


def covers(name: str, found: str) -> bool:
    """Whether a forbidden name stands for one that was found."""
    name = name.removeprefix("torch.") if name.startswith("torch.Tensor.") else name
    if found == name or found.startswith(f"{name}."):
        return True
    return "." not in name and found.rpartition(".")[2] == name


def uses(function: Callable, forbid: Sequence[str]) -> list[str]:
    """Which forbidden names a function uses, it or a function of the same notebook that it calls; [] without source.

    A course's own solutions are asked nothing: they may build on each other.
    """
    if str(getattr(function, "__module__", "")).endswith(".solutions"):
        return []
    todo, seen = [function], set()
    found = [name for name in forbid if covers(name, _full(function))]
    while todo:
        each = todo.pop()
        tree = _tree(each)
        if tree is None or id(each) in seen:
            continue
        seen.add(id(each))
        world = _world(each)
        home = getattr(each, "__module__", None)
        found += forbidden_in(tree, forbid, {name: full for name, value in world.items()
                                             if (full := _full(value)) and getattr(value, "__module__", None) != home})
        todo += [world[node.id] for node in ast.walk(tree) if isinstance(node, ast.Name)
                 and inspect.isfunction(world.get(node.id)) and world[node.id].__module__ == home]
    return [name for name in forbid if name in found]


def _world(function: Callable) -> dict:
    """The names that a function sees outside itself."""
    function = inspect.unwrap(function)
    if inspect.isclass(function):
        function = next((each for each in vars(function).values() if inspect.isfunction(each)), function)
    if not inspect.isfunction(function):
        return {}
    kept = inspect.getclosurevars(function)
    return {**kept.builtins, **kept.globals, **kept.nonlocals}


def _full(value: object) -> str:
    """What a module, function or class is called in full; "" for other values and for the reader's own."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    if inspect.isroutine(value) or inspect.isclass(value):
        home, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        name = name.removeprefix("_VariableFunctionsClass.")    # where torch keeps what it has in C
        return f"{home}.{name}" if home not in (None, "builtins", "__main__") else ""
    return ""


def _tree(function: Callable) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None                                    # written in C, or in the middle of a longer expression
