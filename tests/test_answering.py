"""What is right is what would be written; likelihoods are those of the tokens; every measure worked by hand."""
from __future__ import annotations

import math

import pytest
import torch

from minillm.answering import (
    bits_per_byte,
    exact_match,
    log_likelihoods,
    multiple_choice,
    perplexity,
    shares,
    written,
)
from minillm.checkpoints import load
from minillm.sampling import generate

PAIRS = [("Which country has Paris as its capital?", "France."),
         ("Where is Nora's home?", "Italy is shown on our map."),
         ("What is this?", "The"), ("Who?", "A long answer that nobody would give.")]


@pytest.fixture(scope="module")
def storyteller():
    return load("storyteller")


def test_exact_match_is_greedy_writing(storyteller):
    model, tokenizer = storyteller
    rows = written(tokenizer, PAIRS)
    own = [list(generate(model, prompt, n_tokens=20, temperature=0, stop=tokenizer.end_of_text)) for prompt, _ in rows]
    said = [(question, tokenizer.decode(ids).strip()) for (question, _), ids in zip(PAIRS, own, strict=True)]
    expected = [len(ids) < 20 and tokenizer.encode(" " + text, continues=True) == ids
                for ids, (_, text) in zip(own, said, strict=True)]
    assert exact_match(model, tokenizer, said) == expected and any(expected)
    assert exact_match(model, tokenizer, [(q, a + "x") for q, a in said]) == [False] * len(said)


def test_likelihoods_do_not_depend_on_the_company(storyteller):
    model, tokenizer = storyteller
    rows = written(tokenizer, PAIRS)
    together, alone = log_likelihoods(model, rows), [log_likelihoods(model, [row])[0] for row in rows]
    assert together == pytest.approx(alone, abs=1e-3)
    prompt, answer = rows[0]
    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer]))[0].log_softmax(-1)
    by_hand = sum(float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(answer))
    assert together[0] == pytest.approx(by_hand, abs=1e-3)


def test_a_choice_is_the_likeliest(storyteller):
    model, tokenizer = storyteller
    choices = ["Italy is shown on our map.", "zebra purple seven", "The"]
    scores = log_likelihoods(model, written(tokenizer, [("Where?", choice) for choice in choices]))
    assert multiple_choice(model, tokenizer, "Where?", choices) == max(range(3), key=scores.__getitem__)
    lengths = [len(answer) for _, answer in written(tokenizer, [("Where?", choice) for choice in choices])]
    per_token = [score / n for score, n in zip(scores, lengths, strict=True)]
    assert multiple_choice(model, tokenizer, "Where?", choices, per_token=True) == per_token.index(max(per_token))


def test_the_measures_by_hand():
    assert perplexity(math.log(8)) == pytest.approx(8)
    assert bits_per_byte(math.log(2), n_tokens=10, n_bytes=40) == pytest.approx(0.25)
    assert shares(["a", "b", "a"], [True, False, False]) == {"a": 0.5, "b": 0.0}
    with pytest.raises(ValueError, match="n_bytes=0 must be at least 1"):
        bits_per_byte(1.0, n_tokens=3, n_bytes=0)
