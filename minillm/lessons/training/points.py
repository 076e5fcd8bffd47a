"""Read what takes too long for a page: points that ship, each made by its module's `measured`.

``python -m minillm.lessons.training.points`` makes them again (over an hour on one core; the ingredients read
Shakespeare) and rewrites points.json; names of parts behind it make those alone: ``… points patients law``.  Every
part says its seeds.
"""
from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("points.json")
PARTS = {  # part -> the module of this room, and its function, that makes it
    "patients": "breaking.measured", "race": "spectra.measured",
    "pupils": "distilling.measured", "widths": "widths.measured", "law": "scaling.measured",
    "ingredients": "ingredients.measured"}


@cache
def shipped() -> dict[str, Any]:
    """part -> what was measured, as its module's `measured` says."""
    return json.loads(FILE.read_text("utf-8"))


def short(values: Sequence[float], digits: int = 3) -> list[float]:
    """As many digits as a picture can show."""
    return [round(float(value), digits) for value in values]


def main(names: list[str]) -> None:
    import torch
    torch.set_num_threads(1)
    for name in names or PARTS:
        module, function = PARTS[name].split(".")
        found = getattr(import_module(f"minillm.lessons.training.{module}"), function)()
        before = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
        FILE.write_text(json.dumps({**before, name: found}, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
