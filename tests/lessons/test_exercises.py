"""Every registered exercise: its answer passes, each listed mistake is caught and named, its stub is not an answer."""
import inspect
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

from minillm import lessons
from minillm.notebook import checks
from minillm.notebook.checks import CRASHED, NOT_ATTEMPTED, PASSED, WRONG, half, registered, verdict
from minillm.notebook.explain import answer, solution

EXERCISES = {each.id: each for each in registered()}
MISTAKES = [(each, hint) for each in EXERCISES for hint in checks._solution(each).mistakes]


def test_ids_are_unique_and_tell_their_notebook():
    assert len(EXERCISES) == len(registered())
    for number in checks.ROOMS:
        asked = checks.half(number, "exercises")
        assert all(each.id.startswith(f"{number}.") for each in asked.EXERCISES) if asked else True


def test_every_lesson_that_asks_something_is_found():
    asking = {path.parent.name for path in Path(lessons.__file__).parent.glob("*/exercises.py")}
    assert asking == {room for number, room in checks.ROOMS.items() if checks.half(number, "exercises")}


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_reference_passes(exercise):
    solution = checks._solution(exercise)
    assert solution.reference is not None and solution.mistakes, "an exercise needs an answer and typical mistakes"
    for _ in range(3):
        found = verdict(exercise, solution.reference)
        assert found.status == PASSED, str(found)


@pytest.mark.parametrize("exercise, hint", MISTAKES)
def test_each_mistake_is_caught_and_named(exercise, hint):
    found = verdict(exercise, checks._solution(exercise).mistakes[hint])
    assert found.status in (WRONG, CRASHED) and found.mistake == hint, str(found)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_stub_is_not_attempted_yet(exercise):
    def stub(*inputs):
        raise NotImplementedError
    assert verdict(exercise, stub if EXERCISES[exercise].cases else None).status == NOT_ATTEMPTED


@pytest.mark.parametrize("room", [each.name for each in pkgutil.iter_modules(lessons.__path__)])
def test_a_room_offers_what_it_names_and_no_module_that_hides_it(room):
    opened = import_module(f"minillm.lessons.{room}")
    for module in pkgutil.iter_modules(opened.__path__):
        import_module(f"{opened.__name__}.{module.name}")
    for name in dir(opened):
        assert not inspect.ismodule(getattr(opened, name)), f"{name} is the module, not what it holds"


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_solution_that_is_shown_stands_alone_and_passes(exercise, capsys):
    code, space = answer(exercise), {}
    exec(compile(code, "answer", "exec"), space)
    reference = checks._solution(exercise).reference
    given = space[reference.__name__] if callable(reference) else space["answer"]
    assert verdict(exercise, given).status == checks.PASSED
    solution(exercise)
    shown = capsys.readouterr().out
    assert f"{exercise}: the solution passes." in shown and "✓" not in shown


def test_without_solutions_a_copy_says_so(monkeypatch, capsys):
    monkeypatch.setattr(checks, "half", lambda number, name: None if name == "solutions" else half(number, name))
    solution(next(iter(EXERCISES)))
    assert "no part of this copy" in capsys.readouterr().out
