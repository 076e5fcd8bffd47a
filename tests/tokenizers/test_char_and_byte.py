"""Characters and bytes: nothing is lost, and what cannot be written is refused by name."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.tokenizers import ByteTokenizer, CharTokenizer, load_tokenizer

UNICODE = st.text(st.characters(exclude_categories=["Cs"]))


@given(UNICODE)
def test_bytes_write_any_text(text):
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode(text)
    assert ids == list(text.encode("utf-8"))
    assert tokenizer.decode(ids) == text


@given(UNICODE.filter(bool))
def test_characters_write_the_text_they_were_trained_on(text):
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert tokenizer.vocab_size == len(set(text))
    assert tokenizer.decode(ids) == text
    assert tokenizer.pieces(ids) == list(text)


def test_ids_of_characters_follow_their_code_points():
    assert CharTokenizer.train(["cab", "a€"]).encode("abc€") == [0, 1, 2, 3]


def test_an_unknown_character_is_refused_with_its_code_point_and_position():
    with pytest.raises(ValueError, match=r"character 2, '€' \(U\+20AC\), is not among the 2"):
        CharTokenizer.train("ab").encode("ab€")


def test_an_empty_training_text_is_refused():
    with pytest.raises(ValueError, match="empty"):
        CharTokenizer.train("")


def test_a_repeated_character_is_refused():
    with pytest.raises(ValueError, match="repeats 1"):
        CharTokenizer("aba")


@pytest.mark.parametrize("tokenizer", [CharTokenizer.train("کلیله\n و", special=("<|endoftext|>", "<|user|>")),
                                       ByteTokenizer(special=("<|endoftext|>", "<|user|>")), ByteTokenizer()])
def test_a_loaded_tokenizer_is_the_saved_one(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "new" / "folder")
    loaded = load_tokenizer(tmp_path / "new" / "folder")
    assert type(loaded) is type(tokenizer)
    assert loaded.special == tokenizer.special
    assert [loaded.token_bytes(i) for i in range(loaded.vocab_size)] == \
           [tokenizer.token_bytes(i) for i in range(tokenizer.vocab_size)]
