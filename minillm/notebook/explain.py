"""Show what the library holds: the source of a part, and the equation that its docstring states."""
from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable

from IPython.display import display


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
