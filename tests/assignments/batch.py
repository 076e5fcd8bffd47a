"""Grade many made-up submissions and hold every outcome against what it must be.

    python -m tests.assignments.batch --count 300

Right, wrong, blank, hostile and broken submissions of the small course, drawn from a seed; graded twice.  Prints how
long it took and whatever came out otherwise than expected.
"""
from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from minillm.assignments import reports
from minillm.assignments.build import build
from minillm.assignments.collect import submissions
from minillm.assignments.grade import Grader, Result, grade
from minillm.assignments.sandbox import Limits, isolation
from tests.assignments.conftest import MASTER, answered


def read_answers() -> dict[str, list[tuple[str, float, str | None]]]:
    """Exercise -> [(answer, points, status)]; the common variant's factor is put in for FACTOR."""
    found: dict[str, list] = {}
    for text in Path(__file__).with_name("answers.txt").read_text("utf-8").split("\n==== ")[1:]:
        first, _, source = text.partition("\n")
        exercise, points, status = first.split(" ", 2)
        found.setdefault(exercise, []).append((source, float(points), None if status == "?" else status))
    return found


ANSWERS = read_answers()
BROKEN = {
    "empty": lambda path, notebook: path.write_bytes(b""),
    "not JSON": lambda path, notebook: path.write_text("%PDF-1.4 dissertation"),
    "JSON of something else": lambda path, notebook: path.write_text('{"cells": 3}'),
    "another notebook": lambda path, notebook: nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]), path),
    "far too large": lambda path, notebook: path.write_bytes(b" " * 51_000_000)}


@dataclass
class Expected:
    """What a made-up submission must score, and with which status, where one is certain."""

    points: dict[str, float]
    status: dict[str, str | None] = field(default_factory=dict)


def make(folder: Path, handed_out: nbformat.NotebookNode, factor: int, count: int, seed: int
         ) -> dict[str, Expected]:
    """Write `count` submissions; returns what each of them must score."""
    rng, expected = random.Random(seed), {}
    for number in range(count):
        student, path = f"student{number:03}", folder / f"student{number:03}__small_course.ipynb"
        if rng.random() < 0.12:
            kind = rng.choice(list(BROKEN))
            BROKEN[kind](path, handed_out)
            expected[student] = Expected(dict.fromkeys(ANSWERS, 0.0), dict.fromkeys(ANSWERS, "not found"))
            continue
        chosen = {id: rng.choice([*several, (None, 0, "not attempted")]) for id, several in ANSWERS.items()}
        notebook = answered(
            handed_out,
            {
                id: f"# exercise: {id}\n" + a.replace("FACTOR", str(factor))
                for id, (a, _, _) in chosen.items()
                if a})
        want = Expected(
            {id: float(p) for id, (_, p, _) in chosen.items()}, {id: s for id, (_, _, s) in chosen.items()})
        twist = rng.choice(["none", "colab", "shuffled", "extra", "copied", "twice", "no kernel", "format 3"])
        disturb(notebook, twist, rng)
        if twist == "twice":
            want.points["count"], want.status["count"] = 0.0, "not found"
        path.write_text(json.dumps(nbformat.convert(notebook, 3) if twist == "format 3" else notebook))
        expected[student] = want
    return expected


def disturb(notebook: nbformat.NotebookNode, twist: str, rng: random.Random) -> None:
    """What editors and people do to a notebook on its way."""
    answer = next(
        c for c in notebook.cells if c.source.startswith("# exercise: count") or "count_words" in c.source
    )
    if twist == "colab":  # metadata gone, ids gone
        for cell in notebook.cells:
            if (
                not cell.source.startswith("# exercise:")
                and "count_words(text)" in cell.source
                and "def" in cell.source):
                cell.source = "# exercise: count\n" + cell.source
            cell.metadata = nbformat.from_dict({})
    elif twist == "shuffled":
        rng.shuffle(notebook.cells)
    elif twist == "extra":
        notebook.cells.insert(0, nbformat.v4.new_code_cell("import this\nmine = 1"))
    elif twist == "copied":
        notebook.cells.append(nbformat.from_dict({**answer, "id": "copied"}))
    elif twist == "twice":
        again = nbformat.from_dict({**answer, "id": "again"})
        again.source = answer.source + "\n# another try\nx = 1"
        notebook.cells.append(again)
    elif twist == "no kernel":
        notebook.metadata.pop("kernelspec", None)


def surprises(results: list[Result], expected: dict[str, Expected]) -> list[str]:
    """Every outcome that is not as it must be."""
    found = []
    for result in results:
        want = expected[result.student]
        for mark in result.marks:
            if mark.exercise in want.points and (
                mark.points != want.points[mark.exercise]
                or want.status.get(mark.exercise) not in (None, mark.status)):
                found.append(
                    f"{result.student} {mark.exercise}: expected {want.points[mark.exercise]:g} "
                    f"({want.status.get(mark.exercise)}), got {mark.points:g} ({mark.status}: {mark.reason})")
    return found


def main(count: int, seed: int, jobs: int, rounds: int = 2) -> int:
    print(f"{count} submissions; {isolation()}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        build(MASTER, scratch / "course", seed=7)
        handed_out = nbformat.read(scratch / "course/student/small_course.ipynb", as_version=4)
        factor = handed_out.metadata.minillm.variant.factor
        (scratch / "in").mkdir()
        expected = make(scratch / "in", handed_out, factor, count, seed)
        tables, bad = [], []
        for again in range(rounds):
            start = time.monotonic()
            grader = Grader(
                scratch / "course/grading",
                limits=Limits(wall_seconds=60.0, cell_seconds=10.0, data_bytes=2_000_000_000))
            results = list(grade(submissions(scratch / "in"), grader, jobs=jobs))
            reports.write_all(results, scratch / f"out{again}")
            tables.append((scratch / f"out{again}/grades.json").read_text())
            bad += surprises(results, expected)
            print(
                f"round {again + 1}: {len(results)} graded in {time.monotonic() - start:.0f} s, "
                f"{len(grader._judged)} different answers executed",
                flush=True)
        if len(set(tables)) > 1:
            bad.append("the rounds gave different grades")
    print("\n".join(bad) or f"every outcome as expected, in {rounds} rounds, identically")
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    sys.exit(main(options.count, options.seed, options.jobs))
