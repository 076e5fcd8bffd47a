"""Read a master notebook: which cells are given, which are answers, which check them."""
from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from minillm.assignments.syntax import tree_of
from minillm.notebook.explain import answer

MARKER = re.compile(r"^\s*#\s*exercise:\s*(\S+)\s*$", re.MULTILINE | re.IGNORECASE)
SOLUTION = re.compile(
    r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION[^\n]*\n?", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(
    r"^[ \t]*### BEGIN HIDDEN TESTS\n(.*?)^[ \t]*### END HIDDEN TESTS[^\n]*\n?", re.MULTILINE | re.DOTALL)
MOST_BYTES, LARGE = 50_000_000, 2_000_000  # what is larger than the second is first read by another process
SLIM = """
import json, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (1_500_000_000,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (30,) * 2)
except ImportError:
    pass
book = json.load(open(sys.argv[1], encoding="utf-8"))
for cell in [*book.get("cells", []), *(c for sheet in book.get("worksheets", []) for c in sheet.get("cells", []))]:
    if "outputs" in cell:
        cell["outputs"] = []
    cell.pop("attachments", None)
json.dump(book, sys.stdout)
"""
ROLES = ("given", "answer", "solution", "check", "hint", "mistake")


class MasterError(ValueError):
    """A notebook that cannot be used as a master; the message says what to change."""


@dataclass
class Check:
    """A cell that looks at an answer.  Hidden ones carry points and never reach a student."""

    cell: int
    source: str
    points: float
    hidden: bool
    tolerance: float = 1e-4


@dataclass
class Exercise:
    """One thing to be done: where its answer goes, what a right one is, and how it is judged."""

    id: str
    answer: int  # index of the answer cell in the notebook
    stub: str
    solution: str
    points: float = 0.0
    minutes: int | None = None
    difficulty: str | None = None
    manual: bool = False  # prose and plots: a person gives the points
    forbid: list[str] = field(default_factory=list)
    equal: list[str] = field(default_factory=list)  # changes to the solution that change nothing of what it gives
    checks: list[Check] = field(default_factory=list)
    mistakes: dict[str, tuple[str, float]] = field(
        default_factory=dict)  # what it is -> (source, points it should get)


@dataclass
class Master:
    """A notebook and its exercises, in order."""

    name: str
    notebook: nbformat.NotebookNode
    roles: list[str]
    exercises: dict[str, Exercise]

    @property
    def points(self) -> float:
        return sum(e.points for e in self.exercises.values())


def assignment_of(path: str | Path) -> str | None:
    """Which assignment a notebook says that it is; None where it does not say, or cannot be read."""
    try:
        said = (read_notebook(path).metadata.get("minillm") or {}).get("assignment")
    except MasterError:
        return None
    return said if isinstance(said, str) else None


def read_notebook(path: str | Path, *, max_bytes: int = MOST_BYTES) -> nbformat.NotebookNode:
    """A notebook in format 4, whatever it was written in.  Raises MasterError with the reason where it is none."""
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise MasterError(f"{path} {what}; name the notebook itself, a file that ends in .ipynb")
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise MasterError(
                f"{path.name} is {size / 1e6:.0f} MB, more than {max_bytes / 1e6:.0f}; clear its "
                f"outputs and hand it in again")
        if size == 0:
            raise MasterError(f"{path.name} is empty; save the notebook and hand it in again")
        notebook = parsed(path.read_bytes() if size <= LARGE else slim(path))
    except MasterError:
        raise
    except OSError as error:
        raise MasterError(
            f"{path} cannot be read ({error.strerror}); have its permissions changed") from error
    except Exception as error:
        raise MasterError(
            f"{path.name} is not a Jupyter notebook ({type(error).__name__}); hand in the .ipynb file itself"
        ) from error
    if not isinstance(notebook.get("cells"), list):
        raise MasterError(f"{path.name} has no cells; hand in the .ipynb file itself")
    if not isinstance(notebook.metadata.get("minillm", {}), dict):
        del notebook.metadata["minillm"]
    for cell in notebook.cells:
        if isinstance(cell.get("source"), list):
            cell.source = "".join(cell.source)
        for owner in ("minillm", "nbgrader"):  # whoever wrote something else there did not speak to us
            if not isinstance(cell.metadata.get(owner, {}), dict):
                del cell.metadata[owner]
    return notebook


