"""Read the library's own source, and write of it what one configuration uses."""
from __future__ import annotations

import ast
import inspect
import math
import textwrap

from minillm.config import ModelConfig


def kind_of(c: ModelConfig, layer: int) -> str:
    """What sets a layer apart from others of its model: "local", "dense", "global mixture", or nothing."""
    everywhere, full = range(c.n_layers), full_layers(c)
    traits = ((c.is_linear, "linear", "full", everywhere), (c.is_windowed, "local", "global", full),
              (c.is_turned, "turned", "still", full), (c.is_mixture, "mixture", "dense", everywhere))
    return " ".join(word if holds(layer) else other for holds, word, other, among in traits
                    if layer in among and len({holds(i) for i in among}) > 1)


def full_layers(c: ModelConfig) -> list[int]:
    """The layers that keep keys, and have a softmax."""
    return [i for i in range(c.n_layers) if not c.is_linear(i)]


def kinds(c: ModelConfig) -> dict[str, int]:
    """Each kind of layer, with the first layer that is of it."""
    first = {kind_of(c, i): i for i in reversed(range(c.n_layers))}
    return dict(sorted(first.items(), key=lambda item: item[1]))


def pattern(c: ModelConfig) -> str:
    """The kinds of all layers as an expression, runs of one kind or of one period written short."""
    text = repeated([kind_of(c, i) for i in range(c.n_layers)], c)
    return text if len(text) <= 80 else "(\n    " + text.replace(" + ", "\n    + ") + ")"


def repeated(names: list[str], c: ModelConfig) -> str:
    """The kinds in a row as lists added and multiplied."""
    period = math.lcm(c.global_every or 1, c.nope_every or 1, c.full_every or 1)
    if len(names) > period > 1 and names == [names[i % period] for i in range(len(names))]:
        rest = f" + {runs(names[:len(names) % period])}" if len(names) % period else ""
        return f"({runs(names[:period])}) * {len(names) // period}{rest}"
    return runs(names)


def runs(names: list[str]) -> str:
    """a a a b -> ["a"] * 3 + ["b"]"""
    if len(set(names)) == len(names):
        return "[" + ", ".join(f'"{name}"' for name in names) + "]"
    ends = [i for i in range(1, len(names) + 1) if i == len(names) or names[i] != names[i - 1]]
    counts = [end - start for start, end in zip([0, *ends], ends)]
    return " + ".join(f'["{names[end - 1]}"]' + f" * {n}" * (n > 1) for n, end in zip(counts, ends))


def said(thing: type, extra: str = "", *, indent: int = 4) -> str:
    """The docstring of a part: its sentence, its source and its equation, and what is `extra` here."""
    text = inspect.getdoc(thing)
    text = text[:text.rindex("$$") + 2] + (f"\n\n{extra}" if extra else "")
    return textwrap.indent(f'r"""{text}\n"""', " " * indent).lstrip()


def lifted(cls: type, *, described: type | None = None, name: str = "", extra: str = "", arguments: str = "",
           **known: str) -> str:
    """A class of the library, spelled for values that are known: what they decide is decided, what is idle left out.

    `known` says what stands for a name, `self_eps` for the attribute ``self.eps``.
    """
    values = {key.replace("self_", "self."): ast.parse(value, mode="eval").body for key, value in known.items()}
    setup = [line for line in statements(cls.__init__, values) if line != "super().__init__()"]
    return f"""class {name or cls.__name__}(nn.Module):
    {said(described or cls, extra)}

{initial(arguments, setup)}
{method(cls.forward, values)}"""


def method(function, known: dict[str, ast.expr | str]) -> str:
    """A method of the library where some names are known, without what only a cache needs."""
    values = {"cache": ast.Constant(None), "state": ast.Constant(None), **known}
    plain = inspect.unwrap(function)
    names = ", ".join(each for each in inspect.signature(plain).parameters if each not in ("cache", "state"))
    body = textwrap.indent("\n".join(statements(plain, values)), " " * 8)
    return f"    def {plain.__name__}({names}):\n{body}"


def lines_of(function, *, dropout: bool, indent: int = 8, **renamed: str) -> str:
    """The library's own statements, without what this model has no use for: caches, dropout of nothing."""
    known = {name: ast.Name(value) for name, value in renamed.items()}
    return textwrap.indent("\n".join(statements(function, known, dropout=dropout)), " " * indent).lstrip()


def statements(function, known: dict[str, ast.expr | str], *, dropout: bool = True) -> list[str]:
    """A function's statements where some names and attributes are known; what it sets to a constant becomes known.

    What is known as "idle" gives back its first argument, and is left out.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]

    class Plain(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:
            node.args = [a for a in node.args if ast.unparse(a) not in ("cache", "state")]
            self.generic_visit(node)
            called = ast.unparse(node.func)
            return node.args[0] if called == "self.dropout" and not dropout or known.get(called) == "idle" else node

        def visit_Name(self, node: ast.Name) -> ast.AST:
            return known.get(node.id, node)

        def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
            self.generic_visit(node)
            value = known.get(ast.unparse(node), node) if isinstance(node.ctx, ast.Load) else node
            return node if value == "idle" else value

        def visit_Compare(self, node: ast.Compare) -> ast.AST:
            self.generic_visit(node)
            both = node.left, node.comparators[0]
            if not all(isinstance(each, ast.Constant) for each in both):
                return node
            equal = both[0].value == both[1].value
            return ast.Constant(equal == isinstance(node.ops[0], (ast.Is, ast.Eq)))

        def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
            node.test = self.visit(node.test)
            if not isinstance(node.test, ast.Constant):
                return self.generic_visit(node)
            return [self.visit(line) for line in (node.body if node.test.value else node.orelse)]

        def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
            node.test = self.visit(node.test)
            if not isinstance(node.test, ast.Constant):
                return self.generic_visit(node)
            return self.visit(node.body if node.test.value else node.orelse)

        def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
            self.generic_visit(node)
            one = isinstance(node.op, ast.Mult) and isinstance(node.left, ast.Constant) and node.left.value == 1.0
            sums = isinstance(node.op, (ast.Add, ast.Sub)) and isinstance(node.right, ast.Constant)
            return node.right if one else node.left if sums and node.right.value == 0.0 else node

        def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
            self.generic_visit(node)
            name = ast.unparse(node.targets[0])
            if isinstance(node.value, ast.Constant) or isinstance(node.value, ast.Name) and name.isidentifier():
                known.setdefault(name, node.value)
            return None if name in known else node

    lines = [Plain().visit(line) for line in tree.body if not isinstance(getattr(line, "value", None), ast.Constant)]
    flat = [each for line in lines for each in (line if isinstance(line, list) else [line])]
    return [ast.unparse(line).replace("'", '"') for line in flat if line is not None]


def initial(arguments: str, statements: list[str]) -> str:
    """A module's `__init__`; nothing where it would do nothing."""
    body = "".join(f"        {line}\n" for line in statements)
    return f"    def __init__(self{arguments}):\n        super().__init__()\n{body}" if statements else ""
