"""The readable Viterbi finds what trying every cut finds, and what SentencePiece finds."""
import itertools
import random

import pytest

from minillm import corpora
from minillm.tokenizers import SentencePieceTokenizer
from minillm.tokenizers.unigram import viterbi


def every_cut(text: str):
    for places in itertools.product((False, True), repeat=len(text) - 1):
        ends = [i + 1 for i, cut in enumerate(places) if cut]
        yield [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


@pytest.mark.parametrize("seed", range(20))
def test_no_cut_is_better(seed):
    draw = random.Random(seed)
    scores = {"".join(word): -draw.uniform(1, 9) for n in (1, 2, 3) for word in itertools.product("ab", repeat=n)
              if n == 1 or draw.random() < 0.6}
    text = "".join(draw.choice("ab") for _ in range(9))
    found = sum(scores[piece] for piece in viterbi(text, scores))
    assert found == pytest.approx(max(sum(map(scores.get, cut)) for cut in every_cut(text)
                                      if all(piece in scores for piece in cut)))


def test_the_pieces_are_sentencepieces():
    tokenizer = SentencePieceTokenizer.load(corpora.data_folder() / "tokenizers" / "unigram-19")
    scores = tokenizer.piece_scores()
    for word in (" counting", " Buchstaben", " числа", " الأرقام", " αριθμός"):
        assert viterbi(word, scores) == tokenizer.pieces(tokenizer.encode(word))


def test_nothing_is_cut_into_nothing_and_what_cannot_be_spelled_is_refused():
    assert viterbi("", {"a": -1.0}) == []
    with pytest.raises(ValueError, match="no pieces spell 'ab'"):
        viterbi("ab", {"a": -1.0})
