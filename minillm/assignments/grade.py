"""Grade submissions, several at once, each exercise by itself, so that the score can be trusted and repeated."""
from __future__ import annotations

import hashlib
import json
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import nbformat

from minillm.assignments import guard
from minillm.assignments.collect import Submission, read_submission
from minillm.assignments.marks import (
    BLANK,
    FORBIDDEN,
    MANUAL,
    MISSING,
    TROUBLE,
    Mark,
    grader_failed,
    mark_of,
    same_code,
)
from minillm.assignments.master import MasterError, read_notebook
from minillm.assignments.pristine import for_exercise
from minillm.assignments.run import Stopped, execute
from minillm.assignments.sandbox import Limits, student_package
from minillm.assignments.variants import key_of, variant_of
from minillm.assignments.warm import Warm
from minillm.reading import check, shown

FORM = {"assignment": str, "exercises": {str: dict}, "order": [str], "variants?": {str: list}, "variant?": dict,
        "seed?": int}  # of what `build` writes into a grading notebook's metadata
FACTS = {"points": float, "stub": str, "manual": bool, "forbid": [str], "whole?": bool,
         "mistakes": {str: {"source": str, "score": float}}}  # of each exercise
MARKED = {"role": str, "exercise?": str, "points?": float, "tolerance?": float}  # of each cell

@dataclass
class Result:
    """All marks of one student for one assignment."""

    student: str
    assignment: str
    file: str
    marks: list[Mark]
    late: bool = False
    note: str = ""

    @property
    def points(self) -> float:
        return round(sum(m.points for m in self.marks), 6)

    @property
    def out_of(self) -> float:
        return sum(m.out_of for m in self.marks)


class Grader:
    """Holds one assignment's grading notebooks and judges answers by them; safe to use from several threads.

    The same answer to the same exercise is judged once: re-grading, and copies, give identical marks.  Setting
    `stopping` ends the runs of all threads at once; they raise Stopped.
    """

    def __init__(self, grading: str | Path, *, limits: Limits = Limits(), assignment: str | None = None,
                 warm: Warm | None = None):
        held = books_of(grading)
        if assignment is None and len(held) > 1:
            raise MasterError(f"{grading} holds the grading notebooks of {' and '.join(held)}; name the one that is "
                              f"meant: {Path(grading) / next(iter(held))}.ipynb")
        books = held[assignment or next(iter(held))]
        first = read_book(books[0])
        own = first.metadata.minillm
        self.limits, self.folder, self.name = limits, books[0].parent, own["assignment"]
        self.choices, self.seed = own.get("variants") or {}, own.get("seed", 0)
        self.exercises = {id: own["exercises"][id] for id in own["order"]}
        self._books = {key_of(own.get("variant") or {}): first}
        self._judged: dict[str, Mark] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self.digest = hashlib.sha256(b"".join(path.read_bytes() for path in books)).hexdigest()
        self.warm = warm or self._warmed(first)

    def _warmed(self, book: nbformat.NotebookNode) -> Warm:
        self._package = tempfile.TemporaryDirectory(prefix="mgp-")
        warm = Warm(student_package(Path(self._package.name)), book.cells)
        weakref.finalize(self, warm.close)
        return warm

    def book(self, student: str) -> nbformat.NotebookNode:
        """The grading notebook of a student's variant; who was not on the roster got the common one."""
        for name in (student, ""):
            key = key_of(variant_of(name, self.choices, seed=self.seed))
            path = self.folder / (f"{self.name}.{key}.ipynb" if key else f"{self.name}.ipynb")
            if key not in self._books and path.exists():
                self._books[key] = read_book(path)
            if key in self._books:
                return self._books[key]
        raise MasterError(f"{self.folder} lacks the grading notebook that everybody shares; build again")

    def grade(self, submission: Submission) -> Result:
        """All marks of a submission.  Never raises for what a student handed in."""
        answers = read_submission(submission.path, list(self.exercises))
        book = self.book(submission.student)
        marks = []
        for id in self.exercises:
            if id in answers.sources:
                marks.append(self.judge(book, id, answers.sources[id]))
            else:
                marks.append(Mark(id, MISSING, 0.0, self.exercises[id]["points"], answers.problems[id]))
        return Result(submission.student, self.name, submission.file, marks, submission.late, submission.note)

    def nothing(self, student: str) -> Result:
        """The marks of who is on the roster and handed in nothing."""
        marks = [Mark(id, MISSING, 0.0, float(facts["points"]), "nothing was handed in")
                 for id, facts in self.exercises.items()]
        return Result(student, self.name, "", marks, note="handed in nothing")

    def judge(self, book: nbformat.NotebookNode, id: str, answer: str) -> Mark:
        """The mark of one answer, from memory where the same was judged before."""
        facts = book.metadata.minillm.exercises[id]
        key = hashlib.sha256(
            json.dumps([id, answer, dict(book.metadata.minillm.get("variant") or {})]).encode()).hexdigest()
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._judged:
                self._judged[key] = self._judge(book, id, facts, answer)
            return Mark(**asdict(self._judged[key]))

    def _judge(self, book: nbformat.NotebookNode, id: str, facts: dict, answer: str) -> Mark:
        out_of = float(facts["points"])
        remarks = [f"uses {name}" for name in guard.notable_names(answer)]
        if same_code(answer, facts["stub"]):
            return Mark(id, BLANK, 0.0, out_of, "the cell is as it was handed out")
        if facts["manual"]:
            return Mark(id, MANUAL, 0.0, out_of, "points are given by hand")
        known = guard.imported_as(c.source for c in book.cells if c.metadata.minillm.get("role") == "given")
        banned = guard.forbidden_names(answer, list(facts["forbid"]), known)
        if banned:
            return Mark(id, FORBIDDEN, 0.0, out_of,
                        f"uses {', '.join(banned)}, which the exercise asks to do without", remarks)
        cells = for_exercise(book.cells, id, answer, list(facts["forbid"]), whole=facts.get("whole", False))
        for _ in range(3):
            run = execute(cells, limits=self.limits, package=self.warm.package, stopping=self.stopping,
                          warm=self.warm)
            if not grader_failed(cells, run):
                return mark_of(id, out_of, facts, cells, run, remarks, answer)
        return Mark(
            id, TROUBLE, 0.0, out_of, "a given cell failed three times; grade this one again", remarks)


