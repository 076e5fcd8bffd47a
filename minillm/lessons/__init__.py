"""Hold the course: one room per notebook, with its widgets, its measures, its exercises and their answers.

A notebook says ``from minillm.lessons import tokenization`` and finds all of its own there.  What two lessons need
stands in `minillm.notebook`, once.  A room's `solutions.py` is left out of what a course gives to its students.
"""
from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazily(room: str, **modules: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a room: module="name name …" are found there, and loaded when asked for.

    So a check of one exercise, in a grader's kernel, loads no plots and no widgets.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}
    if hidden := homes.keys() & modules.keys():  # an import of the module binds its name in the room, for good
        raise ValueError(f"in {room}, {min(hidden)} is a module's name and something in it; call the module otherwise")

    def find(name: str) -> Any:
        if name in homes:
            return getattr(import_module(f"{room}.{homes[name]}"), name)
        raise AttributeError(f"{room} has no {name!r}; it has: {', '.join(sorted(homes))}")

    return find, lambda: sorted(homes)
