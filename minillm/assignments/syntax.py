"""Read a cell's code as IPython does, from any thread and whatever was handed in."""
from __future__ import annotations

import ast
import re
import threading

MOST, LONGEST = 200_000, 20_000  # characters: what is nested deeper than these allow ends Python 3.10 itself
PYTHON = ("time", "timeit", "capture", "prun", "python3")  # magics whose own words are followed by Python
MAGIC = re.compile(r"^(?P<space>[ \t]*)(?P<name>[\w.]+\s*=\s*)?(?P<sign>%|!|\?)(?P<rest>[^\n]*)$", re.MULTILINE)
HELP = re.compile(r"^[ \t]*[\w.]+\?\??[ \t]*$", re.MULTILINE)
_ONE_AT_A_TIME = threading.Lock()


def plain(source: str) -> str:
    """A cell without what only IPython reads, line for line: magics are gone, the Python that they carry stays.

    `%%time` on top and `%time x = f()` carry some; `!pip list`, `%matplotlib inline` and `f?` carry none.
    """
    if source.lstrip().startswith("%%"):
        first, _, body = source.lstrip().partition("\n")
        source = f"#\n{body}" if first[2:].split()[:1] and first[2:].split()[0] in PYTHON else ""
    return HELP.sub("", MAGIC.sub(_carried, source))


def _carried(found: re.Match) -> str:
    if found["sign"] == "%" and not found["name"] and not found["rest"].startswith("%"):
        word, _, code = found["rest"].strip().partition(" ")
        if word in PYTHON and not code.startswith("-"):
            return found["space"] + code.strip()
    return f"{found['space']}{found['name'] or ''}{'None' if found['name'] else 'pass'}"


def tree_of(source: str) -> ast.Module:
    """The syntax tree of a cell.  Raises SyntaxError for all that is no Python, however it fails.

    One at a time: before Python 3.11.8 and 3.12.1 two threads that parse disturb each other's count of how deep they
    are (SystemError, "AST constructor recursion depth mismatch").
    """
    if len(source) > MOST or max(map(len, source.splitlines()), default=0) > LONGEST:
        raise SyntaxError(f"cannot be read: a cell of {len(source):,} characters; at most {MOST:,}, {LONGEST:,} a line")
    with _ONE_AT_A_TIME:
        try:
            try:
                return ast.parse(source)  # a line that starts with % may go on with one before it
            except SyntaxError:
                return ast.parse(plain(source))
        except (RecursionError, MemoryError, ValueError) as error:  # nested too deep; a null byte
            raise SyntaxError(f"cannot be read: {error or type(error).__name__}") from error
