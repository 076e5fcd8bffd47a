"""Run the notebooks and store them clean: all outputs, nothing that changes from run to run or tells of a machine.

`python -m minillm notebooks` runs all of them and rewrites those that changed; `--check` only says which would.
What stands elsewhere already is written into them by `derived.py`.
"""
from __future__ import annotations

import copy
import os
import re
import sys
import time
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path

import nbformat

from minillm import disk
from minillm.notebook.derived import NotebookError, address, write
from minillm.reading import contents, parse

ROOT = Path(__file__).resolve().parents[2]
LARGEST_PICTURE, LARGEST_NOTEBOOK = 100_000, 1_000_000      # bytes; GitHub shows larger ones slowly, or not at all
_VIEW = "application/vnd.jupyter.widget-view+json"
_KEPT = ("tags", "minillm", "jupyter", "cellView", "nbgrader", "editable", "deletable", "slideshow")


def tidy(notebook: nbformat.NotebookNode, name: str, home: str) -> nbformat.NotebookNode:
    """The same notebook with what is derived written anew, and without what changes from run to run."""
    notebook = copy.deepcopy(notebook)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict({
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}})
    write(notebook, name, home)
    seen: set[str] = set()
    for place, cell in enumerate(notebook.cells):
        cell.source = "\n".join(line.rstrip() for line in cell.source.split("\n")).strip("\n")
        cell.metadata = nbformat.from_dict({key: cell.metadata[key] for key in _KEPT if key in cell.metadata})
        cell.id = cell.get("id") if cell.get("id") not in {None, *seen} else f"cell-{place:03}"
        seen.add(cell.id)
        if cell.pop("attachments", None):
            raise NotebookError(f"cell {place} holds an attached picture, which GitHub and graders do not show; put "
                                f"the picture beside the notebook and link it")
        if cell.cell_type == "code":
            cell.outputs = [_clean(output) for output in _joined(cell.outputs)]
    for count, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    return notebook


def _joined(outputs: list) -> list:
    """Text that was printed in several pieces is one piece: how it was cut depends on time."""
    joined: list = []
    for output in outputs:
        before = joined[-1] if joined else {}
        if output.output_type == "stream" and before.get("name") == output.name:
            before.text += output.text
        else:
            joined.append(output)
    return joined


def _clean(output):
    if output.output_type not in ("display_data", "execute_result"):
        return output
    if "text/plain" in output.data:
        output.data.pop(_VIEW, None)              # a stored page has no kernel: its words are shown instead
    for kind in ("image/png", "image/jpeg"):
        if kind in output.data:
            output.data[kind] = output.data[kind].replace("\n", "")
            size = len(b64decode(output.data[kind]))
            if size > LARGEST_PICTURE:
                raise NotebookError(f"a picture has {size:,} bytes, and {LARGEST_PICTURE:,} are allowed: "
                                    "draw it smaller, or with fewer colours")
    return output


