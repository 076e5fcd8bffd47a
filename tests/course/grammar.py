"""Say where a notebook departs from the grammar that all eight share.

As a script: ``PYTHONPATH=. python tests/course/grammar.py notebooks/*.ipynb`` lists every fault.
"""
from __future__ import annotations

import ast
import json
import re
import statistics
import sys
from base64 import b64decode
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

from minillm.notebook.checks import registered
from minillm.notebook.derived import NotebookError, address, equations_of
from minillm.notebook.stored import LARGEST_PICTURE, rendered, tidy
from minillm.notebook.symbols import misused

MOST_WORDS, MOST_LINES, USUAL_LINES = 120, 25, 9
FORBIDDEN = {"interact", "interactive", "interactive_output", "Output", "clear_output", "jslink", "jsdlink",
             "TagsInput", "ColorsInput", "Stack", "TimePicker", "DatetimePicker", "pyplot", "tqdm"}
PRIVATE = re.compile(r"0x[0-9a-f]{6,}|/home/\w|/tmp/|/ro[o]t/|/Users/|site-packages|\d(it/s|s/it)\b")


def faults(notebook: nbformat.NotebookNode, name: str) -> list[str]:
    """Every departure, as a sentence that names the cell (counted from 0)."""
    cells = list(notebook.cells)
    code = [(i, cell) for i, cell in enumerate(cells) if cell.cell_type == "code"]
    found = [*_opening(cells, code), *_closing(cells), *_stored(notebook, name), *_exercises(cells, name)]
    for index, cell in enumerate(cells):
        for fault in (_markdown(cell) if cell.cell_type == "markdown" else [*_code(cell), *_outputs(cell)]):
            found.append(f"cell {index}: {fault}")
    found += _between(cells) + _twice(code)
    found += [f"cell {i}: a picture without its words below" for i, cell in code if _unsaid(cell)]
    found += [f"in ${each.strip()}$: {fault}" for each in equations_of(notebook) for fault in misused(each)]
    lines = [len(_lines(cell)) for _, cell in code[1:] if "solution" not in _tags(cell)]
    if lines and statistics.median(lines) > USUAL_LINES:
        found.append(f"the median code cell has {statistics.median(lines)} lines; about 5 are meant")
    shown = json.dumps([cell.outputs for _, cell in code], ensure_ascii=False)
    names = re.findall(r"\[controls of “(.+?)”", shown)
    found += [f"two widgets are called {each!r}: the second closes the first"
              for each in sorted(set(names)) if names.count(each) > 1]
    return found


def _twice(code: list) -> list[str]:
    """A cell that is run again must find what it found the first time: no later cell may give its names to others."""
    bound: dict[str, list[int]] = {}
    reads: dict[str, list[int]] = {}
    for index, cell in code:
        try:
            tree = ast.parse(TransformerManager().transform_cell(cell.source))
        except SyntaxError:
            continue
        names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        names |= {each.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
                  for each in ast.walk(target) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        for name in names:
            bound.setdefault(name, []).append(index)
        for name in {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)} - names:
            reads.setdefault(name, []).append(index)
    return [f"cell {reader}: its {name} is something else after cell {places[-1]}; one name is one thing"
            for name, places in bound.items() for reader in reads.get(name, ()) if places[0] < reader < places[-1]]


def _unsaid(cell) -> bool:
    """Does a cell show pictures, and no line after them that opens into words?"""
    shown = [output.get("data", {}) for output in cell.outputs]
    last = max((i for i, data in enumerate(shown) if "image/png" in data), default=None)
    return last is not None and not any("<details" in data.get("text/html", "") for data in shown[last:])


def _tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def _lines(cell) -> list[str]:
    return [line for line in cell.source.split("\n") if line.strip()]


