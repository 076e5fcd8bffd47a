"""Byte-pair encoding: the merges of the textbook algorithm, and two encoders that agree id for id."""
import re
import tracemalloc
from collections import Counter
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_samples import ANY_TEXT, TEXT, TROUBLE

from minillm.tokenizers import PATTERNS, BPETokenizer, bpe
from minillm.tokenizers.merges import learn_merges
from minillm.tokenizers.splitting import compiled, count_chunks, cut

TOKENIZERS = {name: BPETokenizer.train(TEXT, 600, pattern=name) for name in PATTERNS}
patterns = pytest.mark.parametrize("pattern", PATTERNS)


def textbook_merges(chunks, best):
    """Count every pair, join the best everywhere from the left, start again: slow and plain."""
    words = [(list(chunk), count) for chunk, count in chunks.items()]
    for new in range(256, 100_000):
        counts = Counter()
        for word, count in words:
            for pair in pairwise(word):
                counts[pair] += count
        if not counts or max(counts.values()) < 2:
            return
        pair = best(counts)
        yield pair
        for word, _ in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == pair:
                    word[i:i + 2] = [new]
                i += 1


def most_frequent_then_lowest(counts):
    return min(counts, key=lambda pair: (-counts[pair], pair))


@given(st.dictionaries(st.binary(min_size=1, max_size=12) | st.text("ab", min_size=1, max_size=12).map(str.encode),
                       st.integers(1, 9), max_size=12))
def test_merges_are_those_of_the_textbook(chunks):
    assert list(islice(learn_merges(chunks), 80)) == \
           list(islice(textbook_merges(chunks, most_frequent_then_lowest), 80))


@patterns
def test_merges_of_a_text_are_those_of_the_textbook(pattern):
    chunks = count_chunks(TEXT, PATTERNS[pattern])
    merges = list(islice(learn_merges(chunks), 250))
    assert merges == list(islice(textbook_merges(chunks, most_frequent_then_lowest), 250))
    assert merges != list(islice(textbook_merges(chunks, lambda counts: max(counts, key=counts.get)), 250)), \
        "ties by first occurrence would be another vocabulary: this text must have ties, or it tests nothing"


def test_merges_go_on_from_what_earlier_ones_made():
    """The chunks may be rows of ids: then the next merge is that of the whole list."""
    chunks = count_chunks(TEXT, PATTERNS["gpt4"])
    first = list(islice(learn_merges(chunks), 90))
    rows = dict(chunks)
    for new, pair in enumerate(first[:40], start=256):
        joined = {}
        for chunk, count in rows.items():
            row, i = list(chunk), 0
            while i < len(row) - 1:
                row[i:i + 2] = [new] if (row[i], row[i + 1]) == pair else row[i:i + 2]
                i += 1
            joined[tuple(row)] = count
        rows = joined
    assert list(islice(learn_merges(rows, first=296), 50)) == first[40:]


def test_after_so_many_words_tokens_may_span_words_but_never_sentences():
    """The first tokens are those of a vocabulary of words; later ones are phrases; both encoders agree."""
    told = [f"On {day} it rained all day. {who} was not at home. \"Where is {who}?\" said the cat.\nNobody knew."
            for day in ("Monday", "Friday") for who in ("Ann", "Ben", "Cleo")]
    plain = BPETokenizer.train(told, 300, special=())
    wide = BPETokenizer.train(told, 340, special=(), words=300)
    assert wide.tokens[:300] == plain.tokens and len(wide.tokens) == 340
    assert any(token.strip().count(b" ") > 1 for token in wide.tokens)
    assert not any(re.search(rb"[.?][\" \n]*\w", token) for token in wide.tokens)
    assert sum(map(len, map(wide.encode, told))) < 0.6 * sum(map(len, map(plain.encode, told)))
    for text in (*told, TEXT):
        assert wide.decode(wide.encode(text)) == text and wide.encode(text) == wide.encode_readable(text)


def test_a_vocabulary_of_phrases_is_the_same_after_saving(tmp_path):
    wide = BPETokenizer.train(TEXT, 500, words=400)
    wide.save(tmp_path)
    assert BPETokenizer.load(tmp_path).encode(TEXT) == wide.encode(TEXT)
    assert wide.merges[:100] == BPETokenizer.train(TEXT, 500).merges[:100]


@pytest.mark.parametrize("words", [255, 500])
def test_more_words_than_there_is_room_for_are_refused(words):
    with pytest.raises(ValueError, match=f"words={words} must be at least 256, .* at most the 499"):
        BPETokenizer.train(TEXT, 500, words=words)


def test_equally_frequent_pairs_join_lowest_first():
    assert list(islice(learn_merges({b"zy": 5, b"ab": 5, b"ac": 5}), 3)) == [(97, 98), (97, 99), (122, 121)]


def test_overlapping_pairs_join_from_the_left():
    assert BPETokenizer.train("aaa aaa", 259, special=()).pieces(BPETokenizer.train(
        "aaa aaa", 257, special=()).encode("aaaaa")) == ["aa", "aa", "a"]


def test_training_ends_where_no_pair_occurs_twice():
    tokenizer = BPETokenizer.train("abab xy", 1000, special=())
    assert tokenizer.tokens[256:] == [b"ab"]
    assert tokenizer.vocab_size == 257


def test_training_on_several_texts_joins_nothing_across_them():
    assert BPETokenizer.train(["xa", "by"] * 9, 258, special=()).tokens[256:] == [b"by", b"xa"]


