"""Every registered exercise: its answer passes, each listed mistake is caught and named, its stub is not an answer."""
import inspect
import json
import pkgutil
import random
import re
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


def test_a_room_with_a_name_that_its_module_would_hide_is_refused():
    with pytest.raises(ValueError, match="race is a module's name and something in it"):
        lessons.lazily("room", race="race winner")


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


NOTEBOOKS = {path.name[:2]: json.loads(path.read_text("utf-8"))["cells"]
             for path in (Path(__file__).parents[2] / "notebooks").glob("0[1-8]_*.ipynb")}
STORED = [id for id in EXERCISES if id[:2] in NOTEBOOKS and id[:2] < "07"]


def before(exercise: str) -> tuple[str, str]:
    """What is read before an answer is given, outputs too; and the exercise's own text and stub."""
    stored = NOTEBOOKS[exercise[:2]]
    cells = ["".join(cell["source"]) for cell in stored]
    at = next(i for i, cell in enumerate(cells) if cell.startswith(f"# exercise: {exercise}\n"))
    shown = [json.dumps(cell.get("outputs", [])) for cell in stored[:at]]
    return "\n".join([*cells[:at + 1], *shown]), "\n".join(cells[at - 1:at + 1])


@pytest.mark.parametrize("exercise", STORED)
def test_what_is_forbidden_stands_in_the_exercises_text(exercise):
    _, text = before(exercise)
    assert all(f"`{name}`" in text for name in EXERCISES[exercise].forbid), EXERCISES[exercise].forbid


@pytest.mark.parametrize("exercise", STORED)
def test_a_stub_says_what_it_gives(exercise):
    _, text = before(exercise)
    if EXERCISES[exercise].cases is not None:
        assert re.search(r'def .*:\n    r?"""\S', text)


def strings(value) -> list[str]:
    if isinstance(value, str):
        return [value]
    inside = [*value, *value.values()] if isinstance(value, dict) else value
    return [each for one in inside for each in strings(one)] if isinstance(inside, (list, tuple, set)) else []


@pytest.mark.parametrize("exercise", STORED)
def test_every_name_in_the_cases_was_seen_before_it_is_asked_for(exercise):
    """A name like `model.lm_head.weight`: each of its parts stands in an earlier cell, since no text explains it."""
    asked, (seen, _) = EXERCISES[exercise], before(exercise)
    cases = asked.cases(random.Random(0)) if asked.cases else []
    names = {each for each in strings(list(cases)) if re.fullmatch(r"[a-z]\w*([._]\w+)+", each)}
    parts = {part for each in names for part in each.split(".") if not part.isdigit()}
    assert [part for part in sorted(parts) if part not in seen] == []
