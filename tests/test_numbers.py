"""Numbers at the edge: obeyed, or refused in a sentence that names them; tables that nothing rounds, loses or moves."""
from __future__ import annotations

import argparse
import inspect
import math
from functools import partial

import numpy as np
import pytest
import torch

from minillm import corpora
from minillm.cli.numbers import number
from minillm.config import ModelConfig, RopeScaling
from minillm.conversation import PromptBatches
from minillm.data import Batches, answered, check_counts
from minillm.model import Transformer
from minillm.optim import adamw, constant, muon, warmup_cosine, warmup_linear, warmup_stable_decay
from minillm.presets import PRESETS, scaled
from minillm.pretrained import export_hf, load_pretrained
from minillm.sampling import generate, keep_top_k, next_token_probabilities
from minillm.tokenizers import ByteTokenizer, SentencePieceTokenizer
from minillm.training import train

SIZES = dict(vocab_size=9, d_model=16, n_layers=1, n_heads=2, context_length=8)
LOGITS = 5 * torch.randn(3, 20, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("temperature", [1e-5, 1e-30, 1e-38, 1e-39, 1e-45, 1e-300, 5e-324, 0])
def test_the_lower_the_temperature_the_surer_the_likeliest(temperature):
    p = next_token_probabilities(LOGITS, temperature=temperature)
    assert torch.equal(p, torch.nn.functional.one_hot(LOGITS.argmax(-1), 20).float())


@pytest.mark.parametrize("temperature", [1e-40, 1e-3, 0.5, 1.0, 2.0])
def test_logits_as_large_as_numbers_go_can_be_drawn_from(temperature):
    p = next_token_probabilities(torch.tensor([1e38, -1e38, 3e38, 0.0]), temperature=temperature)
    assert p.tolist() == [0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("temperature", [1e30, 1e38, 1e39, 1e308, math.inf])
def test_at_a_very_high_temperature_all_that_is_possible_is_alike(temperature):
    logits = torch.cat([LOGITS, torch.full((3, 2), -torch.inf)], dim=-1)
    torch.testing.assert_close(next_token_probabilities(logits, temperature=temperature),
                               torch.tensor([1 / 20] * 20 + [0.0] * 2).expand(3, -1))


@pytest.mark.parametrize("p", [1e-12, 1e-45, 5e-324])
def test_however_small_top_p_is_the_likeliest_stays(p):
    assert torch.equal(next_token_probabilities(LOGITS, top_p=p).argmax(-1), LOGITS.argmax(-1))


@pytest.mark.parametrize("logits", [[1.0, math.inf], [math.nan, 1.0], [-math.inf] * 2, [math.inf] * 2])
@pytest.mark.parametrize("options", [{}, dict(temperature=0), dict(temperature=1e-40), dict(top_k=1), dict(top_p=0.5)])
def test_logits_that_are_no_numbers_are_refused(logits, options):
    with pytest.raises(ValueError, match="the logits hold NaN or infinity"):
        next_token_probabilities(torch.tensor(logits), **options)


@pytest.mark.parametrize("name", ["attention_scale", "attention_softcap", "logit_softcap", "rope_theta", "norm_eps",
                                  "rope_theta_local", "rope_fraction", "dropout"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_a_configuration_holds_no_number_that_is_none(name, value):
    with pytest.raises(ValueError, match=name):
        ModelConfig(**SIZES, **{name: value})


@pytest.mark.parametrize("name", ["attention_scale", "attention_softcap", "logit_softcap"])
def test_a_zero_that_would_mean_none_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}=0.0 must be above 0; None for"):
        ModelConfig(**SIZES, **{name: 0.0})


@pytest.mark.parametrize("name, values", [
    ("factor", dict(factor=0.0)), ("factor", dict(factor=-2.0)), ("factor", dict(factor=math.nan)),
    ("factor", dict(factor=math.inf)), ("original_context", dict(kind="llama3", factor=8.0, original_context=0)),
    ("low_freq", dict(kind="llama3", factor=8.0, low_freq=4.0, high_freq=4.0)),
    ("low_freq", dict(kind="yarn", factor=8.0, low_freq=32.0, high_freq=1.0)),
    ("low_freq", dict(kind="yarn", factor=4.0, low_freq=0.0, high_freq=32.0)),
    ("high_freq", dict(kind="llama3", factor=4.0, high_freq=math.inf))])
def test_a_stretch_that_cannot_be_is_refused_by_its_field(name, values):
    with pytest.raises(ValueError, match=f"{name}="):
        RopeScaling(**values)


POSITIONS = [dict(position=name) for name in ("rope", "alibi", "sinusoidal", "learned")]


@pytest.mark.parametrize("options", [*POSITIONS, dict(attention="latent"), dict(rope_theta_local=50.0, window=3)],
                         ids=str)
def test_a_model_made_without_memory_and_filled_is_the_same_model(options):
    config = ModelConfig(**SIZES, **options)
    model, x = Transformer(config).eval(), torch.arange(8)[None]
    with torch.device("meta"):
        bare = Transformer(config)
    for other in (bare.to_empty(device="cpu"), Transformer(config).to("meta").to_empty(device="cpu")):
        other.load_state_dict(model.state_dict())
        assert torch.equal(other.eval()(x), model(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("options", POSITIONS, ids=str)
def test_a_model_runs_in_the_kind_of_number_it_was_cast_to(options, dtype):
    model = Transformer(ModelConfig(**SIZES, **options)).eval()
    x = torch.arange(8)[None]
    right, cast = model(x), model.to(dtype)
    assert cast(x).dtype == dtype and (cast(x).float() - right).abs().max() < 0.1
    assert len(list(generate(cast, [1], n_tokens=3))) == 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("preset", ["bloom-560m", "gpt2", "llama-3-8b", "gemma-2-2b", "deepseek-v2-lite",
                                    "mixtral-8x7b", "pythia-70m"])
def test_a_published_model_runs_in_16_bits(preset, dtype, tmp_path):
    torch.manual_seed(0)
    folder = export_hf(Transformer(scaled(PRESETS[preset], "nano", vocab_size=50)), None, tmp_path / "out")
    x, right = torch.arange(12)[None], load_pretrained(folder)[0](torch.arange(12)[None])
    model, _ = load_pretrained(folder, dtype=dtype)
    assert model(x).dtype == dtype and (model(x).float() - right).abs().max() < 0.1
    assert len(list(generate(model, [1, 2, 3], n_tokens=3))) == 3
    if preset != "gemma-2-2b":  # whose gains are stored less one
        again, _ = load_pretrained(export_hf(model, None, tmp_path / "again"), dtype=dtype)
        assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


@pytest.mark.parametrize("data, text", [(b"a\rb\rc\r", "a\nb\nc\n"), (b"a\r\nb\nc\rd", "a\nb\nc\nd"),
                                        (b"a\r\r\nb", "a\nb"), (b"a\n\r\nb\n\nc", "a\n\nb\n\nc"),
                                        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", "a\nb")])
def test_line_ends_of_every_system_are_read_as_one(data, text):
    assert corpora.read(("x.txt", data)).text == text


@pytest.mark.parametrize("text", ["ACGTTGCA" * 3_000, "-" * 60_000, "吾輩は猫である" * 4_000])
def test_a_text_in_one_line_can_be_learned_from(text):
    for algorithm in ("unigram", "bpe"):
        tokenizer = SentencePieceTokenizer.train(text, 400, algorithm=algorithm)
        assert tokenizer.decode(tokenizer.encode(text[:999])) == text[:999]


@pytest.mark.parametrize(("kind", "text", "said"), [
    (float, "1e400", "no number that"), (float, "nan", "no number that"), (int, "9" * 400, "at most"),
    (int, "9" * 6000, "no whole number"), (int, "0", "at least 1"), (float, "x", "no number"), (int, "1.5", "whole")])
def test_a_number_of_the_command_line_is_one(kind, text, said):
    with pytest.raises(argparse.ArgumentTypeError, match=said):
        number(kind, least=1, most=100)(text)


@pytest.mark.parametrize("count", [1.5, True, 0, -1, None, "2", math.nan])
def test_what_is_counted_is_a_whole_number(count):
    with pytest.raises(ValueError, match="batch_size=.* must be a whole number, at least 1"):
        check_counts(context_length=np.int64(3), batch_size=count)


@pytest.mark.parametrize("change", [{"batch_size": 0}, {"context_length": 0}, {"device": "gpu"}, {"device": "cuda:99"}])
def test_batches_are_counted_and_on_a_device_that_is_there(change):
    made = {"batch_size": 2, "context_length": 64, "seed": 0} | change
    name = next(iter(change))
    with pytest.raises(ValueError, match=f"{name}="):
        Batches(range(200), **made)
    with pytest.raises(ValueError, match=f"{name}="):
        PromptBatches([("a", "b")], ByteTokenizer(special=("<|endoftext|>",)), **made)


def test_a_loss_that_no_weight_has_a_part_in_is_refused():
    model, ids = Transformer(ModelConfig(**SIZES)), torch.zeros(1, 4, dtype=torch.long)
    steps = train(model, [(ids, ids)], optimizer=adamw(model), loss=lambda logits, targets: torch.zeros(()),
                  precision="fp32")
    with pytest.raises(ValueError, match="no weight has a part in"):
        next(steps)


@pytest.mark.parametrize("make", [adamw, muon])
def test_a_rate_that_fp32_could_not_hold_is_refused(make):
    model = Transformer(ModelConfig(**SIZES))
    with pytest.raises(ValueError, match="lr=1e.308 must be at least 0 and below"):
        make(model, lr=1e308)


def test_numbers_that_no_machine_word_holds_are_reckoned_with_or_refused():
    from minillm.answering import perplexity
    from minillm.data import answered
    from minillm.sampling import apply_temperature
    assert perplexity(1e308) == math.inf and math.isnan(perplexity(math.nan)) and perplexity(0.0) == 1
    assert torch.isfinite(apply_temperature(torch.ones(3), 10 ** 30)).all()
    with pytest.raises(ValueError, match="row 0 holds 9223372036854775808"):
        answered([([2 ** 63], [1])])


@pytest.mark.parametrize("schedule", [constant, *(partial(made, 10) for made in (
    warmup_cosine, warmup_linear, warmup_stable_decay))])
def test_no_warm_up_takes_less_than_no_step(schedule):
    with pytest.raises(ValueError, match="warmup=-1 must be at least 0"):
        schedule(warmup=-1)(0)


def test_as_many_tokens_as_there_are_stay_however_many_may():
    assert torch.equal(keep_top_k(LOGITS, 10 ** 30), LOGITS)


@pytest.mark.parametrize("strange", [1.5, "1", None, 1 << 32, -1, torch.zeros(2, dtype=torch.long)])
def test_a_row_of_ids_holds_ids(strange):
    with pytest.raises(ValueError, match="row 0 holds .* an id is a whole number of at most four bytes"):
        inspect.unwrap(answered)([([1, strange], [2])])
    assert inspect.unwrap(answered)([(torch.tensor([1, 2]), np.array([3]))])[0].tolist() == [[1, 2]]
