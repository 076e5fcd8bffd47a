"""Make the student, solution and grading notebooks from one master."""
from __future__ import annotations

import copy
import hashlib
import json
import re
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import nbformat
from nbformat import v4

from minillm import disk
from minillm.assignments.master import (
    HIDDEN,
    Exercise,
    Master,
    MasterError,
    find_exercises,
    read_notebook,
    role_of,
)
from minillm.assignments.pristine import graded_cells, mistaken_values, owner, recorded, resting_on_all
from minillm.assignments.registry import complete
from minillm.assignments.run import expecting
from minillm.assignments.sandbox import Limits, student_package
from minillm.assignments.syntax import tree_of
from minillm.assignments.values import agree, values_of
from minillm.assignments.variants import choices_of, filled, key_of, variant_of
from minillm.assignments.warm import Warm


def build(master: str | Path, out: str | Path, *, hints: bool = True,
          students: Iterable[str] = (), seed: int = 0,
          limits: Limits = Limits(wall_seconds=900.0, cpu_seconds=900, cell_seconds=300.0)) -> list[Path]:
    """Write ``out/student``, ``out/solution`` and ``out/grading``; returns the files.

    `seed` decides the hidden inputs and the variants: keep it to yourself, and use the same one to build again.
    Where the master lets numbers vary, each of `students` gets a notebook of their own in ``out/student/NAME``.
    Raises MasterError where the master lacks something, with the cell and the way out; and before it writes over what
    it did not build: an edited notebook, or one of another seed, whose hidden inputs and numbers are handed out.
    """
    notebook, out, made_of = read_notebook(master), Path(out), {}
    _check_seed(out / "grading", Path(master).stem, seed)
    name, choices = Path(master).stem, choices_of(notebook)
    people = [*students] if choices else []
    made = {}
    for student in [None, *people]:
        variant = variant_of(student or "", choices, seed=seed)
        one = complete(find_exercises(filled(notebook, variant), name), seed=seed, telling=True)
        mark = {"assignment": name, **({"variant": variant} if variant else {})}
        folder = out / "student" / student if student else out / "student"
        made_of[folder / f"{name}.ipynb"] = handed_out = student_notebook(one, hints=hints, mark=mark)
        check_kept(one, handed_out)
        key = key_of(variant)
        if key not in made:
            made[key] = grading_notebook(one, mark={**mark, "seed": seed, "variants": choices}, limits=limits)
            suffix = f".{key}" if key else ""
            made_of[out / "solution" / f"{name}{suffix}.ipynb"] = solution_notebook(one, mark=mark)
            made_of[out / "grading" / f"{name}{suffix}.ipynb"] = made[key]
    for path in made_of:
        _check_unedited(path)
    return [write(one, path) for path, one in made_of.items()]


def write(notebook: nbformat.NotebookNode, path: Path) -> Path:
    """Write a notebook whole or not at all, with a digest that tells whether somebody has edited it since."""
    notebook.metadata["minillm"] = {**notebook.metadata.get("minillm", {}), "built": _digest(notebook)}
    return disk.write(path, nbformat.writes(notebook).rstrip("\n") + "\n")


def _digest(notebook: nbformat.NotebookNode) -> str:
    """The same for the same cells, whether they were run or not."""
    cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode("utf-8")).hexdigest()[:16]


def _check_unedited(path: Path) -> None:
    if path.exists():
        old = read_notebook(path)
        mark = old.metadata.get("minillm") or {}
        if "assignment" not in mark or mark.get("built", _digest(old)) != _digest(old):
            raise MasterError(f"{path} is not as it was built: it is yours or has been edited; move it away, or choose "
                              f"another --out")


def _check_seed(folder: Path, name: str, seed: int) -> None:
    for path in sorted(folder.glob("*.ipynb")):
        mark = read_notebook(path).metadata.get("minillm") or {}
        if mark.get("assignment") == name and mark.get("seed", seed) != seed:
            raise MasterError(f"{path} was built with seed {mark['seed']}, and seed {seed} would draw other numbers "
                              f"than were handed out; give --seed {mark['seed']}, or choose another --out")


