"""What is stored of a notebook: its outputs, and nothing that changes from run to run."""
import json
import os
import re

import nbformat
import pytest

from minillm.notebook import checks, derived, stored
from minillm.notebook.checks import Exercise
from minillm.notebook.derived import address, badge, setup_cell
from minillm.notebook.stored import NotebookError, refresh, refresh_all, tidy, timed

HOME = "https://github.com/someone/minillm"


def book(*codes):
    v4 = nbformat.v4
    setup = v4.new_code_cell("pass", metadata={"tags": ["setup"]})
    return v4.new_notebook(cells=[v4.new_markdown_cell("# A title"), setup, *map(v4.new_code_cell, codes)])


@pytest.fixture
def written(tmp_path):
    def write(notebook):
        path = tmp_path / "some.ipynb"
        nbformat.write(notebook, path)
        return path
    return write


def test_running_twice_gives_the_same_file(written):
    path = written(book("print(1)\nimport sys\nprint(2); 3"))
    assert refresh(path)
    text = path.read_bytes()
    assert not refresh(path) and path.read_bytes() == text
    cell = nbformat.read(path, 4).cells[-1]
    assert cell.execution_count == 2 and [output.output_type for output in cell.outputs] == ["stream", "execute_result"]
    assert "execution" not in cell.metadata and "widgets" not in nbformat.read(path, 4).metadata


def test_check_changes_nothing(written):
    path = written(book("1"))
    before = path.read_bytes()
    assert refresh(path, check=True) and path.read_bytes() == before


def test_a_failing_cell_is_named_and_the_file_left_alone(written):
    path = written(book("1 / 0"))
    before = path.read_bytes()
    with pytest.raises(NotebookError, match="some.ipynb: .*(?s:.)*ZeroDivisionError"):
        refresh(path)
    assert path.read_bytes() == before and not list(path.parent.glob("*.partial"))


def with_cell(**cell):
    """A notebook's text whose only cell has something else in it."""
    cell = {"cell_type": "code", "source": "", "metadata": {}, "outputs": [], "execution_count": None, "id": "a"} | cell
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]})


@pytest.mark.parametrize("text", [
    "", "{}", "[]", "no json", '{"nbformat": 3, "worksheets": []}', "[" * 100_000, '{"nbformat": 4, "cells": [3]}',
    '{"nbformat": 4, "nbformat_minor": "x", "metadata": {}, "cells": [{}]}', with_cell(source=[1.5]),
    with_cell(metadata=[]), with_cell(outputs="x"), with_cell(outputs=[{"output_type": "stream"}]),
    with_cell(cell_type=3), with_cell(source="\ud800")])
def test_what_is_no_notebook_is_refused(tmp_path, text):
    path = tmp_path / "not.ipynb"
    path.write_text(text)
    with pytest.raises(NotebookError, match="not.ipynb: "):
        refresh(path)


def test_badge_and_set_up_cell_come_from_the_address_and_go_with_it():
    with_home = tidy(book(), "01_tokenization", HOME)
    assert "blob/main/notebooks/01_tokenization.ipynb" in with_home.cells[0].source
    assert f"git+{HOME}" in with_home.cells[1].source
    assert tidy(with_home, "01_tokenization", HOME) == with_home
    without = tidy(with_home, "01_tokenization", "")
    assert without.cells[0].source == "# A title" and "git+" not in without.cells[1].source


def test_only_github_has_a_badge():
    assert badge("https://example.org/minillm", "x") == ""
    assert "git+https://example.org/m" in setup_cell("https://example.org/m")


def test_the_address_has_one_home(tmp_path):
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "x"\n[project.urls]\nHomepage = "h"\nRepository = "https://github.com/a/b.git"\n[tool]\n')
    assert address(file) == "https://github.com/a/b"
    file.write_text('[project]\n# [project.urls]\n# Repository = "https://…"\n[tool.x]\nRepository = "no"\n')
    assert address(file) == ""


def test_an_exercises_facts_are_written_from_its_registration(monkeypatch):
    asked = Exercise("99.1", "Try", points=2, minutes=7, difficulty="hard", forbid=("minillm", ".enc"))
    monkeypatch.setattr(derived, "registered", lambda: [asked])
    above, *cells = tidy(book("# exercise: 99.1\nanswer = ...", 'solution("99.1")'), "x", "").cells[2:]
    assert above.source == "### Exercise 99.1: Try\n\n*2 points · about 7 minutes · hard · without `minillm`, `.enc`*"
    assert cells[0].metadata.minillm == {"exercise": "99.1", "role": "answer", "points": 2, "minutes": 7,
                                         "difficulty": "hard"}
    assert cells[0].metadata.tags == ["exercise"] and cells[1].metadata.tags == ["solution"]
    with pytest.raises(NotebookError, match="there is no exercise '99.2'"):
        tidy(book("# exercise: 99.2"), "x", "")


@pytest.mark.parametrize("before", [
    "### Exercise 99.1", "### Exercise 99.1: another title", "**Exercise 99.1: tries.**",
    "### Exercise 99.1: Old\n\n*9 points · about 1 minutes · easy*"])
