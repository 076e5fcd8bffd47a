"""What the filters keep, and that generation is the model's own distribution, however long the text."""
from __future__ import annotations

import subprocess
import sys
from itertools import islice, pairwise

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minillm.config import ModelConfig
from minillm.model import Transformer
from minillm.sampling import (
    apply_temperature,
    choose_weights,
    generate,
    generate_batch,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    next_token_probabilities,
    penalize_repeats,
    remember,
    until,
)

P = torch.tensor([0.5, 0.3, 0.15, 0.05])
LOGITS = P.log()
CONFIG = ModelConfig(vocab_size=13, d_model=16, n_layers=2, n_heads=2, context_length=12)


def model(**choices) -> Transformer:
    torch.manual_seed(0)
    m = Transformer(ModelConfig(**{**CONFIG.to_dict(), **choices})).eval()
    with torch.no_grad():
        for p in m.parameters():
            p.mul_(4.0)  # opinions strong enough that a wrong context shows
    return m


def kept(logits: torch.Tensor) -> list[int]:
    return torch.isfinite(logits).nonzero().flatten().tolist()


def test_filters_by_hand():
    assert kept(keep_top_k(LOGITS, 2)) == [0, 1]
    assert kept(keep_top_p(LOGITS, 0.79)) == [0, 1]
    assert kept(keep_top_p(LOGITS, 0.81)) == [0, 1, 2]
    assert kept(keep_top_p(LOGITS, 0.01)) == [0]
    assert kept(keep_min_p(LOGITS, 0.31)) == [0, 1]
    assert kept(keep_min_p(LOGITS, 0.29)) == [0, 1, 2]
    torch.testing.assert_close(next_token_probabilities(LOGITS, top_k=2), torch.tensor([0.625, 0.375, 0, 0]))
    flat = P.sqrt() / P.sqrt().sum()  # temperature 2 takes the square root
    torch.testing.assert_close(next_token_probabilities(LOGITS, temperature=2.0), flat)
    assert next_token_probabilities(LOGITS, temperature=0.0).tolist() == [1, 0, 0, 0]


QUARTERS = st.lists(st.integers(-20, 20).map(lambda i: i / 4), min_size=2, max_size=9)  # no two almost equal


@given(QUARTERS, st.integers(1, 12), st.floats(0.01, 1), st.floats(0, 1))
def test_filters_keep_the_likeliest_and_leave_its_rivals_proportions(values, k, p, m):
    logits = torch.tensor(values)
    for out in (keep_top_k(logits, k), keep_top_p(logits, p), keep_min_p(logits, m)):
        staying = kept(out)
        assert int(logits.argmax()) in staying or logits[staying].max() == logits.max()
        assert torch.equal(out[staying], logits[staying])
        dropped = [i for i in range(len(values)) if i not in staying]
        assert not dropped or logits[dropped].max() <= logits[staying].min()


def test_filters_that_keep_everything_change_nothing():
    for out in (keep_top_k(LOGITS, 99), keep_top_p(LOGITS, 1.0), keep_min_p(LOGITS, 0.0),
                apply_temperature(LOGITS, 1.0)):
        assert torch.equal(out, LOGITS)


@pytest.mark.parametrize("options, named", [
    (dict(temperature=-1.0), "temperature=-1.0"), (dict(temperature=float("nan")), "temperature=nan"),
    (dict(top_k=0), "top_k=0"), (dict(top_p=0.0), "top_p=0.0"),
    (dict(top_p=1.5), "top_p=1.5"), (dict(min_p=-0.1), "min_p=-0.1")])
def test_settings_out_of_range_are_refused_by_name(options, named):
    with pytest.raises(ValueError, match=named):
        next_token_probabilities(LOGITS, **options)


@torch.no_grad()
def test_greedy_takes_the_likeliest_next_token():
    m, ids = model(), [1, 2, 3]
    for token in generate(m, ids, n_tokens=9, temperature=0):
        assert token == int(m(torch.tensor([ids]))[0, -1].argmax())
        ids.append(token)
    assert len(ids) == 12


def test_drawn_tokens_follow_the_distribution():
    m, prompt = model(), torch.tensor([[1, 2, 3]])
    expected = next_token_probabilities(m(prompt)[0, -1], temperature=1.5, top_k=5).detach()
    (drawn,) = generate_batch(m, prompt.expand(20_000, -1), n_tokens=1, temperature=1.5, top_k=5, seed=3)
    shares = torch.bincount(torch.tensor(drawn), minlength=13) / 20_000
    assert (shares - expected).abs().max() < 0.015  # four standard errors: 4 sqrt(1/4 / 20,000)
    assert (shares[expected == 0] == 0).all()


