"""Answers that nobody listed: none of the right ones is refused, none of the wrong ones passes, and most are explained.

`answers/` holds them, a module for each lesson: RIGHT {id: answers in at least three styles}, WRONG {id: {what was
done: answer}}, EQUAL {id: changes to the reference that change nothing}.  They were written from the notebooks' texts
alone, so they tell how far the checks reach beyond the mistakes that they know.
"""
import copy
import functools
import itertools
import pkgutil
import random
from collections import Counter
from importlib import import_module

import pytest

from minillm.notebook import checks
from minillm.notebook.checks import NOT_ATTEMPTED, NOT_COMPARED, PASSED, registered, verdict
from minillm.notebook.judging import causes
from minillm.notebook.judging.trials import Outcome
from tests.lessons import answers

TABLES = [import_module(f"{answers.__name__}.{each.name}") for each in pkgutil.iter_modules(answers.__path__)]


def joined(table: str) -> dict:
    return {id: given for each in TABLES for id, given in getattr(each, table, {}).items()}


RIGHT, WRONG, EQUAL, TOLD = map(joined, ("RIGHT", "WRONG", "EQUAL", "TOLD"))
EXERCISES = {each.id: each for each in registered()}
ANSWERED = [id for id in EXERCISES if id in RIGHT]
SEEDS = [0, 1, 2]


@functools.cache
def judged(exercise: str, what: str):
    """The verdict on a wrong answer; each is looked for once, however many tests ask."""
    return verdict(exercise, WRONG[exercise][what], seeds=SEEDS, patience=3.0)


@pytest.mark.parametrize("exercise", ANSWERED)
def test_no_right_answer_is_refused(exercise):
    assert len(RIGHT[exercise]) >= 3, "answers in three styles"
    for answer in RIGHT[exercise]:
        found = verdict(exercise, answer)
        assert found.status == PASSED, str(found)


@pytest.mark.parametrize("exercise", ANSWERED)
def test_no_wrong_answer_passes(exercise):
    assert len(WRONG[exercise]) >= 8, "eight wrong answers, the most typical first"
    for what in WRONG[exercise]:
        found = judged(exercise, what)
        assert found.status not in (PASSED, NOT_ATTEMPTED, NOT_COMPARED), f"{what}: {found}"


@pytest.mark.parametrize("exercise", TOLD)
def test_the_cause_that_is_told_is_the_one(exercise):
    for what, words in TOLD[exercise].items():
        assert words in str(judged(exercise, what)), f"{what}: {judged(exercise, what)}"


def test_most_wrong_answers_are_told_a_cause_or_a_fact():
    rates = {}
    for table in TABLES:
        found = [judged(exercise, what) for exercise, given in table.WRONG.items() for what in given]
        something = [bool(each.causes or each.facts) or any(
            words in each.message for words in ("return", "changed its input", "do without", "no answer", "line `"))
            for each in found]
        rates[table.__name__] = (sum(bool(each.causes) for each in found), sum(something), len(found))
    assert all(causes >= 0.5 * n and told >= 0.85 * n for causes, told, n in rates.values()), rates
    causes, told, n = map(sum, zip(*rates.values(), strict=True))
    assert n >= 150 and causes >= 0.6 * n and told >= 0.9 * n, rates


@pytest.mark.parametrize("exercise", ANSWERED)
def test_every_small_change_to_the_reference_is_refused_or_known_to_change_nothing(exercise):
    asked, reference = EXERCISES[exercise], checks._solution(exercise).reference
    cases = [arguments for seed in range(4) for arguments in asked.cases(random.Random(seed))]
    right = [Outcome(reference(*copy.deepcopy(arguments))) for arguments in cases]
    assert set(causes.derived(reference, cases, right, asked.tolerance)) <= set(EQUAL.get(exercise, ()))


@pytest.mark.parametrize("exercise", ANSWERED)
def test_any_two_listed_mistakes_differ_in_some_case(exercise):
    asked, solution = EXERCISES[exercise], checks._solution(exercise)
    cases = [arguments for seed in range(4) for arguments in asked.cases(random.Random(seed))]
    given = {hint: list(causes.run(mistake, cases)) for hint, mistake in solution.mistakes.items()}
    for (hint, mine), (other, theirs) in itertools.combinations(given.items(), 2):
        assert not causes.alike(mine, theirs, asked.tolerance), f"{hint!r} is told together with {other!r}"


@pytest.mark.parametrize("exercise", ANSWERED)
def test_at_least_eight_mistakes_are_listed(exercise):
    assert len(checks._solution(exercise).mistakes) >= 8


def test_a_check_answers_at_once(monkeypatch):
    """Counted, not timed: a verdict runs the listed and derived mistakes some hundred times, each in microseconds."""
    runs, once = Counter(), causes._once
    for exercise, given in WRONG.items():
        def counted(function, arguments, exercise=exercise):
            runs[exercise] += 1
            return once(function, arguments)
        monkeypatch.setattr(causes, "_once", counted)
        verdict(exercise, list(given.values())[-1], seeds=SEEDS)       # not one that waits for ever
    assert 1000 < runs.total() and max(runs.values()) < 600, runs


def test_what_grading_forbids_is_said():
    names = {id: each.forbid for id, each in EXERCISES.items()}
    assert ".encode" in names["01.1"]
    assert "do without `.encode`" in verdict("01.1", lambda character: len(character.encode())).message
    assert "cross_entropy" in verdict("06.2", WRONG["06.2"]["PyTorch's own"]).message
    assert "torch.optim" in verdict("06.3", WRONG["06.3"]["torch.optim"]).message
