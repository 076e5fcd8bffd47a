"""Turn a notebook into an assignment, and grade what comes back."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path

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
        dest="verb", required=True, metavar="build | verify | grade | check | lint | list"
    )
    listing = verbs.add_parser(
        "list", help="list a master's exercises: points, minutes, difficulty, mistakes"
    )
    listing.add_argument("master")
    lint = verbs.add_parser("lint", help="say what a master still lacks")
    lint.add_argument("master")
    build = verbs.add_parser("build", help="make student, solution and grading notebooks")
    build.add_argument("master")
    build.add_argument(
        "--out", required=True, help="the folder to write student/, solution/ and grading/ into"
    )
    build.add_argument("--no-hints", action="store_true", help="leave the hints out of the student notebook")
    build.add_argument(
        "--roster", help="a CSV with a column 'student': a notebook for each, where numbers vary"
    )
    build.add_argument(
        "--seed", type=int, default=0, help="decides hidden inputs and variants; keep it to yourself"
    )
    verify = verbs.add_parser(
        "verify", help="prove that solutions score 100 %%, blank 0 %%, mistakes what they should"
    )
    verify.add_argument("grading", help="the grading folder that build wrote")
    grade = verbs.add_parser("grade", help="grade a file or a folder of submissions")
    grade.add_argument("submissions")
    grade.add_argument("--with", dest="grading", required=True, help="the grading folder that build wrote")
    grade.add_argument("--out", required=True, help="the folder for grades.csv, feedback/, gradescope/ …")
    grade.add_argument("--jobs", type=int, default=2, help="how many submissions at once")
    grade.add_argument("--roster", help="a CSV with columns student,file: whose file is whose")
    grade.add_argument("--deadline", help="2026-11-30T23:59 (UTC): later files are marked late")
    grade.add_argument(
        "--late-share", type=float, default=1.0, help="the share of its points that late work keeps"
    )
    grade.add_argument(
        "--keep", choices=("last", "first"), default="last", help="which of a student's files counts"
    )
    grade.add_argument("--manual", help="a CSV with student,exercise,points,comment: points given by hand")
    grade.add_argument("--fresh", action="store_true", help="grade again what was graded before")
    check = verbs.add_parser("check", help="say before handing in what would be missing")
    check.add_argument("submission")
    check.add_argument("--with", dest="handed_out", help="the notebook as it was handed out")


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

    for sentence in lint_master(options.master):
        print(f"note: {sentence}", file=sys.stderr)
    students = sorted(set(read_roster(options.roster).values())) if options.roster else []
    for path in build(
        options.master, options.out, hints=not options.no_hints, students=students, seed=options.seed
    ):
        print(path)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from minillm.assignments.verify import verify

    bad = 0
    for proof in verify(options.grading):
        bad += not proof.holds
        marks = " then ".join(f"{m.points:g} ({m.status})" for m in proof.marks)
        print(
            f"{'ok ' if proof.holds else 'BAD'} {proof.exercise}: {proof.what}: "
            f"expected {proof.expected:g}, got {marks}",
            flush=True,
        )
    print("The master grades as it should." if not bad else f"{bad} of these did not score as they should.")
    return 1 if bad else 0


def _grade(options: argparse.Namespace) -> int:
    import json

    from tqdm import tqdm

    from minillm.assignments import reports, sandbox
    from minillm.assignments.collect import read_roster, submissions
    from minillm.assignments.grade import Grader, grade

    deadline = (
        datetime.fromisoformat(options.deadline).replace(tzinfo=timezone.utc) if options.deadline else None
    )
    roster = read_roster(options.roster) if options.roster else None
    work = submissions(options.submissions, roster=roster, deadline=deadline, keep=options.keep)
    grader = Grader(options.grading)
    print(
        f"{len(work)} submissions of {grader.name}, {options.jobs} at a time; {sandbox.isolation()}.",
        file=sys.stderr,
    )
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    log = out / f"{grader.name}.done.jsonl"  # what is finished survives an interruption
    if options.fresh:
        log.unlink(missing_ok=True)
    done = (
        {
            row["key"]: reports.from_dict(row["result"])
            for row in map(json.loads, log.read_text("utf-8").splitlines())
        }
        if log.exists()
        else {}
    )
    digest = {s.student: s.digest + s.student for s in work}
    results = []
    try:
        with open(log, "a", encoding="utf-8") as lines:
            for result in tqdm(
                grade(work, grader, jobs=options.jobs, done=done), total=len(work), unit="file"
            ):
                results.append(result)
                if digest[result.student] not in done:
                    row = {"key": digest[result.student], "result": reports.as_dict(result)}
                    lines.write(json.dumps(row, ensure_ascii=False) + "\n")
                    lines.flush()
    except KeyboardInterrupt:
        print(
            f"\nstopped after {len(results)} of {len(work)}; run the same command to go on.", file=sys.stderr
        )
        return 130
    if options.manual:
        reports.add_manual(results, options.manual)
    reports.write_all(results, out, late_share=options.late_share)
    print(f"{out / 'grades.csv'}: {len(results)} students")
    return 0


def _check(options: argparse.Namespace) -> int:
    from minillm.assignments.lint import lint_submission

    found = lint_submission(options.submission, options.handed_out)
    print("\n".join(found) or "Nothing is missing: hand it in.")
    return 1 if found else 0
