"""What every tokenizer promises, whichever way it cuts a text."""
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_samples import ANY_TEXT, TEXT, TROUBLE, cuts

from minillm.tokenizers import (
    KINDS,
    PATTERNS,
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    SentencePieceTokenizer,
    load_tokenizer,
    protocol,
)

SPECIAL = ("<|endoftext|>", "<|user|>", "<|us", "|>.")
TOKENIZERS = {
    "byte": ByteTokenizer(special=SPECIAL),
    **{f"bpe-{name}": BPETokenizer.train(TEXT, 450, pattern=name, special=SPECIAL) for name in PATTERNS},
    "bpe-custom": BPETokenizer.train(TEXT, 450, pattern=r"[aeiou]+|[\s\S]", special=SPECIAL),
    "sentencepiece-bpe": SentencePieceTokenizer.train(TEXT, 360, algorithm="bpe", special=SPECIAL),
    "sentencepiece-unigram": SentencePieceTokenizer.train(TEXT, 360, algorithm="unigram", special=SPECIAL),
}
every = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())


@every
@given(text=ANY_TEXT)
def test_no_text_is_changed(tokenizer, text):
    ids = tokenizer.encode(text)
    assert all(0 <= i < tokenizer.vocab_size for i in ids)
    assert tokenizer.decode(ids) == text


@every
@given(text=ANY_TEXT)
def test_streaming_out_shows_whole_characters_and_loses_none(tokenizer, text):
    decoder = tokenizer.decoder()
    shown = [decoder.push(i) for i in tokenizer.encode(text)]
    assert "\ufffd" not in "".join(shown).replace("\ufffd", "", text.count("\ufffd"))
    assert "".join(shown) == text
    assert decoder.finish() == ""


@every
@given(data=st.data())
def test_streaming_out_any_ids_is_decoding_them(tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=30))
    decoder = tokenizer.decoder()
    assert "".join(map(decoder.push, ids)) + decoder.finish() == tokenizer.decode(ids)


@every
@given(data=st.data(), block=st.integers(1, 12), special=st.booleans())
def test_streaming_in_does_not_depend_on_the_cuts(tokenizer, data, block, special):
    text = data.draw(TROUBLE | ANY_TEXT)
    if special:
        names = data.draw(st.lists(st.sampled_from(SPECIAL), max_size=3))
        text = "".join(itertools.chain(*itertools.zip_longest(cuts(data.draw, text), names, fillvalue="")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "BLOCK", block)
        streamed = list(tokenizer.encode_stream(iter(cuts(data.draw, text)), special=special))
    assert streamed == tokenizer.encode(text, special=special)


@every
@given(text=TROUBLE)
def test_special_tokens_are_plain_text_unless_asked_for(tokenizer, text):
    marked = f"{text}<|endoftext|>{text}"
    plain, asked = tokenizer.encode(marked), tokenizer.encode(marked, special=True)
    assert tokenizer.end_of_text == tokenizer.special["<|endoftext|>"]
    assert tokenizer.end_of_text not in plain
    assert asked.count(tokenizer.end_of_text) == 1
    assert tokenizer.decode(plain) == tokenizer.decode(asked) == marked


@every
def test_the_longest_special_token_wins(tokenizer):
    assert tokenizer.encode("<|user|><|us", special=True) == [tokenizer.special["<|user|>"], tokenizer.special["<|us"]]


@every
@given(text=ANY_TEXT)
def test_pieces_show_every_byte_and_no_replacement_character(tokenizer, text):
    text = text.replace("\ufffd", "")
    ids = tokenizer.encode(text)
    pieces = tokenizer.pieces(ids)
    assert len(pieces) == len(ids)
    assert "\ufffd" not in "".join(pieces)
    for token, piece in zip(ids, pieces, strict=True):
        try:
            assert piece == tokenizer.token_bytes(token).decode("utf-8")
        except UnicodeDecodeError:
            assert piece.count("⟨") == piece.count("⟩") >= 1


def test_a_part_of_a_character_is_shown_as_its_bytes():
    assert ByteTokenizer().pieces("€".encode()) == ["⟨E2⟩", "⟨82⟩", "⟨AC⟩"]
    assert protocol.show_bytes(b"a\xe2\x82") == "a⟨E2 82⟩"
    assert protocol.show_bytes(b"\xac\xacb\xff") == "⟨AC AC⟩b⟨FF⟩"


@every
def test_half_a_surrogate_pair_is_refused_with_its_position(tokenizer):
    with pytest.raises(ValueError, match=r"character 2 is U\+D83D"):
        tokenizer.encode("ab\ud83dc")
    with pytest.raises(ValueError, match=r"character 5 is U\+DE00"):
        list(tokenizer.encode_stream(["abc", "", "de\ude00"]))


@pytest.mark.parametrize("train", [CharTokenizer.train, lambda text: BPETokenizer.train(text, 300),
                                   lambda text: SentencePieceTokenizer.train(text, 360)])
def test_what_no_tokenizer_reads_none_learns_from(train):
    with pytest.raises(ValueError, match=r"character 2 is U\+D83D, half of a surrogate pair"):
        train("ab\ud83dc")


def test_bytes_are_refused_as_text():
    with pytest.raises(TypeError, match="decode bytes first"):
        protocol.check_text(b"abc")


@every
def test_an_id_outside_the_vocabulary_is_refused(tokenizer):
    for wrong in (-1, tokenizer.vocab_size):
        with pytest.raises(ValueError, match=f"id {wrong} is outside the vocabulary of {tokenizer.vocab_size}"):
            tokenizer.decode([wrong])


@every
def test_a_loaded_tokenizer_is_the_saved_one(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "folder")
    loaded = load_tokenizer(tmp_path / "folder")
    assert type(loaded) is type(tokenizer) is KINDS[tokenizer.kind]
    assert (loaded.vocab_size, loaded.special) == (tokenizer.vocab_size, tokenizer.special)
    assert loaded.encode(TEXT, special=True) == tokenizer.encode(TEXT, special=True)
    assert not list((tmp_path / "folder").glob("*.part"))


def test_a_folder_of_another_kind_is_refused(tmp_path):
    ByteTokenizer().save(tmp_path)
    with pytest.raises(ValueError, match="kind 'byte', not 'char'"):
        CharTokenizer.load(tmp_path)


@pytest.mark.parametrize("content, reason", [("{", "damaged"), ("[]", "damaged"), ("{}", "damaged"),
                                             ('{"kind": "morse"}', "kind 'morse'")])
def test_a_damaged_folder_is_refused_with_the_reason(tmp_path, content, reason):
    (tmp_path / protocol.SETTINGS_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=reason):
        load_tokenizer(tmp_path)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="tokenizer.save"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["byte", "bpe-gpt4", "sentencepiece-unigram"])
def test_a_stream_needs_memory_for_a_block_only(name):
    held = []
    tokenizer = TOKENIZERS[name]
    cut = tokenizer._cut

    def watch(text):
        held.append(len(text))
        return cut(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "BLOCK", 1000)
        patch.setattr(tokenizer, "_cut", watch, raising=False)
        list(tokenizer.encode_stream(itertools.repeat(TEXT, 20)))
    assert len(held) > 20
    assert max(held) < 2 * 1000 + 200


@settings(max_examples=5)
@given(st.integers(1, 50))
def test_a_stream_is_lazy(n):
    def texts():
        while True:
            yield "some words, and more. "
    stream = ByteTokenizer().encode_stream(texts())
    assert len(list(itertools.islice(stream, n))) == n
