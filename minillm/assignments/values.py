"""Write values so that they can be compared outside the kernel, and compare them with a tolerance."""
from __future__ import annotations

import ast
import math
import re

from minillm.assignments.syntax import tree_of

MARK = "minillm-value "
NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:\d+\.\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\d+)(?![\w.])")
CAP = 200_000

# Runs in the kernel, in front of every check cell.  Nothing here is trusted: whoever replaces it can only make it
# print values, and the right ones are not known in the kernel.
EMIT = f"""
def _minillm_emit(*values, sep=" ", end="", file=None, flush=None):
    from IPython.display import display
    def plain(v):
        if hasattr(v, "detach"): v = v.detach().cpu()
        if hasattr(v, "tolist"):
            kind = "whole numbers" if "int" in str(getattr(v, "dtype", "")) else "numbers"  # ids are whole
            axes, v = getattr(v, "shape", ()), v.tolist()
            if axes: return "tensor " + plain(v) + " of " + kind
        if isinstance(v, float): return format(v, ".9g") if v != int(v) or abs(v) > 1e15 else format(v, ".1f")
        if isinstance(v, dict): return "{{" + ", ".join(plain(k) + ": " + plain(x) for k, x in v.items()) + "}}"
        if isinstance(v, (list, tuple)): return "[" + ", ".join(map(plain, v)) + "]"  # nobody asks for one of them
        if isinstance(v, (set, frozenset)): return "{{" + ", ".join(sorted(map(plain, v))) + "}}"
        return repr(v)
    def told(v):
        try: return plain(v)
        except (OverflowError, ValueError): return repr(v)
    text = sep.join(v if isinstance(v, str) else told(v) for v in values)
    display({{"text/plain": {MARK!r} + text[:{CAP}]}}, raw=True)
"""


class _Emitting(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "print":
            node.func = ast.copy_location(ast.Name("_minillm_emit", ast.Load()), node.func)
        return node


def emitting(check: str) -> str:
    """A check cell whose own prints become values; what an answer prints meanwhile is not among them.

    A bare last line counts as a print, as it would show in a notebook.
    """
    tree = tree_of(check)
    if (tree.body
        and isinstance(tree.body[-1], ast.Expr)
        and not isinstance(tree.body[-1].value, ast.Constant)):
        last = tree.body[-1]
        if not (isinstance(last.value, ast.Call)
                and isinstance(last.value.func, ast.Name)
                and last.value.func.id in ("print", "check")):
            call = ast.Call(ast.Name("_minillm_emit", ast.Load()), [last.value], [])
            tree.body[-1] = ast.copy_location(ast.Expr(call), last)
    return EMIT + ast.unparse(ast.fix_missing_locations(_Emitting().visit(tree)))


def values_of(outputs: list[dict]) -> list[str]:
    """The values among a cell's outputs, in order."""
    texts = [
        o.get("data", {}).get("text/plain", "") for o in outputs if o.get("output_type") == "display_data"]
    return [t[len(MARK) :] for t in map(_joined, texts) if t.startswith(MARK)]


def agree(mine: list[str], expected: list[str], tolerance: float) -> bool:
    """Equal words, and numbers within `tolerance` (relative, and absolute for numbers below one).

    Whole numbers must be equal: a count is right or wrong.  A float may stand where a whole number was expected, but
    not a tensor of floats for one of whole numbers: no embedding takes it.  Nor a list for a tensor.
    """
    return len(mine) == len(expected) and all(
        _agrees(a, b, tolerance) for a, b in zip(mine, expected, strict=True))


def _agrees(mine: str, expected: str, tolerance: float) -> bool:
    found, wanted = NUMBER.findall(mine), NUMBER.findall(expected)
    if NUMBER.sub("#", mine) != NUMBER.sub("#", expected) or len(found) != len(wanted):  # mine may hold a # itself
        return False
    for a, b in zip(found, wanted, strict=True):
        if a == b:
            continue
        if a.lstrip("+-").isdigit() and b.lstrip("+-").isdigit():
            return False
        if not math.isclose(float(a), float(b), rel_tol=tolerance, abs_tol=tolerance):
            return False
    return True


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
