"""Read a master notebook: which cells are given, which are answers, which check them."""
from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from minillm.assignments.reading import MasterError, read_notebook
from minillm.assignments.syntax import tree_of
from minillm.notebook.explain import answer
from minillm.reading import shown

MARKER = re.compile(r"^\s*#\s*exercise:\s*(\S+)\s*$", re.MULTILINE | re.IGNORECASE)
SOLUTION = re.compile(
    r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION$\n?", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(
    r"^[ \t]*### BEGIN HIDDEN TESTS\n(.*?)^[ \t]*### END HIDDEN TESTS$\n?", re.MULTILINE | re.DOTALL)
LIKE_A_MARKER = re.compile(
    r"^.*#[\W_]*(?:BEGIN|END)[\W_]*(?:SOLUTIONS?|HIDDEN|TESTS?)(?![a-zA-Z]).*$", re.MULTILINE | re.IGNORECASE)
ROLES = ("given", "answer", "solution", "check", "hint", "mistake")
VISIBILITIES = ("public", "hidden")
NUMBER, TEXTS = "a number", "a list of texts"
SAID = {  # in a cell's metadata -> what it should be
    "exercise": "a text", "role": "a text", "visibility": "a text", "name": "a text", "difficulty": "a text",
    "grade_id": "a text", "points": NUMBER, "minutes": NUMBER, "score": NUMBER, "tolerance": NUMBER,
    "forbid": TEXTS, "equal": TEXTS}


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
    for index, cell in enumerate(notebook.cells):
        check_marks(cell, f"cell {index}")
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
                id, index, stub=without_solution(cell.source, prose=cell.cell_type != "code"),
                solution=with_solution(cell.source),
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


def check_marks(cell: nbformat.NotebookNode, where: str) -> None:
    """Refuse what looks like a marker, a role or a visibility and is none: it would hand out a solution or a check."""
    own = cell.metadata.get("minillm") or {}
    for key, value in [*own.items(), *(cell.metadata.get("nbgrader") or {}).items()]:
        if key in SAID and not _is(value, SAID[key]):
            raise MasterError(f"{where} has {key}={shown(value)} in its metadata; write {SAID[key]}, or leave it out")
    if own.get("role", "given") not in ROLES:
        raise MasterError(f"{where} has the role {own['role']!r}; write one of {', '.join(ROLES)}")
    if own.get("visibility", "public") not in VISIBILITIES:
        raise MasterError(f"{where} has the visibility {own['visibility']!r}; write one of {', '.join(VISIBILITIES)}")
    open_ = None
    for found in LIKE_A_MARKER.finditer(cell.source):
        exact = re.fullmatch(r"[ \t]*### (BEGIN|END) (SOLUTION|HIDDEN TESTS)", found[0])
        if exact is None:
            raise MasterError(f"{where} has the line {found[0]!r}; write it exactly as '### BEGIN SOLUTION', "
                              f"'### END SOLUTION', '### BEGIN HIDDEN TESTS' or '### END HIDDEN TESTS'")
        word, what = exact.groups()
        if (open_ is None) != (word == "BEGIN") or word == "END" and open_ != what:
            raise MasterError(f"{where} has '### {word} {what}' without its other half; each BEGIN needs its END")
        open_ = what if word == "BEGIN" else None
    if open_:
        raise MasterError(f"{where} has '### BEGIN {open_}' without '### END {open_}'; each BEGIN needs its END")


def _is(value: object, said: str) -> bool:
    if said == TEXTS:
        return value is None or isinstance(value, list) and all(isinstance(each, str) for each in value)
    if said == NUMBER:  # NaN lies between no bounds
        return value is None or type(value) in (int, float) and -1e9 < value < 1e9
    return value is None or isinstance(value, str)


def share_points(exercise: Exercise) -> None:
    """Points stand on the checks, or on the answer and are shared evenly among the hidden checks."""
    on_checks = sum(c.points for c in exercise.checks)
    hidden = [c for c in exercise.checks if c.hidden]
    if on_checks:
        exercise.points = on_checks + (exercise.points if exercise.manual else 0.0)
    elif hidden and not exercise.manual:
        for check in hidden:
            check.points = exercise.points / len(hidden)


def without_solution(source: str, *, prose: bool = False) -> str:
    """The cell as a student gets it."""
    if prose:
        return SOLUTION.sub("YOUR ANSWER HERE\n", source)
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
