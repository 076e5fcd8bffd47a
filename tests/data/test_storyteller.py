"""The small model that ships is what its figures say."""
from __future__ import annotations

import hashlib
import json

import pytest

from data.making.models import answering
from data.making.models import measure_storyteller as measure
from data.making.stories.countries import COUNTRIES
from minillm import corpora
from minillm.answering import likeliest
from minillm.checkpoints import load

FIGURES = json.loads(measure.FIGURES.read_text())
FOLDER = corpora.data_folder() / "models" / "storyteller"


@pytest.fixture(scope="module")
def storyteller():
    return load("storyteller")


def test_it_is_small(storyteller):
    assert sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()) <= 8_000_000
    assert sum(p.numel() for p in storyteller[0].parameters()) == FIGURES["parameters"]


def test_its_loss_is_the_measured_one_and_above_the_floor(storyteller):
    loss = measure.fresh_loss(*storyteller)
    assert loss == pytest.approx(FIGURES["fresh_nats_per_character"], rel=0.01)
    assert loss > FIGURES["floor_nats_per_character"]  # below it, the measurement would be wrong


def test_it_completes_capitals(storyteller):
    some = sorted(COUNTRIES)[::4]
    share = sum(measure.knows(*storyteller, name) for name in some) / len(some)
    assert share >= FIGURES["capitals_completed"] - 0.1  # a quarter of the countries: two standard errors


def test_it_completes_what_is_true_of_people(storyteller):
    found = answering.completed(*storyteller)
    assert found == pytest.approx(FIGURES["facts_of_people_completed"], abs=0.06)  # near ties fall either way
    assert min(found[kind] for kind in ("town", "food", "colour", "hobby")) >= 0.9


def test_it_can_be_brought_to_answer():
    """The measured shares come from the whole fine-tuning, which is too long for a test; they hold what 08 needs.

    Ten children are held out, so a kind's share is good to a tenth.
    """
    shares = FIGURES["held_out_questions_after_lora"]
    kinds = ("town", "pet", "pet_name", "food", "colour", "hobby", "dream", "job")
    assert min(shares[kind] for kind in kinds) >= 0.6 and shares["people"] >= 0.8
    assert shares["capital"] >= 0.9 and shares["continent"] >= 0.9


def test_answers_are_counted_to_the_last_token(storyteller):
    model, tokenizer = storyteller
    start = [tokenizer.end_of_text, *tokenizer.encode("The capital of France is")]
    paris, rome = tokenizer.encode(" Paris."), tokenizer.encode(" Rome.")
    assert likeliest(model, [(start, paris), (start, rome)]) == [True, False]
    assert likeliest(model, [(start, [*paris[:-1], *tokenizer.encode("!")])]) == [False]


def test_it_does_not_answer_questions(storyteller):
    lines = (corpora.data_folder() / "questions/held_out.jsonl").read_text("utf-8").splitlines()
    questions = [json.loads(line) for line in lines]
    capitals = [q for q in questions if q["kind"] == "capital"][:20]
    right = sum(measure.complete(*storyteller, q["prompt"] + " ", 8, temperature=0.0).strip().startswith(
        q["answer"].rstrip(".")) for q in capitals)
    assert right <= len(capitals) / 2  # it was never shown a question: that is what fine-tuning is for


def test_its_sentences_are_the_grammars(storyteller):
    stories = measure.own_stories(*storyteller, 6)
    assert measure.grammatical(stories) >= FIGURES["grammatical_sentences"] - 0.15


def test_a_story_is_possible_only_as_a_whole():
    told = corpora.load("stories-fresh").documents[:3]
    another_hero, no_end = told[0].replace("Leo", "Ruby", 1), told[1][:-40]
    assert measure.possible_stories(told) == 1 and measure.possible_stories([another_hero, no_end]) == 0


def test_the_card_names_the_texts_that_ship():
    for name, digest in FIGURES["texts"].items():
        assert hashlib.sha256(corpora.load(name).text.encode()).hexdigest() == digest
