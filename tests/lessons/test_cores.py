"""A large run takes all cores where they are faster, and one again where others need them."""
from __future__ import annotations

import pytest

from minillm.lessons.training import experiment
from minillm.lessons.training.cores import EVERY, TRIES, Cores
from minillm.lessons.training.experiment import OWN, Moment, Run, configure, known
from minillm.lessons.training.laboratory import TrainingLab
from minillm.training import Step


@pytest.fixture(scope="module")
def run():
    material = known("stories")
    return Run(material, configure(OWN, "nano", material.tokenizer.vocab_size))


@pytest.fixture
def large(run, monkeypatch):
    monkeypatch.setattr(run, "large", True)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    return run


def taken(tried, seconds, steps):
    """How many threads each step is made with, where a step takes `seconds[threads]`."""
    said = []
    for _ in range(steps):
        said.append(tried.threads)
        step = Step(step=0, loss=1.0, lr=0.1, grad_norm=1.0, tokens=1, seconds=seconds[tried.threads])
        tried.note([(Moment(step),)])
    return said


@pytest.mark.parametrize(("alone", "together", "best"), [(0.2, 0.12, 2), (0.2, 0.19, 1), (0.2, 9.0, 1)])
def test_what_was_faster_stays_until_it_is_tried_again(large, alone, together, best):
    tried = Cores(large)
    said = taken(tried, {1: alone, 2: together}, EVERY)
    assert set(said[:2 * TRIES]) == {1, 2} and set(said[2 * TRIES + 1:]) == {best}
    said = taken(tried, {1: 0.2, 2: 5.0}, EVERY)               # a busy machine
    assert set(said[2 * TRIES + 1:]) == {1} and said.count(2) <= TRIES + 1


def test_small_models_and_single_cores_try_nothing(run, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert taken(Cores(run), {1: 1.0}, 10) == taken(Cores(None), {1: 1.0}, 10) == [1] * 10
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr(run, "large", True)
    assert taken(Cores(run), {1: 1.0}, 10) == [1] * 10


def test_a_smaller_rival_is_rounded_as_the_model_and_a_fresh_run_begins_with_one_thread(run, monkeypatch):
    monkeypatch.setattr(experiment, "LARGE", 6 * run.n_parameters * run.batch_size * experiment.CONTEXT - 1)
    monkeypatch.setattr(experiment, "has_bf16", lambda device: True)
    lab = TrainingLab(known("stories").corpus, against="one key head (MQA)", first=1)
    lab.threads = 2
    lab.advance(1)
    assert lab.run.large and not lab.rival.large
    assert lab.run.precision == lab.rival.precision == "bf16" and lab.threads == 1
    lab.close()
