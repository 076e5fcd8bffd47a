"""Whatever is handed in is a syntax tree or a SyntaxError, from any thread."""
from __future__ import annotations

import ast
import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from minillm.assignments.syntax import tree_of


@pytest.mark.parametrize("source", ["def f(:", "x = '\0'", "-" * 200_000 + "1", "(" * 5000, "f" + "(" * 90_000])
def test_what_is_no_python_is_a_syntax_error(source):
    with pytest.raises(SyntaxError):
        tree_of(source)


def in_python(phase, info):
    sum(range(20))


def test_threads_do_not_disturb_each_other():
    sources = [f"x = {'(' * 60}{n}{' + 1)' * 60}" for n in range(400)]
    before, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(10)
    gc.callbacks.append(in_python)  # it is here that another thread may take over in the middle of a tree
    try:
        with ThreadPoolExecutor(8) as pool:
            trees = list(pool.map(tree_of, sources))
    finally:
        sys.setswitchinterval(before)
        gc.set_threshold(*threshold)
        gc.callbacks.remove(in_python)
    assert [ast.dump(tree) for tree in trees] == [ast.dump(ast.parse(source)) for source in sources]
