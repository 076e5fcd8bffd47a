"""Find what was handed in: which file is whose, and which cell answers which exercise."""
from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import nbformat

from minillm.assignments.master import exercise_of, role_of
from minillm.assignments.platforms import Told, student_in, time_of, told_by
from minillm.assignments.reading import MOST_BYTES, MasterError, assignment_of, read_notebook
from minillm.reading import contents

DEPTH = 12  # folders in folders
ATTEMPT = re.compile(r"(attempt|try|version|submission|upload|draft|final|old|new|v)?[ _-]?\d{0,3}|\d{4}-\d\d-\d\d.*",
                     re.IGNORECASE)


@dataclass
class Submission:
    """One student's file for one assignment."""

    student: str
    path: Path
    when: datetime
    digest: str
    late: bool = False
    note: str = ""
    says: bool = False  # does it say which notebook it is?
    told: Told = Told()

    @property
    def file(self) -> str:
        return _readable(self.path.name)

    @property
    def key(self) -> str:
        """The same for the same file of the same student."""
        return self.digest + self.student


@dataclass
class Answers:
    """The answer cells of a submission by exercise; `problems` says what was not found, or found twice."""

    sources: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def submissions(folder: str | Path, *, roster: dict[str, str] | None = None, times: dict[str, datetime] | None = None,
                deadline: datetime | None = None, keep: str = "last", assignment: str | None = None,
                others: Collection[str] = (), skipped: list[str] | None = None) -> list[Submission]:
    """The notebooks below a folder (or one file), one per student: the `keep` ("last" or "first") of several.

    With a roster, the student is whom a part of the path names: a folder, or the file's name up to ``__`` or ``--``, or
    as a platform writes it.  Without, or where nobody is named: the folder's name where every student has one (see
    `_owners`), else the file's.  `times` says when some files (by their names, or their folders') were handed in.
    A notebook that says it is another than `assignment` is left out, and so is one that does not say, beside one of
    the same student that does; or at all, where `others` are graded, too.  `skipped` gets a sentence for each file that
    is not looked at, but for those of the others.
    """
    folder, skipped = Path(folder), [] if skipped is None else skipped
    if not folder.exists():
        raise FileNotFoundError(
            f"{folder} does not exist; name the folder with what was handed in, or one notebook")
    files = [folder] if folder.is_file() else sorted(_notebooks(folder, skipped))
    if not files:
        raise MasterError(
            f"{folder} holds no notebook (.ipynb); unpack what was handed in, or name its folder")
    owners = _owners(folder, files, assignment)
    found: dict[str, list[Submission]] = {}
    for path in files:
        says = assignment_of(path) if assignment else None
        if says not in (None, assignment) or says is None and others:
            if says is None:
                every = " and ".join(sorted([assignment, *others]))
                skipped.append(f"{_shown(path, folder)} says not which of {every} it is")
            elif says not in others:
                skipped.append(f"{_shown(path, folder)} is a notebook of {says}")
            continue
        told = told_by(path)
        own = _readable(told.student or student_in(owners.get(path.parent) or path.stem))
        student, note = own, ""
        if roster is not None:
            student, note = _on_roster(path.relative_to(folder) if path != folder else Path(path.name), own, roster)
        names = path.name, path.stem, path.parent.name, student
        told = replace(told, when=next((times[name] for name in names if name in (times or ())), told.when))
        when = told.when or datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        late = deadline is not None and when > deadline if told.when or not told.number else told.late
        one = Submission(student, path, when, _digest(path), late, note, says is not None, told)
        found.setdefault(student, []).append(one)
    return [_chosen(found[student], folder, keep, skipped) for student in sorted(found)]


def _notebooks(folder: Path, skipped: list[str]) -> list[Path]:
    """The notebooks below a folder.  Hidden files, a Mac's doubles and checkpoints are nobody's; links are told."""
    found, todo = [], [(folder, 0)]
    while todo:
        place, depth = todo.pop()
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            skipped.append(f"{_shown(place, folder)} cannot be opened ({error.strerror})")
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_symlink():
                skipped.append(f"{_shown(path, folder)} is a link, which is not followed")
            elif entry.is_dir(follow_symlinks=False):
                if depth < DEPTH:
                    todo.append((path, depth + 1))
                else:
                    skipped.append(f"{_shown(path, folder)[:200]} is more than {DEPTH} folders deep")
            elif path.suffix.lower() == ".ipynb" and entry.is_file(follow_symlinks=False):
                found.append(path)
    return found


def _owners(folder: Path, files: list[Path], assignment: str | None) -> dict[Path, str]:
    """The student's name for each folder below `folder` that holds files.

    Of folders in folders, it is the level with the most names: ``ann/hw1/a.ipynb`` beside ``bob/hw1/a.ipynb`` are
    Ann's and Bob's.  A level is not the students' that has the assignment's name, or numbers and words for attempts,
    or the same names again and again below different folders.
    """
    inner = {
        path.parent.relative_to(folder).parts for path in files if path.parent != folder and folder.is_dir()}
    if not inner or len(inner) == 1 and len(files) > 1:  # all in one folder: the files bear the names
        return {}

    def named(parts: tuple[str, ...], level: int) -> str:
        return parts[min(level, len(parts) - 1)]

    def worth(level: int) -> tuple[bool, int, bool, int]:
        names = {named(parts, level) for parts in inner}
        places = {parts[: level + 1] for parts in inner}
        people = any(not ATTEMPT.fullmatch(name) and name != assignment for name in names)
        return people and len(places) <= 1.25 * len(names), len(names), len(names) == len(places), -level

    best = max(range(max(map(len, inner))), key=worth)
    return {folder.joinpath(*parts): named(parts, best) for parts in inner}


