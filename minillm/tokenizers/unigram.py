"""Cut a text into its most probable pieces, as SentencePiece does with the pieces that it has learned."""
from __future__ import annotations

from collections.abc import Mapping


def viterbi(text: str, scores: Mapping[str, float]) -> list[str]:
    r"""The pieces whose log probabilities have the largest sum.  Kudo 2018, arXiv:1804.10959; Viterbi 1967.

    $$ \mathrm{best}_j = \max_{i < j} \, \bigl[\,\mathrm{best}_i + \ln p(c_{i \ldots j})\,\bigr],
       \qquad \mathrm{best}_0 = 0 $$

    `scores` holds ln p by piece.  Among equals the longest last piece is taken, in time proportional to the text's
    length times that of the longest piece.  Raises ValueError where no pieces spell the text.
    """
    longest = max(map(len, scores), default=0)
    best, begins = [0.0], [0]                  # after j characters: the best sum, and where its last piece begins
    for j in range(1, len(text) + 1):
        found = [(best[i] + scores[text[i:j]], -i) for i in range(max(0, j - longest), j) if text[i:j] in scores]
        score, begin = max(found, default=(float("-inf"), 0))
        best.append(score)
        begins.append(-begin)
    if best[-1] == float("-inf"):
        raise ValueError(f"no pieces spell {text!r}; give every character a score of its own, however low")
    pieces, j = [], len(text)
    while j > 0:
        pieces.append(text[begins[j]:j])
        j = begins[j]
    return pieces[::-1]
