"""What could stand in place of a piece of code, if somebody were mistaken: one thing changed at a time."""
from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator

OTHER = {
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Div, ast.Add], ast.Div: [ast.Mult, ast.FloorDiv],
    ast.FloorDiv: [ast.Div, ast.Mult], ast.Pow: [ast.Mult], ast.Mod: [ast.FloorDiv],
    ast.Lt: [ast.LtE, ast.Gt], ast.LtE: [ast.Lt, ast.GtE], ast.Gt: [ast.GtE, ast.Lt], ast.GtE: [ast.Gt, ast.LtE],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.In: [ast.NotIn], ast.NotIn: [ast.In], ast.And: [ast.Or],
    ast.Or: [ast.And]}
INSTEAD = {
    "min": ["max"], "max": ["min"], "argmin": ["argmax"], "argmax": ["argmin"], "log": ["log2", "log10"],
    "log2": ["log"], "sum": ["mean", "len"], "mean": ["sum"], "sin": ["cos"], "cos": ["sin"], "floor": ["ceil"],
    "ceil": ["floor"], "tril": ["triu"], "triu": ["tril"], "softmax": ["log_softmax"], "std": ["var"], "any": ["all"],
    "cumsum": ["cumprod"], "repeat_interleave": ["repeat"], "repeat": ["repeat_interleave"], "sqrt": ["square"],
    "all": ["any"], "removeprefix": ["lstrip"], "zeros": ["ones"], "ones": ["zeros"], "amax": ["amin"]}


def is_count(node: ast.AST) -> bool:
    """Whether this is the line that counts the turns of a mutant's loop."""
    return isinstance(node, ast.Expr) and ast.unparse(node) == "_turn()"


def instead(node: ast.AST, names: list[str], parent: ast.AST, field: str) -> Iterator[ast.AST | None]:
    """All that could stand in a node's place; None: nothing."""
    if is_count(node):
        return
    make = globals().get(f"_of_{type(node).__name__.lower()}")
    if make is not None:
        yield from make(node, names, parent, field)
    if isinstance(node, ast.expr) and field in ("lower", "upper") and not isinstance(node, ast.Constant):
        for sign in (ast.Add, ast.Sub):
            yield ast.BinOp(node, sign(), ast.Constant(1))
    if isinstance(node, ast.expr) and isinstance(parent, ast.Slice) and field in ("lower", "upper"):
        yield ast.Constant(None)
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr)) and field in ("body", "orelse"):
        yield None


def _of_constant(node: ast.Constant, names, parent, field) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield from (ast.Constant(value + step) for step in (1, -1))
        if isinstance(parent, ast.keyword) and parent.arg in ("dim", "axis"):
            yield from (ast.Constant(other) for other in (0, 1, 2, -1) if other not in (value, value + 1, value - 1))
    elif isinstance(value, float):
        yield from (ast.Constant(other) for other in (0.0, 1.0, value * 10, 0.999, 1 - value) if other != value)
    elif isinstance(value, str) and "->" in value:
        yield from map(ast.Constant, _rearranged(value))
    elif isinstance(value, str) and value and not isinstance(parent, ast.JoinedStr):
        yield ast.Constant("")


def _rearranged(pattern: str) -> Iterator[str]:
    """Patterns of einops with two neighbouring axes exchanged."""
    words = pattern.split(" ")
    for i, (a, b) in enumerate(itertools.pairwise(words)):
        left, right = a.strip("(),"), b.strip("(),")
        if "->" not in (a, b) and left and right and left != right and not left.isdigit():
            yield " ".join([*words[:i], a.replace(left, right), b.replace(right, left), *words[i + 2:]])


def _of_name(node: ast.Name, names, parent, field) -> Iterator[ast.AST]:
    if isinstance(node.ctx, ast.Load) and node.id in names:
        yield from (ast.Name(other, ast.Load()) for other in names if other != node.id)


def _of_binop(node: ast.BinOp, names, parent, field) -> Iterator[ast.AST]:
    yield node.left
    yield node.right
    yield from (ast.BinOp(node.left, other(), node.right) for other in OTHER.get(type(node.op), ()))
    if isinstance(node.op, (ast.Sub, ast.Div, ast.Pow, ast.FloorDiv, ast.MatMult)):
        yield ast.BinOp(node.right, node.op, node.left)


