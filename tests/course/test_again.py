"""Every cell of a notebook can be run again after all others: a reader goes back, and nothing has been overwritten."""
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from minillm.notebook.stored import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_cell_runs_again_after_all_others(path, monkeypatch):
    again(nbformat.read(path, as_version=4), path.parent, monkeypatch)


def again(notebook, folder: Path, monkeypatch) -> None:
    """Run a notebook, then each of its cells once more, from the last to the first."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    with client.setup_kernel():
        cells = [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
        for i, cell in [*cells, *reversed(cells)]:
            client.execute_cell(cell, i)


def test_a_name_that_is_two_things_is_noticed(tmp_path, monkeypatch):
    v4 = nbformat.v4
    book = v4.new_notebook(cells=[v4.new_code_cell(code) for code in ("x = [1]", "x.append(2)", "x = 3")])
    with pytest.raises(Exception, match="AttributeError"):
        again(book, tmp_path, monkeypatch)
