"""Find what was handed in: which file is whose, and which cell answers which exercise."""
from __future__ import annotations

import csv
import hashlib
import io
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

    @property
    def key(self) -> str:
        """The same for the same file of the same student."""
        return self.digest + self.student


@dataclass
class Answers:
    """The answer cells of a submission by exercise; `problems` says what was not found, or found twice."""

    sources: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def submissions(folder: str | Path, *, roster: dict[str, str] | None = None,
                deadline: datetime | None = None, keep: str = "last") -> list[Submission]:
    """The notebooks below a folder (or one file), one per student: the `keep` ("last" or "first") of several.

    The student is the folder's name where every student has one (of folders in folders, those of the level with the
    most names: ``ann/hw1/a.ipynb`` beside ``bob/hw1/a.ipynb`` are Ann's and Bob's), else the file's name up to ``__``
    or ``--``.  A roster maps such names to the names that the course uses; who is not on it is kept, with a note.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(
            f"{folder} does not exist; name the folder with what was handed in, or one notebook")
    files = ([folder]
             if folder.is_file()
             else sorted(p
                         for p in folder.rglob("*")
                         if p.is_file() and p.suffix == ".ipynb" and ".ipynb_checkpoints" not in p.parts))
    if not files:
        raise MasterError(
            f"{folder} holds no notebook (.ipynb); unpack what was handed in, or name its folder")
    owners = _owners(folder, files)
    found: dict[str, list[Submission]] = {}
    for path in files:
        own = owners.get(path.parent) or re.split("__|--", path.stem)[0]
        student, note = own, ""
        if roster is not None:
            student = roster.get(own) or roster.get(own.lower()) or own
            note = "" if student != own or own in roster.values() else f"{own} is not on the roster"
        when = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        digest = hashlib.sha256(_bytes(path)).hexdigest()
        late = deadline is not None and when > deadline
        found.setdefault(student, []).append(Submission(student, path, when, digest, late, note))
    chosen = []
    for student in sorted(found):
        several = sorted(found[student], key=lambda s: (s.when, s.path.name))
        one = several[0] if keep == "first" else several[-1]
        if len(several) > 1:
            one.note = "; ".join(
                filter(None, [one.note, f"{len(several)} files, graded the {keep}: {one.path.name}"]))
        chosen.append(one)
    return chosen


def _owners(folder: Path, files: list[Path]) -> dict[Path, str]:
    """The student's name for each folder below `folder` that holds files."""
    inner = {
        path.parent.relative_to(folder).parts for path in files if path.parent != folder and folder.is_dir()}
    if not inner or len(inner) == 1 and len(files) > 1:  # all in one folder: the files bear the names
        return {}

    def named(parts: tuple[str, ...], level: int) -> str:
        return parts[min(level, len(parts) - 1)]

    def worth(level: int) -> tuple[int, bool, int]:
        names = {named(parts, level) for parts in inner}
        return len(names), len(names) == len({parts[: level + 1] for parts in inner}), -level

    best = max(range(max(map(len, inner))), key=worth)
    return {folder.joinpath(*parts): named(parts, best) for parts in inner}


def _bytes(path: Path) -> bytes:
    """A file's content; none where it may not be read, which is then said of that student alone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def read_roster(path: str | Path) -> dict[str, str]:
    """A CSV with a column ``student`` and, if names in files differ, a column ``file``; both lead to the student."""
    rows = read_table(path, ("student",), example="student,file")
    for line, row in enumerate(rows, 2):
        if {"/", "\\", "\0"} & set(row["student"]) or row["student"] in (".", ".."):
            raise MasterError(f"{Path(path).name}, line {line}: {row['student']!r} cannot be a folder's name")
    return {name: row["student"]
            for row in rows
            for name in (row.get("file") or row["student"], row["student"])
            if name}


def read_table(path: str | Path, columns: tuple[str, ...], *, example: str) -> list[dict[str, str]]:
    """The rows of a CSV as a spreadsheet saves it: UTF-8 with or without BOM, cells cut by commas or semicolons."""
    name = Path(path).name
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MasterError(f"{name} is not UTF-8 text (byte {error.start}); save it as CSV UTF-8") from None
    first = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text), delimiter=";" if ";" in first and "," not in first else ",")
    header, *rows = [[cell.strip() for cell in row] for row in lines if row] or [[]]
    missing = [column for column in columns if column not in header]
    if missing:
        raise MasterError(f"{name} has no column {missing[0]!r}; its first line should be: {example}")
    if not rows:
        raise MasterError(f"{name} has no rows; under {example} there should be one for each")
    return [dict(zip(header, row + [""] * len(header), strict=False)) for row in rows]


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
                id: f"{path.name} cannot be read as a notebook ({type(error).__name__})" for id in wanted})
