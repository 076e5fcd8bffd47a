"""Preferences and rewards move what they should: margins by hand, groups without spread teach nothing."""
from __future__ import annotations

import copy
import math
from itertools import islice

import pytest
import torch

from minillm.model import Transformer
from minillm.optim import adamw
from minillm.preferences import advantages, dpo, dpo_loss, grpo, log_probabilities
from tests.variants import SMALL

END = 30


def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(SMALL)


def test_log_probabilities_leave_out_what_is_masked():
    logits = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[-100, 1, 2, -100], [-100, -100, -100, 4]])
    log_p = logits.log_softmax(-1)
    torch.testing.assert_close(log_probabilities(logits, targets),
                               torch.stack([log_p[0, 1, 1] + log_p[0, 2, 2], log_p[1, 3, 4]]))


def test_dpo_s_loss_by_hand():
    one = dpo_loss(*map(torch.tensor, ([-1.0], [-3.0], [-2.0], [-2.0])), beta=0.5)
    assert float(one) == pytest.approx(math.log(1 + math.exp(-0.5 * 2)))
    level = torch.tensor([-4.0, -5.0])
    assert float(dpo_loss(level, level, level, level)) == pytest.approx(math.log(2))
    both_fall = dpo_loss(level - 10, level - 60, level, level)
    assert float(both_fall) < 0.01                                   # the margin alone counts


def test_dpo_widens_the_margin_and_starts_at_ln_2():
    pairs = [([1, 2, 3], [4, 5, END], [6, END]), ([7, 8], [9, END], [4, 5, 6, END])]
    ours = model()
    steps = list(islice(dpo(ours, pairs, optimizer=adamw(ours, lr=1e-3), batch_size=4), 15))
    assert steps[0].loss == pytest.approx(math.log(2), abs=1e-4) and abs(steps[0].margin) < 1e-3
    assert steps[-1].margin > 1 and steps[-1].loss < steps[0].loss
    assert steps[-1].margin == pytest.approx(steps[-1].chosen - steps[-1].rejected)


def test_advantages_of_a_group_are_centred_and_a_group_of_equals_counts_for_nothing():
    found = advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]))
    assert found[0].sum().abs() < 1e-5 and found[0, 0] == pytest.approx(math.sqrt(3), abs=1e-4)
    assert not found[1:].any()


def test_a_reward_is_pursued():
    ours = model()
    prompts = [[1, 2, 3], [4, 5, 6], [7, 8]]
    tried = list(islice(grpo(ours, prompts, lambda i, answer: answer.count(9) / 4, optimizer=adamw(ours, lr=1e-2),
                             end=END, groups=3, answers=8, n_tokens=4), 25))
    assert tried[-1].rewards.mean() > tried[0].rewards.mean() + 0.3
    for each in tried[:5]:
        assert len({len(prompt) for prompt in each.prompts}) == 1 and each.rewards.shape == (3, 8)
        for group in each.answers:
            assert all(END not in answer[:-1] and (len(answer) == 4 or answer[-1] == END) for answer in group)


def test_a_reward_that_all_answers_get_changes_no_weight():
    ours = model()
    before = copy.deepcopy(ours.state_dict())
    list(islice(grpo(ours, [[1, 2], [3, 4]], lambda i, answer: 1.0, optimizer=adamw(ours, lr=1e-2), end=END,
                     groups=2, answers=4, n_tokens=3), 3))
    assert all(torch.equal(x, before[name]) for name, x in ours.state_dict().items())


def test_the_same_seed_tries_the_same_answers():
    runs = [next(grpo(ours, [[1, 2], [3, 4]], lambda i, answer: len(answer), optimizer=adamw(ours), end=END,
                      seed=3)) for ours in (model(), model())]
    assert runs[0].answers == runs[1].answers and torch.equal(runs[0].rewards, runs[1].rewards)
