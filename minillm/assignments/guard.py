"""Keep an answer from using what it was asked to build."""
from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from contextlib import suppress

from minillm.assignments.syntax import tree_of
from minillm.notebook.judging.forbidden import covers, mentioned

CHECK = "minillm.notebook.check"
NOTABLE = ("os._exit", "os.kill", "os.fork", "os.system", "os.open", "os.readlink", "os.getppid", "os.listdir",
           "subprocess", "socket", "ctypes", "gc", "inspect", "sys.modules", "sys._getframe", "multiprocessing",
           "threading", "concurrent", "signal", "shutil", "requests", "urllib", "builtins", "get_ipython", "importlib",
           "glob", "open", "exec", "eval", "compile", "globals", "__import__", "vars", ".__subclasses__",
           ".__wrapped__", ".__closure__", ".__globals__", ".__dict__", ".f_back", ".f_locals")


def forbidden_names(source: str, forbid: list[str], known: dict[str, str] | None = None) -> list[str]:
    """Which of the forbidden names an answer mentions: as an attribute, an import, or a bare module.

    `known` says what the notebook's own imports call by other names.  A scan reads what is written; what is put
    together while it runs is left to `guard`.
    """
    try:
        tree = tree_of(source)
    except SyntaxError:
        return []
    found = mentioned(tree, known)
    return [name for name in forbid if any(covers(name, m) for m in found)] + sorted(
        {m for m in found if m.startswith("_minillm")})


def imported_as(sources: Iterable[str]) -> dict[str, str]:
    """The names that cells give to what they import: {"F": "torch.nn.functional"}.

    `check`, by which every answer's cell ends as it is handed out, is none that could be forbidden.
    """
    known = {}
    for source in sources:
        with suppress(SyntaxError):
            for node in ast.walk(tree_of(source)):
                if isinstance(node, ast.Import):
                    known |= {each.asname: each.name for each in node.names if each.asname}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    known |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return {name: full for name, full in known.items() if full != CHECK}


def notable_names(source: str) -> list[str]:
    """Names that an honest answer rarely needs; told to the teacher, never scored."""
    try:
        found = mentioned(tree_of(source))
    except SyntaxError:
        return []
    return [name for name in NOTABLE if any(covers(name, m) for m in found)]


GUARD = '''
def _minillm_guard(names):
    """Make forbidden functions refuse, while the check runs, calls that come from the answer's own lines."""
    import builtins, functools, importlib, os, sys
    allowed = {f.__code__.co_filename for f in list(globals().values()) if hasattr(f, "__code__")}
    allowed.add(sys._getframe().f_code.co_filename)
    libraries = [p for p in (sys.prefix, sys.base_prefix, *sys.path) if p and p not in ("/tmp", os.getcwd())]
    passing = ("threading", "concurrent.futures", "functools", "importlib", "runpy", "code", "timeit", "asyncio")
    def from_answer():
        frame = sys._getframe(2)  # who calls; what only hands a call on is passed over
        while frame is not None:
            name, file = str(frame.f_globals.get("__name__")), frame.f_code.co_filename
            if file in allowed:
                return False
            if not any(name == p or name.startswith(p + ".") for p in passing):
                return not (file.startswith("<frozen") or any(file.startswith(p + os.sep) for p in libraries))
            frame = frame.f_back
        return True  # a thread that begins here
    def refusing(call, name):
        @functools.wraps(call, updated=())
        def guarded(*args, **options):
            if from_answer():
                raise PermissionError("this exercise asks you to build " + name + " yourself")
            return call(*args, **options)
        del guarded.__wrapped__
        return guarded
    for name in names:
        path, _, last = name.rpartition(".")
        homes = {"": ["torch", "torch.nn.functional", "torch.Tensor"], "Tensor": ["torch.Tensor"]}.get(path, [path])
        for home in homes:  # a bare name is looked for where the course's functions live
            if path:
                try: importlib.import_module(home)  # before the answer can
                except Exception: pass
            holder = None
            for cut in range(home.count(".") + 1, 0, -1):
                module = sys.modules.get(".".join(home.split(".")[:cut]))
                if module is not None:
                    holder = functools.reduce(lambda o, p: getattr(o, p, None), home.split(".")[cut:], module)
                    break
            target = getattr(holder, last, None)
            if isinstance(target, type):
                target.__init__ = refusing(target.__init__, name)
            elif callable(target):
                setattr(holder, last, refusing(target, name))
                for known, value in list(globals().items()):  # from math import fsum
                    if value is target:
                        globals()[known] = getattr(holder, last)
    modules = {n for n in names if "." not in n}
    def importing(call):
        def guarded(name, *args, **options):
            if str(name).partition(".")[0] in modules and from_answer():
                raise PermissionError("this exercise asks you to do without " + str(name))
            return call(name, *args, **options)
        return guarded
    builtins.__import__ = importing(builtins.__import__)
    importlib.import_module = importing(importlib.import_module)
    return allowed.add
'''


def guard(forbid: list[str]) -> str:
    """A cell that stands in front of an answer and forbids names while the kernel runs."""
    return f"{GUARD}\n_minillm_allow = _minillm_guard({json.dumps(list(forbid))})\n"


ALLOW = "import sys as _minillm_sys; _minillm_allow(_minillm_sys._getframe().f_code.co_filename)\n"
