"""Run an answer on every case, whatever it does: give a value, fail, change its input, or never come back."""
from __future__ import annotations

import ast
import copy
import ctypes
import inspect
import linecache
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minillm.notebook.agreement import difference, show_value

PATIENCE = 10.0  # seconds for all cases together
IMPORT = 30.0  # seconds more for an import that is under way


class TooLate(BaseException):
    """Time was up.  No Exception, so that an answer's own `except Exception` does not swallow it."""


class _Over(BaseException):
    """The clock of an answer is taken down."""


@dataclass(frozen=True)
class Outcome:
    """What a function did on one case: a value or an error, and whether it changed what it was given."""
    value: Any = None
    error: BaseException | None = None
    altered: bool = False

    @property
    def late(self) -> bool:
        return isinstance(self.error, TooLate)

    @property
    def crashed(self) -> bool:
        return self.error is not None and not self.late

    def agrees(self, other: Outcome, tolerance: float) -> bool:
        """Whether another function did the same: an equal value, or a failure of the same kind."""
        if self.error is not None or other.error is not None:
            return type(self.error) is type(other.error)
        return not difference(self.value, other.value, tolerance)


def outcomes(function: Callable, cases: Sequence[tuple], *, patience: float = PATIENCE) -> list[Outcome]:
    """What a function does on each case, each on a copy of its own; ends at the case on which time runs out."""
    found: list[Outcome] = []
    end = time.monotonic() + patience
    for arguments in cases:
        given = copy.deepcopy(arguments)
        try:
            value = within(end - time.monotonic(), function, *given)
        except TooLate as error:
            return [*found, Outcome(error=error)]
        except KeyboardInterrupt:
            raise
        except BaseException as error:                 # noqa: BLE001 - an answer may raise anything, SystemExit too
            found.append(Outcome(error=error))
        else:
            found.append(Outcome(value, altered=altered(given, arguments)))
    return found


def within(seconds: float, function: Callable, *arguments: Any) -> Any:
    """What a function gives.  Raises TooLate when time is up, also in a loop without end.

    It strikes neither within one call of C nor within an import.
    """
    here, over, turn = ctypes.c_ulong(threading.get_ident()), threading.Event(), threading.Lock()
    interrupt, struck = ctypes.pythonapi.PyThreadState_SetAsyncExc, []

    def watch() -> None:
        wait = seconds
        for _ in range(5):                             # an answer's bare `except:` may swallow the first
            if over.wait(wait):
                return
            end = time.monotonic() + IMPORT
            while _importing(here.value) and time.monotonic() < end and not over.wait(0.02):
                pass                                   # a module that is loaded by half stays so
            with turn:
                if not over.is_set():
                    struck.append(interrupt(here, ctypes.py_object(TooLate)))
            wait = 1.0

    def end() -> None:
        while True:
            try:
                with turn:                             # not while the watch decides
                    over.set()
                    if not struck:
                        return
                    struck.clear()
                    interrupt(here, ctypes.py_object(_Over))  # in place of a strike that has not arrived yet: taking
                while True:                            # that back (with NULL) would leave 3.11 awaiting it for ever,
                    pass                               # and hang at the next trace
            except _Over:
                return
            except TooLate:                            # it arrives here
                continue

    try:                                               # no context manager: what strikes in its own lines ends nothing
        try:
            if seconds <= 0:
                raise TooLate
            threading.Thread(target=watch, daemon=True).start()
            return function(*arguments)
        finally:
            end()
    finally:                                           # it struck on the way into the first
        end()


def _importing(thread: int) -> bool:
    """Whether what `within` called in this thread is loading a module."""
    frame = sys._current_frames().get(thread)
    while frame is not None and frame.f_code is not within.__code__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def altered(given: tuple, arguments: tuple) -> bool:
    """Whether a call changed what it was given; arguments that cannot be compared with their copies are let pass."""
    comparable = [not difference(copy.deepcopy(each), each, 0.0) for each in arguments]
    return any(ok and difference(now, before, 0.0)
               for ok, now, before in zip(comparable, given, arguments, strict=True))


IN_PLACE = ("append", "extend", "insert", "sort", "reverse", "update", "clear", "remove", "add", "setdefault")
WHY = {IndexError: "an index lies beyond the end", KeyError: "a dictionary has no such key",
       RecursionError: "it calls itself without end", SystemExit: "it ends the program",
       ZeroDivisionError: "something is divided by zero", UnboundLocalError: "a name is read before it has a value"}


def told(error: BaseException, function: Callable) -> str:
    """An error in words: its kind, what it says, and the line of the answer in which it arose."""
    said = _message(error)
    kind = type(error).__name__
    reason = next((f": {words}" for known, words in WHY.items() if isinstance(error, known)), "")
    line = _line(error, function)
    return f"{kind}{f': {said}' if said else ''}{reason if not said else f' ({reason[2:]})' if reason else ''}{line}"


def _message(error: BaseException) -> str:
    try:
        said = str(error)
    except Exception as again:                         # noqa: BLE001 - an error of the reader's own may not print
        said = f"(its text cannot be written: {type(again).__name__})"
    return said if len(said) <= 200 else f"{said[:199]}…"


def _line(error: BaseException, function: Callable) -> str:
    home = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", None)
    place, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == home:
            place = step
        step = step.tb_next
    source = linecache.getline(home, place.tb_lineno).strip() if place is not None else ""
    return f", in the line `{source}`" if source else ""


def call(arguments: tuple) -> str:
    """"your function, given …,": the beginning of every sentence about one case."""
    shown = ", ".join(map(show_value, arguments)) or "nothing"
    return f"your function, given {f'({shown})' if len(arguments) > 1 else shown},"


def endless(function: Callable) -> str:
    """The likely reason for no answer: a loop that waits for what never changes, or simply too much work."""
    tree = _tree(function)
    if tree and any(isinstance(node, ast.While) for node in ast.walk(tree)):
        return ": is there a way through the `while` loop that changes nothing of what it waits for?"
    return ": does it call itself without end, or try far too many possibilities?"


def without_return(function: Callable) -> str:
    """Why a function gave None, as far as its source tells."""
    tree = _tree(function)
    if tree is None or not isinstance(tree.body[0], ast.FunctionDef):
        return "."
    inner = {id(each) for node in ast.walk(tree.body[0]) if isinstance(node, (ast.FunctionDef, ast.Lambda))
             and node is not tree.body[0] for each in ast.walk(node)}
    returns = [node for node in ast.walk(tree) if isinstance(node, ast.Return) and id(node) not in inner]
    if not any(each.value is not None for each in returns):
        return ": a `return` is missing."
    said = next((ast.unparse(each.value) for each in returns if isinstance(each.value, ast.Call)
                 and getattr(each.value.func, "attr", "") in IN_PLACE), "")
    if said:
        return f": `{said}` changes its object and gives None."
    return ": it can end without reaching a `return`."


def _tree(function: Callable) -> ast.Module | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
