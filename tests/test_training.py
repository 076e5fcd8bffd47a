"""That training learns, counts every target once, can be stopped anywhere, and is the same again."""
from __future__ import annotations

import inspect
import math
import os
import re
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minillm.config import ModelConfig
from minillm.data import TokenFile
from minillm.model import Transformer
from minillm.optim import adamw, muon, warmup_cosine
from minillm.precision import Precision, choose_device, choose_precision, choose_threads, threads
from minillm.recipes import GROWTH, Growing, learn, small
from minillm.sampling import generate
from minillm.training import IGNORED, evaluate, measure_precision, measure_threads, next_token_loss, train
from tests.variants import SMALL, name_of, variants

TEXT = torch.randint(13, (420,), generator=torch.Generator().manual_seed(0))
OPTIMIZERS = {"adamw": adamw, "muon": muon}


def model(**choices) -> Transformer:
    torch.manual_seed(1)
    return Transformer(ModelConfig(vocab_size=13, d_model=16, n_layers=2, n_heads=2, context_length=8, **choices))


def batches(n: int = 1000, rows: int = 6, start: int = 0, masked: float = 0.0):
    for step in range(start, n):
        g = torch.Generator().manual_seed(step)
        places = torch.randint(len(TEXT) - 9, (rows, 1), generator=g)
        window = TEXT[places + torch.arange(9)]
        inputs, targets = window[:, :-1], window[:, 1:].clone()
        targets[torch.rand(targets.shape, generator=g) < masked] = -100
        yield inputs, targets


def run(m: nn.Module, stream, optimizer=None, precision="fp32", **options) -> list:
    return list(train(m, stream, optimizer=optimizer or adamw(m), precision=precision, **options))


def weights(m: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in m.parameters()])


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_it_learns_one_batch_by_heart(make):
    m, batch = model(), next(batches(rows=4))
    steps = run(m, iter(lambda: batch, None), make(m, lr=0.02), n_steps=200, schedule=warmup_cosine(200, warmup=5))
    assert steps[0].loss == pytest.approx(math.log(13), rel=0.05)
    assert steps[-1].loss < 0.3


@pytest.mark.parametrize("config", variants(60), ids=name_of)
@torch.no_grad()
def test_before_training_every_token_is_as_likely_as_any_other(config):
    torch.manual_seed(0)
    tokens = torch.randint(config.vocab_size, (16, config.context_length + 1))
    m = Transformer(config).eval()
    loss = float(next_token_loss(m(tokens[:, :-1]), tokens[:, 1:]))
    assert loss == pytest.approx(math.log(config.vocab_size), rel=0.05)


def test_steps_report_what_happened():
    m = model()
    steps = run(m, batches(masked=0.3), n_steps=12, start=2, schedule=warmup_cosine(20, warmup=4))
    assert [s.step for s in steps] == list(range(2, 12))
    assert [s.lr for s in steps] == pytest.approx([1e-3 * warmup_cosine(20, warmup=4)(s) for s in range(2, 12)])
    expected = [int((y != -100).sum()) for _, y in islice(batches(masked=0.3), 10)]
    assert [s.tokens for s in steps] == expected
    assert all(s.seconds > 0 and s.grad_norm > 0 for s in steps)


def test_the_loss_is_the_mean_over_targets_that_count():
    logits, targets = torch.randn(2, 5, 13), torch.randint(13, (2, 5))
    targets[0, :3] = -100
    by_hand = [-logits[b, t].log_softmax(-1)[targets[b, t]] for b in range(2) for t in range(5) if targets[b, t] >= 0]
    torch.testing.assert_close(next_token_loss(logits, targets), torch.stack(by_hand).mean())
    assert float(next_token_loss(logits, torch.full((2, 5), -100))) == 0.0


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 6])
def test_micro_batches_add_up_to_the_batch(micro_batch):
    """Also where they hold different numbers of targets: a mean of means would be wrong."""
    whole, parts = model(), model()
    a = run(whole, batches(masked=0.6), torch.optim.SGD(whole.parameters(), 0.5), n_steps=8)
    b = run(parts, batches(masked=0.6), torch.optim.SGD(parts.parameters(), 0.5), n_steps=8, micro_batch=micro_batch)
    assert [s.loss for s in a] == pytest.approx([s.loss for s in b], abs=1e-5)
    torch.testing.assert_close(weights(whole), weights(parts), atol=1e-5, rtol=1e-4)


