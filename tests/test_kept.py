"""An optimizer takes back what one like it kept, and names what it never kept."""
from __future__ import annotations

import copy
import math

import pytest
import torch

from minillm.config import ModelConfig
from minillm.model import Transformer
from minillm.optim import adamw, muon
from minillm.training import restore, snapshot, train

IDS = torch.zeros(2, 8, dtype=torch.long)


def learned(make):
    """An optimizer that has made a step, and what is kept of it."""
    torch.manual_seed(0)
    model = Transformer(ModelConfig(vocab_size=9, d_model=8, n_layers=1, n_heads=2, context_length=8))
    optimizer = make(model)
    list(train(model, [(IDS, IDS)], optimizer=optimizer, precision="fp32"))
    return optimizer, copy.deepcopy(snapshot(optimizer, 1))


def row(kept):
    """What is kept of the last weight, which goes by Adam under either rule."""
    return kept["optimizer"]["state"][max(kept["optimizer"]["state"])]


def group(kept):
    return kept["optimizer"]["param_groups"][0]


@pytest.mark.parametrize("make", [adamw, muon])
def test_what_was_kept_is_given_back(make):
    optimizer, kept = learned(make)
    assert restore(kept, optimizer) == 1
    kept["optimizer"]["state"].pop(0)  # a weight without a gradient so far has nothing
    restore(kept, optimizer)


def test_what_another_version_of_pytorch_or_another_machine_kept_is_given_back():
    optimizer, kept = learned(adamw)
    group(kept).pop("decoupled_weight_decay", None)
    group(kept).update(fused=None, a_setting_of_tomorrow=True)
    assert restore(kept, optimizer) == 1


CHANGES = {
    "no state": lambda kept: kept["optimizer"].pop("state"), "no number": lambda kept: kept.update(step="1"),
    "less than none": lambda kept: kept.update(step=-1), "no optimizer": lambda kept: kept.update(optimizer=3),
    "no group": lambda kept: kept["optimizer"].update(param_groups=[]),
    "a group of one weight": lambda kept: group(kept).update(params=[0]),
    "weights by no number": lambda kept: group(kept).update(params=[[0]] * len(group(kept)["params"])),
    "no rate": lambda kept: group(kept).pop("lr"), "a rate of text": lambda kept: group(kept).update(lr="1"),
    "a rate that is none": lambda kept: group(kept).update(lr=math.nan),
    "a first rate of text": lambda kept: group(kept).update(initial_lr="1"),
    "a part that none has": lambda kept: group(kept).update(rule="x"),
    "a row of text": lambda kept: kept["optimizer"]["state"].update({0: "x"}),
    "a step of text": lambda kept: row(kept).update(step="x"),
    "a tensor of text": lambda kept: row(kept).update({min(row(kept)): "x"}),
    "a tensor less": lambda kept: row(kept).pop(min(row(kept))),
    "a tensor of another shape": lambda kept: row(kept).update({min(row(kept)): torch.zeros(3)})}


@pytest.mark.parametrize("make", [adamw, muon])
@pytest.mark.parametrize("change", CHANGES)
def test_what_no_such_optimizer_keeps_is_refused_in_a_sentence(make, change):
    optimizer, kept = learned(make)
    CHANGES[change](kept)
    with pytest.raises(ValueError, match=r"never kept|the state of this run|must be at least 0") as told:
        restore(kept, optimizer)
    assert type(told.value) is ValueError
