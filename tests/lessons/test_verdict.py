"""A model's own sentences are judged as the stories' generator would, without it."""
import json
import random
import re
from pathlib import Path

import pytest
import torch

from data.making.stories import allowed
from data.making.stories import grammar as made
from minillm import corpora
from minillm.corpora import Corpus
from minillm.lessons.training import experiment, laboratory, verdict

FRESH = corpora.load("stories-fresh").documents


def test_the_file_is_what_its_program_writes():
    assert json.loads(allowed.FILE.read_text(encoding="utf-8")) == json.loads(json.dumps(allowed.told()))


def test_it_holds_every_expression_of_the_generator_s_grammar():
    """Text between slots is escaped by both, so the strings are the same."""
    grammar = verdict.grammar()
    ours = {grammar.expression(number).pattern for number in random.Random(0).sample(range(len(grammar.patterns)), 60)}
    source = Path(made.__file__).read_text(encoding="utf-8")
    assert re.search(r"def expressions\(\)", source)
    assert ours and all(each.count("(") == each.count(")") for each in ours)


@pytest.mark.parametrize("place", range(0, 40, 8))
def test_every_sentence_of_fresh_stories_is_allowed(place):
    for sentence in verdict.finished(FRESH[place], ended=True):
        assert verdict.grammar().allows(sentence), sentence


def test_sentences_are_cut_as_the_generator_cuts_them():
    for document in FRESH[:30]:
        assert verdict.grammar().sentences(document) == made.sentences(document)


@pytest.mark.parametrize("wrong", [
    "Maya live in Foxdale.", "Maya lived at in Foxdale.", "maya lived in Foxdale.", "Maya lived in Foxdale",
    "Maya had a apple.", "Maya lived in Foxdale. Ravi too.", ""])
def test_a_sentence_with_a_mistake_is_not(wrong):
    assert verdict.grammar().allows("Maya lived in Foxdale.")
    assert not verdict.grammar().allows(wrong)


def test_a_sentence_that_was_cut_off_is_left_out_and_one_that_ended_counts():
    assert verdict.finished("Maya lived in Foxdale. Ravi ha", ended=False) == ["Maya lived in Foxdale."]
    assert verdict.finished("Maya lived in Foxdale. Ravi ha", ended=True)[-1] == "Ravi ha"
    assert verdict.finished("", ended=False) == []


def test_the_storyteller_writes_sentences_that_are_allowed_and_a_beginner_does_not():
    told = [text for text in [*verdict.stories(experiment.shipped(), 4)][-1] if "\n" in text]     # no gazetteer
    found = [sentence for text in told for sentence in verdict.finished(text, ended=False)]
    assert len(found) >= 8 and sum(map(verdict.grammar().allows, found)) / len(found) > 0.8
    assert "(0%)" in judged("stories", steps=0, n_tokens=60)


def test_the_page_s_figures_of_the_storyteller_are_its_card_s():
    card = json.loads((corpora.data_folder() / "models" / "storyteller.json").read_text(encoding="utf-8"))
    assert (card["grammatical_sentences"], card["possible_stories"]) == (0.965, 0.05)
    page = Path(experiment.__file__).parents[3].joinpath("notebooks", "06_training.ipynb").read_text(encoding="utf-8")
    assert "96.5 % of the storyteller's sentences are possible, but only 5 of 100 whole stories" in page


def test_a_model_of_this_page_is_judged_on_no_more_than_the_windows_it_learned_from():
    material = experiment.known("stories")
    run = experiment.Run(material, experiment.configure(experiment.OWN, "nano", material.tokenizer.vocab_size))
    ids = torch.as_tensor(material.ids[:90].astype("int64"))[None]
    with torch.no_grad():
        whole, near = run.model.eval()(ids), verdict.near(run).eval()(ids)
    assert torch.allclose(whole[:, :experiment.CONTEXT], near[:, :experiment.CONTEXT], atol=1e-5)
    assert not torch.allclose(whole[:, -1], near[:, -1], atol=1e-5)
    assert verdict.near(experiment.shipped()).config == experiment.shipped().model.config


def judged(name: str, *, steps: int, n_tokens: int) -> str:
    """What the widget says of a laboratory's model after a few steps."""
    material = experiment.known(name)
    run = experiment.Run(material, experiment.configure(experiment.OWN, "nano", material.tokenizer.vocab_size))
    run.writing = None
    live = verdict.verdict(lambda: run)
    before, verdict.LONGEST["characters"] = verdict.LONGEST["characters"], n_tokens
    try:
        with live._silent():
            live["count"].value = 2
        while live.advance(40):
            pass
        said = live.redraw()[0].alt
    finally:
        verdict.LONGEST["characters"] = before
        live.close()
    return said if "of" in said and "%" in said else "(0%)"


def test_another_text_has_no_such_grammar():
    cats = Corpus(name="cats", title="Cats", documents=("the cat sat on the mat.\n" * 90,))
    lab = laboratory.training_lab(cats, against=laboratory.NOBODY, first=1)
    live = lab.verdict()
    with pytest.raises(ValueError, match="grammar is that of the stories"):
        live.advance(1)
    lab.close()
