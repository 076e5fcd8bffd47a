"""Tell a reader whether an answer is right, and when it is not, which mistake it looks like.

An exercise has two halves.  `exercises.py` of its lesson says what is asked, in which cases and what must hold;
`solutions.py` beside it holds the answer and what typical mistakes would give.  A course can leave the second file out
of what its students install: `check` then looks only at what must hold.
"""
from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module, util
from types import ModuleType
from typing import Any

from minillm.notebook.agreement import as_expected, difference, show_value
from minillm.notebook.judging import causes, trials
from minillm.notebook.judging.facts import facts
from minillm.notebook.judging.forbidden import uses
from minillm.notebook.judging.trials import Outcome

PASSED, WRONG, CRASHED = "passed", "wrong", "crashed"
NOT_ATTEMPTED, NOT_COMPARED = "not attempted", "not compared"
ROOMS = {  # number of a notebook -> the lesson that holds its exercises
    "01": "tokenization", "02": "positions", "03": "attention", "04": "block", "05": "architectures",
    "06": "training", "07": "inference", "08": "lora"}


@dataclass(frozen=True)
class Exercise:
    """What is asked.  `cases(random)` gives argument tuples, a hand-sized one first; None: the answer is a value.

    properties  sentence -> holds(output, *arguments): what any right answer fulfils, looked at before the values.
                Each must say True or False; where the answer is a value there are no arguments
    tolerance   of the numeric contract: 1e-5 for single operations, 1e-4 for blocks, 1e-2 (relative) for whole models
    forbid      names that an answer must not use, because they are the answer: ("torch.softmax", "minillm")
    """
    id: str
    title: str
    points: int
    minutes: int
    difficulty: str
    cases: Callable[[random.Random], Sequence[tuple]] | None = None
    properties: dict[str, Callable[..., bool]] = field(default_factory=dict)
    tolerance: float = 1e-5
    forbid: tuple[str, ...] = ()

    def __post_init__(self):
        if self.difficulty not in ("easy", "medium", "hard"):
            raise ValueError(f"exercise {self.id}: difficulty={self.difficulty!r} is not easy, medium or hard")


@dataclass(frozen=True)
class Solution:
    """The answer, and what to say about each mistake: hint -> a function (or value) that makes this mistake."""
    reference: Any
    mistakes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What `check` found: a status, the sentences for the reader, and what they rest on.

    mistake   the hint of the first listed mistake that gives the same, "" where none does
    causes    all that could be the cause: hints (two, for two mistakes at once), else changes to the reference
    facts     what is true of the answer whatever its cause
    """
    exercise: str
    status: str
    message: str
    mistake: str = ""
    causes: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()

    def __str__(self) -> str:
        mark = {PASSED: "✓", NOT_ATTEMPTED: "…", NOT_COMPARED: "…"}.get(self.status, "✗")
        return f"{mark} {self.exercise}: {self.message}"


def check(exercise: str, answer: Any) -> None:
    """Try an answer on a hand-sized case and on fresh random ones, and print one verdict."""
    print(verdict(exercise, answer))


def verdict(exercise: str | Exercise, answer: Any, *, solution: Solution | None = None,
            seeds: Sequence[int] | None = None, patience: float = trials.PATIENCE) -> Verdict:
    """Judge an answer: run every case, see what must hold, compare the values, and look for the cause."""
    asked = exercise if isinstance(exercise, Exercise) else find(exercise)
    solution = solution or _solution(asked.id)
    seeds = [0, *(random.SystemRandom().randrange(1, 2**31) for _ in range(2))] if seeds is None else seeds
    if answer is None or answer is NotImplemented or answer is ...:
        return Verdict(asked.id, NOT_ATTEMPTED, "not attempted yet. Put your answer in the cell and run it again.")
    if asked.cases is not None and not callable(answer):
        return Verdict(asked.id, WRONG, f"a function is asked for, not {show_value(answer)}; "
                                        "pass it by its name, without parentheses.")
    cases = [arguments for seed in seeds for arguments in asked.cases(random.Random(seed))] if asked.cases else [()]
    outcomes = trials.outcomes(answer, cases, patience=patience) if asked.cases else [Outcome(answer)]
    if any(isinstance(each.error, NotImplementedError) for each in outcomes):
        return Verdict(asked.id, NOT_ATTEMPTED, "not attempted yet. Replace the line `raise NotImplementedError` "
                                                "by your answer and run the cell again.")
    return _judge(asked, solution, answer, cases[:len(outcomes)], outcomes)


def find(exercise: str) -> Exercise:
    """Look an exercise up by its id, "03.2": number of the notebook, number in it."""
    here = {each.id: each for each in _exercises(exercise.partition(".")[0])}
    if exercise not in here:
        raise ValueError(f"there is no exercise {exercise!r}; this notebook has: {', '.join(here) or 'none'}")
    return here[exercise]


def registered() -> list[Exercise]:
    """All exercises of all notebooks."""
    return [each for number in ROOMS for each in _exercises(number)]


def _exercises(notebook: str) -> list[Exercise]:
    module = half(notebook, "exercises")
    return module.EXERCISES if module else []


def _solution(exercise: str) -> Solution:
    module = half(exercise.partition(".")[0], "solutions")
    return module.SOLUTIONS.get(exercise, Solution(None)) if module else Solution(None)


def half(notebook: str, name: str) -> ModuleType | None:
    """A notebook's "exercises" or "solutions"; None where its lesson has no such file."""
    room = f"minillm.lessons.{ROOMS.get(notebook)}"
    found = notebook in ROOMS and util.find_spec(room) and util.find_spec(f"{room}.{name}")
    return import_module(f"{room}.{name}") if found else None


