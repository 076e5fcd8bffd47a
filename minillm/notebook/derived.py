"""Write into a notebook what stands elsewhere already, so that it cannot differ from there.

Badge and set-up cell come from the repository's address in pyproject.toml, headings and metadata of exercises from
the `exercises.py` of their lesson, solutions from its `solutions.py` (when the cell runs), the table of symbols from
`symbols.py`, links between notebooks from those that exist.
"""
from __future__ import annotations

import re
from itertools import cycle
from pathlib import Path

from nbformat import v4

from minillm.notebook import symbols
from minillm.notebook.checks import Exercise, registered

ROOT = Path(__file__).resolve().parents[2]
_BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
_TABLE = re.compile(r"(?m)^\| *(?:letter|symbol)\b[^\n]*\|\n(?:\|[^\n]*\|(?:\n|$))+")
_LINKED = re.compile(r"\[((?:[Nn]otebooks? )?\d\d(?: · [^\]\n]+)?)\]\(\d\d_\w+\.ipynb\)")
_NAMED = re.compile(r"(?m)^Next: (\d\d · [^,.\n]+)|\b([Nn]otebooks? \d\d)\b(?: to (\d\d)\b)?")
_ANSWER, _SOLUTION = re.compile(r"# exercise: (\S+)"), re.compile(r'solution\("([^"]+)"\)$|# @title Solution (\S+)')


class NotebookError(ValueError):
    """A notebook that cannot be stored: which cell, why, and what to do."""


def write(notebook, name: str, home: str) -> None:
    """All of it, in place."""
    _exercises(notebook)
    _address(notebook, name, home)
    _table_of_symbols(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source, name)


def address(pyproject: Path = ROOT / "pyproject.toml") -> str:
    """The repository's address, `Repository = "…"` under [project.urls]; "" while there is none."""
    section = re.search(r"(?ms)^\[project\.urls\]\s*$(.*?)(?=^\[|\Z)", pyproject.read_text("utf-8"))
    line = re.search(r'(?m)^\s*Repository\s*=\s*"([^"]+)"', section[1]) if section else None
    return line[1].removesuffix("/").removesuffix(".git") if line else ""


def badge(home: str, name: str) -> str:
    """The line that opens a notebook in Colab; only GitHub's can be opened there."""
    match = re.fullmatch(r"https://github\.com/([^/]+/[^/]+)", home)
    if not match:
        return ""
    return f"{_BADGE}(https://colab.research.google.com/github/{match[1]}/blob/main/notebooks/{name}.ipynb)"


def setup_cell(home: str) -> str:
    """The first code cell: silent wherever minillm is installed already, so everywhere but on Colab."""
    install = (f'    %pip install -q "minillm @ git+{home}"' if home else
               '    print("This copy does not know where minillm comes from: see “Google Colab” in the README.")')
    return ("# Set-up: on Google Colab this installs minillm; anywhere else it does nothing.\nimport sys\n\n"
            f'if "google.colab" in sys.modules:\n{install}')


def heading(asked: Exercise) -> str:
    """What stands above an exercise: its number and title; then points, minutes, difficulty, and what is forbidden."""
    points = f"{asked.points} point{'s' * (asked.points != 1)}"
    without = " · without " + ", ".join(f"`{name}`" for name in asked.forbid) if asked.forbid else ""
    return (f"### Exercise {asked.id}: {asked.title}\n\n"
            f"*{points} · about {asked.minutes} minutes · {asked.difficulty}{without}*")


def _exercises(notebook) -> None:
    """Write heading and metadata of each exercise, and the cell that shows its solution, folded."""
    known, asked, shown = {each.id: each for each in registered()}, [], []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        if found := _ANSWER.match(cell.source):
            asked.append((cell, found[1]))
        elif found := _SOLUTION.match(cell.source):
            shown.append((cell, found[1] or found[2]))
    for _, exercise in [*asked, *shown]:
        if exercise not in known:
            raise NotebookError(f"there is no exercise {exercise!r} in the lessons' exercises.py")
    for cell, exercise in shown:
        cell.source = f'solution("{exercise}")'
        _mark(cell, "solution", exercise=exercise, role="solution")
    for cell, exercise in asked:
        facts = known[exercise]
        _mark(cell, "exercise", exercise=exercise, role="answer", points=facts.points, minutes=facts.minutes,
              difficulty=facts.difficulty)
        place = notebook.cells.index(cell)
        before = notebook.cells[place - 1]
        if before.cell_type != "markdown":
            before = v4.new_markdown_cell("", id=f"exercise-{exercise.replace('.', '-')}")
            notebook.cells.insert(place, before)
        title = re.compile(rf"(?m)^(?:#+ |\*\*)Exercise {re.escape(exercise)}\b[^\n]*(?:\n+\*\d+ points?\b[^\n]*)?")
        if title.search(before.source):
            before.source = title.sub(lambda _, facts=facts: heading(facts), before.source, count=1)
        else:
            before.source = f"{before.source}\n\n{heading(facts)}".strip()


def _mark(cell, tag: str, **facts) -> None:
    cell.metadata["minillm"] = facts
    cell.metadata["tags"] = sorted({*cell.metadata.get("tags", []), tag})
    for old in ("jupyter", "cellView"):
        cell.metadata.pop(old, None)


def _address(notebook, name: str, home: str) -> None:
    """Write the badge below the title and the set-up cell after it."""
    title, setup = notebook.cells[0], next((c for c in notebook.cells if "setup" in c.metadata.get("tags", [])), None)
    if title.cell_type != "markdown" or setup is None:
        raise NotebookError("the first cell must be markdown with the title, and one code cell carry the tag 'setup'")
    first, *rest = re.sub(rf"\n+{re.escape(_BADGE)}[^\n]*", "", title.source).split("\n")
    shown = badge(home, name)
    title.source = "\n".join([first, *(["", shown] if shown else []), *rest])
    setup.source = setup_cell(home)


def linked(text: str, name: str, folder: Path = ROOT / "notebooks") -> str:
    """Where words name another notebook ("notebook 03", "Next: 04 · The block"), a link to it if there is one."""
    paths = {path.name[:2]: path.name for path in folder.glob("[0-9][0-9]_*.ipynb") if path.stem != name}

    def link(found: re.Match) -> str:
        words = found[0]
        for said in reversed([each for each in found.groups() if each]):
            if path := paths.get(re.search(r"\d\d", said)[0]):
                before, _, after = words.rpartition(said)
                words = f"{before}[{said}]({path}){after}"
        return words

    parts = re.split(r"(?s)(```.*?```|`[^`\n]*`)", _LINKED.sub(r"\1", text))
    return "".join(part if code else _NAMED.sub(link, part) for part, code in zip(parts, cycle([False, True])))


def equations_of(notebook) -> list[str]:
    """Every equation that a notebook shows, the library's included; not those of its table of symbols."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    texts += [output.data["text/markdown"] for cell in notebook.cells for output in cell.get("outputs", [])
              if isinstance(output.get("data", {}).get("text/markdown"), str)]
    return [each for text in texts for each in symbols.equations_in(_TABLE.sub("", text))]


def _table_of_symbols(notebook) -> None:
    """Write the rows of the course's table that this notebook needs, in place of the table in its opening."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and _TABLE.search(cell.source):
            before, after = _TABLE.split(cell.source, maxsplit=1)
            cell.source = f"{before}{symbols.table(equations_of(notebook))}\n{after}".strip("\n")
            return
