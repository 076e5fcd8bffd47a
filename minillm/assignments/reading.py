"""Read a notebook that anybody may have written: its size first, a large one in a process with limits."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat

MOST_BYTES, LARGE = 50_000_000, 2_000_000  # what is larger than the second is first read by another process
SLIM = """
import json, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (1_500_000_000,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (30,) * 2)
except ImportError:
    pass
book = json.load(open(sys.argv[1], encoding="utf-8"))
for cell in [*book.get("cells", []), *(c for sheet in book.get("worksheets", []) for c in sheet.get("cells", []))]:
    if "outputs" in cell:
        cell["outputs"] = []
    cell.pop("attachments", None)
json.dump(book, sys.stdout)
"""


class MasterError(ValueError):
    """A notebook that cannot be used as a master; the message says what to change."""


def assignment_of(path: str | Path) -> str | None:
    """Which assignment a notebook says that it is; None where it does not say, or cannot be read."""
    try:
        said = (read_notebook(path).metadata.get("minillm") or {}).get("assignment")
    except MasterError:
        return None
    return said if isinstance(said, str) else None


def read_notebook(path: str | Path, *, max_bytes: int = MOST_BYTES) -> nbformat.NotebookNode:
    """A notebook in format 4, whatever it was written in.  Raises MasterError with the reason where it is none."""
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise MasterError(f"{path} {what}; name the notebook itself, a file that ends in .ipynb")
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise MasterError(
                f"{path.name} is {size / 1e6:.0f} MB, more than {max_bytes / 1e6:.0f}; clear its "
                f"outputs and hand it in again")
        if size == 0:
            raise MasterError(f"{path.name} is empty; save the notebook and hand it in again")
        notebook = parsed(path.read_bytes() if size <= LARGE else slim(path))
    except MasterError:
        raise
    except OSError as error:
        raise MasterError(
            f"{path} cannot be read ({error.strerror}); have its permissions changed") from error
    except Exception as error:
        raise MasterError(
            f"{path.name} is not a Jupyter notebook ({type(error).__name__}); hand in the .ipynb file itself"
        ) from error
    if not isinstance(notebook.get("cells"), list):
        raise MasterError(f"{path.name} has no cells; hand in the .ipynb file itself")
    notebook.metadata = _ours(notebook.get("metadata"))
    notebook.cells = [cell for cell in notebook.cells if isinstance(cell, dict)]
    for cell in notebook.cells:
        source, kind = cell.get("source"), cell.get("cell_type")
        source = "".join(filter(_is_text, source)) if isinstance(source, list) else source if _is_text(source) else ""
        cell.source, cell.metadata = source.replace("\r\n", "\n").replace("\r", "\n"), _ours(cell.get("metadata"))
        cell.cell_type = kind if _is_text(kind) else "raw"
    return notebook


def _ours(metadata: object) -> nbformat.NotebookNode:
    """Metadata without what is not as minillm, nbgrader or Jupyter writes it: whoever wrote it did not speak to us."""
    kept = metadata if isinstance(metadata, dict) else nbformat.NotebookNode()
    for owner in ("minillm", "nbgrader"):
        if not isinstance(kept.get(owner, {}), dict):
            del kept[owner]
    if "tags" in kept:
        kept["tags"] = [tag for tag in kept["tags"] if _is_text(tag)] if isinstance(kept["tags"], list) else []
    return kept


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def parsed(text: bytes) -> nbformat.NotebookNode:
    """A notebook in format 4 from its JSON.  Half a character, which no file could hold, is a question mark."""
    plain = text.decode("utf-8")
    if "\\ud" in plain.lower():
        plain = json.dumps(json.loads(plain), ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
    return nbformat.from_dict(nbformat.reads(plain, as_version=4))  # format 3 has nodes of its own kind


def slim(path: Path) -> bytes:
    """A large notebook without its outputs, as another process reads it, which may use so much memory and no more."""
    read = subprocess.run([sys.executable, "-I", "-c", SLIM, str(path)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=120)
    if read.returncode or len(read.stdout) > 4 * LARGE:
        raise MasterError(f"{path.name} is no notebook, or has more than {4 * LARGE / 1e6:g} MB besides its outputs")
    return read.stdout
