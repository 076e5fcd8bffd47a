"""Answers that nobody listed: none of the right ones is refused, none of the wrong ones passes, and most are explained.

`answers/` holds them, a module for each lesson: RIGHT {id: answers in at least three styles}, WRONG {id: {what was
done: answer}}, EQUAL {id: changes to the reference that change nothing}.  They were written from the notebooks' texts
alone, so they tell how far the checks reach beyond the mistakes that they know.
"""
import copy
import pkgutil
import random
import time
from collections import Counter
from importlib import import_module

import pytest

from minillm.notebook import checks
from minillm.notebook.checks import NOT_ATTEMPTED, NOT_COMPARED, PASSED, registered, verdict
from minillm.notebook.judging import causes
from minillm.notebook.judging.mutants import mutants
from minillm.notebook.judging.trials import Outcome
from tests.lessons import answers

TABLES = [import_module(f"{answers.__name__}.{each.name}") for each in pkgutil.iter_modules(answers.__path__)]
RIGHT = {id: given for table in TABLES for id, given in table.RIGHT.items()}
WRONG = {id: given for table in TABLES for id, given in table.WRONG.items()}
EQUAL = {id: given for table in TABLES for id, given in table.EQUAL.items()}
EXERCISES = {each.id: each for each in registered()}
ANSWERED = [id for id in EXERCISES if id in RIGHT]
SEEDS = [0, 1, 2]


@pytest.mark.parametrize("exercise", ANSWERED)
def test_no_right_answer_is_refused(exercise):
    assert len(RIGHT[exercise]) >= 3, "answers in three styles"
    for answer in RIGHT[exercise]:
        found = verdict(exercise, answer)
        assert found.status == PASSED, str(found)


@pytest.mark.parametrize("exercise", ANSWERED)
def test_no_wrong_answer_passes(exercise):
    assert len(WRONG[exercise]) >= 8, "eight wrong answers, the most typical first"
    for what, answer in WRONG[exercise].items():
        found = verdict(exercise, answer, seeds=SEEDS, patience=0.5)
        assert found.status not in (PASSED, NOT_ATTEMPTED, NOT_COMPARED), f"{what}: {found}"


def test_most_wrong_answers_are_told_a_cause_or_a_fact():
    told = Counter()
    for exercise, given in WRONG.items():
        for answer in given.values():
            found = verdict(exercise, answer, seeds=SEEDS, patience=0.5)
            told["answers"] += 1
            told["causes"] += bool(found.causes)
            told["something"] += bool(found.causes or found.facts) or any(
                words in found.message
                for words in ("return", "changed its input", "do without", "no answer", "line `"))
    assert told["answers"] >= 150
    assert told["causes"] >= 0.6 * told["answers"], told
    assert told["something"] >= 0.9 * told["answers"], told


@pytest.mark.parametrize("exercise", ANSWERED)
def test_every_small_change_to_the_reference_is_refused_or_known_to_change_nothing(exercise):
    asked, reference = EXERCISES[exercise], checks._solution(exercise).reference
    cases = [arguments for seed in range(4) for arguments in asked.cases(random.Random(seed))]
    right = [Outcome(reference(*copy.deepcopy(arguments))) for arguments in cases]
    assert set(causes.derived(reference, cases, right, asked.tolerance)) <= set(EQUAL.get(exercise, ()))


@pytest.mark.parametrize("exercise", ANSWERED)
def test_any_two_listed_mistakes_differ_in_some_case(exercise):
    asked, solution = EXERCISES[exercise], checks._solution(exercise)
    for hint, mistake in solution.mistakes.items():
        found = verdict(asked, mistake, seeds=range(4))
        assert found.causes == (hint,), f"{hint!r} is told together with {found.causes}"


@pytest.mark.parametrize("exercise", ANSWERED)
def test_at_least_eight_mistakes_are_listed(exercise):
    assert len(checks._solution(exercise).mistakes) >= 8


def test_a_check_answers_at_once():
    mutants.cache_clear()
    slow = {}
    for exercise, given in WRONG.items():
        answer = list(given.values())[-1]              # not one that waits for ever
        begun = time.process_time()                    # not the wall: the machine may be busy
        verdict(exercise, answer, seeds=SEEDS)
        slow[exercise] = time.process_time() - begun
    assert max(slow.values()) < 1.0, slow              # 0.02 to 0.2 s are usual, with the type checks of tests


def test_what_grading_forbids_is_said():
    names = {id: each.forbid for id, each in EXERCISES.items()}
    assert ".encode" in names["01.1"]
    assert "do without `.encode`" in verdict("01.1", lambda character: len(character.encode())).message
    assert "cross_entropy" in verdict("06.2", WRONG["06.2"]["PyTorch's own"]).message
    assert "torch.optim" in verdict("06.3", WRONG["06.3"]["torch.optim"]).message
