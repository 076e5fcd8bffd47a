"""Read a cell's code as Python does, from any thread and whatever was handed in."""
from __future__ import annotations

import ast
import threading

MOST, LONGEST = 200_000, 20_000  # characters: what is nested deeper than these allow ends Python 3.10 itself
_ONE_AT_A_TIME = threading.Lock()


def tree_of(source: str) -> ast.Module:
    """The syntax tree of a cell.  Raises SyntaxError for all that is no Python, however it fails.

    One at a time: before Python 3.11.8 and 3.12.1 two threads that parse disturb each other's count of how deep they
    are (SystemError, "AST constructor recursion depth mismatch").
    """
    if len(source) > MOST or max(map(len, source.splitlines()), default=0) > LONGEST:
        raise SyntaxError(f"cannot be read: a cell of {len(source):,} characters; at most {MOST:,}, {LONGEST:,} a line")
    with _ONE_AT_A_TIME:
        try:
            return ast.parse(source)
        except (RecursionError, MemoryError, ValueError) as error:  # nested too deep; a null byte
            raise SyntaxError(f"cannot be read: {error or type(error).__name__}") from error
