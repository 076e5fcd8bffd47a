r"""Say what each letter of the course's equations means: one letter, one thing, in all notebooks and docstrings.

A notebook's table of symbols is written from here (`python -m minillm notebooks`): the rows whose letters its
equations use.  Four rules keep the letters few:

- A small letter that counts along an axis has a capital that says how long the axis is: $t = 1 \ldots T$.
- A matrix of weights is W with a name, $W_{down}$; with a name above where it has indices, $W^{embed}_{vd}$.
- How many there are of anything else is N with a word, $N_{steps}$; a width other than d_model's is D with a word.
- What has no letter is a word, upright: $\mathrm{share}_s$, $\mathrm{floor}$.  Euler's number is written \exp.
"""
from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Symbol:
    """One row: its letters in LaTeX, the axis word or name that code gives it, and the meaning."""
    letters: tuple[str, ...]
    code: str
    meaning: str


def _row(letters: str, code: str, meaning: str) -> Symbol:
    return Symbol(tuple(letters.split()), code, meaning)


SYMBOLS = (
    # axes: where one stands, and how far one can go
    _row("b B", "`batch`", "a text of a batch; how many lie side by side"),
    _row("t T", "`seq`", "a position in a text; how many there are (at most `context_length`)"),
    _row("q", "`query`", "the position that looks back"),
    _row("k", "`key`", "a position that is looked at"),
    _row("d D", "`d_model`", "a component of the residual stream; how many, or with a word another width"),
    _row("h H", "`head`", "an attention head; how many"),
    _row("h' H_{kv}", "`kv_head`", "the key head that head $h$ reads; how many key heads there are"),
    _row("e E", "`d_head`", "a component within a head; how many, its width"),
    _row("v V", "`vocab`", "a token of the vocabulary; how many there are"),
    _row("l L", "`layer`", "a block; how many"),
    _row("i j", "", "whatever a sum runs over, or the members of a list"),
    _row("n", "`counts`", "how many times, or how many of; its argument says of what"),
    _row("N", "`n_…`", "how many there are of what the word beside it names"),
    # a text
    _row("c", "`character`", "a character; $c_{i \\ldots j}$ those after the first $i$, up to the $j$-th"),
    _row("w", "`tokens`, `ids`", "$w_t$ is the token at position $t$"),
    # what flows through a model
    _row("x", "`x`", "the residual stream, or what a part of the model reads of it"),
    _row("y", "", "what a part gives back"),
    _row("u", "", "a number that a function is given"),
    _row(r"\mathbf{q} \mathbf{k} \mathbf{v}", "`q k v`", "bold: vectors of queries, keys and values"),
    _row("S", "`scores`", "how well a query fits a key, before the softmax"),
    _row("A", "`pattern`", "attention: which share of its gaze a query gives to a key"),
    _row("z", "", "what a head has gathered"),
    _row(r"\ell", "`logits`", "scores of the tokens that could come next"),
    _row("p", "", "a probability"),
    _row(r"\tau", "`temperature`", "what logits are divided by before a token is drawn"),
    _row(r"\rho f", "`load`", "an expert's weight for one token; its share of all tokens"),
    # weights, and what is fixed
    _row("W", "`…_proj`, `weight`", "weights of the model; a name says which"),
    _row(r"\gamma \delta", "`weight`, `bias`", "a norm's gain and shift, one per component"),
    _row(r"\mu \sigma", "", "a mean, and a standard deviation"),
    _row(r"\mathcal{N}", "", "the normal distribution of a mean and a variance"),
    _row(r"\varepsilon", "`eps`", "a small number that keeps a division from failing"),
    _row(r"\theta \omega", "`rope_theta`", "the base of the waves, and how fast one of them turns"),
    _row(r"\kappa", "", "a number that is fixed beforehand; beside it stands which"),
    _row(r"\Phi", "", "the share of a normal distribution that lies below a number"),
    _row("X", "`matrices`", "any matrix"),
    # learning
    _row(r"\mathcal{L}", "`loss`", "what training makes small"),
    _row("g", "`gradient`", "the slope of the loss along a weight"),
    _row(r"\bar{g}", "`mean`", "a running mean of the gradient"),
    _row(r"\overline{g^2}", "`square`", "a running mean of its square"),
    _row(r"\beta", "`betas`", "how long a running mean remembers"),
    _row("s", "`step`", "the number of a step"),
    _row(r"\eta", "`lr`", "the learning rate"),
    _row(r"\lambda", "`decay`", "how fast weights shrink by themselves"),
    _row(r"r \alpha", "`rank`, `alpha`", "LoRA: the rank of the correction, and what scales it"),
)
_HOME = {letter: symbol for symbol in SYMBOLS for letter in symbol.letters}
AXES = "bBtTqkdDhHeEvVlLij"
_WORDS = re.compile(r"\\(?:mathrm|text|operatorname|begin|end)\*?\s*\{[^{}]*\}|\\mathbb\{R\}")
_MARKS = re.compile(r"""\\overline\{g\^2\} | \\bar\s*\{?\s*g\b\}? | \\math(?:bf|cal)\{\w\} | H_\{kv\}
    | (?P<named>W_\{?[A-Za-z]+\}? | W\^\{[a-z]+\} | [ND]_\{[a-z]+\})      # W_{down}, W^{embed}, N_{steps}
    | \\(?:[a-zA-Z]+|.) | [A-Za-z]'?""", re.VERBOSE)
