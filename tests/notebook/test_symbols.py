"""One letter is one thing in the whole course, and every equation keeps to the table."""
import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from minillm.notebook import symbols

LIBRARY = Path(symbols.__file__).resolve().parents[1]


def stated():
    """(where, equation) of every equation in a docstring of the library."""
    for path in sorted(LIBRARY.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                for each in re.findall(r"(?s)\$\$(.+?)\$\$", ast.get_docstring(node) or ""):
                    if "\\" in each:
                        yield pytest.param(each, id=f"{path.stem}.{node.name}")


def test_no_letter_has_two_rows():
    times = Counter(letter for row in symbols.SYMBOLS for letter in row.letters)
    assert [letter for letter, n in times.items() if n > 1] == []


@pytest.mark.parametrize("equation", list(stated()))
def test_the_library_s_equations_keep_to_the_table(equation):
    assert symbols.misused(equation) == []


@pytest.mark.parametrize("equation, found", [
    (r"y_d = \gamma_d \, \frac{x_d}{\sqrt{\frac{1}{D} \sum_{i=1}^{D} x_i^2 + \varepsilon}}",
     ["y", "d", r"\gamma", "x", "D", "i", r"\varepsilon"]),
    (r"z_{hqe} = \sum_{k \le q} A_{hqk} \, \mathbf{v}_{h'ke}", ["z", "h", "q", "e", "k", "A", r"\mathbf{v}", "h'"]),
    (r"N_{steps} W_{down} W^{embed}_{vd} \mathrm{share}_s", ["N", "W", "v", "d", "s"]),
    (r"\overline{g^2} - \bar g^2 + \bar{g}", [r"\overline{g^2}", r"\bar{g}"]),
    (r"H_{kv} = \mathcal{L} / \exp(-\epsilon)", ["H_{kv}", r"\mathcal{L}", r"\varepsilon"])])
def test_letters_are_read_as_a_reader_reads_them(equation, found):
    assert symbols.letters(equation) == found


@pytest.mark.parametrize("equation, fault", [
    (r"y = U x", "U is in no row"), (r"\mathrm{sigmoid}(u) = 1 / (1 + e^{-u})", "Euler"), (r"q(e) = 1", "q counts"),
    (r"\frac{B A}{M}", "M is in no row"), (r"\psi_t", r"\psi is in no row")])
def test_what_departs_from_the_table_is_named(equation, fault):
    assert fault in "; ".join(symbols.misused(equation))


@pytest.mark.parametrize("equation", [r"\kappa_h (q - k)", r"W_k(x)", r"\mathrm{best}_j (1 - p)", r"D_{in}(x + 1)"])
def test_a_factor_before_a_bracket_is_no_function(equation):
    assert symbols.misused(equation) == []


def test_a_notebook_s_table_has_the_rows_that_it_needs_and_no_others():
    table = symbols.table([r"x_{td} = W^{embed}_{w_t d}"]).split("\n")[2:]
    assert [line.split(" | ")[0] for line in table] == ["| $t$, $T$", "| $d$, $D$", "| $w$", "| $x$", "| $W$"]


def test_equations_are_found_in_markdown_and_code_is_left_out():
    text = "So $x_t$ is\n\n$$\ny = x\n$$\n\nand `$HOME` or\n\n```\n$$ no $$\n```"
    assert [each.strip() for each in symbols.equations_in(text)] == ["x_t", "y = x"]
