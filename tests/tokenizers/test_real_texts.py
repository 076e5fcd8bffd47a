"""Every text that ships, and every text of the catalogue, survives every tokenizer."""
from functools import cache

import pytest

from minillm import corpora
from minillm.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer, SentencePieceTokenizer

SHIPPED = corpora.names(shipped=True)
LONGEST = 12_000  # characters of a text; what follows is more of the same, but for some rare characters


@cache
def tokenizers():
    """Trained on a little of everything that ships."""
    texts = [corpora.load(name).text[:6_000] for name in SHIPPED]
    return {"byte": ByteTokenizer(), "gpt4": BPETokenizer.train(texts, 1500),
            "gpt4o": BPETokenizer.train(texts, 1500, pattern="gpt4o"),
            "unigram": SentencePieceTokenizer.train(texts, 1500),
            "sentencepiece-bpe": SentencePieceTokenizer.train(texts, 1500, algorithm="bpe")}


def survives(name):
    text = corpora.load(name).text
    text = text[:LONGEST] + "".join(sorted(set(text)))
    for kind, tokenizer in {**tokenizers(), "char": CharTokenizer.train(text)}.items():
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text, kind
        assert list(tokenizer.encode_stream(text)) == ids, kind
        decoder = tokenizer.decoder()
        assert text.startswith("".join(map(decoder.push, ids[:3000]))), kind


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_text_survives(name):
    survives(name)


@pytest.mark.needs_corpora
@pytest.mark.parametrize("name", [name for name in corpora.names() if name not in SHIPPED])
def test_a_text_of_the_catalogue_survives(name):
    survives(name)
