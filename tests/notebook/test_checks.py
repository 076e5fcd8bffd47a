"""What `check` says: right, wrong and why, which mistake, not attempted."""
import importlib
import subprocess
import sys
import time

import pytest
import torch

from minillm.notebook import checks
from minillm.notebook.checks import Exercise, Solution, verdict
from minillm.notebook.judging.trials import TooLate, within

MEAN = Exercise("99.1", "Average", points=1, minutes=5, difficulty="easy",
                cases=lambda random: [([1.0, 2.0, 6.0],), ([random.uniform(0, 9) for _ in range(5)],)],
                properties={"the mean lies between the smallest and the largest":
                            lambda out, numbers: min(numbers) <= out <= max(numbers)})
ANSWER = Solution(lambda numbers: sum(numbers) / len(numbers),
                  {"you took the middle one, which is the median": lambda numbers: sorted(numbers)[len(numbers) // 2],
                   "you forgot to divide": sum})


def judged(answer, exercise=MEAN, solution=ANSWER, **options):
    return verdict(exercise, answer, solution=solution, **options)


def test_a_right_answer_passes():
    assert judged(lambda numbers: sum(numbers) / len(numbers)).status == checks.PASSED


def test_a_stub_is_not_attempted_yet():
    def stub(numbers):
        raise NotImplementedError
    assert judged(stub).status == checks.NOT_ATTEMPTED
    assert "not attempted yet" in str(judged(stub))


@pytest.mark.parametrize("hint", ANSWER.mistakes)
def test_each_mistake_is_named(hint):
    found = judged(ANSWER.mistakes[hint])
    assert (found.status, found.mistake) == (checks.WRONG, hint)
    assert hint in found.message


def test_an_unknown_mistake_is_shown_with_what_was_expected():
    found = judged(lambda numbers: sum(numbers) / len(numbers) + 0.5)
    assert found.status == checks.WRONG and not found.mistake
    assert "gave 3.5, expected 3." in found.message


def test_a_property_speaks_before_the_values():
    assert "the mean lies between" in judged(lambda numbers: -1.0).message


def test_a_mistake_must_agree_on_every_case():
    def right_once(numbers):
        return 2.0 if numbers == [1.0, 2.0, 6.0] else 0.0     # the median of the first case only
    assert judged(right_once).mistake == ""


@pytest.mark.parametrize("answer, said", [
    (lambda numbers: print(end=""), "gave None."),
    (lambda numbers: numbers.sort() or sum(numbers[1:]) / 0.9, ""),
    (lambda numbers: numbers.pop(), "changed its input"),
    (lambda numbers: numbers / 3, "raised TypeError"),
    (3.0, "a function is asked for, not 3"),
    (lambda numbers: torch.tensor([sum(numbers) / 3]), "a Tensor instead of a float"),
])
def test_usual_slips_are_told_apart(answer, said):
    found = judged(answer, seeds=[0])
    assert found.status in (checks.WRONG, checks.CRASHED) and said in found.message


def test_none_for_an_answer_is_not_attempted():
    assert judged(None).status == checks.NOT_ATTEMPTED


def test_a_value_can_be_asked_for():
    asked = Exercise("99.2", "How many?", points=1, minutes=1, difficulty="easy")
    solution = Solution(42, {"you counted the zeros too": 50})
    assert judged(42, asked, solution).status == checks.PASSED
    assert judged(50, asked, solution).mistake == "you counted the zeros too"
    assert judged(7, asked, solution).message == "7 is not it."


def test_without_the_solutions_only_properties_are_looked_at():
    assert judged(lambda numbers: 1.0 * max(numbers), solution=Solution(None)).status == checks.NOT_COMPARED
    assert judged(lambda numbers: -1.0, solution=Solution(None)).status == checks.WRONG


def test_fresh_cases_catch_an_answer_that_knows_the_first():
    def remembered(numbers):
        return 3.0
    assert judged(remembered).status == checks.WRONG


def test_check_prints_one_verdict(capsys, monkeypatch):
    monkeypatch.setattr(checks, "find", lambda exercise: MEAN)
    monkeypatch.setattr(checks, "_solution", lambda exercise: ANSWER)
    checks.check("99.1", sum)
    printed = capsys.readouterr().out
    assert printed.startswith("✗ 99.1: your function, given [1, 2, 6], gave 9, but the mean lies between")
    assert printed.rstrip().endswith("Likely: you forgot to divide")


def test_an_unknown_exercise_is_refused():
    with pytest.raises(ValueError, match="there is no exercise '98.7'"):
        checks.find("98.7")


def test_no_late_interrupt_strikes_what_comes_after():
    """The clock and the answer end at the same moment, again and again: nothing is raised outside."""
    def busy(seconds):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    kept, usual = [], sys.getswitchinterval()
    sys.setswitchinterval(1e-4)                        # so that the clock's thread has its turn in time
    try:
        for turn in range(300):
            try:
                within(0.002, busy, 0.0015 + 0.00001 * (turn % 100))
            except TooLate as error:
                kept.append(error)                     # and with it the frames that it went through
        busy(1.5)                                      # as long as the watch would try again
    finally:
        sys.setswitchinterval(usual)
    assert 0 < len(kept) < 300


def test_an_import_that_is_under_way_is_let_finish(tmp_path, monkeypatch):
    (tmp_path / "slow_to_load.py").write_text("import time\nbegun = True\ntime.sleep(0.3)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)

    def answer():
        module = importlib.import_module("slow_to_load")
        while module.whole:
            pass
    with pytest.raises(TooLate):
        within(0.1, answer)
    assert sys.modules.pop("slow_to_load").whole


def test_a_debugger_works_after_a_check():
    """A strike that was taken back, not taken, would leave CPython 3.11 hanging in the first traced call."""
    code = ("import sys, time\nfrom minillm.notebook.judging.trials import TooLate, within\n"
            "def busy(end):\n    while time.perf_counter() < end: pass\n"
            "sys.setswitchinterval(1e-4)\nlate = 0\n"
            "for i in range(100):\n    try: within(0.002, busy, time.perf_counter() + 0.0015 + 1e-5 * i)\n"
            "    except TooLate: late += 1\n"
            "seen = []\nsys.settrace(lambda frame, event, given: seen.append(event))\n"
            "busy(0.0)\nsys.settrace(None)\nprint(0 < late < 100, seen[0])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["True", "call"], done.stderr
