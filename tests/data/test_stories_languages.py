"""Hold the Spanish, Arabic, Chinese and Hindi stories to their grammar, and to the English ones' world."""
from __future__ import annotations

import re
import unicodedata
from itertools import islice

import pytest
import regex

from data.making.stories import arabic, chinese, hindi, spanish, world
from data.making.stories.chance import Dice
from data.making.stories.languages import TONGUES, logs, stories
from data.making.stories.tongue import Teller, patterns, spread, table
from minillm import corpora

CODES = list(TONGUES)
SCRIPTS = {"es": "Latin", "ar": "Arabic", "zh": "Han", "hi": "Devanagari"}
TEXTS = {code: (corpora.data_folder() / "stories" / f"{code}.txt").read_text("utf-8") for code in CODES}


def nouns(code: str, gender: str) -> list[str]:
    """The things one can carry whose word has that gender."""
    words = TONGUES[code].words
    kinds = world.TOYS + world.CLOTHES + world.GOODS + world.FOUND
    return [words[kind][0] for kind in kinds if words[kind][1] == gender]


@pytest.mark.parametrize("code", CODES)
def test_the_command_writes_the_file_byte_for_byte(code):
    assert "\n\n".join(stories(code)) + "\n" == TEXTS[code]


@pytest.mark.parametrize("code", CODES)
def test_there_is_enough_and_no_story_stands_twice(code):
    told = TEXTS[code].rstrip("\n").split("\n\n")
    assert len(TEXTS[code].encode("utf-8")) >= 300_000
    assert len(set(told)) == len(told) == len(corpora.load(f"stories-{code}").documents)
    assert len({line for lines in patterns(TONGUES[code].language).values() for line in lines}) >= 60


@pytest.mark.parametrize("code", CODES)
def test_every_story_names_the_people_of_its_log(code):
    """Story i tells log i: whoever takes part is called by name."""
    names = {"es": spanish, "ar": arabic, "zh": chinese, "hi": hindi}[code].NAMES
    told = TEXTS[code].rstrip("\n").split("\n\n")
    for story, (seed, log) in zip(told, islice(logs(), 300)):
        people = {value for event in log for value in vars(event).values() if isinstance(value, world.Person)}
        missing = [one.name for one in people if names.get(one.name, one.name) not in story]
        assert not missing, f"seed {seed}: {missing} in {story}"


@pytest.mark.parametrize("code", CODES)
def test_every_word_of_the_world_can_be_said(code):
    tongue = TONGUES[code]
    things = world.TOYS + world.CLOTHES + world.GOODS + world.FOUND
    animals = world.PETS + " ".join(animals for animals, _ in world.TROUBLES.values()).split()
    foods = [*world.DISHES, *(food for dish in world.DISHES.values() for food in dish)]
    assert all(tongue.words[word][0] for word in (*things, *animals, *foods))
    assert all(tongue.word("place", place, form) for place in world.PLACES for form in ("", "in"))
    assert all(tongue.word("spot", spot, "") for spots in world.SPOTS.values() for spot in spots)
    assert all(tongue.word("hobby", person.hobby, "") for person in world.PEOPLE)
    assert all(tongue.inflected("job", job, "", gender) for job in world.JOBS for gender in (0, 1))


@pytest.mark.parametrize("code", CODES)
def test_text_is_clean_and_of_its_script(code):
    text = TEXTS[code]
    assert text == unicodedata.normalize("NFC", text)
    assert not re.findall(r"[{}<>\[\]|+_\ufffd]|  | \n|\n ", text)
    letters = regex.sub(r"\P{L}", "", text)
    assert len(regex.findall(rf"\p{{Script={SCRIPTS[code]}}}", letters)) == len(letters)


@pytest.mark.parametrize("code, pairs", [("es", ["¿?", "¡!", "«»"]), ("ar", ["«»"]), ("zh", ["“”"]), ("hi", ["“”"])])
def test_marks_come_in_pairs_in_every_paragraph(code, pairs):
    for paragraph in TEXTS[code].split("\n"):
        assert all(paragraph.count(pair[0]) == paragraph.count(pair[1]) for pair in pairs), paragraph


@pytest.mark.parametrize("code, foreign", [("es", "\"';“”"), ("ar", ",;?\"'“”0123456789"), ("zh", " ,.;:?!\"'"),
                                           ("hi", ".;\"'«»0123456789")])
def test_no_mark_or_digit_of_another_script(code, foreign):
    assert not set(foreign) & set(TEXTS[code])


@pytest.mark.parametrize("code, ends", [("es", ".!?»"), ("ar", ".!؟»:"), ("zh", "。！？”"), ("hi", "।!?”")])
def test_every_paragraph_ends_like_a_sentence(code, ends):
    assert {paragraph[-1] for paragraph in TEXTS[code].split("\n") if paragraph} <= set(ends)


@pytest.mark.parametrize("code", CODES)
def test_nobody_is_left_out_where_a_name_is_needed(code):
    """A clear subject may be left unsaid, but never after a preposition or before a comma."""
    assert not re.findall(r"[.。।،][,،，]", TEXTS[code])
    assert not re.findall(r"(?:^|\n|[.!?] )[,،，]", TEXTS[code])
    assert not re.findall(r"\b(?:con|a|de|y|que|para|en)[,.]", TEXTS["es"])
    assert not re.findall(r"(?<=\s)(?:ب|ل|و|مع|من|إلى|عند|على|كان|كانت)(?=[\s،.]*[،.])", TEXTS["ar"])


