"""SentencePiece: the library's own ids, nothing lost, and errors that a learner understands."""
import io
import json
import math
import re
from functools import cache
from itertools import product

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_samples import ANY_TEXT, TEXT

from minillm.conversation import Template
from minillm.tokenizers import BPETokenizer, SentencePieceTokenizer, load_tokenizer, published
from minillm.tokenizers import sentencepiece as module

TOKENIZERS = {name: SentencePieceTokenizer.train(TEXT, 400, algorithm=name) for name in ("unigram", "bpe")}
both = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)


@both
@given(text=ANY_TEXT)
def test_ids_are_the_library_s_own(tokenizer, text):
    text = text.replace("▁", "")
    library = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    ids, theirs = tokenizer.encode(text), library.encode(text)
    if ids != theirs:  # equally probable ("9", "99" or "99", "9"): there the library goes by rounding
        assert tokenizer is TOKENIZERS["unigram"]
        assert sum(map(library.get_score, ids)) == pytest.approx(sum(map(library.get_score, theirs)), rel=1e-5)
    assert [i for word in sentence_words(text) for i in library.encode(word)] == ids
    assert library.decode(ids) == text


def sentence_words(text):
    return re.findall(r"\n| *[^ \n]+| +", text)


@both
def test_the_library_loses_its_own_blank_sign_and_we_do_not(tokenizer):
    text = "a▁b ▁\n▁"
    library = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    assert library.decode(library.encode(text)) == "a b  \n "
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.pieces(tokenizer.encode("▁")) == ["⟨E2⟩", "⟨96⟩", "⟨81⟩"]


@both
def test_however_many_blank_signs_cost_two_calls(tokenizer, monkeypatch):
    calls, encode = [], tokenizer.library.EncodeAsIds
    monkeypatch.setattr(tokenizer.library, "EncodeAsIds", lambda words: calls.append(words) or encode(words))
    text = "▁a" * 1000
    assert tokenizer.decode(tokenizer.encode(text)) == text and len(calls) == 2


@both
def test_a_saved_model_is_a_file_of_the_library(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    library = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    assert library.encode(TEXT) == tokenizer.encode(TEXT)


def test_training_twice_gives_the_same_model():
    assert SentencePieceTokenizer.train(TEXT, 400).model == TOKENIZERS["unigram"].model


def test_unigram_takes_the_most_probable_segmentation():
    """Every segmentation of a word, tried one by one."""
    tokenizer = TOKENIZERS["unigram"]
    scores = tokenizer.piece_scores()

    def best(text):
        return max(([scores[text[:i]] + rest[0], text[:i], *rest[1:]] for i in range(1, len(text) + 1)
                    if text[:i] in scores and (rest := best(text[i:]))[0] > -math.inf),
                   default=[-math.inf], key=lambda found: found[0]) if text else [0.0]

    for word in (" sat", " matting", "Three", " dogs", " собака", " القط"):
        assert tokenizer.pieces(tokenizer.encode(word)) == best(word)[1:]


def test_normalisation_is_off_unless_asked_for():
    text = "ﬁnd Ａ² ½"
    assert TOKENIZERS["unigram"].decode(TOKENIZERS["unigram"].encode(text)) == text
    nfkc = SentencePieceTokenizer.train(TEXT, 400, normalization="nfkc")
    assert nfkc.decode(nfkc.encode(text)) == "find A2 1⁄2"


def test_rare_characters_make_room_for_pieces():
    tokenizer = SentencePieceTokenizer.train("".join(map(chr, range(0x4E00, 0x5200))) + "abc ab " * 99, 300)
    assert tokenizer.vocab_size <= 300
    assert tokenizer.pieces(tokenizer.encode("丠")) == ["⟨E4⟩", "⟨B8⟩", "⟨A0⟩"]
    assert "ab" in tokenizer.piece_scores()


def test_a_vocabulary_ends_where_the_text_does():
    assert SentencePieceTokenizer.train("ab ab ab", 1000, algorithm="bpe").vocab_size < 300


@pytest.mark.parametrize("arguments, reason", [
    ((TEXT, 200), "vocab_size=200 has no room .* ask for at least 261"),
    (("", 400), "the training text is empty"),
    (("\n\n", 400), "the training text is empty")])
def test_impossible_wishes_are_refused_in_a_sentence(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        SentencePieceTokenizer.train(*arguments)


def test_unknown_options_are_refused_by_name():
    with pytest.raises(ValueError, match="algorithm='word' is neither"):
        SentencePieceTokenizer.train(TEXT, 400, algorithm="word")
    with pytest.raises(ValueError, match="normalization='nfx' is not one of: identity, nfkc"):
        SentencePieceTokenizer.train(TEXT, 400, normalization="nfx")
    with pytest.raises(ValueError, match="3 bytes are not a SentencePiece model"):
        SentencePieceTokenizer(b"abc")


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A model as Llama 2's was made: a blank before every text, <s> and </s>, byte fallback."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines()), model_writer=model, vocab_size=450, model_type="bpe",
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        character_coverage=0.99, minloglevel=2)
    path = tmp_path_factory.mktemp("llama") / "tokenizer.model"
    path.write_bytes(model.getvalue())
    return SentencePieceTokenizer.from_model(path), sentencepiece.SentencePieceProcessor(model_file=str(path))


@given(text=ANY_TEXT)
def test_a_published_model_keeps_its_ids_and_its_text(llama, text):
    tokenizer, library = llama
    text = text.replace("▁", "")
    ids = tokenizer.encode(text)
    assert ids == library.encode(text) == list(tokenizer.encode_stream(text))
    assert tokenizer.decode(ids) == text
    decoder = tokenizer.decoder()
    assert "".join(map(decoder.push, ids)) + decoder.finish() == text


def test_a_published_model_names_its_end_of_text(llama):
    assert llama[0].special == {"<s>": 1, "</s>": 2}
    assert llama[0].end_of_text == 2


def test_a_model_without_byte_fallback_refuses_what_it_cannot_write():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["ab ab abc"]), model_writer=model, vocab_size=10,
                                             hard_vocab_limit=False, minloglevel=2)
    with pytest.raises(ValueError, match=r"character 2, 'ж' \(U\+0436\), is unknown"):
        SentencePieceTokenizer(model.getvalue()).encode("abж")


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
@pytest.mark.parametrize("sample", ["吾輩は猫である。名前はまだ無い。\n", "學而時習之不亦說\n", "aaaa bbbb\n", "\t.\n"])
@given(text=st.text(alphabet=st.sampled_from(" \n\t▁abé吾名。, \u3000\u00a0😀"), max_size=12))
@settings(max_examples=40)
def test_nothing_is_lost_of_characters_that_the_training_text_had_not(sample, algorithm, text):
    tokenizer = trained(sample, algorithm)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert list(tokenizer.encode_stream([text[:5], text[5:]])) == tokenizer.encode(text)