@patterns
@given(text=ANY_TEXT | TROUBLE)
def test_the_readable_and_the_fast_encoder_agree(pattern, text):
    tokenizer = TOKENIZERS[pattern]
    assert tokenizer.encode(text) == tokenizer.encode_readable(text)


@patterns
def test_encoding_the_training_text_replays_the_merges(pattern):
    """Apply the merges in the order in which they were learnt: the third way to the same ids."""
    tokenizer = TOKENIZERS[pattern]
    for chunk in set(tokenizer.split(TEXT)):
        word = list(chunk.encode())
        for new, (left, right) in enumerate(tokenizer.merges, start=256):
            pair, i = (tokenizer.tokens.index(left), tokenizer.tokens.index(right)), 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == pair:
                    word[i:i + 2] = [new]
                i += 1
        assert [tokenizer.tokens[i] for i in word] == tokenizer.merge(chunk.encode())


@patterns
@given(text=ANY_TEXT)
def test_no_token_spans_two_chunks(pattern, text):
    tokenizer = TOKENIZERS[pattern]
    chunks = tokenizer.split(text)
    assert "".join(chunks) == text
    assert sum((tokenizer.encode_readable(chunk) for chunk in chunks), []) == tokenizer.encode_readable(text)


@pytest.mark.parametrize("pattern, chunks", [
    ("gpt2", ["It", "'s", " 12345", " o", "'", "clock", ".", "  ", " क", "ि!", "\n"]),
    ("gpt4", ["It", "'s", " ", "123", "45", " o", "'clock", ".", "  ", " क", "ि!\n"]),
    ("qwen2", ["It", "'s", " ", "1", "2", "3", "4", "5", " o", "'clock", ".", "  ", " क", "ि!\n"]),
    ("starcoder", ["It", "'s", " ", "1", "2", "3", "4", "5", " o", "'", "clock", ".", "  ", " क", "ि!", "\n"]),
    ("gpt4o", ["It's", " ", "123", "45", " o", "'clock", ".", "  ", " कि", "!\n"])])
def test_a_pattern_cuts_where_its_model_does(pattern, chunks):
    assert TOKENIZERS[pattern].split("It's 12345 o'clock.   कि!\n") == chunks


def test_characters_newer_than_an_engine_are_cut_alike():
    """tiktoken's engine and `regex` know different years of Unicode: compare them on every character there is."""
    tokenizer = TOKENIZERS["gpt4o"]
    characters = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    disputed = tokenizer._disputed(set(characters))
    for some in (sorted(disputed)[::50], sorted(set(characters) - disputed)[::500]):
        text = "".join(f"a{c}b {c}1 " for c in some)
        assert tokenizer.encode(text) == tokenizer.encode_readable(text)


def test_a_million_blanks_do_not_break_the_engine():
    assert BPETokenizer(TOKENIZERS["gpt4"].tokens[:256]).encode(f"a{' ' * 1_000_000}b") == \
           [*b"a", *b" " * 1_000_000, *b"b"]


def test_a_pattern_that_drops_characters_is_refused():
    with pytest.raises(ValueError, match="passes over some characters"):
        BPETokenizer.train("a b", 256, pattern=r"\w+", special=())
    with pytest.raises(ValueError, match="passes over some characters"):
        BPETokenizer(TOKENIZERS["gpt2"].tokens, pattern=r"\w+").encode("a b")


@pytest.mark.parametrize("pattern", ["gpt5", "(a)|[^a]", "(a)(b)|."])
def test_a_pattern_that_cannot_be_used_is_told_what_can(pattern):
    with pytest.raises(ValueError, match=r"write \(\?:...\) for \(...\), or take one of: gpt2, gpt4"):
        BPETokenizer.train("ab ab", 300, pattern=pattern)


@pytest.mark.parametrize("arguments, reason", [
    ({"vocab_size": 200}, "no room for the 256 bytes and 1 special tokens; ask for at least 257")])
def test_a_vocabulary_too_small_for_bytes_is_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        BPETokenizer.train("abc", **arguments)


def test_a_vocabulary_without_all_bytes_is_refused():
    with pytest.raises(ValueError, match="256 tokens must be the single bytes"):
        BPETokenizer([b"a", b"b"])
    with pytest.raises(ValueError, match="1 of 258 tokens are repeated"):
        BPETokenizer([*(bytes([i]) for i in range(256)), b"ab", b"ab"])


def test_a_larger_vocabulary_begins_with_the_smaller():
    small, large = (BPETokenizer.train(TEXT, n, special=()) for n in (300, 500))
    assert large.tokens[:300] == small.tokens


@patterns
@given(text=ANY_TEXT | TROUBLE)
def test_where_a_stream_is_cut_a_chunk_ends(pattern, text):
    split = TOKENIZERS[pattern].split
    for match in bpe._SURE_END.finditer(text):
        assert split(text[:match.start()]) + split(text[match.start():]) == split(text)


@given(texts=st.lists(st.text(), max_size=3))
def test_counting_counts_what_cutting_gives(texts):
    counted = count_chunks(texts, PATTERNS["gpt4"])
    chunks = Counter(chunk.encode() for text in texts for chunk in cut(text, compiled(PATTERNS["gpt4"])))
    assert counted == chunks


def test_counting_keeps_nothing_that_grows_with_the_text():
    text = "".join(f"the {i % 500} cats sat on mat {i % 7}\n" for i in range(20_000))
    tracemalloc.start()
    try:
        count_chunks(text, PATTERNS["gpt4"])
        assert tracemalloc.get_traced_memory()[1] < len(text) / 2  # a list of its chunks takes twelve times the text
    finally:
        tracemalloc.stop()