def test_clipping_bounds_the_step():
    m = model()
    before = weights(m)
    (step,) = run(m, batches(), torch.optim.SGD(m.parameters(), 1.0), n_steps=1, clip=0.01)
    assert step.grad_norm > 0.1
    assert float((weights(m) - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_the_same_seed_gives_the_same_model_and_another_another():
    models = [model(dropout=0.3) for _ in range(3)]
    for m, seed in zip(models, (4, 4, 5), strict=True):
        torch.rand(3)  # what others draw must not matter
        run(m, batches(), n_steps=5, seed=seed)
    a, b, c = map(weights, models)
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_training_leaves_the_callers_randomness_alone():
    state = torch.get_rng_state()
    m = model(dropout=0.3)
    state = torch.get_rng_state()
    run(m, batches(), n_steps=3)
    assert torch.equal(state, torch.get_rng_state())


def test_two_runs_side_by_side_are_two_runs_one_after_the_other():
    together, alone = [model(dropout=0.3) for _ in range(2)], [model(dropout=0.3) for _ in range(2)]
    for _ in zip(*(train(m, batches(7), optimizer=adamw(m), precision="fp32", say=str) for m in together), strict=True):
        pass
    for m in alone:
        run(m, batches(7))
    assert torch.equal(weights(together[0]), weights(alone[0]))
    assert torch.equal(weights(together[1]), weights(alone[1]))


def test_ctrl_c_waits_for_the_step_and_loses_nothing():
    m, reference = model(), model()

    def loss(logits, targets):  # the signal comes in the middle of the third step's forward pass
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return next_token_loss(logits, targets)

    calls, seen = [], []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" would have it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            for step in train(m, batches(), optimizer=adamw(m), precision="fp32", loss=loss):
                seen.append(step.step)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [0, 1, 2]
    run(reference, batches(), n_steps=3)
    assert torch.equal(weights(m), weights(reference))


def test_it_trains_in_a_thread():
    m = model()
    thread = threading.Thread(target=run, args=(m, batches()), kwargs={"n_steps": 2})
    before = weights(m)
    thread.start()
    thread.join()
    assert not torch.equal(before, weights(m))


def test_a_gradient_that_is_not_finite_never_reaches_the_weights():
    m = model()
    before = weights(m)
    with pytest.raises(FloatingPointError, match="step 0.*Lower the learning rate"):
        run(m, batches(), loss=lambda logits, targets: next_token_loss(logits, targets) * torch.inf)
    assert torch.equal(before, weights(m))


def test_any_module_can_be_trained_with_any_loss():
    m = nn.Sequential(nn.Embedding(13, 8), nn.Linear(8, 13))
    smooth = [s.loss for s in run(m, batches(), torch.optim.Adam(m.parameters(), 0.01), n_steps=60,
                                  loss=lambda logits, y: F.cross_entropy(logits.flatten(0, 1), y.flatten(),
                                                                         label_smoothing=0.1))]
    assert smooth[-1] < smooth[0]


@torch.no_grad()
@pytest.mark.parametrize("n, stride", [(400, None), (401, None), (30, None), (9, None), (5, None), (100, 3), (57, 8)])
def test_evaluation_predicts_every_token_once(n, stride):
    m, text = model(), TEXT[:n]
    context, stride = 8, stride or 8
    losses = []
    for t in range(1, n):  # the window that first reaches t, as the docstring says
        end = min(context, n - 1) if t <= context else min(context + -(-(t - context) // stride) * stride, n - 1)
        window = text[max(0, end - context):end + 1][None]
        at = t - max(0, end - context) - 1
        losses.append(F.cross_entropy(m(window[:, :-1])[0, at], text[t]).double())
    assert evaluate(m, text, stride=stride if stride < context else None) == pytest.approx(
        float(torch.stack(losses).mean()), abs=1e-6)


def test_evaluation_is_the_same_again_and_without_dropout():
    m = model(dropout=0.5).train()
    first = evaluate(m, TEXT)
    assert m.training and first == evaluate(m, TEXT.tolist()) == evaluate(m.eval(), TEXT.numpy())


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32"])
def test_evaluation_reads_ids_as_any_file_stores_them(dtype, tmp_path):
    m = model()
    assert evaluate(m, TEXT.numpy().astype(dtype)) == evaluate(m, TEXT)
    assert evaluate(m, TokenFile.write(tmp_path / "t", TEXT.tolist(), vocab_size=60_000)) == evaluate(m, TEXT)


def test_an_id_outside_the_vocabulary_is_refused_before_it_is_learned():
    m = model()
    size, before = m.config.vocab_size, weights(m)
    x, y = next(batches())
    wrong = y.clone()
    wrong[0, 0] = size
    for batch in ((wrong, y), (x, wrong), (x, torch.where(wrong == size, -1, y))):
        with pytest.raises(ValueError, match=rf"id ({size}|-1) is outside vocab_size={size}"):
            next(train(m, [batch], optimizer=adamw(m, lr=1e-3), precision="fp32"))
    with pytest.raises(ValueError, match=f"id {size} is outside"):
        evaluate(m, wrong[0])
    assert torch.equal(before, weights(m))


def test_a_recipe_of_no_length_is_refused():
    for length in ({"n_steps": 0}, {"seconds": 0.0}, {"seconds": -1.0}, {}):
        with pytest.raises(ValueError, match="n_steps="):
            next(learn(model(), TEXT, **length))


def test_a_text_of_one_token_cannot_be_evaluated():
    with pytest.raises(ValueError, match="tokens=1 "):
        evaluate(model(), [3])


def test_precisions_agree_roughly_and_restore_the_callers_settings():
    losses = {}
    for name in ("fp32", "medium", "bf16"):
        m = model()
        losses[name] = run(m, batches(), n_steps=20, precision=name)[-1].loss
        assert torch.get_float32_matmul_precision() == "highest" and not torch.is_autocast_enabled("cpu")
        assert next(m.parameters()).dtype == torch.float32
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], abs=0.02) == losses["medium"]


def test_auto_takes_the_fastest_says_so_and_learns_nothing(monkeypatch):
    monkeypatch.setattr("minillm.precision.has_bf16", lambda device: True)
    seconds, said = {"fp32": 0.03, "medium": 0.02, "bf16": 0.004}, []
    chosen = choose_precision("auto", torch.device("cpu"), lambda p: time.sleep(seconds[p.name]), say=said.append)
    assert chosen.name == "bf16" and len(said) == 1 and all(name in said[0] for name in seconds)
    seconds["bf16"] = seconds["medium"] = 0.0295  # not worth the rounding
    assert choose_precision("auto", torch.device("cpu"), lambda p: time.sleep(seconds[p.name]), say=str).name == "fp32"
    m = model(dropout=0.3)
    before = weights(m)
    measure_precision("auto", m, next(batches()), say=said.append)
    assert torch.equal(before, weights(m)) and all(p.grad is None for p in m.parameters())


def test_a_trial_is_run_as_often_whatever_the_clock_says(monkeypatch):
    """Of several processes each waits in its trials for the others'."""
    monkeypatch.setattr("minillm.precision.has_bf16", lambda device: True)
    calls = {0.0: 0, 0.12: 0}

    def trial(precision, seconds):
        calls[seconds] += 1
        time.sleep(seconds)

    for seconds in calls:
        choose_precision("auto", torch.device("cpu"), partial(trial, seconds=seconds), say=str)
    assert calls[0.0] == calls[0.12] > 0


@pytest.fixture
def timed(monkeypatch):
    """A trial that takes so many seconds of a clock of its own, and notes with how many threads it ran."""
    now, tried = [0.0], []
    monkeypatch.setattr("minillm.precision.time", SimpleNamespace(perf_counter=lambda: now[0]))

    def trial(seconds):
        tried.append(torch.get_num_threads())
        now[0] += seconds[tried[-1]]

    return trial, tried


@pytest.mark.parametrize("seconds, best", [({1: 4.0, 2: 7.0, 4: 9.0}, 1), ({1: 4.0, 2: 3.0, 4: 2.0}, 4),
                                           ({1: 4.0, 2: 3.8, 4: 5.0}, 1)], ids=["busy", "free", "too small a gain"])
def test_threads_are_tried_in_turns_and_more_are_taken_only_where_they_gain(timed, seconds, best):
    trial, tried = timed
    said = []
    with threads(4):
        assert choose_threads(partial(trial, seconds), say=said.append) == best and torch.get_num_threads() == 4
    assert tried == [1, 2, 4] * (len(tried) // 3) and len(tried) > 6
    assert len(said) == 1 and f"computing with {best} thread" in said[0] and all(f" {n} " in said[0] for n in seconds)


def test_what_takes_three_times_as_long_is_not_tried_again(timed):
    """Two threads on two busy cores took up to 180 times as long as one: nobody shall wait for that five times."""
    trial, tried = timed
    with threads(2):
        assert choose_threads(partial(trial, {1: 1.0, 2: 5.0}), say=str) == 1
    assert tried.count(2) == 1 and tried.count(1) > 3


def test_measuring_threads_learns_nothing_and_leaves_fp32_repeatable():
    m, said = model(dropout=0.3), []
    before = weights(m)
    with threads(2):
        state = torch.get_rng_state()
        assert measure_threads("auto", m, next(batches()), say=said.append) in (1, 2) and len(said) == 1
        assert torch.equal(before, weights(m)) and all(p.grad is None for p in m.parameters())
        assert torch.equal(state, torch.get_rng_state())
        assert measure_threads("fp32", m, next(batches()), say=said.append) == 2 and len(said) == 1


def test_a_processor_without_bf16_computes_in_fp32(monkeypatch):
    monkeypatch.setattr("minillm.precision.has_bf16", lambda device: False)
    assert choose_precision("auto", torch.device("cpu"), lambda p: None, say=str).name == "fp32"


def test_unknown_precisions_and_absent_devices_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="'fp8'.*bf16"):
        Precision("fp8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device().type == "cpu"
    with pytest.raises(ValueError, match="no CUDA device"):
        choose_device("cuda")
    for name in ("gpu", "cuda:x", "cpu:1", ""):
        with pytest.raises(ValueError, match=f"device='{name}'.*cpu"):
            choose_device(name)


def test_the_context_grows_and_the_tokens_of_a_step_stay():
    stream = Growing(TEXT, batch_size=2, context_length=8, seed=0, progress=lambda step: step / 20)
    shapes = [next(stream)[0].shape for _ in range(20)]
    assert {rows * seq for rows, seq in shapes} == {16}
    contexts = [seq for _, seq in shapes]
    assert contexts == sorted(contexts) and set(contexts) == {2, 4, 8} == {8 * share for _, share in GROWTH}


def test_the_recipe_is_repeatable_in_steps_and_punctual_in_seconds():
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        m = Transformer(ModelConfig(vocab_size=13, d_model=16, n_layers=1, n_heads=2, context_length=8))
        runs.append([s.loss for s in learn(m, TEXT, n_steps=30, precision="fp32")])
    assert runs[0] == runs[1] and len(runs[0]) == 30 and runs[0][-1] < runs[0][0]
    began = time.perf_counter()
    steps = list(learn(m, TEXT, seconds=0.5, precision="fp32"))
    assert steps and steps[-1].lr < steps[len(steps) // 2].lr
    assert time.perf_counter() - began >= 0.5
    with pytest.raises(ValueError, match="give one of them"):
        next(learn(m, TEXT))


def test_the_recipes_model_is_small():
    assert sum(p.numel() for p in Transformer(small(65)).parameters()) < 900_000


def two_steps(**options) -> list[float]:
    m = model(dropout=0.2)
    return [step.loss for step in train(m, batches(), optimizer=adamw(m), n_steps=2, **options)]


def test_choosing_a_precision_draws_nothing_of_the_run_s_own(monkeypatch):
    def choose(name, device, trial, say):
        trial(Precision("fp32"))
        return Precision("fp32")
    plain = two_steps(precision="fp32")
    monkeypatch.setattr("minillm.training.choose_precision", choose)
    assert two_steps(precision="auto") == plain


@pytest.mark.parametrize("seed", [2 ** 40, 1_763_885_000_000_000_000, -1])
def test_any_seed_will_do(seed):
    assert two_steps(precision="fp32", seed=seed) == two_steps(precision="fp32", seed=seed)


def test_an_ignored_target_is_no_input():
    m = model()
    batch = torch.full((2, 4), IGNORED), torch.zeros(2, 4, dtype=torch.long)
    with pytest.raises(ValueError, match="id -100 is outside vocab_size=13"):
        next(train(m, [batch], optimizer=adamw(m), precision="fp32"))


def test_evaluating_leaves_every_part_in_its_own_mode():
    m = model(dropout=0.5).train()
    m.blocks[0].eval()  # frozen on purpose
    before = [part.training for part in m.modules()]
    evaluate(m, TEXT)
    next(generate(m, [1, 2, 3]))
    assert [part.training for part in m.modules()] == before


@pytest.mark.parametrize("config", [*variants(60, seed=5), replace(SMALL, n_experts=4, experts_per_token=1,
                                                                  normalize_experts=False)], ids=name_of)
def test_every_parameter_of_every_choice_learns(config):
    torch.manual_seed(0)
    model, tokens = Transformer(config).double(), torch.randint(config.vocab_size, (8, config.context_length + 1))
    for p in model.parameters():
        nn.init.normal_(p, std=0.2)
    F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).backward()
    sizes = Counter()
    for name, p in model.named_parameters():  # of the experts some may not be chosen by anyone: together
        sizes[re.sub(r"experts\.\d", "experts.*", name)] += p.grad.norm().item() if p.grad is not None else 0.0
    scale = max(sizes.values())
    keys = ("k_proj.bias", "rotary_proj.bias")  # add the same to all scores of a query: a softmax does not see it
    assert {name: size for name, size in sizes.items() if size < 1e-12 * scale and not name.endswith(keys)} == {}


def test_one_expert_with_a_weight_of_one_is_refused():
    with pytest.raises(ValueError, match="experts_per_token=1 with normalize_experts=True.*never learns; choose"):
        replace(SMALL, n_experts=4, experts_per_token=1)
    assert replace(SMALL, n_experts=1, experts_per_token=1)  # of one expert there is no choice


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("wrong", ["a weight", "the loss", "the gradient"])
def test_what_is_no_number_ends_a_run_in_every_precision(precision, wrong):
    model, steps = Transformer(replace(SMALL, n_layers=1)), []
    x = torch.randint(SMALL.vocab_size, (2, 8))
    if wrong == "a weight":
        with torch.no_grad():
            model.embed.weight[x[0, 0]] = math.nan
    if wrong == "the gradient":  # the root of nothing is steep beyond measure, the loss itself is finite
        loss = lambda logits, targets: next_token_loss(logits, targets) + (0 * logits.float().sum()).sqrt()  # noqa: E731
    else:
        loss = lambda logits, targets: next_token_loss(logits, targets) * (math.nan if wrong == "the loss" else 1)  # noqa: E731
    before = [p.detach().clone() for p in model.parameters()]
    told = "that before has spoiled the weights" if wrong == "a weight" else "the weights are those of the step before"
    with pytest.raises(FloatingPointError, match=f"at step .*{told}"):
        for step in train(model, [(x, x)] * 60, optimizer=adamw(model), precision=precision, loss=loss, say=str):
            steps.append(step)
    assert len(steps) == (17 if precision == "fp16" and wrong == "the gradient" else 0)  # 2^16 halved to below 1
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)) or wrong == "a weight"


def test_fp16_goes_on_where_halving_the_scale_helps():
    model, norms = Transformer(replace(SMALL, n_layers=1)), []
    x = torch.randint(SMALL.vocab_size, (2, 8))
    for step in train(model, [(x, x)] * 12, optimizer=adamw(model), precision="fp16", say=str,
                      loss=lambda logits, targets: 3e3 * next_token_loss(logits, targets)):
        norms.append(step.grad_norm)
    assert not math.isfinite(norms[0]) and math.isfinite(norms[-1])


@pytest.mark.parametrize(("call", "named"), [
    (lambda m, x: train(m, [(x, x)], optimizer=adamw(m), clip=-1.0), "clip=-1.0"),
    (lambda m, x: train(m, [(x, x)], optimizer=adamw(m), clip=0.0), "clip=0.0.*None"),
    (lambda m, x: train(m, [(x, x)], optimizer=adamw(m), clip=math.nan), "clip=nan"),
    (lambda m, x: train(m, [(x, x)], optimizer=adamw(m), micro_batch=0), "micro_batch=0"),
    (lambda m, x: train(m, [(x, x)], optimizer=adamw(m), schedule=lambda step: -0.1, precision="fp32"), "is -0.1"),
    (lambda m, x: train(m, [(x, x)], optimizer=adamw(m), schedule=lambda step: math.nan, precision="fp32"), "is nan"),
    (lambda m, x: [muon(m, lr=-1.0)], "^lr=-1.0"), (lambda m, x: [muon(m, adam_lr=math.nan)], "adam_lr=nan"),
    (lambda m, x: [muon(m, momentum=1.0)], "momentum=1.0.*below 1"), (lambda m, x: [adamw(m, lr=-1.0)], "lr=-1.0"),
    (lambda m, x: [adamw(m, weight_decay=-0.1)], "weight_decay=-0.1"), (lambda m, x: [adamw(m, lr=math.inf)], "lr=inf"),
    (lambda m, x: [adamw(m, betas=(0.9, 1.0))], "beta2=1.0"), (lambda m, x: [evaluate(m, [1, 2, 3], context_length=0)],
                                                               "context_length=0"),
    (lambda m, x: generate(m, [1], n_tokens=-5), "n_tokens=-5")])
def test_a_number_that_would_climb_where_it_should_descend_is_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        list(call(Transformer(SMALL), torch.zeros(2, 8, dtype=torch.long)))


def test_a_count_may_be_numpy_s():
    m, x = model(), torch.zeros(2, 8, dtype=torch.long)
    steps, loss = map(inspect.unwrap, (train, evaluate))
    assert len(list(steps(m, [(x, x)] * 3, optimizer=adamw(m), n_steps=np.int64(2), precision="fp32"))) == 2
    assert loss(m, [1, 2, 3], context_length=np.int64(2)) == loss(m, [1, 2, 3], context_length=2)