@cache
def trained(sample: str, algorithm: str) -> SentencePieceTokenizer:
    return SentencePieceTokenizer.train(sample * 60, 262 if "bbbb" in sample else 400, algorithm=algorithm)


@pytest.mark.parametrize("blanks", list(product([True, False], repeat=2)), ids=str)
@pytest.mark.parametrize("normalization", ["identity", "nfkc", "nmt_nfkc"])
@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_a_model_of_any_setting_gives_the_librarys_ids(algorithm, normalization, blanks):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["hello world, a b c", "the world of ﬁne ²", "hello again, world"] * 30),
        model_writer=model, model_type=algorithm, vocab_size=330, hard_vocab_limit=False, byte_fallback=True,
        normalization_rule_name=normalization, add_dummy_prefix=blanks[0], remove_extra_whitespaces=blanks[1],
        minloglevel=2)
    ours = SentencePieceTokenizer(model.getvalue())
    library = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    for text in ("hello world", " hello  world ", "a", "", "ﬁne ² worlds", "the\tworld of hello", "e\u0301 é", "  "):
        assert ours.encode(text) == library.EncodeAsIds(text)
        assert ours.decode(ours.encode(text)) == library.DecodeIds(library.EncodeAsIds(text))


def test_a_blank_that_a_model_has_no_piece_for_is_spelled_as_a_blank():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["吾輩は猫である"] * 30), model_writer=model, vocab_size=300, hard_vocab_limit=False,
        byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False, minloglevel=2,
        normalization_rule_name="identity")
    tokenizer = SentencePieceTokenizer(model.getvalue())
    assert tokenizer.decode(tokenizer.encode(" 猫  is▁a cat ")) == " 猫  is▁a cat "


