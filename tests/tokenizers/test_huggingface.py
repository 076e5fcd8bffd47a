"""tokenizer.json: what we write, Hugging Face reads with equal ids, and the other way round."""
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_samples import SETTLED_TEXT, TEXT

from minillm.tokenizers import PATTERNS, BPETokenizer, load_tokenizer

hf = pytest.importorskip("tokenizers")
SPECIAL = ("<|endoftext|>", "<|user|>")


@pytest.fixture(scope="module", params=PATTERNS)
def pair(request, tmp_path_factory):
    """One vocabulary in our class and in theirs."""
    folder = tmp_path_factory.mktemp(request.param)
    ours = BPETokenizer.train(TEXT, 500, pattern=request.param, special=SPECIAL)
    ours.save(folder)
    return ours, hf.Tokenizer.from_file(str(folder / "tokenizer.json"))


@given(text=SETTLED_TEXT)
def test_their_ids_of_our_file_are_ours(pair, text):
    ours, theirs = pair
    assert theirs.encode(text).ids == ours.encode(text, special=True)


def test_their_special_tokens_are_ours(pair):
    ours, theirs = pair
    text = "one<|user|> two <|endoftext|>\n\nthree"
    ids = ours.encode(text, special=True)
    assert theirs.encode(text).ids == ids
    assert theirs.decode(ids, skip_special_tokens=False) == text
    assert theirs.get_vocab_size() == ours.vocab_size


def test_transformers_loads_the_folder(pair, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours, _ = pair
    ours.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs(TEXT)["input_ids"] == ours.encode(TEXT)
    assert theirs.eos_token_id == ours.end_of_text
    assert theirs.decode(ours.encode(TEXT)) == TEXT


PRE = hf.pre_tokenizers
SPLIT = {name: PRE.Sequence([PRE.Split(hf.Regex(pattern), "isolated"),
                             PRE.ByteLevel(add_prefix_space=False, use_regex=False)])
         for name, pattern in PATTERNS.items()}
THEIRS = {"gpt2": PRE.ByteLevel(add_prefix_space=False),
          "llama3": SPLIT["gpt4"], "qwen2": SPLIT["qwen2"], "gpt-oss": SPLIT["gpt4o"],
          "inverted": PRE.Sequence([PRE.Split(hf.Regex(PATTERNS["gpt4"]), "removed", invert=True),
                                    PRE.ByteLevel(add_prefix_space=False, use_regex=False)]),
          "smollm": PRE.Sequence([PRE.Digits(individual_digits=True), PRE.ByteLevel(add_prefix_space=False)])}


def trained_by_them(kind, normalizer=None):
    tokenizer = hf.Tokenizer(hf.models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = THEIRS[kind], hf.decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = hf.trainers.BpeTrainer(vocab_size=600, special_tokens=["<s>", *SPECIAL], show_progress=False,
                                     initial_alphabet=PRE.ByteLevel.alphabet())
    tokenizer.train_from_iterator(TEXT.splitlines(keepends=True), trainer)
    return tokenizer


@pytest.fixture(scope="module", params=THEIRS)
def loaded(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    theirs = trained_by_them(request.param)
    theirs.save(str(folder / "tokenizer.json"))
    return load_tokenizer(folder), theirs


@given(text=SETTLED_TEXT)
def test_our_ids_of_their_file_are_theirs(loaded, text):
    ours, theirs = loaded
    ids = theirs.encode(text).ids
    assert ours.encode(text, special=True) == ids
    assert ours.decode(ids) == text


def test_their_special_tokens_may_come_first(loaded):
    ours, _ = loaded
    assert ours.special == {"<s>": 0, "<|endoftext|>": 1, "<|user|>": 2}
    assert ours.vocab_size == 600
    assert ours.end_of_text == 1


def test_ids_in_another_order_than_ranks_are_kept(tmp_path):
    theirs = trained_by_them("gpt2")
    content = json.loads(theirs.to_str())
    size = 600
    content["model"]["vocab"] = {token: (i if i < 3 else size + 2 - i)
                                 for token, i in content["model"]["vocab"].items()}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    ours, shuffled = load_tokenizer(tmp_path), hf.Tokenizer.from_str(json.dumps(content))
    assert ours.encode(TEXT) == shuffled.encode(TEXT).ids != theirs.encode(TEXT).ids
    ours.save(tmp_path / "again")
    assert load_tokenizer(tmp_path / "again").encode(TEXT) == ours.encode(TEXT)
    assert hf.Tokenizer.from_file(str(tmp_path / "again" / "tokenizer.json")).encode(TEXT).ids == ours.encode(TEXT)


@given(text=st.text("eé́a ガカ゛가가≠ñ.\n", max_size=20))
def test_a_normaliser_in_the_file_is_applied(normalising, text):
    ours, theirs = normalising
    assert ours.encode(text) == ours.encode_readable(text) == theirs.encode(text).ids
    assert list(ours.encode_stream(text)) == ours.encode(text)


@pytest.fixture(scope="module")
def normalising(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nfc")
    theirs = trained_by_them("qwen2", hf.normalizers.NFC())
    theirs.save(str(folder / "tokenizer.json"))
    return load_tokenizer(folder), theirs


def broken(change):
    content = json.loads(trained_by_them("gpt2").to_str())
    change(content)
    return content


@pytest.mark.parametrize("change, reason", [
    (lambda c: c["model"].update(type="WordPiece"), "holds WordPiece"),
    (lambda c: c["model"].update(byte_fallback=True), "over characters, not byte-level"),
    (lambda c: c["model"].update(dropout=0.1), "sets dropout=0.1"),
    (lambda c: c["model"]["vocab"].pop("!"), "255 of 256 bytes"),
    (lambda c: c["model"]["merges"].append(["q", "q"]), "'qq' is not in its vocabulary"),
    (lambda c: c.update(normalizer={"type": "Lowercase"}), "normalises text by Lowercase"),
    (lambda c: c["pre_tokenizer"].update(add_prefix_space=True), "cuts text by ByteLevel"),
    (lambda c: c.update(pre_tokenizer=None), "cuts text by None"),
    (lambda c: c.pop("model"), "is not a tokenizer.json")])
def test_what_we_could_not_repeat_is_refused(change, reason, tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(broken(change)), encoding="utf-8")
    with pytest.raises(ValueError, match=reason):
        load_tokenizer(tmp_path)
