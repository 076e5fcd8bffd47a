"""GPT-2's vocabulary: equal to tiktoken's where it can be had, one clear sentence where it cannot."""
import pytest
from tokenizer_samples import TEXT

from minillm.tokenizers import BPETokenizer, GPT2Tokenizer, load_tokenizer

openai_public = pytest.importorskip("tiktoken_ext.openai_public")


def test_gpt2_encodes_as_tiktoken_does():
    tiktoken = pytest.importorskip("tiktoken")
    try:
        ours = GPT2Tokenizer()
    except ConnectionError as error:
        pytest.skip(str(error))
    assert ours.vocab_size == 50257
    assert ours.end_of_text == 50256
    assert ours.encode(TEXT) == tiktoken.get_encoding("gpt2").encode_ordinary(TEXT)


def gpt2_like():
    """A vocabulary in GPT-2's order: visible bytes first, then the others, then the merges."""
    learnt = BPETokenizer.train(TEXT, 600, pattern="gpt2", special=())
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    first = [bytes([i]) for i in [*shown, *(i for i in range(256) if i not in shown)]]
    return {"mergeable_ranks": {token: i for i, token in enumerate([*first, *learnt.tokens[256:]])}}


def test_the_order_of_its_bytes_is_kept(monkeypatch, tmp_path):
    tiktoken = pytest.importorskip("tiktoken")
    monkeypatch.setattr(openai_public, "gpt2", gpt2_like)
    tokenizer = GPT2Tokenizer()
    assert tokenizer.encode("!") == [0]
    reference = tiktoken.Encoding("r", pat_str=tokenizer.pattern, special_tokens={}, **gpt2_like())
    assert tokenizer.encode(TEXT) == tokenizer.encode_readable(TEXT) == reference.encode_ordinary(TEXT)
    tokenizer.save(tmp_path)
    assert load_tokenizer(tmp_path).encode(TEXT) == tokenizer.encode(TEXT)
    assert load_tokenizer(tmp_path).end_of_text == 600


def test_without_a_network_one_sentence_says_what_to_do(monkeypatch):
    def unreachable():
        raise OSError("Name or service not known")
    monkeypatch.setattr(openai_public, "gpt2", unreachable)
    with pytest.raises(ConnectionError, match="could not be fetched .* TIKTOKEN_CACHE_DIR .* BPETokenizer.train"):
        GPT2Tokenizer()
