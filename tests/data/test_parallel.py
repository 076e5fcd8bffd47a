"""Hold the parallel text to its promises: the same in every language, each in its own script."""
from __future__ import annotations

import doctest
import re
import types
import unicodedata
from collections import Counter
from statistics import median

import pytest
import regex

from minillm import corpora

TEXTS = corpora.parallel()
NAMES = [f"parallel-{language}" for language in (*TEXTS, "code", "emoji", "mixed")]
# ISO 15924's codes for several scripts at once, as the scripts that Unicode gives to letters
MEMBERS = {
    "Latn": ("Latin",), "Cyrl": ("Cyrillic",), "Grek": ("Greek",), "Geor": ("Georgian",), "Arab": ("Arabic",),
    "Hebr": ("Hebrew",), "Deva": ("Devanagari",), "Beng": ("Bengali",), "Taml": ("Tamil",), "Thai": ("Thai",),
    "Ethi": ("Ethiopic",), "Kore": ("Hangul",), "Hans": ("Han",), "Jpan": ("Han", "Hiragana", "Katakana"),
}
# The digits a text of the language is written with, where they are not 0 to 9
OWN_DIGITS = {"ar": "٠١٢٣٤٥٦٧٨٩", "hi": "०१२३४५६७८९", "bn": "০১২৩৪৫৬৭৮৯"}


def numbers(paragraph: str) -> Counter[int]:
    """The numbers written in digits; `int` reads those of every script."""
    return Counter(map(int, re.findall(r"\d+", paragraph)))


def weight(text: str) -> int:
    """Bytes rather than characters: a Chinese character says more than a letter."""
    return len(text.encode("utf-8"))


def in_script(text: str, code: str) -> str:
    return "".join(regex.findall("|".join(rf"\p{{Script={name}}}" for name in MEMBERS[code]), text))


def test_there_are_enough_languages_and_scripts():
    scripts = Counter(corpora.card(f"parallel-{language}").script for language in TEXTS)
    assert len(TEXTS) >= 16 and len(scripts) >= 12 and scripts["Latn"] >= 4


def test_every_language_has_the_same_paragraphs():
    assert 25 <= len(TEXTS["en"]) <= 40
    assert {len(paragraphs) for paragraphs in TEXTS.values()} == {len(TEXTS["en"])}
    assert all(p and "\n" not in p and p == p.strip() and "  " not in p for text in TEXTS.values() for p in text)


@pytest.mark.parametrize("language", TEXTS)
def test_numbers_agree_paragraph_by_paragraph(language):
    for i, (ours, english) in enumerate(zip(TEXTS[language], TEXTS["en"], strict=True), 1):
        assert numbers(ours) == numbers(english), f"paragraph {i} of {language}"


@pytest.mark.parametrize("language", OWN_DIGITS)
def test_own_digits_are_used(language):
    """UTF-8 is a name and keeps its Latin digit."""
    digits = re.findall(r"\d", " ".join(TEXTS[language]).replace("UTF-8", ""))
    assert digits and set(digits) <= set(OWN_DIGITS[language])


@pytest.mark.parametrize("language", TEXTS)
def test_letters_are_of_the_declared_script(language):
    script = corpora.card(f"parallel-{language}").script
    for i, paragraph in enumerate(TEXTS[language], 1):
        letters = regex.sub(r"\P{L}", "", paragraph)
        assert weight(in_script(letters, script)) >= 0.75 * weight(letters), f"paragraph {i} of {language}"
    whole = regex.sub(r"\P{L}", "", " ".join(TEXTS[language]))
    assert len(in_script(whole, script)) >= 0.95 * len(whole)


@pytest.mark.parametrize("name", NAMES)
def test_text_is_clean_unicode(name):
    text = corpora.load(name).text
    assert text == unicodedata.normalize("NFC", text)
    assert not [c for c in text if c == "\ufffd" or unicodedata.category(c) in ("Cn", "Co", "Cs")]
    assert not [c for c in text if unicodedata.category(c) == "Cc" and c != "\n"]
    assert text.endswith("\n") and not text.endswith("\n\n")


@pytest.mark.parametrize("language", TEXTS)
def test_lengths_keep_their_proportion(language):
    """A paragraph left out, merged or cut short would be far off the language's own ratio to English."""
    ratios = [weight(ours) / weight(text) for ours, text in zip(TEXTS[language], TEXTS["en"], strict=True)]
    assert all(0.65 < ratio / median(ratios) < 1.45 for ratio in ratios), ratios


def test_no_paragraph_stands_twice_or_in_two_languages():
    paragraphs = Counter(p for text in TEXTS.values() for p in text)
    assert paragraphs.most_common(1)[0][1] == 1


def test_quotation_marks_come_in_pairs():
    """Hebrew closes with the mark it opens with; German and Georgian open low and close with “."""
    for language, text in TEXTS.items():
        pairs = ["«»", "「」", "『』", "《》", "()", "（）"]
        pairs += {"de": ["„“"], "ka": ["„“"], "he": []}.get(language, ["“”"])
        for paragraph in text:
            assert all(paragraph.count(left) == paragraph.count(right) for left, right in pairs), paragraph
            assert language != "he" or paragraph.count("”") % 2 == 0, paragraph


def test_passage_of_code_runs_and_its_examples_hold():
    module = types.ModuleType("code_passage")
    exec(compile(corpora.load("parallel-code").text, "code.txt", "exec"), module.__dict__)
    results = doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder().find(module, module=False, globs=vars(module)):
        results.run(test)
    assert results.tries >= 10 and results.failures == 0
    assert all(module.from_roman(module.roman(n)) == n for n in range(1, 4000))


def test_other_passages_are_what_they_are_called():
    assert regex.findall(r"\p{Emoji_Presentation}\u200d|\u200d\p{Emoji}", corpora.load("parallel-emoji").text)
    mixed = corpora.load("parallel-mixed").text
    assert sum(bool(in_script(mixed, code)) for code in MEMBERS) >= 12


def test_everything_is_free_to_use():
    assert {corpora.card(name).licence for name in NAMES} == {"CC0-1.0"}