@pytest.mark.parametrize("blanks", list(product([True, False], repeat=2)), ids=str)
@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_a_text_that_is_encoded_in_two_parts_reads_as_in_one(algorithm, blanks):
    tokenizer = model_with(algorithm, *blanks)
    for text, more in [("hello", " world"), ("hello", "  world"), ("hello ", "world"), ("hello\tworld", " world"),
                       ("", "world"), ("hello", "")]:
        whole, parts = text + more, [text, more]
        ids = tokenizer.encode(text) + tokenizer.encode(more, continues=bool(text))
        lost = blanks[1] and text.endswith(" ")  # a model that trims takes the blank before it knows of a next word
        assert tokenizer.decode(ids) == ("helloworld" if lost else tokenizer.decode(tokenizer.encode(whole)))
        marked = "</s>".join(parts)
        assert tokenizer.decode(tokenizer.encode(marked, special=True)) == (
            tokenizer.decode(tokenizer.encode(text)) + "</s>" +
            tokenizer.decode(tokenizer.encode(more, continues=True), continues=True))
        assert list(tokenizer.encode_stream([marked[:7], marked[7:]], special=True)) == \
            tokenizer.encode(marked, special=True)
        decoder = tokenizer.decoder(continues=True)
        ids = tokenizer.encode(more, continues=True)
        assert "".join(map(decoder.push, ids)) + decoder.finish() == tokenizer.decode(ids, continues=True)


