"""Write grades in the forms that courses use: CSV, JSON, Gradescope, Moodle, Canvas, a page per student, statistics."""
from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from minillm import disk
from minillm.assignments.collect import read_table
from minillm.assignments.grade import Result
from minillm.assignments.marks import MANUAL, TROUBLE, Mark
from minillm.assignments.master import MasterError
from minillm.reading import check, contents, parse, read_json, regular

WRITTEN = ".written.json"  # digests of the tables, which tell whether somebody has edited them since
MARK = {"exercise": str, "status": str, "points": float, "out_of": float, "reason": str, "remarks": [str]}
ROW = {"key": str, "by": str, "result": {"student": str, "assignment": str, "file": str, "marks": [MARK], "late": bool,
                                         "note": str}}  # what is kept of graded work
LONGEST = 120  # bytes of a student's name in the name of a file

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em;
        color: #222; background: #fff }}
table {{ border-collapse: collapse; width: 100% }} th, td {{ text-align: left; padding: .4em .6em; vertical-align: top;
        border-bottom: 1px solid #ddd }} td.points {{ white-space: nowrap; text-align: right }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #1c1c1c }} th, td {{ border-color: #444 }} }}
</style><h1>{title}</h1>{body}</html>
"""


def write_all(results: list[Result], out: str | Path, *, late_share: float = 1.0, troubles: list[str] | None = None
              ) -> list[Path]:
    """Every report below `out`, tables first; returns the files.  Late work counts for `late_share` of its points.

    The same results give the same bytes: nothing here depends on the time or the order of grading.  A student's page
    that cannot be written costs nobody else's: it is named in `troubles`.
    """
    out, results = Path(out), sorted(results, key=lambda r: (r.student, r.assignment))
    out.mkdir(parents=True, exist_ok=True)
    names = file_names({r.student for r in results})
    points = {r.assignment: _points(r.out_of) for r in results}
    files = [_text(out / "grades.json",
                   json.dumps([as_dict(r, late_share) for r in results], indent=1, ensure_ascii=False)),
             _table(out / "grades.csv", grades(results, late_share, names)),
             _table(out / "statistics.csv", statistics_rows([r for r in results if r.file])),
             _table(out / "moodle.csv",
                    [["username", "grade", "feedback"],
                     *([r.student, _points(total(r, late_share)), summary(r)] for r in results)]),
             _table(out / "canvas.csv",
                    [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *points],
                     ["    Points Possible", "", "", "", "", *points.values()],
                     *([r.student, "", "", r.student, "", _points(total(r, late_share))] for r in results)])]
    _text(out / WRITTEN, json.dumps({path.name: _digest(path) for path in files}, indent=1))
    for result in results:
        name = names[result.student]
        try:
            files += [_text(out / "feedback" / f"{name}.html", feedback(result, late_share)),
                      _text(out / "gradescope" / name / "results.json",
                            json.dumps(gradescope(result, late_share), indent=1))]
        except OSError as error:
            if troubles is None:
                raise
            troubles.append(f"the page of {result.student} could not be written ({error.strerror})")
    return files


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def file_names(students: Iterable[str]) -> dict[str, str]:
    """Student -> the name of their files: letters and digits of any script; where two would share, `~` and a digest.

    Names that differ in upper and lower case alone count as shared: the files of some systems do not tell them apart.
    """
    plain = {student: re.sub(r"^\.|[^\w.-]", "_", student) for student in students}
    plain = {student: name if len(name.encode("utf-8", "replace")) <= LONGEST else name[: LONGEST // 4] + "~"
             for student, name in plain.items()}
    used = Counter(_case_folded(name) for name in plain.values())
    return {student: name
            if used[_case_folded(name)] == 1 and not name.endswith("~")
            else f"{name}~{hashlib.sha256(student.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
            for student, name in plain.items()}


def _case_folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def total(result: Result, late_share: float) -> float:
    return round(result.points * (late_share if result.late else 1.0), 6)


def as_dict(result: Result, late_share: float = 1.0) -> dict:
    return {**asdict(result), "points": total(result, late_share), "out_of": result.out_of}


def from_dict(row: dict) -> Result:
    """The inverse of `as_dict` (late work as it was graded, before its share)."""
    return Result(row["student"], row["assignment"], row["file"],
                  [Mark(**{name: m[name] for name in MARK}) for m in row["marks"]], row["late"], row["note"])


class Log:
    """What is graded already, a line each, so that it survives an interruption.

    Marks that were given by another grading notebook do not count, nor those that the grader had trouble with.
    """

    def __init__(self, path: Path, digest: str):
        self.path, self.digest = path, digest

    def read(self) -> dict[str, Result]:
        rows = []
        held = contents(self.path, within=self.path.parent) if self.path.exists() else b""
        for line in held.splitlines():
            with suppress(ValueError):  # the last line may be cut short; what else is no row is graded again
                row = parse(line, self.path)
                check(row, ROW, self.path)
                rows.append(row)
        done = {row["key"]: from_dict(row["result"]) for row in rows if row.get("by") == self.digest}
        return {key: result for key, result in done.items() if all(m.status != TROUBLE for m in result.marks)}

    def append(self, key: str, result: Result) -> None:
        row = {"key": key, "by": self.digest, "result": as_dict(result)}
        with open(self.path, "ab+") as lines:
            if lines.tell() and lines.seek(-1, 2) and lines.read(1) != b"\n":
                lines.write(b"\n")
            lines.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def grades(results: list[Result], late_share: float, names: dict[str, str]) -> list[list]:
    """One row a student: points per exercise, total, what a teacher should look at, and where the student's page is."""
    ids = list(dict.fromkeys(m.exercise for r in results for m in r.marks))
    rows = [["student", "assignment", *ids, "total", "out_of", "late", "note", "feedback"]]
    for r in results:
        by = {m.exercise: m for m in r.marks}
        look = [f"{m.exercise}: {m.status}"
                for m in r.marks
                if m.status in ("forbidden", MANUAL, "grader's trouble")]
        rows.append([r.student, r.assignment, *(_points(by[i].points) if i in by else "" for i in ids),
                     _points(total(r, late_share)), _points(r.out_of), "late" if r.late else "",
                     "; ".join([*filter(None, [r.note]), *look]), f"feedback/{names[r.student]}.html"])
    return rows


def statistics_rows(results: list[Result]) -> list[list]:
    """One row an exercise: how many solved it, the mean share of its points, why some lost them."""
    rows = [["exercise", "students", "passed", "mean_share", "median_points", "commonest_trouble"]]
    for id in dict.fromkeys(m.exercise for r in results for m in r.marks):
        marks = [m for r in results for m in r.marks if m.exercise == id]
        troubles = Counter(m.reason or m.status for m in marks if m.status != "passed").most_common(3)
        rows.append([id, len(marks), sum(m.status == "passed" for m in marks),
                     f"{statistics.mean(m.points / m.out_of if m.out_of else 1.0 for m in marks):.3f}",
                     _points(statistics.median(m.points for m in marks)),
                     "; ".join(f"{n} x {t}" for t, n in troubles)])
    return rows


def summary(result: Result) -> str:
    return "; ".join(
        f"{m.exercise}: {_points(m.points)}/{_points(m.out_of)} {m.reason or m.status}" for m in result.marks)


def feedback(result: Result, late_share: float) -> str:
    """A student's page.  Remarks stay with the teacher, and so does what the hidden checks expected."""
    rows = "".join(f"<tr><td>{html.escape(m.exercise)}<td>{html.escape(m.status)}<td>{html.escape(m.reason)}"
                   f"<td class=points>{_points(m.points)} of {_points(m.out_of)}"
                   for m in result.marks)
    late = f"<p>Handed in late: {late_share:.0%} of the points count." if result.late else ""
    note = f"<p>{html.escape(result.note)}" if result.note else ""
    got = _points(total(result, late_share))
    body = (f"<p>{html.escape(result.student)}: <b>{got} of {_points(result.out_of)} points</b>{late}{note}"
            f"<table><tr><th>Exercise<th>Result<th>Why<th>Points{rows}</table>")
    return PAGE.format(title=html.escape(result.assignment), body=body)


def gradescope(result: Result, late_share: float) -> dict:
    """Gradescope's results.json: one test an exercise."""
    return {"score": total(result, late_share),
            "visibility": "visible",
            "tests": [{"name": m.exercise,
                       "score": m.points,
                       "max_score": m.out_of,
                       "status": "passed" if m.status == "passed" else "failed",
                       "output": m.reason or m.status}
                      for m in result.marks]}


def by_hand(path: str | Path, out_of: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], tuple[float, str]]:
    """Points and comments that were given by hand: a CSV with student, exercise, points and, if wished, comment.

    `out_of` has what each (student, exercise) can get.  Raises MasterError for what is not among them, by its line.
    """
    rows, given = read_table(path, ("student", "exercise", "points"), example="student,exercise,points,comment"), {}
    for line, row in enumerate(rows, 2):
        who = (row["student"], row["exercise"])
        if who not in out_of:
            raise MasterError(
                f"{Path(path).name}, line {line}: no exercise {row['exercise']} of {row['student']} is graded")
        if who in given:
            raise MasterError(f"{Path(path).name}, line {line}: exercise {row['exercise']} of {row['student']} has "
                              f"points already; which are meant?")
        try:
            points = float(row["points"].replace(",", "."))
        except ValueError:
            raise MasterError(
                f"{Path(path).name}, line {line}: {row['points']!r} is no number of points") from None
        if not 0 <= points <= out_of[who]:
            raise MasterError(
                f"{Path(path).name}, line {line}: {points:g} points of {out_of[who]:g} possible")
        given[who] = points, row.get("comment") or "graded by hand"
    return given


def add_manual(results: list[Result], path: str | Path) -> list[Result]:
    """Put points given by hand in place."""
    by = {(r.student, m.exercise): m for r in results for m in r.marks}
    for who, (points, comment) in by_hand(path, {who: mark.out_of for who, mark in by.items()}).items():
        by[who].points, by[who].status, by[who].reason = points, MANUAL, comment
    return results


def check_place(out: Path, assignment: str, students: Iterable[str]) -> None:
    """Refuse to write over grades that the new ones would not hold: of another assignment, or of other students."""
    held = out / "grades.json"
    try:
        held_now = read_json(held, [{"student": str, "assignment": str}], within=out)
        rows = [(row["student"], row["assignment"]) for row in held_now]
    except FileNotFoundError:
        return
    except ValueError:
        raise MasterError(f"{held} is not one that `minillm assign grade` wrote; choose another --out") from None
    for name, digest in _read_written(out).items():
        if (out / name).exists() and _digest(regular(out / name, within=out)) != digest:
            raise MasterError(f"{out / name} has been edited since it was written, and would be written over; give "
                              f"points of your own with --manual, and move it away or choose another --out")
    others = sorted({name for _, name in rows} - {assignment})
    gone = sorted({student for student, _ in rows} - {*students})
    if others:
        raise MasterError(f"{out} holds the grades of {others[0]}, which those of {assignment} would replace; choose "
                          f"another --out")
    if gone:
        raise MasterError(f"{out} holds grades of {gone[0]}{' and others' * (len(gone) > 1)}, of whom there is no "
                          f"submission now; grade all together, or choose another --out")


def _read_written(out: Path) -> dict[str, str]:
    try:
        held = read_json(out / WRITTEN, {str: str}, within=out)
        return {name: digest for name, digest in held.items() if disk.leads_inside(name)}
    except (OSError, ValueError):
        return {}


def keep_manual(table: str | Path | None, out: Path, assignment: str) -> Path | None:
    """The table with points given by hand: a copy of the one that is given now, or else of the last one given."""
    kept = out / f"{assignment}.manual.csv"
    if table is not None:
        return disk.write(kept, contents(table)) if Path(table).resolve() != kept.resolve() else kept
    return kept if kept.exists() else None


def _points(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(path: Path, text: str) -> Path:
    return disk.write(path, text.encode("utf-8", "backslashreplace"))


def _table(path: Path, rows: list[list]) -> Path:
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([[_harmless(x) for x in row] for row in rows])
    return _text(path, lines.getvalue())


def _harmless(value: object) -> object:
    """A spreadsheet runs a cell that starts like a formula; a student's name or error must not."""
    return "'" + value if isinstance(value, str) and value.startswith(tuple("=+-@\t\r")) else value