def student_notebook(master: Master, *, hints: bool, mark: dict) -> nbformat.NotebookNode:
    """What is handed out: stubs, public checks, hints by choice; no solution, no mistake, no hidden check."""
    cells = []
    for i, (old, role) in enumerate(zip(master.notebook.cells, master.roles, strict=True)):
        if role in ("solution", "mistake") or (role == "hint" and not hints):
            continue
        new, exercise = _bare(old), owner(master, i)
        if role == "answer":
            new.source = _marked(exercise) if old.cell_type == "code" else exercise.stub
            new.metadata = _metadata(exercise, "answer", locked=False)
        elif role == "check":
            check = next(c for c in exercise.checks if c.cell == i and c.source == old.source)
            if check.hidden:  # of a cell with markers the public half stays, of any other nothing
                new.source = HIDDEN.sub("", check.source).strip()
                own = old.metadata.get("minillm") or {}
                if own.get("visibility") == "hidden" or new.source == check.source.strip() or not _does(new.source):
                    continue
            new.metadata = _metadata(exercise, "check", number=exercise.checks.index(check))
        cells.append(new)
    return _notebook(master, cells, mark)


def solution_notebook(master: Master, *, mark: dict) -> nbformat.NotebookNode:
    """The same with the reference answers in place of the stubs; for the teacher, and for handing out afterwards."""
    cells = []
    for i, (old, role) in enumerate(zip(master.notebook.cells, master.roles, strict=True)):
        if role in ("solution", "mistake"):
            continue
        new, exercise = _bare(old), owner(master, i)
        if role == "answer":
            head = f"# exercise: {exercise.id}\n" if old.cell_type == "code" else ""
            new.source, new.metadata = head + exercise.solution, _metadata(exercise, "answer")
        cells.append(new)
    return _notebook(master, cells, mark)


def grading_notebook(master: Master, *, mark: dict, limits: Limits) -> nbformat.NotebookNode:
    """The pristine notebook that answers travel into: reference answers, hidden checks, and what these must give.

    The reference runs once, in the sandbox, to find the expected values; so does each listed mistake, so that a wrong
    answer can be told which one it is.
    """
    cells = graded_cells(master)
    with tempfile.TemporaryDirectory(prefix="mgp-") as folder:  # what runs here is the teacher's: it sees everything
        with closing(Warm(student_package(Path(folder), whole=True), cells)) as warm:
            values = recorded(cells, limits, f"the solutions of {master.name}", warm)
            for i, made in enumerate(cells):
                if made.metadata.minillm.role == "check":
                    expecting(made, values[i])
            mistakes = mistaken_values(master, limits, warm)
            check_told(master, cells, mistakes)
            whole = resting_on_all(master, cells, limits, warm)
    facts = {
        e.id: {
            **{k: v for k, v in asdict(e).items() if k not in ("checks", "mistakes", "solution", "answer")},
            "mistakes": mistakes.get(e.id, {}), "whole": e.id in whole}
        for e in master.exercises.values()}
    return _notebook(master, cells, {**mark, "exercises": facts, "order": list(facts)})


def _bare(old: nbformat.NotebookNode) -> nbformat.NotebookNode:
    new = copy.deepcopy(old)
    if new.cell_type == "code":
        new.outputs, new.execution_count = [], None
    return new


def _marked(exercise: Exercise) -> str:
    first = f"# exercise: {exercise.id}\n"
    return exercise.stub if exercise.stub.lower().startswith("# exercise:") else first + exercise.stub


def _metadata(
    exercise: Exercise, role: str, *, number: int = 0, locked: bool = True) -> nbformat.NotebookNode:
    """Ours, a readable tag, and nbgrader's, so that a course which uses nbgrader can take the notebook as it is.

    What nbgrader can grade are the cells that a student has: it gives no points for a public check.  Prose and plots
    have theirs on the answer, for a person to give.
    """
    manual = role == "answer" and exercise.manual
    name = re.sub(r"[^A-Za-z0-9_-]", "-", exercise.id)  # nbgrader refuses a dot
    nbgrader = {"schema_version": 3,
                "grade": manual or role == "check",
                "solution": role == "answer",
                "locked": locked,
                "task": False,
                "grade_id": f"answer-{name}" if role == "answer" else f"check-{name}-{number}"}
    points = exercise.points if role == "answer" else exercise.checks[number].points
    if nbgrader["grade"]:
        nbgrader["points"] = points if manual else _public_points(exercise, number)
    return v4.new_code_cell(metadata={"minillm": {"exercise": exercise.id,
                                                  "role": role,
                                                  "points": points,
                                                  "minutes": exercise.minutes,
                                                  "difficulty": exercise.difficulty,
                                                  **({"forbid": exercise.forbid} if role == "answer" else {})},
                                      "tags": [role, f"exercise:{exercise.id}"],
                                      "nbgrader": nbgrader}).metadata


