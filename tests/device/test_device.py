"""The script that nobody can run here on a GPU is alive: each part on the CPU, in its smallest size."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minillm.cache import LayerCache
from minillm.model import Transformer, WithoutWeights
from tests.benchmarks.models import ARCHITECTURES, gpt2
from tests.device.__main__ import check, main
from tests.device.checks import CHECKS, largest
from tests.device.speeds import GPU, PEAKS, QUICK, ejected, minute, speed

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", CHECKS)
def test_the_cpu_agrees_with_itself(name, capsys):
    assert check(name, CPU), capsys.readouterr().out
    assert capsys.readouterr().out.count("holds") > 1


def test_a_cache_that_forgets_is_noticed(monkeypatch, capsys):
    monkeypatch.setattr(LayerCache, "extend", lambda self, k, v: (k, v, torch.arange(k.shape[2])))
    assert not check("cache", CPU) and "WRONG" in capsys.readouterr().out


@pytest.mark.parametrize("found", [1.0, float("nan"), float("inf")])
def test_what_is_larger_than_allowed_is_wrong_and_ends_in_an_exit_code(found, monkeypatch, capsys):
    monkeypatch.setitem(CHECKS, "cache", lambda device: iter([("one", 0.1, 0.5), ("two", found, 0.5)]))
    assert main(["cache", "--device", "cpu"]) == 1
    said = capsys.readouterr().out
    assert said.count("WRONG") == 1 and "holds\n" in said and "0 of 1 parts hold" in said


def test_what_breaks_off_is_told_and_hides_nothing_that_follows(monkeypatch, capsys):
    def breaks(device):
        raise RuntimeError("no such kernel")

    monkeypatch.setitem(CHECKS, "logits", breaks)
    assert main(["logits", "kernels", "--device", "cpu"]) == 1
    said = capsys.readouterr().out
    assert "RuntimeError: no such kernel" in said and said.count("holds\n") > 3


def test_speed_and_a_minute_of_learning_give_their_rows(capsys):
    said = []
    rows = [*speed(CPU, QUICK, said.append), *minute(CPU, QUICK, said.append)]
    assert [row[1] for row in rows[1:-1]] == ["transformers GPT-2", "plain lines (ejected GPT-2)", "minillm GPT-2's",
                                              "minillm recipe's"]
    assert all(row[2] > 0 for row in rows) and all("MFU" in row[4] for row in rows[1:-1]) and said


@pytest.mark.parametrize("size", GPU.sizes)
def test_who_is_raced_is_of_one_size(size):
    config, batch = GPU.sizes[size]
    config = replace(config, n_layers=1, vocab_size=100)
    with WithoutWeights():
        ours = Transformer(replace(config, **ARCHITECTURES["GPT-2's"]))
    plain = ejected(ours.config)
    assert batch & (batch - 1) == 0  # it is halved until it fits
    assert len({sum(p.numel() for p in model.parameters()) for model in (gpt2(config), plain, ours)}) == 1


def test_a_longer_name_of_a_gpu_stands_before_the_name_that_it_begins_with():
    names = list(PEAKS)
    assert not [(a, b) for i, a in enumerate(names) for b in names[i + 1:] if a in b]


def test_the_largest_difference_is_found_in_lists_of_lists():
    assert largest([[1.0, 2.0], [3.0]], [[1.0, 2.5], [3.0]]) == 0.5
    assert largest([torch.zeros(2)], [torch.tensor([0.0, 3.0])]) == 3.0
    with pytest.raises(AssertionError):
        largest([1.0], [1.0, 2.0])