def _of_unaryop(node: ast.UnaryOp, names, parent, field) -> Iterator[ast.AST]:
    yield node.operand
    if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and isinstance(parent, ast.keyword):
        yield from (ast.Constant(other) for other in (0, 1, 2, -2) if other != -node.operand.value)


def _of_compare(node: ast.Compare, names, parent, field) -> Iterator[ast.AST]:
    for i, op in enumerate(node.ops):
        for other in OTHER.get(type(op), ()):
            yield ast.Compare(node.left, [*node.ops[:i], other(), *node.ops[i + 1:]], node.comparators)


def _of_boolop(node: ast.BoolOp, names, parent, field) -> Iterator[ast.AST]:
    yield from node.values
    yield ast.BoolOp(OTHER[type(node.op)][0](), node.values)


def _of_ifexp(node: ast.IfExp, names, parent, field) -> Iterator[ast.AST]:
    yield node.body
    yield node.orelse
    yield ast.IfExp(node.test, node.orelse, node.body)


def _of_if(node: ast.If, names, parent, field) -> Iterator[ast.AST]:
    yield ast.If(ast.Constant(True), node.body, node.orelse)
    yield ast.If(ast.Constant(False), node.body, node.orelse)


def _of_call(node: ast.Call, names, parent, field) -> Iterator[ast.AST]:
    function, arguments, options = node.func, node.args, node.keywords
    if isinstance(function, ast.Name):
        yield from (ast.Call(ast.Name(other, ast.Load()), arguments, options) for other in INSTEAD.get(function.id, ()))
    if isinstance(function, ast.Attribute):
        yield from (ast.Call(ast.Attribute(function.value, other, ast.Load()), arguments, options)
                    for other in INSTEAD.get(function.attr, ()))
        yield function.value
    plain = [each for each in arguments if not isinstance(each, (ast.Starred, ast.GeneratorExp))]
    yield from plain[:2]
    if len(arguments) > 1:
        yield from (ast.Call(function, [*arguments[:i], *arguments[i + 1:]], options) for i in range(len(arguments)))
        if getattr(function, "id", "") not in ("min", "max"):    # where the order does not matter
            turned = ([*arguments[:i], arguments[i + 1], arguments[i], *arguments[i + 2:]]
                      for i in range(len(arguments) - 1))
            yield from (ast.Call(function, each, options) for each in turned)
    yield from (ast.Call(function, arguments, [*options[:i], *options[i + 1:]]) for i in range(len(options)))
    if isinstance(function, ast.Name) and function.id == "range":
        for i, each in enumerate(arguments):
            if not isinstance(each, ast.Constant):
                yield from (ast.Call(function, [*arguments[:i], ast.BinOp(each, sign(), ast.Constant(1)),
                                                *arguments[i + 1:]], options) for sign in (ast.Add, ast.Sub))
        if len(arguments) == 1:
            yield ast.Call(function, [ast.Constant(1), *arguments], options)


def _of_augassign(node: ast.AugAssign, names, parent, field) -> Iterator[ast.AST]:
    yield ast.Assign([node.target], node.value, lineno=0)
    yield from (ast.AugAssign(node.target, other(), node.value) for other in OTHER.get(type(node.op), ()))


def _of_tuple(node: ast.Tuple, names, parent, field) -> Iterator[ast.AST]:
    if isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
        elements = node.elts
        yield from (ast.Tuple([*elements[:i], elements[i + 1], elements[i], *elements[i + 2:]], node.ctx)
                    for i in range(len(elements) - 1))
        if isinstance(parent, ast.Return):
            yield elements[0]


def _of_comprehension(node: ast.comprehension, names, parent, field) -> Iterator[ast.AST]:
    if node.ifs:
        yield ast.comprehension(node.target, node.iter, [], node.is_async)


def _of_dict(node: ast.Dict, names, parent, field) -> Iterator[ast.AST]:
    for i in range(len(node.keys)):
        yield ast.Dict([*node.keys[:i], *node.keys[i + 1:]], [*node.values[:i], *node.values[i + 1:]])
    for i, j in itertools.combinations(range(len(node.keys)), 2):
        swapped = list(node.values)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        yield ast.Dict(node.keys, swapped)


def _of_break(node: ast.Break, names, parent, field) -> Iterator[ast.AST]:
    yield ast.Pass()