SIGNS = frozenset(r"""\frac \tfrac \dfrac \sum \prod \int \sqrt \left \right \bigl \bigr \Bigl \Bigr \big \Big
    \qquad \quad \, \; \! \: \\ \{ \} \| \_ \% \# \& \cdot \times \odot \otimes \circ \max \min \arg \ln \log \exp \sin
    \cos \tanh \in \le \ge \leq \geq \ne \neq \approx \sim \leftarrow \rightarrow \to \mapsto \ldots \dots \cdots \vdots
    \lfloor \rfloor \lceil \rceil \lVert \rVert \lvert \rvert \mid \top \infty \pi \partial \Delta \mathbb{R} \pm \hat
    \bar \tilde \overline \underbrace \overbrace \cap \cup \subset \langle \rangle \ll \gg \equiv \propto \star \ast
    \mathrm \text \displaystyle \limits \nolimits \prime \mathbf \mathcal""".split())


def letters(equation: str) -> list[str]:
    """The symbols of one equation in LaTeX, in order, each once: 'N_{steps}' counts as N, and words as none."""
    found = []
    for mark in _MARKS.finditer(_WORDS.sub(" ", equation)):
        letter = mark[0][0] if mark["named"] else {r"\epsilon": r"\varepsilon"}.get(mark[0], mark[0])
        letter = r"\bar{g}" if re.fullmatch(r"\\bar\s*\{?\s*g\}?", letter) else letter
        if letter not in SIGNS and letter != r"\ ":
            found.append(letter if letter in _HOME else letter.rstrip("'"))
    return list(dict.fromkeys(found))


def misused(equation: str) -> list[str]:
    """What an equation says against the course's table, each as a sentence."""
    text = _WORDS.sub(" ", equation)
    found = [f"{letter} is in no row of minillm/notebook/symbols.py" for letter in letters(equation)
             if letter not in _HOME]
    found += [f"{letter} counts along an axis, and is no function" for letter in
              re.findall(rf"(?<![A-Za-z_^\\{{}}'])([{AXES}])\(", text)]
    return found + ["Euler's number is written \\exp: e counts along d_head"] * bool(re.search(r"\be\s*\^", text))


def equations_in(markdown: str) -> list[str]:
    """What stands between dollars, its own line or not; code is left out."""
    text = re.sub(r"(?s)```.*?```|`[^`\n]*`", " ", markdown)
    return [own or inline for own, inline in re.findall(r"(?s)\$\$(.+?)\$\$|\$([^$\n]+?)\$", text)]


def rows(equations: Iterable[str]) -> list[Symbol]:
    """The rows of the table that these equations need, in the table's order."""
    used = {letter for each in equations for letter in letters(each)}
    return [symbol for symbol in SYMBOLS if used & set(symbol.letters)]


def table(equations: Iterable[str]) -> str:
    """A notebook's table of symbols, in markdown."""
    lines = ["| letter | axis word, or name in the code | meaning |", "|---|---|---|"]
    lines += [f"| {', '.join(f'${each}$' for each in row.letters)} | {row.code} | {row.meaning} |"
              for row in rows(equations)]
    return "\n".join(lines)