def test_spanish_articles_and_adjectives_agree():
    for gender, wrong, ending in (("f", "un|el|del|al", "o"), ("m", "una|la", "a")):
        words = "|".join(sorted(nouns("es", gender), key=len, reverse=True))
        stems = "roj amarill blanc negr morad pequeñ viej nuev".split()
        adjectives = "|".join(stem + ending for stem in stems)
        assert not re.findall(rf"\b(?:{wrong}) (?:{words})\b", TEXTS["es"])
        assert not re.findall(rf"\b(?:{words}) (?:{adjectives})\b", TEXTS["es"])
    assert re.search(r"\b(una|la) pelota\b", TEXTS["es"])  # the search would find what it looks for


def test_spanish_contracts_and_begins_with_capitals():
    assert not re.findall(r"\b(a|de) el\b", TEXTS["es"])
    assert not re.findall(r"(?:^|\n)[—¿¡«]*[a-zñáéíóú]", TEXTS["es"])


def test_arabic_adjectives_agree_and_objects_bear_tanwin():
    masculine, feminine = ("|".join(forms) for forms in zip(*table(
        "1=أحمر/حمراء; 2=أزرق/زرقاء; 3=أخضر/خضراء; 4=أصفر/صفراء; 5=أبيض/بيضاء; 6=أسود/سوداء; 7=قديم/قديمة").values()))
    assert not re.findall(rf"\b(?:{'|'.join(nouns('ar', 'f'))}) (?:{masculine})\b", TEXTS["ar"])
    assert not re.findall(rf"\b(?:{'|'.join(nouns('ar', 'm'))})ا?ً? (?:{feminine})\b", TEXTS["ar"])
    tongue = TONGUES["ar"]
    assert tongue.accusative("كتاب صغير") == "كتابًا صغيرًا"
    assert tongue.accusative("كرة") == "كرة" and tongue.accusative("أحمر") == "أحمر"
    assert tongue.owned("طائرة ورقية", "ه") == "طائرته الورقية"
    assert tongue.owned("ببغاء", "ي") == "ببغائي" and "ءي" not in TEXTS["ar"]


def test_arabic_names_that_are_words_bear_tanwin_as_objects():
    tongue = TONGUES["ar"]
    assert tongue.named("Ali", "o") == "عليًّا" and tongue.named("Ali", "") == "علي"
    assert tongue.named("Omar", "o") == "عمر" and tongue.named("Mila", "o") == "ميلا"
    assert re.search(r"لكن (?:عليًّا|نوحًا|كريمًا) لم", TEXTS["ar"])
    assert not re.findall(r"لكن (?:علي|نوح|كريم) لم", TEXTS["ar"])


def test_chinese_counts_with_measure_words():
    measures = {forms[1] for forms in TONGUES["zh"].words.values()}
    bare = [forms[0] for forms in TONGUES["zh"].words.values()]
    counted = re.findall(rf"一({'|'.join(sorted(measures))})", TEXTS["zh"])
    assert len(set(counted)) >= 20
    assert not re.findall(rf"一(?:{'|'.join(sorted({word for word in bare if word[0] not in measures}))})", TEXTS["zh"])
    measures = "|".join(sorted(measures - {"些"}))
    assert not re.findall(rf"(?<![第十])二(?:{measures})", TEXTS["zh"])  # 两个, not 二个


def test_hindi_possessives_and_adjectives_agree():
    masculine, feminine = "|".join(nouns("hi", "m")), "|".join(nouns("hi", "f"))
    adjectives = "नील|हर|पील|काल|बड़|छोट|नन्ह|पुरान|अपन|मेर"
    # a final -a may be of a longer word (पहेली, पहेलियाँ), so what follows must not be a vowel sign
    assert not re.findall(rf"(?<!\w)(?:{adjectives})ा (?:{feminine})(?![\u093e-\u094d\w])", TEXTS["hi"])
    assert not re.findall(rf"(?<!\w)(?:{adjectives})ी (?:{masculine})(?![\u093e-\u094d\w])", TEXTS["hi"])


def test_hindi_oblique_before_postpositions():
    bent = [forms[0] for forms in TONGUES["hi"].words.values() if forms[1] == "m" and len(forms) == 2
            and forms[0].endswith("ा")]
    assert len(bent) >= 10
    assert not re.findall(rf"(?<!\w)(?:{'|'.join(bent)}) (?:ने|को|से|की ओर)(?!\w)", TEXTS["hi"])


def test_no_heading_is_dead_and_none_is_missing():
    """Every event of 4,000 stories finds its patterns, and each heading its event, but for sights yet unseen."""
    tellers, told = [Teller(TONGUES[code], Dice("")) for code in CODES], set()
    for _, log in islice(logs(), 4000):
        told |= {(teller.tongue.language, name) for teller in tellers for event in log for name in teller.names(event)}
    written = {(tongue.language, name) for tongue in TONGUES.values() for name in patterns(tongue.language)}
    assert told <= written
    assert {name for _, name in written - told} <= {"Sight.crawl", "Sight.glide", "Sight.spin"}


def test_choices_are_written_out():
    assert spread("a [b|c] d[|e]") == ["a b d", "a b de", "a c d", "a c de"]
    assert table("x = 1 / 2; y=3") == {"x": ["1", "2"], "y": ["3"]}
