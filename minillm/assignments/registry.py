"""Complete a master's exercises with what minillm's own registry knows of them: points, hidden cases, mistakes."""
from __future__ import annotations

import ast

from minillm.assignments.master import Check, Exercise, Master, defined
from minillm.assignments.syntax import tree_of
from minillm.notebook import checks

CASES = """\
import random as _random
from minillm.notebook.checks import find as _find
for _seed in {seeds}:
    for _arguments in _find("{id}").cases(_random.Random(_seed)):
        print({name}(*_arguments))
"""
MISTAKE = """\
from minillm.lessons.{room}.solutions import SOLUTIONS as _solutions
{name} = _solutions["{id}"].mistakes[{hint!r}]
"""


def complete(master: Master, *, seed: int) -> Master:
    """Give every exercise that is registered, and brings no hidden check of its own, the registry's.

    The hidden check prints what the answer gives for inputs drawn from `seed`, which students do not know.
    """
    for exercise in master.exercises.values():
        known = _registered(exercise.id)
        if known is None:
            continue
        exercise.minutes = exercise.minutes or known.minutes
        exercise.difficulty = exercise.difficulty or known.difficulty
        exercise.forbid = exercise.forbid or list(known.forbid)
        if any(c.hidden for c in exercise.checks) or exercise.manual:
            continue
        name = _answer_name(exercise)
        seeds = [seed * 1000 + k for k in range(1, 3)]
        source = CASES.format(seeds=seeds, id=exercise.id, name=name) if known.cases else f"print({name})\n"
        exercise.points = exercise.points or float(known.points)
        at = max([exercise.answer, *(c.cell for c in exercise.checks)])
        exercise.checks.append(Check(at, source, exercise.points, hidden=True, tolerance=known.tolerance))
        for hint in checks._solution(exercise.id).mistakes:
            exercise.mistakes[hint] = (
                MISTAKE.format(
                    room=checks.ROOMS[exercise.id.partition(".")[0]], name=name, id=exercise.id, hint=hint),
                0.0)
    return master


def registered(source: str) -> bool:
    """Is this the source of a mistake that a lesson lists?"""
    return source.startswith(MISTAKE.partition("{")[0])


def _registered(id: str) -> checks.Exercise | None:
    try:
        return checks.find(id)
    except ValueError:
        return None


def _answer_name(exercise: Exercise) -> str:
    for node in ast.walk(tree_of(exercise.stub)):  # check("01.2", name) says which name is looked at
        if (isinstance(node, ast.Call)
            and getattr(node.func, "id", "") == "check"
            and len(node.args) == 2
            and isinstance(node.args[1], ast.Name)):
            return node.args[1].id
    return defined(exercise.stub)[-1]
