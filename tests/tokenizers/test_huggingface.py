"""tokenizer.json: what we write, Hugging Face reads with equal ids, and the other way round."""
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_samples import SETTLED_TEXT, TEXT

from minillm.tokenizers import (
    PATTERNS,
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    SentencePieceTokenizer,
    load_tokenizer,
)

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
    (lambda c: c["model"].update(end_of_word_suffix="</w>"), "sets end_of_word_suffix='</w>' for its model"),
    (lambda c: c["model"].update(novelty=3), "sets novelty=3 for its model"),
    (lambda c: c.update(truncation={"max_length": 9}), "sets truncation="),
    (lambda c: c.update(augmentation=True), "sets augmentation=True for its file"),
    (lambda c: c["added_tokens"][0].update(lstrip=True), "sets lstrip=True for its added token"),
    (lambda c: c["added_tokens"][0].update(rstrip=True), "sets rstrip=True"),
    (lambda c: c["added_tokens"][0].update(single_word=True), "sets single_word=True"),
    (lambda c: c["added_tokens"][0].update(content=""), "without a name, id 0"),
    (lambda c: c["added_tokens"][0].update(id=7), "gives '<s>' two ids, 0 and 7"),
    (lambda c: c["added_tokens"][0].update(id=1 << 40), "a whole number from 0 to 16,777,215"),
    (lambda c: c["model"]["vocab"].update(a="x"), "a whole number from 0"),
    (lambda c: c["model"]["vocab"].update(a=c["model"]["vocab"]["b"]), "gives 1 ids to two tokens"),
    (lambda c: c["model"].update(merges=[["a"]]), "are no two tokens"),
    (lambda c: c["model"].update(vocab=[1]), "has no model|belongs"),
    (lambda c: c.update(normalizer={"type": "NFC"}, added_tokens=[
        {"id": 0, "content": "<s>", "special": True, "normalized": True}]), "sets normalized=True for its special"),
    (lambda c: c["model"]["merges"].append(["q", "q"]), "'qq' is not in its vocabulary"),
    (lambda c: c.update(normalizer={"type": "Lowercase"}), "normalises text by Lowercase"),
    (lambda c: c["pre_tokenizer"].update(add_prefix_space=True), "cuts text by ByteLevel"),
    (lambda c: c.update(pre_tokenizer=None), "cuts text by None"),
    (lambda c: c.pop("model"), "has no model|belongs")])
def test_what_we_could_not_repeat_is_refused(change, reason, tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(broken(change)), encoding="utf-8")
    with pytest.raises(ValueError, match=reason):
        load_tokenizer(tmp_path)


def file_of(content, folder):
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return BPETokenizer.from_tokenizer_json(path), hf.Tokenizer.from_str(json.dumps(content))


def opened(folder):
    return load_tokenizer(folder), hf.Tokenizer.from_file(str(folder / "tokenizer.json"))


def same_ids(ours, theirs, text):
    ids = theirs.encode(text, add_special_tokens=False).ids
    assert ours.encode(text, special=True) == ids
    assert ours.decode(ids) == text
    assert list(ours.encode_stream([text[:9], text[9:]], special=True)) == ids
    plain = ours.encode(text)
    assert ours.encode_readable(text) == plain and ours.decode(plain) == text


@pytest.mark.parametrize("ignore", [True, False])
@pytest.mark.parametrize("again", [True, False], ids=["saved", "read"])
def test_a_token_that_no_merge_leads_to_is_taken_as_theirs_takes_it(ignore, again, tmp_path):
    content = json.loads(trained_by_them("llama3").to_str())
    content["model"]["vocab"] |= {"zebra": 605, "Ġzebra": 606, "sat": 607, "qqq": 608}
    content["model"]["ignore_merges"] = ignore
    ours, theirs = file_of(content, tmp_path)
    if again:
        ours.save(tmp_path / "again")
        ours, theirs = opened(tmp_path / "again")
    for text in ("zebra", "the zebra", "zebra cat", "zebras", "a cat sat", "qqq qqq", TEXT):
        same_ids(ours, theirs, text)
    assert ours.decode([605, 607]) == "zebrasat"


@given(st.lists(st.tuples(*[st.text("abc", min_size=1, max_size=3)] * 2), max_size=12),
       st.lists(st.text("abc", min_size=1, max_size=9), min_size=1), st.booleans())
def test_merges_in_any_order_give_their_ids(some, texts, ignore):
    content = json.loads(trained_by_them("llama3").to_str())
    names = dict.fromkeys([c for c in content["model"]["vocab"] if len(c) == 1])
    names |= dict.fromkeys(part for left, right in some for part in (left, right, left + right))
    content["model"].update(vocab={name: i for i, name in enumerate(names)}, merges=some, ignore_merges=ignore)
    content["added_tokens"] = []
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = file_of(content, Path(folder))
    for text in texts:
        same_ids(ours, theirs, text)


def test_names_that_are_not_special_are_one_token_in_every_text(tmp_path):
    """As Pythia's and CodeGen's runs of blanks, and Qwen's <tool_call>."""
    for normalizer in (None, hf.normalizers.NFC()):
        theirs = trained_by_them("gpt2", normalizer)
        theirs.add_special_tokens([hf.AddedToken("<|end|>", normalized=False)])
        theirs.add_tokens([hf.AddedToken(" " * n, normalized=True) for n in (2, 3, 4, 8)])
        theirs.add_tokens([hf.AddedToken("<tool_call>", normalized=True)])
        ours, theirs = file_of(json.loads(theirs.to_str()), tmp_path)
        for text in ("def f(x):\n    return x", "a  b   c         d", "   ", "x<tool_call>y <tool_call",
                     "<|end|>  <|end|>", TEXT, "x" + " " * 70_000 + "y"):
            same_ids(ours, theirs, text)
        assert ours.encode("<tool_call>") == [ours.added["<tool_call>"]]
        assert len(ours.encode("<|end|>")) > 1
        ours.save(tmp_path / "again")
        same_ids(*opened(tmp_path / "again"), TEXT)


def test_bytes_that_no_text_holds_may_lack_a_token(tmp_path):
    content = json.loads(trained_by_them("gpt2").to_str())
    for value in (0xC0, 0xC1, *range(0xF5, 0x100)):
        del content["model"]["vocab"][chr(value)]
    ours, theirs = file_of(content, tmp_path)
    same_ids(ours, theirs, TEXT + "\U0010ffff\U000fffff😀")
    ours.save(tmp_path / "again")
    assert load_tokenizer(tmp_path / "again").encode(TEXT) == ours.encode(TEXT)


@pytest.mark.parametrize("name", ["user", "c", "é", "hello", " the"])
@pytest.mark.parametrize("make", [
    lambda special: CharTokenizer.train(WORDS, special=special), lambda special: ByteTokenizer(special=special),
    lambda special: BPETokenizer.train(WORDS, 400, special=special),
    lambda special: SentencePieceTokenizer.train(WORDS, 400, special=special)], ids=["char", "byte", "bpe", "pieces"])
def test_a_special_token_that_is_also_a_word_is_refused_or_kept(make, name, tmp_path):
    try:
        tokenizer = make(("<|endoftext|>", name))
    except ValueError as refusal:
        assert repr(name) in str(refusal) and "give it a name that no text holds" in str(refusal)
        return
    tokenizer.save(tmp_path)
    for special in (True, False):
        assert load_tokenizer(tmp_path).encode(WORDS, special=special) == tokenizer.encode(WORDS, special=special)


WORDS = "user: hi, how is the café?\nassistant: hello there, c\n" * 30