def test_a_seed_writes_the_same_text_and_leaves_other_randomness_alone():
    m = model()
    state = torch.get_rng_state()
    first, again, other = (list(generate(m, [1], n_tokens=40, seed=s)) for s in (5, 5, 6))
    assert first == again != other
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("position", ["rope", "learned", "sinusoidal", "alibi", "none"])
@pytest.mark.parametrize("n_prompt", [1, 5, 12])
@torch.no_grad()
def test_past_the_context_it_is_the_model_run_on_exactly_what_is_remembered(position, n_prompt):
    m = model(position=position)
    prompt = torch.arange(n_prompt) % 13
    text, read = prompt[None], prompt[None]
    for token in generate(m, prompt, n_tokens=40, temperature=0):
        if read.shape[1] > 12:
            read = remember(text, n_prompt, 12)
            assert read.shape[1] <= 12
        assert token == int(m(read)[0, -1].argmax())
        text, read = (torch.cat([x, torch.tensor([[token]])], dim=1) for x in (text, read))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_remembering_keeps_the_prompt_and_the_latest_and_leaves_room(context, n_prompt, n_more):
    n_prompt = min(n_prompt, context)
    text = torch.arange(n_prompt + max(n_more, context + 1 - n_prompt))[None]
    read = remember(text, n_prompt, context)[0].tolist()
    n_kept = min(n_prompt, context // 2)
    assert read[:n_kept] == list(range(n_kept))
    assert read[n_kept:] == text[0, -(len(read) - n_kept):].tolist() and read[-1] == int(text[0, -1])
    assert len(read) <= context and (context < 4 or context - len(read) >= context // 4)


def test_long_texts_are_read_again_rarely():
    """Work per token stays bounded: over ten contexts, fewer than four tokens go in for each that comes out."""
    m, fed = model(), []
    m.register_forward_pre_hook(lambda module, inputs: fed.append(inputs[0].shape[1]))
    list(generate(m, [1, 2, 3], n_tokens=120))
    assert sum(fed) < 4 * 120


def test_a_batch_is_its_texts_one_by_one():
    m, prompts = model(), torch.tensor([[1, 2], [3, 4], [5, 6]])
    together = list(generate_batch(m, prompts, n_tokens=20, temperature=0))
    for i, prompt in enumerate(prompts):
        assert [row[i] for row in together] == list(generate(m, prompt, n_tokens=20, temperature=0))


def test_it_stops_at_the_end_of_text():
    m = model()
    free = list(generate(m, [1], n_tokens=30, seed=1))
    stop = free[7]
    assert list(generate(m, [1], n_tokens=30, seed=1, stop=stop)) == free[:free.index(stop)]
    rows = list(generate_batch(m, torch.ones(4, 1, dtype=torch.long), n_tokens=60, seed=1, stop=stop))
    for i in range(4):
        ended = [row[i] is None for row in rows]
        assert ended == sorted(ended)


def test_it_streams_without_end():
    assert len(list(islice(generate(model(), [1]), 50))) == 50


@pytest.mark.parametrize("prompt", [[], list(range(13))])
def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(prompt):
    with pytest.raises(ValueError, match=f"{len(prompt)} tokens.*context_length=12"):
        next(generate(model(), prompt))


@pytest.mark.parametrize("prompt", [[1, 40], [-1], np.array([1, 300], "uint16")])
def test_an_id_outside_the_vocabulary_is_refused_before_anything_is_computed(prompt):
    with pytest.raises(ValueError, match=rf"id {prompt[-1]} is outside vocab_size={model().config.vocab_size}"):
        next(generate(model(), prompt))


def test_text_is_not_taken_for_ids():
    with pytest.raises((TypeError, jaxtyping.TypeCheckError), match="tokens"):
        next(generate(model(), "hello"))


def test_dropout_is_off_while_it_writes_and_on_again_after():
    m = model(dropout=0.5).train()
    writing = generate(m, [1], n_tokens=20, temperature=0)
    first = next(writing)
    assert m.training
    assert [first, *writing] == list(generate(m.eval(), [1], n_tokens=20, temperature=0))


def test_top_p_of_one_keeps_every_token():
    for seed in range(20):
        logits = 3 * torch.randn(5000, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(keep_top_p(logits, 1.0), logits)


@pytest.mark.parametrize("k", [1, 3, 7, 60])
def test_of_equals_the_first_are_kept(k):
    logits = torch.randn(20, 50, generator=torch.Generator().manual_seed(k)).round()
    order = logits.sort(dim=-1, descending=True, stable=True).indices[:, :k]
    kept = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, True)
    assert torch.equal(keep_top_k(logits, k), logits.masked_fill(~kept, -torch.inf))


def test_a_penalty_makes_what_was_seen_less_likely_and_nothing_else():
    logits, seen = torch.tensor([2.0, 1.0, -1.0]), torch.tensor([0, 2, 0])
    assert penalize_repeats(logits, seen, 2.0).tolist() == [1, 1, -2]
    assert penalize_repeats(logits, seen, 1.0).equal(logits)
    before, after = logits.softmax(-1), penalize_repeats(logits, seen, 1.2).softmax(-1)
    assert all(after[v] / after[1] < before[v] / before[1] for v in (0, 2)) and after[1] > before[1]
    with pytest.raises(ValueError, match="penalty=0.5 must be at least 1"):
        penalize_repeats(logits, seen, 0.5)


def test_a_penalty_acts_on_prompt_and_text_before_anything_is_cut():
    m, prompt, penalty = model(), [3, 1, 4], 1.3
    written = list(prompt)
    for _ in range(8):                                      # without a cache, token by token
        logits = penalize_repeats(m(torch.tensor([written]))[0, -1], torch.tensor(written), penalty)
        written.append(int(logits.argmax()))
    assert list(generate(m, prompt, n_tokens=8, temperature=0, repetition_penalty=penalty)) == written[3:]
    plain = list(generate(m, prompt, n_tokens=8, temperature=0))
    assert plain != written[3:] and plain == list(generate(m, prompt, n_tokens=8, temperature=0, repetition_penalty=1))
    never_twice = list(generate(m, prompt, n_tokens=9, temperature=0, repetition_penalty=1e9))
    assert len({*prompt, *never_twice}) == 12               # 13 ids: nothing is said twice while others are left
    with pytest.raises(ValueError, match="penalty=0 must be at least 1"):
        next(generate(m, prompt, repetition_penalty=0))


@given(st.text("ab|", max_size=24), st.lists(st.text("ab|", min_size=1, max_size=3), max_size=3), st.data())
def test_a_stream_ends_before_the_first_stop_however_it_is_cut(text, stops, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in pairwise([0, *cuts, len(text)])]
    ends = [text.find(stop) for stop in stops if stop in text]
    # of stops that overlap the one that is complete first ends the text; so it ends no later than its first stop
    found = "".join(until(pieces, stops))
    assert text.startswith(found) and len(found) >= min(ends, default=len(text))
    if not ends:
        assert found == text
    elif len(set(stops)) == 1:
        assert len(found) == ends[0]


def test_what_could_become_a_stop_is_held_back():
    stream = until(iter(["Hello ", "Us", "er", "s!"]), ["User:"])
    assert [next(stream), next(stream)] == ["Hello ", "Users!"]
    assert list(until(["Us", "er: more"], ["User:"])) == []
    with pytest.raises(ValueError, match="an empty stop"):
        next(until(["a"], [""]))


UNCHECKED = """
import numpy as np
from minillm import ModelConfig, Transformer, generate
model = Transformer(ModelConfig(vocab_size=13, d_model=16, n_layers=1, n_heads=2, context_length=12))
usual = dict(temperature=0.7, top_k=5, top_p=0.9, min_p=0.01, seed=3, n_tokens=4, stop=0)
of_numpy = {name: (np.int64 if isinstance(value, int) else np.float64)(value) for name, value in usual.items()}
assert list(generate(model, [1, 2], **of_numpy)) == list(generate(model, [1, 2], **usual))
for option, wrong in (("temperature", "hot"), ("temperature", True), ("top_k", 2.5), ("top_k", "5"), ("top_p", "0.9"),
                      ("min_p", [0.1]), ("seed", 1.5), ("seed", 1 << 64), ("n_tokens", 2.0)):
    try:
        list(generate(model, [1, 2], **usual | {option: wrong}))
    except ValueError as error:
        assert str(error).startswith(f"{option}=") and len(str(error).splitlines()) == 1, error
    else:
        raise AssertionError(f"{option}={wrong!r} was taken")
"""


def test_numbers_of_another_kind_are_refused_in_a_sentence_and_numpy_s_are_numbers():
    """In a process of its own: here types are checked before the library sees them, a reader's are not."""
    done = subprocess.run([sys.executable, "-c", UNCHECKED], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seconds, kind", [({"fp32": [1.0], "bf16": [0.5]}, torch.bfloat16),
                                           ({"fp32": [1.0], "bf16": [0.95]}, torch.float32),
                                           ({"fp32": [1.0, 0.2], "bf16": [0.3, 0.3]}, torch.float32)])
def test_weights_are_rounded_only_where_that_gains_a_tenth(monkeypatch, seconds, kind):
    m, said = model(), []
    monkeypatch.setattr("minillm.sampling.race", lambda ways: {name: seconds[name] for name in ways})
    chosen = choose_weights(m, n_texts=16, say=said.append)
    assert next(chosen.parameters()).dtype == kind and next(m.parameters()).dtype == torch.float32
    assert (chosen is m) == (kind == torch.float32)
    assert len(said) == 1 and ("bf16 (a token of 16 texts" if kind == torch.bfloat16 else "fp32 (a token") in said[0]


def test_the_race_of_weights_is_run_and_leaves_the_model_as_it_was():
    m, before = model().train(), list(generate(model(), [1], n_tokens=5))
    chosen = choose_weights(m, say=str)
    assert m.training and list(generate(m, [1], n_tokens=5)) == before
    assert len(list(generate(chosen, [1], n_tokens=5))) == 5