def words(markdown: str) -> int:
    """Words that a reader must read: no equations, code blocks, tables, links' addresses, nor what is folded away."""
    for hidden in (r"(?s)<details>.*?</details>", r"(?s)\$\$.*?\$\$", r"\$[^$\n]+\$", r"(?s)```.*?```", r"(?m)^\|.*$",
                   r"\]\([^)]*\)", r"<[^>]+>"):
        markdown = re.sub(hidden, " ", markdown)
    return len(re.findall(r"\w[\w'’\-/.,]*", markdown))


def _opening(cells: list, code: list) -> list[str]:
    found = []
    if cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
        found.append("cell 0: the title is missing ('# …')")
    if not code or "setup" not in _tags(code[0][1]):
        return [*found, "the first code cell must be the set-up cell, with the tag 'setup'"]
    if code[0][1].outputs:
        found.append("the set-up cell prints something")
    end = code[1][0] if len(code) > 1 else len(cells)
    opening = "\n\n".join(cell.source for cell in cells[:end] if cell.cell_type == "markdown")
    if not re.search(r"(?im)^\|[^\n]*(letter|symbol|axis word)[^\n]*\|$", opening):
        found.append("the opening lacks the table of symbols (a column 'letter' and a column 'axis word')")
    if not re.search(r"(?i)\bminutes\b", opening):
        found.append("the opening does not say how many minutes the notebook takes")
    if not re.search(r"(?i)you will|you can|able to", opening):
        found.append("the opening does not say what the reader will be able to do")
    return found


def _closing(cells: list) -> list[str]:
    last = max((i for i, cell in enumerate(cells) if cell.cell_type == "code"), default=0)
    closing = "\n".join(cell.source for cell in cells[last:] if cell.cell_type == "markdown").lower()
    wanted = {"recap": "a recap", "left out": "“what we left out”", "](http": "links to the papers"}
    return [f"the end lacks {what}" for mark, what in wanted.items() if mark not in closing]


def _markdown(cell) -> list[str]:
    found, text = [], re.sub(r"(?s)```.*?```|`[^`\n]*`", "", cell.source)
    if any("$$" in line and line.strip() != "$$" for line in text.split("\n")):
        found.append("$$ must stand on lines of their own")
    if text.count("$$") % 2:
        found.append("an equation that begins with $$ never ends")
    if re.search(r"\\(newcommand|def|require)\b", text):
        found.append(r"\newcommand and the like work only in some viewers")
    if re.search(r"!\[\]\(|<img(?![^>]*\balt=\"[^\"])", cell.source):
        found.append("a picture without words (alt)")
    return found


def _code(cell) -> list[str]:
    found, plain = [], TransformerManager().transform_cell(cell.source)
    if len(_lines(cell)) > MOST_LINES:
        found.append(f"{len(_lines(cell))} lines of code, and {MOST_LINES} are allowed")
    if "setup" not in _tags(cell) and "get_ipython" in plain:
        found.append("a magic or a shell command after the set-up cell")
    try:
        tree = ast.parse(plain)
    except SyntaxError as error:
        return [*found, f"not Python: {error}"]
    used = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(tree)}
    used |= {part for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names
             for part in f"{getattr(node, 'module', '')}.{alias.name}".split(".")}
    return found + [f"{each} is not for notebooks" for each in sorted(used & FORBIDDEN)]


def _outputs(cell) -> list[str]:
    found = []
    for output in cell.outputs:
        if output.output_type == "error" and "raises-exception" not in _tags(cell):
            found.append(f"its stored output is an error: {output.ename}")
        if output.output_type == "stream" and output.name == "stderr":
            found.append("something was written to stderr")
        data, facts = output.get("data", {}), output.get("metadata", {})
        if "image/svg+xml" in data:
            found.append("SVG differs between versions of matplotlib; use PNG")
        if "image/png" in data:
            if not facts.get("image/png", {}).get("alt"):
                found.append("a picture without words (alt): make it with plots.picture and describe it")
            if len(b64decode(data["image/png"])) > LARGEST_PICTURE:
                found.append("a picture above 100 kB")
        text = "".join([output.get("text", ""), *(str(v) for k, v in data.items() if k.startswith("text/"))])
        if private := PRIVATE.search(text):
            found.append(f"its output holds {private[0]!r}, which differs between machines")
    return found


