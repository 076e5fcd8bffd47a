"""Guessing ahead changes nothing but the speed: the rule gives p back, the text is the model's own."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minillm.cache import KVCache
from minillm.model import Transformer
from minillm.sampling import generate, next_token_probabilities, penalize_repeats
from minillm.speculation import Tally, accept_rule, speculate
from tests.variants import SMALL


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(replace(SMALL, vocab_size=7)).eval()


def pairs(n: int):
    draw = torch.Generator().manual_seed(0)
    for _ in range(n):
        yield tuple((2 * torch.randn(2, 6, generator=draw)).softmax(-1))


def test_what_comes_out_is_p_for_any_pair():
    for p, q in pairs(1000):
        keep, again = accept_rule(p, q)
        torch.testing.assert_close(q * keep + (1 - (q * keep).sum()) * again, p, atol=1e-6, rtol=0)


def test_drawing_again_from_p_is_off_by_up_to_a_quarter():
    worst = max(float((q * keep + (1 - (q * keep).sum()) * p - p).abs().max())
                for p, q in pairs(1000) for keep in [accept_rule(p, q)[0]])
    assert 0.2 < worst <= 0.25  # (1 - x) x, for what is kept too rarely


def test_a_rule_at_its_ends():
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1.0, 0.0, 0.0])
    keep, again = accept_rule(p, q)
    assert keep.tolist() == [0.5, 1, 1] and again.tolist() == [0, 1, 0]
    keep, again = accept_rule(p, p)
    assert keep.tolist() == [1, 1, 1] and again.equal(p)


def test_at_temperature_0_it_writes_what_the_model_writes(model):
    plain = list(generate(model, [1, 2, 3], n_tokens=18, temperature=0))
    drafts = {"nothing": lambda text, n: [], "always 5": lambda text, n: [5] * n,
              "the truth": lambda text, n: plain[len(text) - 3:][:n]}
    for draft in drafts.values():
        assert list(speculate(model, [1, 2, 3], draft, n_tokens=18, n_guesses=4, temperature=0)) == plain


def test_right_guesses_are_all_kept_and_save_readings(model):
    plain, tally = list(generate(model, [1, 2, 3], n_tokens=20, temperature=0)), Tally()
    list(speculate(model, [1, 2, 3], lambda text, n: plain[len(text) - 3:][:n], n_tokens=20, n_guesses=4, temperature=0,
                   tally=tally))
    assert tally.readings == 4 and tally.kept == tally.guessed == 16 and tally.written == plain


def test_the_law_of_the_second_token_is_the_model_s(model):
    """Drawn many times: the frequencies of pairs are p(first) p(second | first), guessed or not."""
    first = next_token_probabilities(model(torch.tensor([[1, 2]]))[0, -1].detach())
    second = next_token_probabilities(model(torch.tensor([[1, 2, v] for v in range(7)]))[:, -1].detach())
    law = first[:, None] * second
    counts, n = torch.zeros(7, 7), 300
    for seed in range(n):
        a, b = speculate(model, [1, 2], lambda text, k: [3] * k, n_tokens=2, n_guesses=2, seed=seed)
        counts[a, b] += 1
    deviation = (law * (1 - law) / n).sqrt()
    assert ((counts / n - law).abs() < 4.5 * deviation + 1e-9).all()


@pytest.mark.parametrize("penalty", [1.0, 1.3, 100.0])
def test_a_repetition_penalty_is_that_of_generate(model, penalty):
    """The likeliest tokens are the same ones, whatever is guessed; what is guessed counts as said."""
    options = {"n_tokens": 18, "temperature": 0, "repetition_penalty": penalty}
    plain = list(generate(model, [1, 2, 3], **options))
    for draft in (lambda text, n: [], lambda text, n: [5] * n, lambda text, n: plain[len(text) - 3:][:n]):
        tally = Tally()
        assert list(speculate(model, [1, 2, 3], draft, n_guesses=4, tally=tally, **options)) == plain
    assert tally.kept == tally.guessed > 0  # the last draft told the truth
    if penalty == 100:
        assert plain != list(generate(model, [1, 2, 3], n_tokens=18, temperature=0))


def test_the_penalised_law_of_the_second_token_is_the_model_s(model):
    """As above: frequencies of pairs, with a guess that stands in the text once it has been kept."""
    def law_after(*text):
        logits = model(torch.tensor([text]))[0, -1].detach()
        return next_token_probabilities(penalize_repeats(logits, torch.tensor(text), 2.0))
    law = law_after(1, 2)[:, None] * torch.stack([law_after(1, 2, v) for v in range(7)])
    counts, n = torch.zeros(7, 7), 300
    for seed in range(n):
        a, b = speculate(model, [1, 2], lambda text, k: [3] * k, n_tokens=2, n_guesses=2, seed=seed,
                         repetition_penalty=2.0)
        counts[a, b] += 1
    assert ((counts / n - law).abs() < 4.5 * (law * (1 - law) / n).sqrt() + 1e-9).all()


@pytest.mark.parametrize("change", [{}, {"window": 30}, {"attention": "latent", "position": "rope"}])
def test_a_cache_forgets_what_was_only_guessed(change):
    torch.manual_seed(0)
    model = Transformer(replace(SMALL, **change)).eval()
    tokens = torch.randint(31, (1, 12), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        cache = KVCache(model.config)
        model(tokens[:, :5], cache)
        model((tokens[:, 5:9] + 1) % 31, cache)
        cache.forget(5)
        torch.testing.assert_close(model(tokens[:, 5:], cache), model(tokens)[:, 5:], atol=1e-5, rtol=1e-4)


def test_what_cannot_be_forgotten_is_refused():
    model = Transformer(replace(SMALL, window=4)).eval()
    cache = KVCache(model.config)
    with torch.no_grad():
        model(torch.zeros(1, 9, dtype=torch.long), cache)
    with pytest.raises(ValueError, match="length=7 of 9 cached positions cannot be kept by a window that remembers 4"):
        cache.forget(7)
    linear = Transformer(replace(SMALL, linear_attention="sum")).eval()
    cache = KVCache(linear.config)
    with torch.no_grad():
        linear(torch.zeros(1, 9, dtype=torch.long), cache)
    with pytest.raises(ValueError, match="a linear layer has mixed them"):
        cache.forget(7)


def test_a_text_must_fit_and_guesses_be_none_or_more(model):
    with pytest.raises(ValueError, match="20 tokens and n_tokens=10 more do not fit into context_length=24"):
        next(speculate(model, [1] * 20, lambda text, n: [], n_tokens=10))
    with pytest.raises(ValueError, match="n_guesses=-1"):
        next(speculate(model, [1], lambda text, n: [], n_tokens=3, n_guesses=-1))


def test_rows_without_a_token_are_never_written_and_dropout_rests(model):
    torch.manual_seed(0)
    spare = Transformer(replace(model.config, dropout=0.5))
    spare.nameless = tuple(range(4, spare.config.vocab_size))
    texts = [[*speculate(spare.train(), [1, 2], lambda text, n: [3] * n, n_tokens=10, seed=0)] for _ in range(2)]
    assert texts[0] == texts[1] and set(texts[0]) <= {0, 1, 2, 3} and spare.training
