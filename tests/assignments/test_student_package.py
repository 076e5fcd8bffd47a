"""What a student's kernel can import gives no answer away."""
from __future__ import annotations

import ast
from pathlib import Path

import pytest

from minillm import lessons
from minillm.assignments.sandbox import student_package
from minillm.notebook import checks

ROOMS = sorted(path.parent.name for path in Path(lessons.__file__).parent.glob("*/solutions.py"))
OWN = 30        # characters: what is shorter (a return, a loop's head) anybody may have written


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    return student_package(tmp_path_factory.mktemp("student")) / "minillm"


def words_of(package: Path) -> str:
    """Everything that the package says, as one text without indentation."""
    files = [path for path in package.rglob("*") if path.suffix in (".py", ".json", ".md", ".txt", ".pyc")]
    return "\n".join(line.strip() for path in files for line in
                     path.read_text(encoding="utf-8", errors="replace").splitlines())


def test_no_solutions_and_no_grader_are_in_it(package):
    names = {path.name for path in package.rglob("*.py")}
    assert {"checks.py", "exercises.py", "attention.py"} <= names
    assert not {"solutions.py", "mistakes.py", "grade.py", "build.py"} & names and not list(package.rglob("making"))


@pytest.mark.parametrize("room", ROOMS)
def test_no_line_of_an_answer_and_no_mistake_is_in_it(package, room):
    source = Path(lessons.__file__).parent / room / "solutions.py"
    words, course = words_of(package), words_of(package / "lessons") + words_of(package / "notebook")
    tree = ast.parse(source.read_text(encoding="utf-8"))
    known = checks.half({name: number for number, name in checks.ROOMS.items()}[room], "solutions").SOLUTIONS
    hints = [hint for solution in known.values() for hint in solution.mistakes]
    assert hints and not [hint for hint in hints if len(hint) > OWN and hint in words]
    answers = {solution.reference.__name__ for solution in known.values() if callable(solution.reference)}
    lines = [line.strip() for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in answers
             for line in ast.unparse(node).splitlines()[1:]]
    assert not [line for line in lines if len(line) > OWN and line in course]   # the library has the parts: `forbid`


def test_what_stands_there_would_be_found(package):
    assert "class Attention(nn.Module):" in words_of(package) and "def check(" in words_of(package / "notebook")
