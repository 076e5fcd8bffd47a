"""Find what was handed in: which file is whose, and which cell answers which exercise."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import nbformat

from minillm.assignments.master import MasterError, exercise_of, read_notebook, role_of


@dataclass
class Submission:
    """One student's file for one assignment."""

    student: str
    path: Path
    when: datetime
    digest: str
    late: bool = False
    note: str = ""


@dataclass
class Answers:
    """The answer cells of a submission by exercise; `problems` says what was not found, or found twice."""

    sources: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def submissions(
    folder: str | Path,
    *,
    roster: dict[str, str] | None = None,
    deadline: datetime | None = None,
    keep: str = "last",
) -> list[Submission]:
    """The notebooks below a folder (or one file), one per student: the `keep` ("last" or "first") of several.

    The student is the folder's name where every student has one, else the file's name up to ``__`` or ``--``.  A
    roster maps such names to the names that the course uses; who is not on it is kept, with a note.
    """
    folder = Path(folder)
    files = (
        [folder]
        if folder.is_file()
        else sorted(
            p
            for p in folder.rglob("*")
            if p.is_file() and p.suffix == ".ipynb" and ".ipynb_checkpoints" not in p.parts
        )
    )
    found: dict[str, list[Submission]] = {}
    for path in files:
        own = (
            path.parent.name if folder.is_dir() and path.parent != folder else re.split("__|--", path.stem)[0]
        )
        student, note = own, ""
        if roster is not None:
            student = roster.get(own) or roster.get(own.lower()) or own
            note = "" if student != own or own in roster.values() else f"{own} is not on the roster"
        when = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        late = deadline is not None and when > deadline
        found.setdefault(student, []).append(Submission(student, path, when, digest, late, note))
    chosen = []
    for student in sorted(found):
        several = sorted(found[student], key=lambda s: (s.when, s.path.name))
        one = several[0] if keep == "first" else several[-1]
        if len(several) > 1:
            one.note = "; ".join(
                filter(None, [one.note, f"{len(several)} files, graded the {keep}: {one.path.name}"])
            )
        chosen.append(one)
    return chosen


def read_roster(path: str | Path) -> dict[str, str]:
    """A CSV with a column ``student`` and, if names in files differ, a column ``file``; both lead to the student."""
    with open(path, newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or "student" not in rows[0]:
        raise MasterError(
            f"{Path(path).name} has no column 'student'; its first line should be: student,file"
        )
    return {
        name.strip(): row["student"].strip()
        for row in rows
        for name in (row.get("file") or row["student"], row["student"])
        if name
    }


def answers_in(notebook: nbformat.NotebookNode, wanted: list[str]) -> Answers:
    """The source of each wanted exercise's answer cell.

    Found by metadata, else by a tag, else by the comment ``# exercise: ID``; moved, renamed or added cells do no
    harm.  None or two of them is said as such: guessing would score somebody's wrong cell.
    """
    found: dict[str, list[str]] = {id: [] for id in wanted}
    for cell in notebook.cells:
        if cell.get("cell_type") != "code" or not isinstance(cell.get("source"), str):
            continue
        id = exercise_of(cell)
        if id in found and role_of(cell) in ("answer", "given"):  # Colab drops roles, not comments
            found[id].append(cell.source)
    answers = Answers()
    for id, sources in found.items():
        if len(set(map(str.strip, sources))) == 1:  # a copy of the same answer is the same answer
            answers.sources[id] = sources[0]
        elif sources:
            answers.problems[id] = f"{len(sources)} different cells answer exercise {id}; keep one of them"
        else:
            answers.problems[id] = f"no cell answers exercise {id}; start it with '# exercise: {id}'"
    return answers


def read_submission(path: Path, wanted: list[str]) -> Answers:
    """The answers in a file, or the reason why it holds none for every exercise."""
    try:
        return answers_in(read_notebook(path), wanted)
    except MasterError as error:
        return Answers(problems={id: str(error) for id in wanted})
    except Exception as error:  # noqa: BLE001 - a strange file must never stop the batch
        return Answers(
            problems={
                id: f"{path.name} cannot be read as a notebook ({type(error).__name__})" for id in wanted
            }
        )
