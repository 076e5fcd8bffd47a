"""Complete a master's exercises with what minillm's own registry knows of them: points, hidden cases, mistakes."""
from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable

from minillm.assignments.master import Check, Exercise, Master, MasterError, defined
from minillm.assignments.syntax import tree_of
from minillm.notebook import checks
from minillm.notebook.agreement import difference

TRIES = 60  # seeds that are tried before a mistake is said to show nowhere

CASES = """\
import copy as _copy
import random as _random
from minillm.notebook.judging.trials import altered as _altered
from minillm.lessons.{room}.exercises import EXERCISES as _exercises
_cases = next(_each.cases for _each in _exercises if _each.id == "{id}")
for _seed in {seeds}:
    for _arguments in _cases(_random.Random(_seed)):
        _given = _copy.deepcopy(_arguments)
        print({name}(*_given), _altered(_given, _arguments))
"""
MISTAKE = """\
from minillm.lessons.{room}.solutions import SOLUTIONS as _solutions
{name} = _solutions["{id}"].mistakes[{hint!r}]
"""


def complete(master: Master, *, seed: int, telling: bool = False) -> Master:
    """Give every exercise that is registered, and brings no hidden check of its own, the registry's.

    The hidden check prints what the answer gives for inputs drawn from `seed`, which students do not know, and whether
    it changed them; `telling`: for as many as it takes for each listed mistake to show (MasterError where none does).
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
        seeds = _telling(known, seed) if telling and known.cases else [seed * 1000 + k for k in range(1, 3)]
        room = checks.ROOMS[exercise.id.partition(".")[0]]
        source = (CASES.format(room=room, seeds=seeds, id=exercise.id, name=name) if known.cases
                  else f"print({name})\n")
        exercise.points = exercise.points or float(known.points)
        at = max([exercise.answer, *(c.cell for c in exercise.checks)])
        exercise.checks.append(Check(at, source, exercise.points, hidden=True, tolerance=known.tolerance))
        for hint in checks._solution(exercise.id).mistakes:
            exercise.mistakes[hint] = (
                MISTAKE.format(room=room, name=name, id=exercise.id, hint=hint), 0.0)
    return master


def _telling(known: checks.Exercise, seed: int) -> list[int]:
    """Seeds for the hidden cases: two, and others where a listed mistake gives in all of these what is right."""
    solution, seeds = checks._solution(known.id), []
    unseen = dict(solution.mistakes)
    for k in range(1, TRIES):
        drawn = seed * 1000 + k
        shown = {hint for hint, wrong in unseen.items() if _shows(known, solution.reference, wrong, drawn)}
        unseen = {hint: wrong for hint, wrong in unseen.items() if hint not in shown}
        if k <= 2 or shown:
            seeds.append(drawn)
        if k >= 2 and not unseen:
            return seeds
    raise MasterError(f"no hidden case of exercise {known.id} shows the mistake {next(iter(unseen))!r}; build with "
                      f"another --seed")


def _shows(known: checks.Exercise, reference: Callable, wrong: Callable, seed: int) -> bool:
    """Whether a mistake gives anything else than the reference in some case."""
    for arguments in known.cases(random.Random(seed)):
        try:
            if difference(wrong(*copy.deepcopy(arguments)), reference(*copy.deepcopy(arguments)), known.tolerance):
                return True
        except Exception:  # noqa: BLE001 - it fails where the reference does not
            return True
    return False


def registered(source: str) -> bool:
    """Is this the source of a mistake that a lesson lists?"""
    return source.startswith(MISTAKE.partition("{")[0])


def _registered(id: str) -> checks.Exercise | None:
    try:
        return checks.find(id)
    except ValueError:
        return None


def _answer_name(exercise: Exercise) -> str:
    try:
        tree, names = tree_of(exercise.stub), defined(exercise.stub)
    except SyntaxError as error:
        raise MasterError(f"the answer cell of exercise {exercise.id} is no Python ({error.msg}); write it so that it "
                          f"can be run") from None
    for node in ast.walk(tree):  # check("01.2", name) says which name is looked at
        if (isinstance(node, ast.Call)
            and getattr(node.func, "id", "") == "check"
            and len(node.args) == 2
            and isinstance(node.args[1], ast.Name)):
            return node.args[1].id
    if not names:
        raise MasterError(f"the answer cell of exercise {exercise.id} defines nothing; name what is asked for in it")
    return names[-1]
