"""A model's own sentences are judged as the stories' generator would, without it."""
import itertools
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
from minillm.lessons.training import choosing, experiment, laboratory, verdict

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


def test_phrases_are_as_long_as_the_page_says():
    """Nine characters a token, seven of ten stories in one window, four or five draws a sentence; and of held-out
    sentences 59 % stand word for word in what is learned from."""
    material = experiment.known("stories", choosing.SENTENCES["tokenizer"])
    part, held_out = material.corpus.hold_out()
    lengths = [len(material.tokenizer.encode(document)) for document in held_out.documents]
    assert sum(map(len, held_out.documents)) / sum(lengths) == pytest.approx(9.2, abs=0.1)
    assert sum(length < experiment.CONTEXT for length in lengths) / len(lengths) == pytest.approx(0.71, abs=0.01)
    read = {sentence for document in part.documents for sentence in verdict.grammar().sentences(document)}
    told = [sentence for document in held_out.documents for sentence in verdict.grammar().sentences(document)]
    assert sum(lengths) / len(told) == pytest.approx(4.4, abs=0.1)
    assert sum(sentence in read for sentence in told) / len(told) == pytest.approx(0.585, abs=0.005)


def test_what_is_unlikely_beside_the_likeliest_can_be_left_out():
    """With a min-p of 1 only the likeliest token is left, whatever the temperature and the seed."""
    greedy, cut, free = ([*itertools.islice(verdict.stories(experiment.shipped(), 1, *dials), 4)][-1] for dials in (
        (0.0,), (1.0, 1.0), (1.0,)))
    assert greedy == cut != free and len(cut[0]) > 20


def test_a_model_of_this_page_is_judged_on_no_more_than_the_windows_it_learned_from():
    material = experiment.known("stories")
    run = experiment.Run(material, experiment.configure(experiment.OWN, "nano", material.tokenizer.vocab_size))
    ids = torch.as_tensor(material.ids[:90].astype("int64"))[None]
    with torch.no_grad():
        whole, near = run.model.eval()(ids), run.near().eval()(ids)
    assert torch.allclose(whole[:, :experiment.CONTEXT], near[:, :experiment.CONTEXT], atol=1e-5)
    assert not torch.allclose(whole[:, -1], near[:, -1], atol=1e-5)
    assert experiment.shipped().near().config == experiment.shipped().model.config


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
