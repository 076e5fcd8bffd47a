"""Read the library's own source, and write of it what one configuration uses."""
from __future__ import annotations

import ast
import inspect
import math
import textwrap

from minillm.config import ModelConfig


def kind_of(c: ModelConfig, layer: int) -> str:
    """What sets a layer apart from others of its model: "local", "dense", "global mixture", or nothing."""
    traits = ((c.is_windowed, "local", "global"), (c.is_turned, "turned", "still"), (c.is_mixture, "mixture", "dense"))
    return " ".join(word if holds(layer) else other for holds, word, other in traits
                    if len({holds(i) for i in range(c.n_layers)}) > 1)


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
    period = math.lcm(c.global_every or 1, c.nope_every or 1)
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
    body = textwrap.indent("\n".join(statements(cls.forward, values)), " " * 8)
    names = ", ".join(each for each in inspect.signature(inspect.unwrap(cls.forward)).parameters if each != "cache")
    return f"""class {name or cls.__name__}(nn.Module):
    {said(described or cls, extra)}

{initial(arguments, setup)}
    def forward({names}):
{body}"""


def lines_of(function, *, dropout: bool, indent: int = 8, **renamed: str) -> str:
    """The library's own statements, without what this model has no use for: caches, dropout of nothing."""
    known = {name: ast.Name(value) for name, value in renamed.items()}
    return textwrap.indent("\n".join(statements(function, known, dropout=dropout)), " " * indent).lstrip()


def statements(function, known: dict[str, ast.expr], *, dropout: bool = True) -> list[str]:
    """A function's statements where some names and attributes are known; what it sets to a constant becomes known."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]

    class Plain(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:
            self.generic_visit(node)
            node.args = [a for a in node.args if ast.unparse(a) != "cache"]
            return node.args[0] if ast.unparse(node.func) == "self.dropout" and not dropout else node

        def visit_Name(self, node: ast.Name) -> ast.AST:
            return known.get(node.id, node)

        def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
            self.generic_visit(node)
            return known.get(ast.unparse(node), node) if isinstance(node.ctx, ast.Load) else node

        def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
            self.generic_visit(node)
            return (node.body if node.test.value else node.orelse) if isinstance(node.test, ast.Constant) else node

        def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
            self.generic_visit(node)
            one = isinstance(node.op, ast.Mult) and isinstance(node.left, ast.Constant) and node.left.value == 1.0
            return node.right if one else node

        def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
            self.generic_visit(node)
            name = ast.unparse(node.targets[0])
            if isinstance(node.value, ast.Constant):
                known.setdefault(name, node.value)
            return None if name in known else node

    lines = [Plain().visit(line) for line in tree.body if not isinstance(getattr(line, "value", None), ast.Constant)]
    return [ast.unparse(line).replace("'", '"') for line in lines if line is not None]


def initial(arguments: str, statements: list[str]) -> str:
    """A module's `__init__`; nothing where it would do nothing."""
    body = "".join(f"        {line}\n" for line in statements)
    return f"    def __init__(self{arguments}):\n        super().__init__()\n{body}" if statements else ""