def _judge(asked: Exercise, solution: Solution, answer: Any, cases: list[tuple], outcomes: list[Outcome]) -> Verdict:
    compared = solution.reference is not None
    expected = [_right(asked, solution, arguments) for arguments in cases] if compared else [None] * len(cases)
    problems = [_problem(asked, answer, each, arguments, right, compared)
                for each, arguments, right in zip(outcomes, cases, expected, strict=True)]
    first = next((i for i, problem in enumerate(problems) if problem), None)
    if first is None:
        return _no_problem(asked, answer, compared)
    status = CRASHED if outcomes[first].error is not None else WRONG
    spoilt = compared and any(each.error is not None or difference(each.value, right, asked.tolerance)
                              for each, right in zip(outcomes, expected, strict=True))
    hints, lines = _causes(asked, solution, cases, outcomes, expected) if spoilt else ([], [])
    mistake = hints[0] if hints and hints[0] in solution.mistakes else ""
    found = _pattern(problems) + (
        _facts(asked, solution, cases, outcomes, expected) if spoilt and not mistake else [])
    message = "\n  ".join([problems[first], *found, *lines])
    return Verdict(asked.id, status, message, mistake, tuple(hints), tuple(found))


def _right(asked: Exercise, solution: Solution, arguments: tuple) -> Any:
    return solution.reference(*copy.deepcopy(arguments)) if asked.cases else solution.reference


def _no_problem(asked: Exercise, answer: Any, compared: bool) -> Verdict:
    used = uses(answer, asked.forbid) if asked.cases else []
    if used:
        return Verdict(asked.id, WRONG, f"the values are right, but the exercise is to do without `{used[0]}`: "
                                        "graded, this scores nothing.")
    if not compared:
        return Verdict(asked.id, NOT_COMPARED, "not yet compared. What must hold does; "
                                               "whether the values are right is seen when it is graded.")
    return Verdict(asked.id, PASSED, "right.")


def _problem(asked: Exercise, answer: Any, outcome: Outcome, arguments: tuple, right: Any, compared: bool) -> str:
    """What is wrong with one case, in a sentence; "" where nothing is."""
    if outcome.late:
        return f"{trials.call(arguments)} gave no answer within {trials.PATIENCE:.0f} seconds{trials.endless(answer)}"
    if outcome.error is not None:
        return f"{trials.call(arguments)} raised {trials.told(outcome.error, answer)}"
    if outcome.value is None and not (compared and right is None):
        return f"{trials.call(arguments)} gave None{trials.without_return(answer)}"
    if outcome.altered:
        return f"{trials.call(arguments)} changed its input; work on a copy, or build a new value."
    value = as_expected(outcome.value, right) if compared else outcome.value
    gave = f"{trials.call(arguments)} gave" if asked.cases else "your answer is"
    gave = f"{gave} {show_value(value)}"
    for sentence, holds in asked.properties.items():
        if not _fulfils(holds, value, arguments):
            return f"{gave}, but {sentence}."
    differs = compared and difference(value, right, asked.tolerance)
    if not differs:
        return ""
    if not asked.cases:
        return f"{show_value(value)} is not it."
    plain = isinstance(value, (int, float, str, bytes)) and isinstance(right, (int, float, str, bytes))
    return f"{gave}, expected {show_value(right)}{'' if plain else f': {differs}'}."


def _fulfils(holds: Callable[..., bool], value: Any, arguments: tuple) -> bool:
    try:
        return bool(holds(value, *copy.deepcopy(arguments)))
    except Exception:                                  # noqa: BLE001 - an output of a wrong kind fails the property
        return False


def _causes(asked: Exercise, solution: Solution, cases: list[tuple], outcomes: list[Outcome],
            expected: list) -> tuple[list[str], list[str]]:
    """What would have given the same, and the lines that say so: listed mistakes, two of them, derived ones."""
    hints = causes.listed(solution.mistakes, cases, outcomes, asked.tolerance, called=asked.cases is not None)
    if hints or asked.cases is None:
        return hints, [f"Likely: {' Or: '.join(hints)}"] if hints else []
    together = causes.pairs(solution.mistakes, cases, outcomes, expected, asked.tolerance)
    if together:
        return list(together[0]), [f"Likely two mistakes at once: {together[0][0]} And: {together[0][1]}"]
    changes = causes.derived(solution.reference, cases, outcomes, asked.tolerance)[:2]
    return changes, [f"The same comes out when {', or when '.join(changes)}."] if changes else []


def _pattern(problems: list[str]) -> list[str]:
    right = sum(not problem for problem in problems)
    place = "not in" if problems[0] else "among them"
    return [f"Right in {right} of {len(problems)} cases, {place} the first."] if right else []


def _facts(asked: Exercise, solution: Solution, cases: list[tuple], outcomes: list[Outcome],
           expected: list) -> list[str]:
    """What is true of all values that the answer gave."""
    whole = [i for i, each in enumerate(outcomes) if each.error is None and each.value is not None]
    if solution.reference is None or not asked.cases or not whole:
        return []
    try:
        names = list(inspect.signature(solution.reference).parameters)
    except (TypeError, ValueError):
        names = []
    found = facts([outcomes[i].value for i in whole], [expected[i] for i in whole], [cases[i] for i in whole], names,
                  tolerance=asked.tolerance)
    if len(whole) == len(outcomes):
        return found
    return [each if each.startswith("Where") else f"Where it gives a value: {each[0].lower()}{each[1:]}"
            for each in found]
