"""Give each student other numbers, the same ones every time."""
from __future__ import annotations

import copy
import hashlib
import json
import re
from typing import Any

import nbformat

from minillm.assignments.reading import MasterError
from minillm.reading import shown

HOLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def choices_of(notebook: nbformat.NotebookNode) -> dict[str, list]:
    """What a master lets vary: its metadata's ``minillm.variants``, name -> the values to choose from."""
    choices = (notebook.metadata.get("minillm") or {}).get("variants") or {}
    if not isinstance(choices, dict) or not all(isinstance(values, list) and values for values in choices.values()):
        raise MasterError(f"the notebook's metadata have minillm.variants={shown(choices)}; write the values of each "
                          f"name in a list: {{\"n\": [3, 4, 5]}}")
    return dict(choices)


def variant_of(student: str, choices: dict[str, list], *, seed: int = 0) -> dict[str, Any]:
    """The values that a student gets: by a hash of seed, student and name, so nothing has to be remembered."""
    return {
        name: values[int.from_bytes(hashlib.sha256(f"{seed}/{student}/{name}".encode()).digest()[:8], "big")
                     % len(values)]
        for name, values in sorted(choices.items())}


def key_of(variant: dict[str, Any]) -> str:
    """A short name for a variant, for a file."""
    if not variant:
        return ""
    return hashlib.sha256(json.dumps(variant, sort_keys=True).encode()).hexdigest()[:8]


def filled(notebook: nbformat.NotebookNode, variant: dict[str, Any]) -> nbformat.NotebookNode:
    """The notebook with every ``{{name}}`` replaced.  A name without values is left as it is: it may be code."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        cell.source = HOLE.sub(lambda m: str(variant.get(m[1], m[0])), cell.source)
    return notebook
