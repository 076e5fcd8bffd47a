"""Turn a notebook into an assignment, and grade what comes back."""
from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from minillm.cli.numbers import COUNT, SEED, number

if TYPE_CHECKING:
    from minillm.assignments.collect import Submission
    from minillm.assignments.grade import Grader

EXAMPLES = """\
examples:
  minillm assign lint   my_master.ipynb                    what the master still lacks
  minillm assign build  my_master.ipynb --out course/      student, solution and grading notebooks
  minillm assign verify course/grading                     solutions 100 %, blank 0 %, mistakes as listed
  minillm assign grade  submissions/ --with course/grading --out grades/
  minillm assign check  my_answers.ipynb                   before handing in: what would be missing
"""


def define(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(
        dest="verb", required=True, metavar="build | verify | grade | check | lint | list")

    def verb(name: str, does: str) -> argparse.ArgumentParser:
        return verbs.add_parser(
            name, help=does, description=f"{does[0].upper()}{does[1:]}.",
            formatter_class=parser.formatter_class)

    master = dict(metavar="MASTER", help="a notebook with exercises, ours or your own")
    verb("list", "list a master's exercises: points, minutes, difficulty, mistakes").add_argument(
        "master", **master)
    verb("lint", "say what a master still lacks").add_argument("master", **master)
    build = verb("build", "make student, solution and grading notebooks")
    build.add_argument("master", **master)
    build.add_argument(
        "--out", required=True, metavar="FOLDER", help="the folder to write student/, solution/ and grading/ into")
    build.add_argument("--no-hints", action="store_true", help="leave the hints out of the student notebook")
    build.add_argument(
        "--roster", metavar="CSV", help="with a column 'student': a notebook for each, where numbers vary")
    build.add_argument(
        "--seed",
        type=SEED,
        default=0,
        metavar="N",
        help="decides hidden inputs and variants; keep it to yourself")
    verify = verb("verify", "prove that solutions score in full, blanks nothing, mistakes what they should")
    verify.add_argument("grading", metavar="GRADING", help="the grading folder that build wrote")
    grade = verb("grade", "grade a file or a folder of submissions")
    grade.add_argument("submissions", metavar="SUBMISSIONS", help="a folder of notebooks, or one notebook")
    grade.add_argument(
        "--with",
        dest="grading",
        required=True,
        metavar="GRADING",
        help="the grading folder that build wrote")
    grade.add_argument(
        "--out", required=True, metavar="FOLDER", help="for grades.csv, feedback/, gradescope/ …")
    grade.add_argument("--jobs", type=COUNT, default=2, metavar="N", help="how many submissions at once")
    grade.add_argument("--roster", metavar="CSV",
                       help="with columns student,file,when: whose file is whose, and when it came")
    grade.add_argument(
        "--deadline",
        metavar="TIME",
        type=deadline,
        help="later files are marked late: 2026-11-30T23:59, which is UTC, or with an offset, …+02:00")
    grade.add_argument(
        "--late-share",
        type=number(float, least=0, most=1),
        default=1.0,
        metavar="SHARE",
        help="of its points, what late work keeps: 0 to 1")
    grade.add_argument(
        "--keep", choices=("last", "first"), default="last", help="which of a student's files counts")
    grade.add_argument(
        "--manual", metavar="CSV", help="with columns student,exercise,points,comment: points given by hand")
    grade.add_argument("--unsafe", action="store_true",
                       help="grade even where an answer could forge grades, read and change your files: those of "
                            "people whom you trust")
    grade.add_argument("--fresh", action="store_true", help="grade again what was graded before")
    check = verb("check", "say before handing in what would be missing")
    check.add_argument("submission", metavar="NOTEBOOK", help="the one with your answers")
    check.add_argument(
        "--with", dest="handed_out", metavar="NOTEBOOK", help="the notebook as it was handed out")


def deadline(text: str) -> datetime:
    """A point in time; without an offset it is UTC."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write it as 2026-11-30T23:59, with an offset if you like"
        ) from None
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def run(options: argparse.Namespace) -> int:
    return globals()[f"_{options.verb}"](options)


def _list(options: argparse.Namespace) -> int:
    from minillm.assignments.master import read_master
    from minillm.assignments.registry import complete

    master = complete(read_master(options.master), seed=0)
    print(f"{'exercise':12} points minutes difficulty  mistakes known")
    for e in master.exercises.values():
        print(f"{e.id:12} {e.points:6g} {e.minutes or '-':>7} {e.difficulty or '-':10}  {len(e.mistakes)}")
    print(f"{'total':12} {master.points:6g} {sum(e.minutes or 0 for e in master.exercises.values()):7}")
    return 0


def _lint(options: argparse.Namespace) -> int:
    from minillm.assignments.lint import lint_master

    found = lint_master(options.master)
    print("\n".join(found) or f"{Path(options.master).name} lacks nothing.")
    return 1 if found else 0


def _build(options: argparse.Namespace) -> int:
    from minillm.assignments.build import build
    from minillm.assignments.collect import read_roster
    from minillm.assignments.lint import lint_master
    from minillm.assignments.master import read_notebook
    from minillm.assignments.variants import choices_of

    for sentence in lint_master(options.master):
        print(f"note: {sentence}", file=sys.stderr)
    students = sorted(set(read_roster(options.roster).values())) if options.roster else []
    if students and not choices_of(read_notebook(options.master)):
        print(f"note: no number varies in {Path(options.master).name} (minillm.variants), so the roster changes "
              f"nothing: everybody gets the same notebook", file=sys.stderr)
    for path in build(options.master, options.out, hints=not options.no_hints, students=students,
                      seed=options.seed):
        print(path)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from minillm.assignments.grade import books_of
    from minillm.assignments.holes import holes
    from minillm.assignments.verify import verify

    bad = 0
    for books in books_of(options.grading).values():
        for proof in verify(books[0]):
            bad += not proof.holds
            marks = " then ".join(f"{m.points:g} ({m.status})" for m in proof.marks)
            print(f"{'ok ' if proof.holds else 'BAD'} {proof.exercise}: {proof.what}: "
                  f"expected {proof.expected:g}, got {marks}", flush=True)
        for sentence in holes(books[0]):
            print(f"warning: {sentence}", flush=True)
    print("The master grades as it should." if not bad else f"{bad} of these did not score as they should.")
    return 1 if bad else 0


def _grade(options: argparse.Namespace) -> int:
    from minillm.assignments import sandbox
    from minillm.assignments.collect import read_roster, read_times, submissions
    from minillm.assignments.grade import Grader, books_of

    if options.late_share < 1 and options.deadline is None:
        raise ValueError(f"--late-share {options.late_share:g} is for work after the deadline, and there is none; give "
                         f"it with --deadline")
    roster = read_roster(options.roster) if options.roster else None
    names, skipped = list(books_of(options.grading)), []
    times = read_times(options.roster) if options.roster else None
    found = {name: submissions(options.submissions, roster=roster, times=times, deadline=options.deadline,
                               keep=options.keep, assignment=name, others=[other for other in names if other != name],
                               skipped=skipped)
             for name in names}
    found = {name: work for name, work in found.items() if work}
    for sentence in dict.fromkeys(skipped):
        print(f"skipped: {sentence}", file=sys.stderr)
    if not found:
        raise ValueError(f"nothing in {options.submissions} is a notebook of {' or '.join(names)}; name another "
                         f"--with, or grade one by --with GRADING/NAME.ipynb")
    if not sandbox.bubblewrap() and not options.unsafe:
        raise ValueError(f"{sandbox.isolation()}; or give --unsafe if you trust everybody whose work this is")
    for name, work in found.items():
        place = Path(options.out, name) if len(found) > 1 else Path(options.out)
        code = _grade_one(options, Grader(options.grading, assignment=name), work, place, roster)
        if code:
            return code
    return 0


def _grade_one(options: argparse.Namespace, grader: Grader, work: list[Submission], out: Path,
               roster: dict[str, str] | None) -> int:
    """One assignment's submissions, graded and reported into a folder."""
    from tqdm import tqdm

    from minillm.assignments import reports, sandbox
    from minillm.assignments.grade import grade

    absent = sorted({*(roster or {}).values()} - {s.student for s in work})
    everybody = {s.student for s in work} | {*absent}
    reports.check_place(out, grader.name, everybody)
    points = {(student, id): facts["points"] for student in everybody for id, facts in grader.exercises.items()}
    if options.manual:  # a wrong line is found out now, not when all are graded
        reports.by_hand(options.manual, points)
    print(
        f"{len(work)} submissions of {grader.name}, {options.jobs} at a time; {sandbox.isolation()}.",
        file=sys.stderr)
    out.mkdir(parents=True, exist_ok=True)
    log = reports.Log(out / f"{grader.name}.done.jsonl", grader.digest)
    if options.fresh and log.path.exists():
        log.path.replace(log.path.with_suffix(".before.jsonl"))
    done = log.read()
    keys = {s.student: s.key for s in work}
    results = []
    try:
        for result in tqdm(grade(work, grader, jobs=options.jobs, done=done), total=len(work), unit="file"):
            results.append(result)
            if keys[result.student] not in done:
                log.append(keys[result.student], result)
    except KeyboardInterrupt:
        print(
            f"\nstopped after {len(results)} of {len(work)}; run the same command "
            f"{'without --fresh ' * options.fresh}to go on.", file=sys.stderr)
        return 130
    finally:
        grader.warm.close()
    results += [grader.nothing(student) for student in absent]
    by_hand = reports.keep_manual(options.manual, out, grader.name)
    if by_hand:
        reports.add_manual(results, by_hand)
        if not options.manual:
            print(f"points given by hand before still count: {by_hand}", file=sys.stderr)
    troubles: list[str] = []
    reports.write_all(results, out, late_share=options.late_share, troubles=troubles)
    for sentence in troubles:
        print(f"note: {sentence}", file=sys.stderr)
    print(f"{out / 'grades.csv'}: {len(results)} students")
    return 0


def _check(options: argparse.Namespace) -> int:
    from minillm.assignments.lint import lint_submission

    found = lint_submission(options.submission, options.handed_out)
    print("\n".join(found) or "Nothing is missing: hand it in.")
    return 1 if found else 0