def _between(cells: list) -> list[str]:
    """At most so many words between two code cells; the opening, hints and the end are free."""
    found, count, seen, start = [], 0, 0, 0
    for index, cell in enumerate(cells):
        if cell.cell_type == "code":
            seen += 1
            if seen > 2 and count > MOST_WORDS:
                found.append(f"cells {start} to {index - 1}: {count} words between two code cells; "
                             f"{MOST_WORDS} are allowed")
            count, start = 0, index + 1
        elif cell.cell_type == "markdown" and "hint" not in _tags(cell):
            count += words(cell.source)
    return found


def _stored(notebook, name: str) -> list[str]:
    found = []
    if any(cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code"):
        found.append("a cell was never run, so nothing compares it: run `python -m minillm notebooks`")
    try:
        if rendered(tidy(notebook, name, address())) != rendered(notebook):
            found.append("it is not stored clean: run `python -m minillm notebooks`")
    except NotebookError as error:
        found.append(str(error))
    return found


def _exercises(cells: list, name: str) -> list[str]:
    found = []
    here = {each.id: 0 for each in registered() if each.id.partition(".")[0] == name[:2]}
    for index, cell in enumerate(cells):
        if "exercise" not in _tags(cell):
            continue
        asked = cell.metadata.get("minillm", {}).get("exercise", "")
        place = f"cell {index}, exercise {asked}"
        here[asked] = here.get(asked, 0) + 1
        if not cell.source.startswith(f"# exercise: {asked}\n"):
            found.append(f"{place}: its first line must be '# exercise: {asked}'")
        if not {"points", "minutes", "difficulty"} <= set(cell.metadata.get("minillm", {})):
            found.append(f"{place}: points, minutes or difficulty are missing in its metadata")
        if "NotImplementedError" not in cell.source and "..." not in cell.source:
            found.append(f"{place}: a stub that raises NotImplementedError (or holds ...) is missing")
        after = cells[index + 1:index + 5]
        checked = [each for each in [cell, *after[:1]] if f'check("{asked}"' in each.source]
        if not checked or "not attempted yet" not in json.dumps(checked[0].get("outputs", [])):
            found.append(f"{place}: its check must follow, and say “not attempted yet” in the stored notebook")
        hints = [each for each in after if "hint" in _tags(each)]
        if not hints or sum(each.source.count("<details>") for each in hints) < 3:
            found.append(f"{place}: three folded hints must follow (nudge, formula, skeleton), tagged 'hint'")
        solution = next((each for each in after if "solution" in _tags(each)), None)
        if solution is None or solution.source != f'solution("{asked}")':
            found.append(f"{place}: its solution must follow, in a cell that says solution(\"{asked}\")")
        else:
            shown = json.dumps(solution.outputs)
            found += [f"{place}: {what}" for mark, what in (
                ("<details><summary>", "its solution is not folded"),
                (f"{asked}: the solution passes", "the solution does not pass its own check")) if mark not in shown]
        if not re.search(rf"(?m)^### Exercise {re.escape(asked)}: .+\n\n\*\d+ points? ", cells[index - 1].source):
            found.append(f"{place}: its heading, with points, minutes and difficulty, must stand in the cell above")
    return found + [f"exercise {each} stands {count} times in the notebook"
                    for each, count in here.items() if count != 1]


def main(paths: list[str]) -> int:
    trouble = [f"{path}: {fault}" for path in paths
               for fault in faults(nbformat.read(path, as_version=4), Path(path).stem)]
    print("\n".join(trouble) or "no fault found")
    return bool(trouble)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
