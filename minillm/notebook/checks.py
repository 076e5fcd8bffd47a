"""Tell a reader whether an answer is right, and when it is not, which mistake it looks like.

An exercise has two halves.  `exercises.py` of its lesson says what is asked, in which cases and what must hold;
`solutions.py` beside it holds the answer and what typical mistakes would give.  A course can leave the second file out
of what its students install: `check` then looks only at what must hold.
"""
from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module, util
from types import ModuleType
from typing import Any

from minillm.notebook.agreement import difference, show_value

PASSED, WRONG, CRASHED, NOT_ATTEMPTED = "passed", "wrong", "crashed", "not attempted"
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
    """What `check` found: a status, the sentence for the reader, and the mistake's hint where one was recognised."""
    exercise: str
    status: str
    message: str
    mistake: str = ""

    def __str__(self) -> str:
        mark = {PASSED: "✓", NOT_ATTEMPTED: "…"}.get(self.status, "✗")
        return f"{mark} {self.exercise}: {self.message}"


def check(exercise: str, answer: Any) -> None:
    """Try an answer on a hand-sized case and on fresh random ones, and print one verdict."""
    print(verdict(exercise, answer))


def verdict(exercise: str | Exercise, answer: Any, *, solution: Solution | None = None,
            seeds: Sequence[int] | None = None) -> Verdict:
    """Judge an answer: what must hold first, then the values, then which mistake would give the same."""
    asked = exercise if isinstance(exercise, Exercise) else find(exercise)
    solution = solution or _solution(asked.id)
    seeds = [0, *(random.SystemRandom().randrange(1, 2**31) for _ in range(2))] if seeds is None else seeds
    judged = _judge(asked, answer, solution, seeds)
    return Verdict(asked.id, *judged)


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


def _judge(asked: Exercise, answer: Any, solution: Solution, seeds: Sequence[int]) -> tuple[str, str, str]:
    if answer is None or answer is NotImplemented or answer is ...:
        return NOT_ATTEMPTED, "not attempted yet. Put your answer in the cell and run it again.", ""
    if asked.cases is not None and not callable(answer):
        return WRONG, (f"a function is asked for, not {show_value(answer)}; "
                       "pass it by its name, without parentheses."), ""
    trials = [arguments for seed in seeds for arguments in asked.cases(random.Random(seed))] if asked.cases else [()]
    outputs = []
    for arguments in trials:
        given = copy.deepcopy(arguments)
        try:
            outputs.append(answer(*given) if asked.cases else answer)
        except NotImplementedError:
            return NOT_ATTEMPTED, ("not attempted yet. Replace the line `raise NotImplementedError` "
                                   "by your answer and run the cell again."), ""
        except Exception as error:                     # noqa: BLE001 - an answer may raise anything
            return CRASHED, f"{_call(arguments)} raised {type(error).__name__}: {error}", ""
        if outputs[-1] is None:
            return WRONG, f"{_call(arguments)} gave None: is a `return` missing?", ""
        if _altered(given, arguments):
            return WRONG, f"{_call(arguments)} changed its input; work on a copy, or build a new value.", ""
    problem = _first_problem(asked, solution, trials, outputs)
    if not problem:
        if solution.reference is None:
            return PASSED, "what must hold does. (The exact values are compared when it is graded.)", ""
        return PASSED, "right.", ""
    for hint, mistake in solution.mistakes.items():
        if _makes(mistake, asked, trials, outputs):
            return WRONG, f"{problem}\n  Likely: {hint}", hint
    return WRONG, problem, ""


def _first_problem(asked: Exercise, solution: Solution, trials: list[tuple], outputs: list) -> str:
    for arguments, output in zip(trials, outputs, strict=True):
        for sentence, holds in asked.properties.items():
            try:
                fulfilled = bool(holds(output, *copy.deepcopy(arguments)))
            except Exception:                          # noqa: BLE001 - an output of a wrong kind fails the property
                fulfilled = False
            if not fulfilled:
                return f"{_gave(asked, arguments, output)}, but {sentence}."
        if solution.reference is not None:
            expected = solution.reference(*copy.deepcopy(arguments)) if asked.cases else solution.reference
            differs = difference(output, expected, asked.tolerance)
            if differs:
                if not asked.cases:
                    return f"{show_value(output)} is not it."
                where = "" if _is_plain(output) and _is_plain(expected) else f": {differs}"
                return f"{_gave(asked, arguments, output)}, expected {show_value(expected)}{where}."
    return ""


def _is_plain(value: Any) -> bool:
    return isinstance(value, (int, float, str, bytes))


def _makes(mistake: Any, asked: Exercise, trials: list[tuple], outputs: list) -> bool:
    """Whether the mistake would have given these very outputs."""
    for arguments, output in zip(trials, outputs, strict=True):
        try:
            wrong = mistake(*copy.deepcopy(arguments)) if asked.cases else mistake
        except Exception:                              # noqa: BLE001 - a mistake may well crash on some case
            return False
        if difference(output, wrong, asked.tolerance):
            return False
    return True


def _altered(given: tuple, arguments: tuple) -> bool:
    """Whether a call changed what it was given; arguments that cannot be compared with their copies are let pass."""
    comparable = [not difference(copy.deepcopy(each), each, 0.0) for each in arguments]
    return any(ok and difference(now, before, 0.0)
               for ok, now, before in zip(comparable, given, arguments, strict=True))


def _call(arguments: tuple) -> str:
    shown = ", ".join(map(show_value, arguments)) or "nothing"
    return f"your function, given {f'({shown})' if len(arguments) > 1 else shown},"


def _gave(asked: Exercise, arguments: tuple, output: Any) -> str:
    return f"{_call(arguments)} gave {show_value(output)}" if asked.cases else f"your answer is {show_value(output)}"
