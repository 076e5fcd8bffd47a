"""CONTRIBUTING.md is true: its tree has every file and no other, its paths lead somewhere, its tests exist."""
from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from minillm.environment import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TREE, PROSE = re.search(r"(?s)```\n(.*?)```", PAGE)[1], re.sub(r"(?s)```\n.*?```", "", PAGE, count=1)
ADDED = dict(re.findall(r"(?s)\n### (?:an?) (\w+)\n(.*?)(?=\n### |\Z)", PAGE))
STEP = 4  # blanks by which the tree goes in


def lines_of(tree: str) -> dict[str, str]:
    """Path -> what its line says; a folder ends in a slash."""
    found, above = {}, []
    for line in tree.splitlines():
        inwards, name, said = re.fullmatch(r"( *)(\S+)\s+(\S.*)", line).groups()
        depth, rest = divmod(len(inwards), STEP)
        assert not rest and depth <= len(above), f"{line!r} stands between two depths"
        above[depth:] = [name]
        assert "".join(above) not in found, f"{line!r} is there twice"
        found["".join(above)] = said
    return found


def there(folder: str) -> set[str]:
    """The modules and folders right inside of a folder, as the tree would write them."""
    inside = [path for path in (ROOT / folder).iterdir() if not path.name.startswith((".", "_"))]
    return ({f"{folder}{path.name}/" for path in inside if path.is_dir() and any(map(Path.is_file, path.glob("*")))}
            | {f"{folder}{path.name}" for path in inside if path.suffix == ".py"})


@cache
def functions_of(module: str) -> set[str]:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def paths_in(text: str) -> set[str]:
    """What stands in backquotes or a link and is a path of this project; of a test's address, its module."""
    named = re.findall(r"`([^`\s]+)`", text) + re.findall(r"\]\(([^)#\s]+)", text)
    named += re.findall(r"(?<=\s)((?:tests|notebooks)/\S+)", text)
    kinds = r"(?:[\w.]+/)+(?:[\w.]+)?|[\w./]+\.(?:md|json|yml|toml)"
    return {path for path in (name.split("::")[0] for name in named) if re.fullmatch(kinds, path)}


def gone(paths: set[str]) -> list[str]:
    return sorted(path for path in paths if not (ROOT / path).exists() and path not in ("layers/", "tokenizer.json"))


def test_no_line_of_the_tree_names_what_is_gone():
    assert not gone(set(lines_of(TREE)))
    assert all((ROOT / path).is_dir() == path.endswith("/") for path in lines_of(TREE))


def test_the_tree_has_every_file_and_folder_of_the_library():
    first = there("minillm/")
    expected = first.union(*(there(folder) for folder in first if folder.endswith("/")))
    expected |= {"minillm/__init__.py", "minillm/__main__.py"}
    assert {path for path in lines_of(TREE) if path.startswith("minillm/") and path != "minillm/"} == expected


@pytest.mark.parametrize("folder", ["data/", "tests/"])
def test_the_tree_has_every_folder_of(folder):
    assert {path for path in there(folder) if path.endswith("/")} <= set(lines_of(TREE))


def test_every_path_that_is_named_exists():
    assert len(paths_in(PROSE)) > 30 and not gone(paths_in(PROSE))


def test_every_link_to_a_heading_finds_it():
    links = re.findall(r"\]\(([^)#\s]+)#([^)]+)\)", PAGE)
    for path, anchor in links:
        headings = re.findall(r"(?m)^#+ (.+)$", (ROOT / path).read_text(encoding="utf-8"))
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert links


def test_all_that_people_add_is_told():
    assert ADDED.keys() >= {"norm", "position", "attention", "MLP", "family", "preset", "text", "exercise", "widget",
                            "lesson"}


@pytest.mark.parametrize("thing", ADDED)
def test_what_notices_a_forgotten_place_exists(thing):
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", ADDED[thing])
    assert named and not [f"{module}::{name}" for module, name in named if name not in functions_of(module)]


def test_tables_that_are_named_stand_in_the_file_that_is_named():
    """`NORMS` in the section on norms is defined in one of the files that the section names."""
    for thing, text in ADDED.items():
        files = [ROOT / path for path in paths_in(text) if path.endswith(".py")] + [ROOT / "tests" / "test_house.py"]
        files.append(ROOT / "minillm" / "config.py")
        sources = "\n".join(file.read_text(encoding="utf-8") for file in files)
        for table in re.findall(r"`([A-Z][A-Z_]+)`", text):
            assert re.search(rf"(?m)^{table}\b", sources), f"{table}, in the section on {thing}"


def test_what_is_gone_would_be_noticed():
    assert gone({"minillm/layers/norms.py", "README.md"}) == ["minillm/layers/norms.py"]
    assert paths_in("`tests/a.py::test_b`, [c](d.md#e), `minillm/f/` and `x.y`") == {"tests/a.py", "d.md", "minillm/f/"}
    assert lines_of("a/   all\n    b.py  one\nc.md  two") == {"a/": "all", "a/b.py": "one", "c.md": "two"}
    assert "test_ruff_finds_nothing" in functions_of("tests/test_house.py")
    assert "test_ruff_finds_all" not in functions_of("tests/test_house.py")
