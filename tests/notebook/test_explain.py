"""Showing the library: source and equations from their one home."""
import pytest

from minillm.notebook import explain


class Softcap:
    r"""Keep scores inside (-cap, cap).

    $$ y = c \tanh(x / c) $$
    """

    def forward(self, x):
        return x


def test_the_equation_is_the_docstrings():
    assert explain.equations(Softcap) == [r"y = c \tanh(x / c)"]


def test_source_stands_as_in_the_library_even_for_a_method():
    assert explain.source(Softcap).startswith("class Softcap:")
    assert explain.source(Softcap.forward) == "def forward(self, x):\n    return x"


def test_a_part_without_an_equation_says_so():
    with pytest.raises(ValueError, match="source states no equation"):
        explain.equation(explain.source)


def test_what_is_shown_is_the_same_text_for_every_reader(monkeypatch):
    seen = []
    monkeypatch.setattr(explain, "display", lambda data, raw: seen.append(data))
    explain.show(Softcap)
    explain.equation(Softcap)
    assert seen[0]["text/markdown"] == f"```python\n{seen[0]['text/plain']}\n```"
    assert seen[1]["text/markdown"] == "$$\ny = c \\tanh(x / c)\n$$"


def test_folded_source_is_the_same_source_behind_one_line(monkeypatch):
    seen = []
    monkeypatch.setattr(explain, "display", lambda data, raw: seen.append(data))
    explain.show(Softcap)
    explain.show(Softcap, folded=True)
    assert f"\n\n{seen[0]['text/markdown']}\n\n</details>" in seen[1]["text/markdown"]
    assert seen[1]["text/markdown"].startswith("<details><summary><code>Softcap</code>, 8 lines")
    assert seen[0]["text/plain"] == seen[1]["text/plain"]