def _public_points(exercise: Exercise, number: int) -> float:
    """nbgrader's points of a check that students have: all of the exercise's, shared among such checks."""
    public = [n for n, check in enumerate(exercise.checks)
              if not check.hidden or HIDDEN.search(check.source)]
    return exercise.points / len(public) if number in public and not exercise.manual else 0.0


def _does(source: str) -> bool:
    """Whether a cell still does something, and is no heap of comments."""
    try:
        return bool(tree_of(source).body)
    except SyntaxError:
        return bool(source)


def check_told(master: Master, cells: list[nbformat.NotebookNode], mistakes: dict[str, dict[str, dict]]) -> None:
    """MasterError where a listed mistake gives all that the solution gives, so that it would score in full."""
    for id, known in mistakes.items():
        checks = [c for c in cells if c.metadata.minillm.get("exercise") == id and c.metadata.minillm.role == "check"]
        for name, one in known.items():
            told = one["error"] or not all(agree(list(given), values_of(c.outputs), float(c.metadata.minillm.tolerance))
                                           for c, given in zip(checks, one["values"], strict=True))
            if not told and one["score"] < master.exercises[id].points:
                raise MasterError(f"no hidden check of exercise {id} notices the mistake {name!r}, which should score "
                                  f"{one['score']:g}; add a case that does, or build with another --seed")


def check_kept(master: Master, handed_out: nbformat.NotebookNode) -> None:
    """A last look at what is handed out: MasterError where a cell, but a hint, holds a solution or a hidden check."""
    public = set(lines_of("\n".join(e.stub for e in master.exercises.values())))
    secrets = [(f"the solution of exercise {e.id}", e.solution) for e in master.exercises.values()]
    secrets += [(f"a hidden check of exercise {e.id}", "\n".join(HIDDEN.findall(c.source)) or c.source)
                for e in master.exercises.values() for c in e.checks if c.hidden]
    for cell in [each for each in handed_out.cells if role_of(each) != "hint"]:
        mine = set(lines_of(cell.source))
        for what, source in secrets:
            wanted = set(lines_of(source)) - public
            if len(wanted) > 1 and len(wanted & mine) > len(wanted) / 2 or len(wanted) == 1 and wanted <= mine:
                raise MasterError(f"{what} would be handed out, in the cell starting "
                                  f"{cell.source.strip().splitlines()[0][:60]!r}; mark that cell as what it is")


def lines_of(source: str) -> list[str]:
    """The lines that could give something away: code of some length."""
    return [line.strip() for line in source.splitlines()
            if len(line.strip()) >= 12 and not line.strip().startswith(("#", "import ", "from ", "def ", "class "))]


def _notebook(master: Master, cells: list[nbformat.NotebookNode], mark: dict) -> nbformat.NotebookNode:
    kept = {k: master.notebook.metadata[k]
            for k in ("kernelspec", "language_info")
            if k in master.notebook.metadata}
    try:
        notebook = v4.new_notebook(cells=cells, metadata={**kept, "minillm": json.loads(json.dumps(mark))})
    except (nbformat.ValidationError, AssertionError, TypeError) as error:  # the last two where no word is text
        why = (str(error) or "a word is no text").strip().splitlines()[0][:200]
        raise MasterError(f"{master.name} has a cell that is not as Jupyter writes it ({why}); open it there and save "
                          f"it again") from None
    for number, each in enumerate(notebook.cells):
        each["id"] = f"cell-{number}"
    return notebook