@cache
def model_with(algorithm: str, prefix: bool, trims: bool, normalization: str = "identity", *,
               byte_fallback: bool = True, user_defined_symbols: tuple[str, ...] = (),
               treat_whitespace_as_suffix: bool = False) -> SentencePieceTokenizer:
    """A model of the library's own trainer, with </s>, whatever it does to blanks."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["hello world, a b c", "the world of ﬁne ²", "hello again, world"] * 30),
        model_writer=model, model_type=algorithm, vocab_size=330, hard_vocab_limit=False, minloglevel=2,
        byte_fallback=byte_fallback, normalization_rule_name=normalization, add_dummy_prefix=prefix,
        remove_extra_whitespaces=trims, user_defined_symbols=list(user_defined_symbols),
        treat_whitespace_as_suffix=treat_whitespace_as_suffix)
    return SentencePieceTokenizer(model.getvalue())


@pytest.mark.parametrize("blanks", list(product([True, False], repeat=2)), ids=str)
@pytest.mark.parametrize("normalization", ["identity", "nfkc", "nmt_nfkc", "nfkc_cf"])
@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_an_exported_model_of_any_setting_has_its_ids_in_hugging_faces_tokenizers(algorithm, normalization, blanks):
    theirs = pytest.importorskip("tokenizers").Tokenizer
    for ours in (model_with(algorithm, *blanks, normalization), SentencePieceTokenizer.train(
            TEXT, 380, algorithm=algorithm, normalization=normalization)):
        exported = theirs.from_str(published.FILES["sentencepiece"](ours)["tokenizer.json"])
        for text in (*published.SAMPLES, TEXT, " hello", "hello  world ", "e\u0301 ￥", "１２", "\tab", "a\u2003b"):
            ids = ours.encode(text)
            assert exported.encode(text, add_special_tokens=False).ids == ids
            assert exported.decode(ids) == ours.decode(ids)


def test_a_tokenizer_that_would_be_another_one_is_not_exported(tmp_path):
    with pytest.raises(ValueError, match="'<tool>' is a token in every text, and this model adds or removes blanks"):
        published.export_tokenizer(model_with("bpe", True, True, user_defined_symbols=("<tool>",)), tmp_path)
    with pytest.raises(ValueError, match="of kind word has no form in tokenizer.json"):
        published.export_tokenizer(model_with("word", True, True, byte_fallback=False), tmp_path)
    changed = BPETokenizer.train(TEXT, 400)
    changed.pattern = r"[\s\S]"  # what is written is no longer what encodes
    with pytest.raises(ValueError, match="tokenizers would make .* of it, so the export would not be the same"):
        published.export_tokenizer(changed, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_a_dialogue_with_a_published_model_has_the_ids_of_its_text(algorithm):
    template, tokenizer = Template(), model_with(algorithm, True, False)
    ids = template.ask("hello world", tokenizer) + template.answer("a b", tokenizer)[:-1]
    assert ids == tokenizer.encode("Question: hello world\nAnswer: a b")
    assert tokenizer.decode(tokenizer.encode("a▁b")) == "a▁b"


def test_a_model_that_puts_its_blank_behind_is_refused():
    with pytest.raises(ValueError, match="treat_whitespace_as_suffix"):
        model_with("unigram", True, False, treat_whitespace_as_suffix=True)


@pytest.mark.parametrize("blanks", list(product([True, False], repeat=2)), ids=str)
@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_an_exported_model_has_its_ids_around_special_tokens_too(algorithm, blanks, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = model_with(algorithm, *blanks)
    if blanks == (False, True):  # one form would strip what stands at a text's beginning, or behind a special token
        with pytest.raises(ValueError, match="the export would not be the same"):
            published.export_tokenizer(ours, tmp_path)
        return
    published.export_tokenizer(ours, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("</s>hello", "hello</s>world", "a </s> b", "</s></s>", " </s>  c", "hello world</s>", "a<s>b</s>c"):
        ids = ours.encode(text, special=True)
        assert theirs(text, add_special_tokens=False).input_ids == ids, text
        assert published.published_tokenizer(tmp_path).encode(text, special=True) == ids


PLAIN = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False}


@pytest.fixture
def beside(tmp_path):
    """A published folder with tokenizer.model and tokens beside it, and the first id that is free."""
    model = model_with("bpe", True, False)
    (tmp_path / "tokenizer.model").write_bytes(model.model)
    n = model.vocab_size
    rows = {n: ("<|end|>", {}), n + 1: ("<tool>", {"special": False}), 1: ("<s>", {}),
            n + 3: ("<|ask|>", {"rstrip": True})}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": {
        str(i): {"content": name, "special": True, **PLAIN, **flags} for i, (name, flags) in rows.items()}}))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|end|>": n, "<|user|>": n + 2}))
    return tmp_path, n


def test_tokens_beside_a_model_are_read_kept_and_exported(beside, tmp_path):
    folder, n = beside
    ours = published.published_tokenizer(folder)
    assert (ours.special["<|end|>"], ours.added, ours.vocab_size) == (n, {"<tool>": n + 1}, n + 4)
    text = "hello<|end|>world <tool> a<tool>b<|user|> c"
    ids = ours.encode(text, special=True)
    hello, world = model_with("bpe", True, False).encode("hello"), ours.encode("world", continues=True)
    assert ids[:len(hello) + 1 + len(world)] == [*hello, n, *world]                # as transformers has it
    assert ids.count(n + 1) == 2 and ours.encode(text).count(n) == 0 and ours.encode("a<tool>").count(n + 1) == 1
    assert ours.decode(ids) == text and ours.nameless(n + 5) == (n + 4,)
    assert ours.encode("<|ask|>  \nhello", special=True) == ours.encode("<|ask|>hello", special=True)
    assert list(ours.encode_stream(["<|ask|> ", " hello"], special=True)) == ours.encode("<|ask|>hello", special=True)
    assert list(ours.encode_stream([text[:9], text[9:23], text[23:]], special=True)) == ids
    ours.save(tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved").encode(text, special=True) == ids
    published.export_tokenizer(ours, tmp_path / "out")
    theirs = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(tmp_path / "out")
    for each in (text, "<|ask|>  hello", "a <|ask|> <tool> b", "hello <|end|> world"):
        assert theirs(each, add_special_tokens=False).input_ids == ours.encode(each, special=True), each


@pytest.mark.parametrize(("harm", "words"), [
    ({"added_tokens.json": {"<|end|>": 7}}, "gives '<|end|>' two ids, 7 and"),
    ({"added_tokens.json": {"<new>": "x"}}, "where a whole number belongs"),
    ({"added_tokens.json": {"<s>": 9}}, "two ids, 9 and 1"),
    ({"added_tokens.json": [1]}, "download or copy it again"),
    ({"tokenizer_config.json": {"added_tokens_decoder": {"999": {"content": "<x>", **PLAIN, "rstrip": True}}}},
     "adds '<x>' with rstrip, which is not built here"),
    ({"tokenizer_config.json": {"added_tokens_decoder": {"999": {"content": "<s>", **PLAIN}}}},
     "gives '<s>' the id 999, but its model has it as 1")])
def test_tokens_beside_a_model_that_cannot_be_are_named(harm, words, beside):
    folder, _ = beside
    for name, content in harm.items():
        (folder / name).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(words)):
        load_tokenizer(folder)


LONG = {"words": "ab" * 5000, "blanks": " " * 9000, "both": ("x" * 1999 + " " + "y" * 300) * 4,
        "prose": "a cat sat " * 900, "rare": ("a" * 700 + "\n") * 3}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_long_line_is_learned_from_in_short_parts_and_all_of_it(text):
    parts = [*module._short(text)]
    assert "".join(parts) == text.replace("\n", "")
    assert max(map(len, parts)) <= module.LONGEST
    assert max(len(word) for part in parts for word in part.split(" ")) <= module.LONGEST_WORD
    if text == LONG["prose"]:  # words that are short stay whole
        assert {word for part in parts for word in part.split()} == {"a", "cat", "sat"}


@pytest.mark.parametrize("text", ["a" * 100_000, "\n".join("a" * n for n in range(1, 400))], ids=["line", "lines"])
def test_equal_letters_are_learned_from_at_all_and_ctrl_c_is_heard(text, monkeypatch):
    """The library alone takes hours for the line."""
    assert len(SentencePieceTokenizer.train(text, 300).encode(text)) < len(text) / 4
    monkeypatch.setattr(module, "beside", lambda work: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        SentencePieceTokenizer.train(text, 300)