def test_a_heading_is_written_anew_where_it_stands(monkeypatch, before):
    asked = Exercise("99.1", "Try", points=1, minutes=7, difficulty="easy")
    monkeypatch.setattr(derived, "registered", lambda: [asked])
    notebook = book("# exercise: 99.1\nanswer = ...")
    notebook.cells.insert(2, nbformat.v4.new_markdown_cell(f"Some words.\n\n{before}\n\nDo it."))
    once = tidy(notebook, "x", "")
    assert once.cells[2].source == (
        "Some words.\n\n### Exercise 99.1: Try\n\n*1 point · about 7 minutes · easy*\n\nDo it.")
    assert tidy(once, "x", "") == once


def test_a_solution_of_old_is_turned_into_the_call_that_shows_it(monkeypatch):
    asked = Exercise("99.1", "Try", points=1, minutes=7, difficulty="easy")
    monkeypatch.setattr(derived, "registered", lambda: [asked])
    cells = tidy(book("# exercise: 99.1\nx = ...", "# @title Solution 99.1\nx = 1"), "x", "").cells
    assert cells[-1].source == 'solution("99.1")' and "jupyter" not in cells[-1].metadata


def test_a_picture_too_large_is_refused():
    notebook = book("1")
    notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", {"image/png": "A" * 200_000})]
    with pytest.raises(NotebookError, match="150,000 bytes"):
        tidy(notebook, "x", "")


def test_widget_views_leave_their_words():
    notebook = book("1")
    data = {stored._VIEW: {"model_id": "17"}, "text/plain": "[controls]"}
    notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", data)]
    assert tidy(notebook, "x", "").cells[-1].outputs[0].data == {"text/plain": "[controls]"}


def test_every_registered_exercise_has_its_facts():
    assert all(each.points > 0 and each.minutes > 0 and each.title for each in checks.registered())


def test_links_between_notebooks_come_from_those_that_exist(tmp_path):
    for name in ("02_b", "03_c"):
        (tmp_path / f"{name}.ipynb").touch()
    text = ("Notebook 01, notebook 02 (see notebook 03) and notebooks 02 to 03, or to 03; `notebook 02`.\n\n"
            "Next: 03 · The third one, where it ends.\nNext: 04 · None")
    linked = derived.linked(text, "01_a", tmp_path)
    assert linked == ("Notebook 01, [notebook 02](02_b.ipynb) (see [notebook 03](03_c.ipynb)) and "
                      "[notebooks 02](02_b.ipynb) to [03](03_c.ipynb), or to 03; `notebook 02`.\n\n"
                      "Next: [03 · The third one](03_c.ipynb), where it ends.\nNext: 04 · None")
    assert derived.linked(linked, "01_a", tmp_path) == linked
    (tmp_path / "03_c.ipynb").unlink()
    assert "03_c" not in derived.linked(linked, "01_a", tmp_path) and "· The third one, where" in derived.linked(
        linked, "01_a", tmp_path), "a notebook that went takes its links along"
    assert "02_b" not in derived.linked(text, "02_b", tmp_path), "none leads to itself"


def test_what_was_saved_while_it_ran_is_not_written_over(written):
    path = written(book("from pathlib import Path\npath = Path('some.ipynb')\n"
                        "path.write_text(path.read_text('utf-8').replace('A title', 'Mine'), 'utf-8');"))
    with pytest.raises(NotebookError, match="saved by somebody else while it ran.*run this again"):
        refresh(path)
    assert "# Mine" in path.read_text("utf-8")


def test_an_attached_picture_is_not_thrown_away_without_a_word(written):
    notebook = book("1")
    notebook.cells[0].attachments = {"a.png": {"image/png": "aGk="}}
    path = written(notebook)
    before = path.read_bytes()
    with pytest.raises(NotebookError, match="cell 0 holds an attached picture.*link it"):
        refresh(path, run=False)
    assert path.read_bytes() == before


TABLE = """| notebook | what | Run All |
|---|---|---|
| `some` | a \\| b | 1 min |
| `other` | c | |

Run All was timed on two cores.
"""


def test_times_stand_in_the_last_column_and_where_they_were_taken_below():
    once = timed(TABLE, {"some": 41.4, "other": 7.0})
    rows = once.splitlines()
    assert rows[2] == "| `some` | a \\| b | 41 s |" and rows[3] == "| `other` | c | 7 s |"
    assert rows[0] == TABLE.splitlines()[0] and f"{os.cpu_count()} cores" in rows[5] and "two cores" not in once
    assert timed(once, {"some": 41.4, "other": 7.0}) == once
    assert timed(TABLE, {}).splitlines()[:4] == TABLE.splitlines()[:4]


def test_a_notebook_without_a_row_is_named():
    with pytest.raises(NotebookError, match="0 rows for third"):
        timed(TABLE, {"third": 1.0})


def test_the_table_of_the_readme_has_a_row_for_every_notebook():
    readme = (stored.ROOT / "README.md").read_text(encoding="utf-8")
    names = [path.stem for path in sorted((stored.ROOT / "notebooks").glob("*.ipynb"))]
    new = timed(readme, dict.fromkeys(names, 59.6))
    assert new.count("| 60 s |") == len(names) == 8 and re.search(r"^Run All was timed on \d+ cores", new, re.M)


def test_running_with_times_writes_them(written, monkeypatch, tmp_path, capsys):
    path = written(book("1"))
    monkeypatch.setattr(stored, "ROOT", tmp_path)
    monkeypatch.setattr(stored, "refresh", lambda *given, **options: False)
    (tmp_path / "README.md").write_text(TABLE, encoding="utf-8")
    assert refresh_all([str(path)], times=True) == 0
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| `some` | a \\| b | 0 s |" in text and "| `other` | c | |" in text