def execute(notebook: nbformat.NotebookNode, folder: Path, *, timeout: int = 300) -> nbformat.NotebookNode:
    """Run all cells top to bottom in a fresh kernel of this very Python; a cell that raises stops it."""
    from nbclient import NotebookClient
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    before = dict(os.environ)
    os.environ.update(JUPYTER_PREFER_ENV_PATH="1", OMP_WAIT_POLICY="passive", PYDEVD_DISABLE_FILE_VALIDATION="1",
                      PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    try:
        client = NotebookClient(notebook, timeout=timeout, kernel_name="python3", store_widget_state=False,
                                resources={"metadata": {"path": str(folder)}})
        return client.execute()
    finally:
        os.environ.clear()
        os.environ.update(before)


def rendered(notebook: nbformat.NotebookNode) -> str:
    """The text of the file."""
    text = nbformat.writes(nbformat.from_dict(notebook)) + "\n"
    if len(text.encode()) > LARGEST_NOTEBOOK:
        raise NotebookError(f"the notebook has {len(text.encode()):,} bytes, and {LARGEST_NOTEBOOK:,} are allowed")
    return text


def refresh(path: Path, *, check: bool = False, run: bool = True) -> bool:
    """Run and clean one notebook; return whether the file changed (or would, with `check`).

    The file is replaced whole or not at all.  Raises NotebookError, and leaves the file alone, when a cell fails.
    """
    from nbclient.exceptions import CellExecutionError
    try:
        stored = _text(path)
        notebook = tidy(_parsed(stored), path.stem, address())
        if run:
            notebook = tidy(execute(notebook, path.parent), path.stem, address())
        text = rendered(notebook)
    except (CellExecutionError, NotebookError, ValueError) as error:
        raise NotebookError(f"{path.name}: {_plain(str(error))}") from error
    if _text(path) != stored:
        raise NotebookError(f"{path.name} was saved by somebody else while it ran; it is left as it is now: run this "
                            f"again")
    changed = text != stored
    if changed and not check:
        disk.write(path, text)
    return changed


def _text(path: Path) -> str:
    return contents(path).decode("utf-8").replace("\r\n", "\n")


def _parsed(text: str) -> nbformat.NotebookNode:
    """A notebook of format 4, as the description of that format has it."""
    raw = parse(text, "this")
    if not isinstance(raw, dict) or raw.get("nbformat") != 4 or not raw.get("cells"):
        raise NotebookError("this is not a notebook of format 4 with cells in it")
    try:
        nbformat.validate(nbformat.from_dict(raw), relax_add_props=True)
    except (nbformat.ValidationError, AssertionError, TypeError) as error:  # the last two where no word is text
        why = (str(error) or "the version is no number").strip().splitlines()[0][:200]
        raise NotebookError(f"its cells are not as Jupyter writes them ({why}); open it there and save it again"
                            ) from None
    return nbformat.reads(text, as_version=4)


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip()


def refresh_all(names: list[str], *, check: bool = False, run: bool = True, times: bool = False) -> int:
    """Refresh the notebooks that are named, or all.  Returns 1 if one failed, or would change under `check`.

    With `times`, README.md then says how long each took here."""
    folder, trouble, seconds = ROOT / "notebooks", 0, {}
    for name in names or sorted(folder.glob("*.ipynb")):
        try:
            path, began = _locate(str(name), folder), time.perf_counter()
            changed = refresh(path, check=check, run=run)
            seconds[path.stem] = time.perf_counter() - began
        except NotebookError as error:
            print(f"minillm: {error}", file=sys.stderr)
            trouble = 1
            continue
        done = "would change: run `python -m minillm notebooks`" if check else "rewritten"
        print(f"{path.name}: {done if changed else 'unchanged'}", flush=True)
        trouble |= int(changed and check)
    if times:
        readme = ROOT / "README.md"
        disk.write(readme, timed(readme.read_text("utf-8"), seconds))
    return trouble


def timed(text: str, seconds: Mapping[str, float]) -> str:
    """A README whose table of notebooks ends with how long each took, top to bottom, and whose next line says where."""
    from minillm.precision import processor_name
    for name, taken in seconds.items():
        row = re.compile(rf"^(\| `{re.escape(name)}` \|.*\|)[^|\n]*\|$", re.M)
        text, found = row.subn(rf"\g<1> {taken:.0f} s |", text)
        if found != 1:
            raise NotebookError(f"README.md has {found} rows for {name} in its table of notebooks, where one belongs")
    where = f"Run All was timed on {os.cpu_count()} cores of this kind: {processor_name()}."
    return re.sub(r"^Run All was timed on .*$", lambda line: where, text, flags=re.M)


def _locate(name: str, folder: Path) -> Path:
    for path in (Path(name), folder / name, folder / f"{name}.ipynb"):
        if path.is_file():
            return path
    raise NotebookError(f"there is no notebook {name!r}, neither here nor in {folder}")
