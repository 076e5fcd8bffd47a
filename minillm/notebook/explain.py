"""Show what the library holds: the source of a part, and the equation that its docstring states."""
from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable

from IPython.display import display


def show(part: type | Callable) -> None:
    """Display the library's source of a class or function, so that nothing is pasted twice."""
    code = source(part)
    display({"text/markdown": f"```python\n{code}\n```", "text/plain": code}, raw=True)


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
