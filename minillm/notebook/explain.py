"""Show what the library holds: the source of a part, the equation in its docstring, the answer to an exercise."""
from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable

from IPython.display import display

from minillm.notebook import checks


def show(part: type | Callable, *, folded: bool = False) -> None:
    """Display the library's source of a class or function, so that nothing is pasted twice.

    `folded` leaves it behind one line until the reader opens it: for source that what follows does not need.
    """
    code = source(part)
    shown = f"```python\n{code}\n```"
    if folded:
        title = f"<code>{part.__qualname__}</code>, {len(code.splitlines())} lines: open"
        shown = f"<details><summary>{title}</summary>\n\n{shown}\n\n</details>"
    display({"text/markdown": shown, "text/plain": code}, raw=True)


def source(part: type | Callable) -> str:
    """Source as it stands in the library, with its indentation removed."""
    return textwrap.dedent(inspect.getsource(part)).rstrip()


def equations(part: type | Callable) -> list[str]:
    """The LaTeX between $$ and $$ in a docstring: the one copy that notebooks, explorer and tests share."""
    return [found.strip() for found in re.findall(r"\$\$(.+?)\$\$", inspect.getdoc(part) or "", re.DOTALL)]


def equation(part: type | Callable) -> None:
    """Display the equations of a class or function."""
    found = equations(part)
    if not found:
        raise ValueError(f"{part.__name__} states no equation in its docstring; write it between $$ and $$")
    shown = "\n\n".join(f"$$\n{each}\n$$" for each in found)
    display({"text/markdown": shown, "text/plain": shown}, raw=True)


def solution(exercise: str) -> None:
    """Show the course's own answer, folded, and put it to the same check as the reader's: it must pass."""
    code = answer(exercise)
    if not code:
        print(f"{exercise}: the solutions are no part of this copy of the course.")
        return
    found = checks.verdict(exercise, checks.half(_number(exercise), "solutions").SOLUTIONS[exercise].reference)
    if found.status != checks.PASSED:
        raise AssertionError(f"the solution does not pass: {found}")
    folded = f"<details><summary>Solution {exercise}</summary>\n\n```python\n{code}\n```\n\n</details>"
    display({"text/markdown": folded, "text/plain": f"[solution of {exercise}, folded]"}, raw=True)
    print(f"{exercise}: the solution passes.")


def answer(exercise: str) -> str:
    """The answer as it stands in the lesson's `solutions.py`, with what it needs from there; "" without that file."""
    home = checks.half(_number(exercise), "solutions")
    if home is None:
        return ""
    reference = home.SOLUTIONS[exercise].reference
    if not callable(reference):
        return f"answer = {reference!r}"
    return _with_needs(inspect.getsource(home), reference.__name__)


def _number(exercise: str) -> str:
    return checks.find(exercise).id.partition(".")[0]


def _with_needs(text: str, name: str) -> str:
    """The definition of a name in a module's text, after the imports, constants and functions that it uses."""
    tree, wanted = ast.parse(text), {}
    defined = {each: node for node in tree.body for each in _defined(node)}

    def need(each: str) -> None:
        node = defined.get(each)
        if node is not None and node not in wanted.values():
            wanted[each] = node
            for used in ast.walk(node):
                if isinstance(used, ast.Name) and used.id != each:
                    need(used.id)

    need(name)
    if name not in wanted:
        raise ValueError(f"{name} is not defined at the top of its file; an answer is a function with a name")
    kept = [node for node in tree.body if node in wanted.values() and node is not wanted[name]] + [wanted[name]]
    imports = [node for node in kept if isinstance(node, (ast.Import, ast.ImportFrom))]
    others = [node for node in kept if node not in imports]
    parts = ["\n".join(ast.get_source_segment(text, node) for node in imports),
             *(ast.get_source_segment(text, node) for node in others)]
    return "\n\n".join(filter(None, parts))


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return []