def _on_roster(path: Path, own: str, roster: dict[str, str]) -> tuple[str, str]:
    """Whom the roster knows by a part of a path, and what is to be said of it."""
    parts = [name for each in (*path.parent.parts, path.stem) for name in (each, student_in(each))]
    known = {student: part for part in parts for student in [roster.get(part) or roster.get(part.lower())] if student}
    if len(known) == 1:
        return next(iter(known)), ""
    if known:
        return own, f"the path names {' and '.join(sorted(known))} of the roster; whose is it?"
    return own, f"{own} is not on the roster"


def _chosen(several: list[Submission], folder: Path, keep: str, skipped: list[str]) -> Submission:
    """One of a student's files, and a note of how it was chosen.

    Those that say which notebook they are go before others.  Then counts when each was handed in, as the platform
    wrote it down, then the platform's numbers, then others in the names, and the file's date last, which unpacking may
    change.
    """
    if any(s.says for s in several):
        skipped += [f"{_shown(s.path, folder)} says not which notebook it is, beside {s.student}'s that does"
                    for s in several if not s.says]
        several = [s for s in several if s.says]
    by = "when they were handed in"
    if all(s.told.when for s in several):
        several = sorted(several, key=lambda s: (s.when, s.path.name))
    elif all(s.told.number for s in several):
        by, several = "the platform's numbers", sorted(several, key=lambda s: s.told.number)
    else:
        places = [re.split(r"(\d+)", _shown(s.path, folder)) for s in several]
        counted = len(several) > 1 and len({tuple(place[::2]) for place in places}) == 1
        numbers = [[*map(int, place[1::2])] for place in places] if counted else [[]] * len(several)
        by = "the numbers in their names" if counted else "the files' dates"
        several = [s for _, _, s in sorted(zip(numbers, range(len(several)), several), key=lambda x: (x[0], x[2].when))]
    one = several[0] if keep == "first" else several[-1]
    if len(several) > 1:
        homes = sorted({_shown(s.path.parent, folder) for s in several} - {"."})
        one.note = "; ".join(filter(None, [
            one.note, f"{len(several)} files{f' in {len(homes)} folders ({chr(44).join(homes)})' * (len(homes) > 1)}, "
                      f"graded the {keep} by {by}: {_shown(one.path, folder)}"]))
    return one


def _shown(path: Path, folder: Path) -> str:
    return _readable((path.relative_to(folder) if path != folder else Path(path.name)).as_posix())


def _readable(name: str) -> str:
    """A file's name as text, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace") if os.name == "posix" else name


def _digest(path: Path) -> str:
    """Of a file's content; of its size where that is too large to be read, or it may not be read: told later."""
    try:
        size = path.stat().st_size
        return hashlib.sha256(path.read_bytes() if size <= MOST_BYTES else str(size).encode()).hexdigest()
    except OSError:
        return hashlib.sha256(b"").hexdigest()


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


def read_times(path: str | Path) -> dict[str, datetime]:
    """A roster's column ``when``, if it has one: when a file (or all of a student's) was handed in."""
    found = {}
    for line, row in enumerate(read_table(path, ("student",), example="student,file,when"), 2):
        if row.get("when"):
            when = time_of(row["when"])
            if when is None:
                raise MasterError(f"{Path(path).name}, line {line}: {row['when']!r} is no time; write it as "
                                  f"2026-11-30 23:59")
            found[row.get("file") or row["student"]] = when
    return found


def read_table(path: str | Path, columns: tuple[str, ...], *, example: str) -> list[dict[str, str]]:
    """The rows of a CSV as a spreadsheet saves it: UTF-8 with or without BOM, cells cut by commas or semicolons."""
    name = Path(path).name
    try:
        text = contents(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MasterError(f"{name} is not UTF-8 text (byte {error.start}); save it as CSV UTF-8") from None
    text = text if "\n" in text else text.replace("\r", "\n")  # as Excel's "Macintosh CSV" ends its lines
    first = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text), delimiter=";" if ";" in first and "," not in first else ",")
    try:
        header, *rows = [[cell.strip() for cell in row] for row in lines if row] or [[]]
    except csv.Error as error:
        raise MasterError(f"{name} is not CSV ({error}); is a quotation mark missing?") from None
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
        if not isinstance(cell.get("source"), str):
            continue
        id, code = exercise_of(cell), cell.get("cell_type") == "code"
        if id in found and role_of(cell) in (("answer", "given") if code else ("answer",)):  # Colab drops roles
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
                id: f"{_readable(path.name)} cannot be read as a notebook ({type(error).__name__})" for id in wanted})
