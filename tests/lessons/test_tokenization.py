"""Notebook 01's pictures and widgets show what the tokenizers do."""
import math
import re
from collections import Counter

import pytest

from minillm.lessons.tokenization import measures, widgets
from minillm.notebook import tokens
from minillm.tokenizers import PATTERNS, BPETokenizer, ByteTokenizer


def chips(html):
    """The texts of the tokens on a page, in order."""
    return re.findall(r"<bdi>(.*?)</bdi>", html)


def test_the_explorer_shows_every_tokenizer_s_tokens_of_what_is_typed():
    live = widgets.explorer()
    live["words"].value = "ab c"
    html = live.redraw()[0].html
    family = measures.family()
    expected = [tokens.visible(piece) for tokenizer in family.values()
                for piece in tokenizer.pieces(tokenizer.encode("ab c"))]
    assert chips(html) == expected
    live["below"].value = "bytes"
    assert ">61<" in live.redraw()[0].html
    live["words"].value = ""
    assert "0 tokens" in live.redraw()[0].html


def test_the_explorer_starts_over_from_a_sample_and_runs_from_the_right():
    live = widgets.explorer("x")
    assert 'dir="rtl"' not in live.redraw()[0].html
    live["sample"].value = "Arabic"
    assert live["words"].value == widgets.SAMPLES["Arabic"]
    assert live.redraw()[0].html.count('dir="rtl"') == len(measures.family())


def test_the_explorer_escapes_what_is_typed_and_tells_what_is_refused():
    live = widgets.explorer("<script>alert(1)</script>")
    assert "<script" not in live.redraw()[0].html
    live["words"].value = "👋"
    assert "<b>characters</b>: refused" in live.redraw()[0].html
    live["words"].value = "ab\ud800"
    assert live.redraw()[0].html.count("refused") == len(measures.family())


def test_the_explorer_says_why_gpt2_cannot_be_had(monkeypatch):
    def unreachable():
        raise ConnectionError("no network here")
    monkeypatch.setattr(widgets, "GPT2Tokenizer", unreachable)
    live = widgets.explorer()
    live["gpt2"].click()
    assert "no network here" in live.redraw()[0].html
    monkeypatch.setattr(widgets, "GPT2Tokenizer", ByteTokenizer)
    live["gpt2"].click()
    assert "no network here" not in live.redraw()[0].html
    assert "GPT-2" in live.redraw()[0].html


def test_a_long_text_is_counted_whole_and_shown_in_part():
    live = widgets.explorer("ab " * 1000)
    html = live.redraw()[0].html
    assert "<b>bytes</b>: 3000 tokens" in html
    assert len(chips(html)) < 5 * tokens.SHOWN


def test_merges_can_be_watched_to_the_end():
    words = ["aab", "aab", "ab"]
    live = widgets.merge_steps(words)
    assert chips(live.redraw()[0].html) == [*"aab", *"aab", *"ab"]
    assert "join <b>a</b> and <b>b</b>, which stand together 3 times" in live.parts[0].html
    live["merges"].value = 1
    assert chips(live.redraw()[0].html) == ["a", "ab", "a", "ab", "ab"]
    live["merges"].value = 2
    assert chips(live.redraw()[0].html) == ["aab", "aab", "ab"]
    assert "next" not in live.parts[0].html


def test_every_pattern_s_chunks_are_shown():
    live = widgets.split_patterns("a 12")
    assert chips(live.redraw()[0].html) == [tokens.visible(chunk) for name in PATTERNS
                                            for chunk in BPETokenizer(BYTES, pattern=name).split("a 12")]


BYTES = [bytes([i]) for i in range(256)]


def test_the_best_segmentation_is_the_tokenizer_s():
    tokenizer = measures.family()["Unigram, 19 languages"]
    for word in (" counting", " numbers", " числа"):
        html = widgets.segmentations(word).redraw()[0].html
        best = [tokens.visible(piece) for piece in tokenizer.pieces(tokenizer.encode(word))]
        assert chips(html)[:len(best)] == best


def test_text_without_pieces_has_no_segmentation():
    assert "spelled in bytes" in widgets.segmentations("ꙮ").redraw()[0].html


def test_a_larger_vocabulary_makes_longer_tokens_and_a_larger_embedding():
    _, curves = measures.growth()
    for values in curves.values():
        assert values[0] == 1 and values == sorted(values)
    live = widgets.vocabulary_dial()
    live["vocab_size"].value, live["d_model"].value = 4096, 64
    assert "0.26 million parameters, six blocks 0.29" in live.redraw()[0].alt
    live["vocab_size"].value = 256
    assert "only the 256 bytes" in live.redraw()[1].html


@pytest.mark.parametrize("measure, english, tamil", [
    ("tokens, compared with English", 1.0, 7.1), ("tokens per character", 0.46, 2.68), ("bytes per token", 2.19, 1.0)])
def test_the_map_shows_what_was_measured(measure, english, tamil):
    values = measures.measured()[measure][:, measures.COMPARED.index("BPE, English")]
    assert values[0] == pytest.approx(english, abs=0.01)
    assert values[list(measures.LANGUAGES).index("ta")] == pytest.approx(tamil, abs=0.05)
    live = widgets.scripts_map()
    live["measure"].value = measure
    shown = [text.get_text() for text in live.redraw()[0].axes[0].texts]
    assert f"{values[0]:.2f}" in shown


def test_bits_per_byte_is_the_entropy_of_bytes_for_the_byte_tokenizer():
    text = "abracadabra"
    share = [n / len(text) for n in Counter(text).values()]
    entropy = -sum(p * math.log2(p) for p in share)
    assert measures.bits_per_byte(ByteTokenizer(), text, text, added=1e-12) == pytest.approx(entropy)


def test_learning_from_arabic_matters_more_than_the_algorithm():
    known, unseen = measures.halves()
    from minillm.tokenizers import SentencePieceTokenizer
    cost = {}
    for name, text in (("en", known["en"]), ("ar", known["ar"])):
        cost["BPE", name] = BPETokenizer.train(text, 700, special=())
        cost["Unigram", name] = SentencePieceTokenizer.train(text, 700, special=())
    cost = {each: measures.bits_per_byte(tokenizer, known["ar"], unseen["ar"]) for each, tokenizer in cost.items()}
    assert min(cost["BPE", "en"], cost["Unigram", "en"]) > 1.5 * max(cost["BPE", "ar"], cost["Unigram", "ar"])
    picture = measures.two_by_three(cost, "bits per byte")
    assert sorted(text.get_text() for text in picture.axes[0].texts) == sorted(f"{each:.2f}" for each in cost.values())
    assert "from en are far higher" in picture.alt
    assert "not by far" in measures.two_by_three({("BPE", "a"): 1.0, ("BPE", "b"): 1.1}, "x").alt


def test_the_shipped_pieces_come_from_the_known_half_alone():
    known, _ = measures.halves()
    text = "\n".join(known.values())
    tokenizer = measures.family()["Unigram, 19 languages"]
    assert tokenizer.vocab_size == 4096
    assert [piece for piece in tokenizer.piece_scores() if piece not in text] == []


def test_signs_for_blanks_leave_bytes_alone():
    assert tokens.visible(" a\n⟨E2 82⟩ ") == "·a↵⟨E2 82⟩·"
    assert tokens.visible("⟨E0⟩\u0e37ก") == "⟨E0⟩◌\u0e37ก" and tokens.visible("ก\u0e37") == "ก\u0e37"