def books_of(grading: str | Path) -> dict[str, list[Path]]:
    """The grading notebooks of a folder (or one file) by their assignment: a course builds several into one folder."""
    grading = Path(grading)
    paths = [grading] if grading.is_file() else sorted(grading.glob("*.ipynb"))
    if not paths:
        raise MasterError(f"{grading} holds no grading notebook; make one with minillm assign build")
    held: dict[str, list[Path]] = {}
    for path in paths:
        held.setdefault(read_book(path).metadata.minillm["assignment"], []).append(path)
    return held


def read_book(path: Path) -> nbformat.NotebookNode:
    """A grading notebook, as `build` writes one.  Raises MasterError naming what it lacks."""
    book = read_notebook(path)
    own, *cells = json.loads(json.dumps([each.metadata.get("minillm") or {} for each in (book, *book.cells)]))  # plain
    try:
        check(own, FORM, path.name, "minillm")
        check({id: own["exercises"].get(id) for id in own["order"]}, {str: FACTS}, path.name, "minillm.exercises")
        check(cells, [MARKED], path.name, "minillm of cells")
        if Path(own["assignment"]).name != own["assignment"]:
            raise ValueError(f"{shown(own['assignment'])} is no name of a file")
        if not all((own.get("variants") or {"": [0]}).values()):
            raise ValueError("a number varies, and among none")
        answered = {cell.get("exercise") for cell in cells if cell["role"] == "answer"}
        if lacks := [id for id in own["order"] if not own["exercises"][id]["manual"] and id not in answered]:
            raise ValueError(f"no cell answers {lacks[0]}")
    except ValueError as error:
        raise MasterError(f"{path.name} is not a grading notebook ({str(error).partition(';')[0]}); make one with "
                          f"minillm assign build") from None
    return book


def grade(submissions: Iterable[Submission], grader: Grader, *, jobs: int = 2,
          done: dict[str, Result] | None = None) -> Iterator[Result]:
    """Grade many, `jobs` at once, in whatever order they finish.  `done` holds finished ones by `key`.

    Whoever ends it early (Ctrl-C, `close`) ends the submissions that are being graded, at once and without a mark.
    """
    pool, waiting = ThreadPoolExecutor(jobs), []
    try:
        for submission in submissions:
            known = (done or {}).get(submission.key)
            if known:  # when it came and whose it is may be seen otherwise by now
                yield replace(known, file=submission.file, late=submission.late, note=submission.note)
            else:
                waiting.append(pool.submit(_safely, grader, submission))
        for future in as_completed(waiting):
            yield future.result()
    except BaseException:
        grader.stopping.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        grader.stopping.clear()


def _safely(grader: Grader, submission: Submission) -> Result:
    try:
        return grader.grade(submission)
    except Stopped:
        raise
    except Exception as error:  # noqa: BLE001 - one bad submission never stops the batch
        marks = [Mark(id, TROUBLE, 0.0, float(facts["points"]), f"{type(error).__name__}: {error}")
                 for id, facts in grader.exercises.items()]
        return Result(submission.student, grader.name, submission.file, marks, submission.late, submission.note)