def parsed(text: bytes) -> nbformat.NotebookNode:
    """A notebook in format 4 from its JSON.  Half a character, which no file could hold, is a question mark."""
    plain = text.decode("utf-8")
    if "\\ud" in plain.lower():
        plain = json.dumps(json.loads(plain), ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
    return nbformat.from_dict(nbformat.reads(plain, as_version=4))  # format 3 has nodes of its own kind


def slim(path: Path) -> bytes:
    """A large notebook without its outputs, as another process reads it, which may use so much memory and no more."""
    read = subprocess.run([sys.executable, "-I", "-c", SLIM, str(path)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=120)
    if read.returncode or len(read.stdout) > 4 * LARGE:
        raise MasterError(f"{path.name} is no notebook, or has more than {4 * LARGE / 1e6:g} MB besides its outputs")
    return read.stdout


def exercise_of(cell: nbformat.NotebookNode) -> str | None:
    """The exercise that a cell belongs to: by its metadata, else a tag ``exercise:ID``, else its marker comment."""
    meta = cell.get("metadata", {})
    own = meta.get("minillm") if isinstance(meta.get("minillm"), dict) else {}
    if own.get("exercise"):
        return str(own["exercise"])
    nbgrader = meta.get("nbgrader") if isinstance(meta.get("nbgrader"), dict) else {}
    for tag in meta.get("tags") or []:
        if isinstance(tag, str) and tag.startswith("exercise:"):
            return tag.partition(":")[2]
    found = MARKER.search(str(cell.get("source", "")))
    if found:
        return found.group(1)
    return str(nbgrader["grade_id"]) if nbgrader.get("solution") and nbgrader.get("grade_id") else None


def role_of(cell: nbformat.NotebookNode) -> str:
    """given, answer, solution, check, hint or mistake: from minillm's metadata, tags, or nbgrader's metadata."""
    meta = cell.get("metadata", {})
    role = (meta.get("minillm") or {}).get("role")
    if role in ROLES:
        return role
    tags = set(meta.get("tags") or [])
    for tag, role in (("exercise", "answer"), ("answer", "answer"), ("solution", "solution"),
                      ("hint", "hint"), ("mistake", "mistake"), ("check", "check")):
        if tag in tags:
            return role
    nbgrader = meta.get("nbgrader") or {}
    if nbgrader.get("solution") or SOLUTION.search(cell.source):
        return "answer"
    if nbgrader.get("grade") or HIDDEN.search(cell.source):
        return "check"
    return "given"


def read_master(path: str | Path) -> Master:
    """Read a master notebook from a file; see `find_exercises`."""
    return find_exercises(read_notebook(path), Path(path).stem)


def find_exercises(notebook: nbformat.NotebookNode, name: str) -> Master:
    """Find the exercises of a master notebook.  Raises MasterError for what makes grading impossible."""
    roles = [role_of(cell) for cell in notebook.cells]
    exercises: dict[str, Exercise] = {}
    last = None
    for index, (cell, role) in enumerate(zip(notebook.cells, roles, strict=True)):
        if role == "given":
            continue
        own, nbgrader = cell.metadata.get("minillm") or {}, cell.metadata.get("nbgrader") or {}
        id = exercise_of(cell) or (None if role == "answer" else last)
        if id is None:
            raise MasterError(
                f"cell {index} is an {role} without an exercise id; start it with '# exercise: ID'")
        if role == "answer":
            if id in exercises:
                raise MasterError(
                    f"exercise {id} has two answer cells, {exercises[id].answer} and {index}; give each "
                    f"an id of its own")
            exercises[id] = Exercise(
                id, index, stub=without_solution(cell.source), solution=with_solution(cell.source),
                minutes=own.get("minutes"), difficulty=own.get("difficulty"),
                forbid=list(own.get("forbid") or []), equal=list(own.get("equal") or []),
                manual=bool(own.get("manual") or (nbgrader.get("solution") and nbgrader.get("grade"))),
                points=float(own.get("points") or nbgrader.get("points") or 0.0))
            last = id
        elif id not in exercises:
            raise MasterError(
                f"cell {index} is a {role} of exercise {id}, which has no answer cell before it")
        elif role == "solution":
            exercises[id].solution = renamed(answered(cell.source), exercises[id].stub)
        elif role == "mistake":
            exercises[id].mistakes[own.get("name") or f"mistake in cell {index}"] = (
                renamed(cell.source, exercises[id].stub), float(own.get("score") or 0.0))
        elif role == "check":
            hidden = own.get("visibility") == "hidden" or bool(HIDDEN.search(cell.source))
            points = own.get("points", nbgrader.get("points"))
            exercises[id].checks.append(
                Check(index, cell.source, float(points or 0.0), hidden, float(own.get("tolerance") or 1e-4)))
    for exercise in exercises.values():
        share_points(exercise)
    return Master(name, notebook, roles, exercises)


def share_points(exercise: Exercise) -> None:
    """Points stand on the checks, or on the answer and are shared evenly among the hidden checks."""
    on_checks = sum(c.points for c in exercise.checks)
    hidden = [c for c in exercise.checks if c.hidden]
    if on_checks:
        exercise.points = on_checks + (exercise.points if exercise.manual else 0.0)
    elif hidden and not exercise.manual:
        for check in hidden:
            check.points = exercise.points / len(hidden)


def without_solution(source: str) -> str:
    """The cell as a student gets it."""
    return SOLUTION.sub(lambda m: f"{m[1]}# YOUR CODE HERE\n{m[1]}raise NotImplementedError()\n", source)


def with_solution(source: str) -> str:
    """The cell without the markers around its solution."""
    return SOLUTION.sub(lambda m: m[2], source)


def answered(source: str) -> str:
    """A solution cell's answer; minillm's own cells name the exercise, and the answer stands in `solutions.py`."""
    named = re.fullmatch(r'solution\("([^"]+)"\)', source.strip())
    return answer(named[1]) if named else source


def renamed(solution: str, stub: str) -> str:
    """A solution that stands in a cell of its own under another name, given the name that the stub defines.

    Checks of the master's own solution (``check("01.1", softmax_solution)``) stay as they are.
    """
    try:
        wanted, own = defined(stub), defined(solution)
    except SyntaxError:
        return solution
    if not wanted or not own or wanted[-1] in own:
        return solution
    return f"{solution.rstrip()}\n\n{wanted[-1]} = {own[-1]}\n"


def defined(source: str) -> list[str]:
    """The names that a cell defines at its top level: functions, classes and plain assignments, in order."""
    names = []
    for node in tree_of(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [t.id for t in node.targets if isinstance(t, ast.Name)]
    return names
