"""Hold the house together: floors, names, shapes and sizes, read from the source."""
from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from torch import nn

import minillm
from minillm.environment import ROOT

PACKAGE = ROOT / "minillm"
FLOORS = {  # a module imports from lower floors only; see also WITHIN
    "environment": 0, "fields": 0, "config": 0, "cache": 0, "tokenizers": 0, "corpora": 0, "precision": 0,
    "disk": 0, "meter": 0, "reading": 0, "waiting": 0, "allocation": 0, "surprise": 0,
    "presets": 1, "layers": 1, "kept": 1, "model": 2, "quick": 3,
    "data": 4, "conversation": 4, "optim": 4, "training": 4, "sampling": 4, "inspection": 4, "lora": 4, "costs": 4,
    "quantized": 4, "weights": 4,
    "checkpoints": 5, "drafts": 5, "answering": 5, "preferences": 5, "copying": 5, "speculation": 5, "recipes": 5,
    "pretrained": 5, "ejection": 5,
    "notebook": 6, "lessons": 7, "assignments": 8, "cli": 9, "__main__": 10, "__init__": 10,
}
WITHIN = {  # the few imports between modules of one floor
    ("config", "fields"), ("cache", "config"),
    ("reading", "disk"), ("tokenizers", "reading"),
    ("tokenizers", "disk"), ("corpora", "disk"), ("corpora", "reading"), ("corpora", "waiting"),
    ("tokenizers", "waiting"),
    ("environment", "disk"), ("pretrained", "checkpoints"),
    ("conversation", "data"), ("quantized", "lora"),
}
SHOWING = {"matplotlib", "seaborn", "ipywidgets", "IPython", "pandas"}  # heavy: they load lazily, where the course is
AXES = set("batch seq query key head kv_head group d_head d_model d_ff vocab expert layer".split())
LOCAL_AXES = {"pair", "wave", "rank", "d_latent"}  # of RoPE and sinusoids, of LoRA, of latent attention
LONGEST = {"layers": 140}  # lines of a file; elsewhere 300
FORBIDDEN = re.compile(  # machines and mirrors that nobody else has
    "|".join(["/wo" + "rk/", "/ro" + "ot/", "find-lin" + "ks", "file:///o" + "pt",
              "arti" + "factory", r"share" + r"d/(?!corpora\b)"]))


@cache
def sources() -> dict[str, ast.Module]:
    """Every file of the library, parsed, by its path below minillm/."""
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
            for path in sorted(PACKAGE.rglob("*.py")) if "_data" not in path.parts}


