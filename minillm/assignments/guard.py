"""Keep an answer from using what it was asked to build."""
from __future__ import annotations

import json

from minillm.assignments.syntax import tree_of
from minillm.notebook.judging.forbidden import covers, mentioned

NOTABLE = ("os._exit", "os.kill", "os.fork", "os.system", "subprocess", "socket", "ctypes",
           "gc.get_objects", "inspect", "sys.modules", "multiprocessing", "signal", "shutil", "requests",
           "urllib", "builtins", "__subclasses__", "get_ipython", "importlib")


def forbidden_names(source: str, forbid: list[str]) -> list[str]:
    """Which of the forbidden names an answer mentions: as an attribute, an import, or a bare module.

    A scan reads what is written; what is put together while it runs is left to `guard`.
    """
    try:
        tree = tree_of(source)
    except SyntaxError:
        return []
    found = mentioned(tree)
    return [name for name in forbid if any(covers(name, m) for m in found)] + sorted(
        {m for m in found if m.startswith("_minillm")})


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
    import builtins, functools, importlib, sys
    allowed = {f.__code__.co_filename for f in list(globals().values()) if hasattr(f, "__code__")}
    allowed.add(sys._getframe().f_code.co_filename)
    def from_answer():
        frame = sys._getframe(2)
        return frame.f_globals.get("__name__") == "__main__" and frame.f_code.co_filename not in allowed
    def refusing(call, name):
        @functools.wraps(call, updated=())
        def guarded(*args, **options):
            if from_answer():
                raise PermissionError("this exercise asks you to build " + name + " yourself")
            return call(*args, **options)
        return guarded
    for name in names:
        path, _, last = name.rpartition(".")
        homes = {"": ["torch", "torch.nn.functional", "torch.Tensor"], "Tensor": ["torch.Tensor"]}.get(path, [path])
        for home in homes:  # a bare name is looked for where the course's functions live
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
    modules = {n for n in names if "." not in n}
    def importing(call):
        @functools.wraps(call)
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
