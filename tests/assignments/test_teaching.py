"""Every command of the teacher's guide does what the guide says, on the small course in place of notebook 01."""
from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import nbformat

from minillm.assignments import sandbox
from minillm.assignments.master import exercise_of
from minillm.cli import main
from tests.assignments.conftest import MASTER

GUIDE = Path(__file__).parents[2] / "notebooks" / "TEACHING.md"


def commands() -> list[list[str]]:
    """The lines of the guide's bash blocks, split into words, without the program's name."""
    blocks = re.findall(r"```bash\n(.*?)```", GUIDE.read_text("utf-8"), re.S)
    return [shlex.split(line)[1:] for block in blocks for line in block.strip().splitlines()]


def test_every_command_of_the_guide_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").mkdir()
    master = nbformat.read(MASTER, as_version=4)
    end = next(i for i, cell in enumerate(master.cells) if exercise_of(cell) not in (None, "mean"))
    master.cells = master.cells[:end]  # the first exercise is enough here
    nbformat.write(master, tmp_path / "notebooks/01_tokenization.ipynb")
    (tmp_path / "submissions").mkdir()
    seen = set()
    for words in commands():
        if words[1] == "grade":  # somebody hands in what was handed out
            shutil.copy("course/student/01_tokenization.ipynb", "submissions/ada.ipynb")
        if words[1] == "check":
            shutil.copy("course/student/01_tokenization.ipynb", "my_answers.ipynb")
        code = main(words + ["--unsafe"] * (words[1] == "grade" and not sandbox.bubblewrap()))
        out = capsys.readouterr().out
        seen.add(words[1])
        assert code == (1 if words[1] == "check" else 0), (words, out)
        assert words[1] != "check" or "exercise mean is not attempted yet" in out
    assert seen == {"lint", "build", "verify", "grade", "check", "list"}
    assert (tmp_path / "grades/feedback/ada.html").exists()


def test_what_the_guide_says_of_options_is_so(capsys):
    text = GUIDE.read_text("utf-8")
    for verb in ("build", "grade"):
        try:
            main(["assign", verb, "--help"])
        except SystemExit:
            pass
    known = capsys.readouterr().out
    for option in set(re.findall(r"`(--[a-z-]+)", text)):
        assert option in known, option