def part_of(name: str) -> str:
    """layers/norm.py -> layers; model.py -> model."""
    return name.split("/")[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """Every module that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


@cache
def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("this is not a git clone")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_every_module_has_a_floor():
    assert {part_of(name) for name in sources()} <= set(FLOORS), "give the new module its floor (FLOORS)"


def test_a_module_imports_from_lower_floors_only():
    wrong = []
    for name, tree in sources().items():
        here = part_of(name)
        for module in imported(tree):
            there = module.split(".")[1] if module.startswith("minillm.") else here
            if here != there and there in FLOORS and FLOORS[there] >= FLOORS[here] and (here, there) not in WITHIN:
                wrong.append(f"{name} imports {module}")
    assert not wrong


def test_the_reading_of_imports_sees_all_forms():
    tree = ast.parse("import a.b\nfrom minillm.x import y\ndef f():\n    from minillm import z")
    assert {"a.b", "minillm.x", "minillm.x.y", "minillm.z"} <= imported(tree)


def test_only_the_course_draws():
    heavy = {(name, module) for name, tree in sources().items() if part_of(name) not in ("notebook", "lessons")
             for module in imported(tree) if module.split(".")[0] in SHOWING}
    assert not heavy


def test_importing_minillm_loads_no_plots():
    script = ("import sys, minillm; minillm.Transformer, minillm.train, minillm.generate, minillm.load; "
              f"print(sorted({SHOWING!r} & set(sys.modules)), 'torch' in sys.modules)")
    out = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert out.stdout.split("\n")[0] == "[] True", out.stdout + out.stderr


def test_importing_minillm_alone_loads_not_even_torch():
    out = subprocess.run([sys.executable, "-c", "import sys, minillm; print('torch' in sys.modules)"], cwd=ROOT,
                         capture_output=True, text=True)
    assert out.stdout.strip() == "False", out.stderr


@pytest.mark.parametrize("name", sorted(minillm._EXPORTS))
def test_every_public_name_is_where_the_table_says(name):
    assert getattr(minillm, name).__class__ is not None and name in dir(minillm)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no 'Trasnformer'"):
        minillm.Trasnformer  # noqa: B018


def test_every_file_begins_with_a_sentence():
    for name, tree in sources().items():
        first = (ast.get_docstring(tree) or "").split("\n")[0]
        assert first and first[0].isupper() and first.rstrip().endswith((".", "?", ":", "…")), f"{name}: {first!r}"


def test_files_are_short_enough_to_read():
    long = {}
    for name in sources():
        lines = len((PACKAGE / name).read_text(encoding="utf-8").splitlines())
        if lines > LONGEST.get(part_of(name), 300):
            long[name] = lines
    assert not long


def public_layers() -> list[type]:
    """The modules of layers/ and lora that have a place in the public table."""
    found = {getattr(minillm, name) for name, home in minillm._EXPORTS.items() if home in ("layers", "lora")}
    return sorted((c for c in found if inspect.isclass(c) and issubclass(c, nn.Module)), key=lambda c: c.__name__)


@pytest.mark.parametrize("layer", public_layers(), ids=lambda layer: layer.__name__)
def test_every_public_layer_carries_its_equation(layer):
    assert re.search(r"\$\$.+\$\$", layer.__doc__ or "", re.S)


def einops_strings(tree: ast.AST):
    """(line, string) of each pattern handed to einops."""
    for node in ast.walk(tree):
        called = ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""
        if called in ("einsum", "rearrange", "reduce", "repeat"):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and "->" in argument.value:
                    yield node.lineno, argument.value


def test_einops_strings_use_the_words_of_the_house():
    strange, seen = [], 0
    for name, tree in sources().items():
        if part_of(name) in ("layers", "model", "sampling", "inspection", "lora"):
            for line, text in einops_strings(tree):
                seen += 1
                strange += [(name, line, word) for word in re.findall(r"[a-z_]\w*", text)
                            if word not in AXES | LOCAL_AXES]
    assert seen and not strange


def test_layers_reshape_by_name():
    """No bare view, transpose(1, 2) or permute in layers/, but where a line says that it is a measured hot path."""
    bare = []
    for path in sorted((PACKAGE / "layers").glob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"\.(view|permute|transpose)\(", line) and "hot path" not in line:
                bare.append(f"{path.name}:{number} {line.strip()}")
    assert not bare


def test_no_file_names_a_machine_of_ours():
    wrong = []
    for path in tracked():
        if path.suffix in (".png", ".safetensors", ".bin", ".model", ".npz", ".gz"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if FORBIDDEN.search(line) and (path.parent.name, path.name) != (".ci", "run"):
                wrong.append(f"{path.relative_to(ROOT)}:{number}")
    assert not wrong


def test_all_rooms_are_formatted_alike():
    """No blank line before `from __future__`, and no bracket closes a signature at the margin."""
    strange = []
    for path in (path for path in tracked() if path.suffix == ".py"):
        lines = ["", *path.read_text(encoding="utf-8").splitlines()]
        strange += [f"{path.relative_to(ROOT)}:{number}"
                    for number, (before, line) in enumerate(zip(lines, lines[1:]), 1)
                    if (line.startswith("from __future__") and not before) or re.match(r"\)( ->|:$)", line)]
    assert not strange


def test_nothing_large_is_committed():
    assert not [f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB" for path in tracked()
                if path.stat().st_size > 8e6]


def test_nothing_is_unpickled():
    for name, tree in sources().items():
        assert not {"pickle", "dill", "joblib", "shelve"} & {module.split(".")[0] for module in imported(tree)}, name
        for node in ast.walk(tree):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called != "torch.load", f"{name}:{node.lineno} torch.load unpickles; use safetensors"


def test_ruff_finds_nothing():
    found = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json", str(ROOT)],
                           capture_output=True, text=True, cwd=ROOT)
    places = [f"{Path(row['filename']).relative_to(ROOT)}:{row['location']['row']} {row['message']}"
              for row in json.loads(found.stdout)]
    assert not places


def test_no_two_test_files_have_one_name():
    """pytest imports a file without a package by its name alone: two of one name cannot run together."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py") if not (path.parent / "__init__.py").exists()]
    assert not {name for name in names if names.count(name) > 1}
