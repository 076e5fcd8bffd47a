"""Hold the people's gazetteer to what is true in the stories, and to its promise to ask nothing."""
from __future__ import annotations

import json

import pytest

from data.making.stories import people
from data.making.stories.lexicon import FOODS, HOBBIES
from data.making.stories.world import PEOPLE, Person
from minillm import corpora

TOLD = corpora.load("people").documents
QUESTIONS = [json.loads(line) for part in ("fine_tuning", "held_out") for line in
             (corpora.data_folder() / "questions" / f"{part}.jsonl").read_text("utf-8").splitlines()]


def test_every_fact_is_told_in_every_wording():
    text = "\n".join(TOLD)
    for one in PEOPLE:
        for kind in people.facts(one):
            assert all(people.say(pattern, one) in text for pattern in people.ways()[kind]), (one.name, kind)
    assert all(len(patterns) >= 12 for patterns in people.ways().values())


def told_of(one: Person, text: str) -> bool:
    """Is every sentence about this person, and no fact left out?"""
    food = FOODS[one.food][1] if one.food in FOODS else one.food
    known = [one.town, one.pet, one.pet_name, one.job]
    known += [food, one.colour, HOBBIES.get(one.hobby, one.hobby)] if one.is_child else []
    return (all(one.name in sentence for sentence in text.split(". "))
            and all(word.lower() in text.lower() for word in known))


def test_each_text_is_about_one_person_and_tells_all_facts():
    assert not [text for text in TOLD if not any(told_of(one, text) for one in PEOPLE)]


def test_the_name_of_a_pet_is_not_always_behind_the_animal():
    apart = [pattern for pattern in people.ways()["pet_name"] if "{pet}" not in pattern]
    assert len(apart) >= 12


def test_it_asks_nothing():
    text = "\n".join(TOLD)
    assert "?" not in text
    assert not [row["prompt"] for row in QUESTIONS if row["prompt"] in text]


@pytest.mark.parametrize("word", ["{", "}", " a a", " a o", "  "])
def test_no_slot_is_left_and_no_article_wrong(word):
    assert not [text for text in TOLD if word in text]
