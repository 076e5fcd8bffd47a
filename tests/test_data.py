"""Batches are windows of the text, repeatable, light, and learn from what they should."""
import os
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minillm.data import TokenFile, answered, batches, compact


def some_batches(tokens, n=5, **options):
    stream = batches(tokens, **{"batch_size": 4, "context_length": 8, "seed": 0} | options)
    return [next(stream) for _ in range(n)]


def test_targets_are_the_inputs_one_step_on():
    tokens = torch.randperm(1000)  # no id twice: a pair of neighbours can be found in one place only
    follows = dict(zip(tokens[:-1].tolist(), tokens[1:].tolist(), strict=True))
    for inputs, targets in some_batches(tokens):
        assert inputs.shape == targets.shape == (4, 8)
        assert inputs.dtype == targets.dtype == torch.int64
        assert [follows[x] for x in inputs.flatten().tolist()] == targets.flatten().tolist()


def test_every_window_can_be_drawn_and_none_beyond_the_end():
    stream = batches(range(12), batch_size=64, context_length=8, seed=0)
    drawn = np.concatenate([stream.starts(step) for step in range(20)])
    assert set(drawn.tolist()) == {0, 1, 2, 3}  # start 3 ends with the last id, 11, as its last target
    assert stream[0][1].max() == 11


def test_starts_are_uniform():
    stream = batches(range(108), batch_size=10_000, context_length=8, seed=1)
    counts = np.bincount(stream.starts(0), minlength=100)
    assert ((counts - 100) ** 2 / 100).sum() < 150  # chi squared with 99 degrees of freedom: 150 has p = 0.0007


def test_a_batch_depends_on_seed_and_step_alone():
    tokens = torch.arange(10_000)
    whole = some_batches(tokens, n=6)
    resumed = some_batches(tokens, n=3, start=3)
    assert all(torch.equal(a, b) for one, two in zip(whole[3:], resumed, strict=True)
               for a, b in zip(one, two, strict=True))
    stream = batches(tokens, batch_size=4, context_length=8, seed=0)
    assert torch.equal(stream[5][0], whole[5][0]) and stream.step == 0
    assert not torch.equal(some_batches(tokens, seed=1)[0][0], whole[0][0])
    assert not torch.equal(whole[0][0], whole[1][0])


def test_the_same_seed_draws_the_same_windows_on_every_machine():
    assert batches(range(1000), batch_size=4, context_length=8, seed=0).starts(0).tolist() == [731, 338, 281, 796]


def test_the_caller_s_randomness_is_neither_used_nor_moved():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = some_batches(range(100))[0][0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert torch.equal(some_batches(range(100))[0][0], first)


def test_windows_are_never_materialised():
    tokens = torch.randint(0, 65, (1_600_000,))
    tracemalloc.start()
    stream = batches(tokens, batch_size=32, context_length=256, seed=0)
    for _ in range(20):
        next(stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert stream.tokens.nbytes == 3_200_000
    assert peak < 50e6  # all windows at once would take 1,600,000 x 256 x 8 bytes = 3.3 GB


@pytest.mark.parametrize("tokens", [range(9), torch.arange(9), np.arange(9, dtype=np.int16), list(range(9))])
def test_ids_may_come_in_any_row(tokens):
    assert torch.equal(batches(tokens, batch_size=1, context_length=8, seed=0)[0][0], torch.arange(8)[None])


def test_ids_are_kept_as_small_as_they_go():
    assert compact([0, 65_535]).dtype == compact(np.array([65_535], np.uint16)).dtype == np.uint16
    assert compact([0, 65_536]).dtype == np.uint32


def test_text_shorter_than_a_window_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"tokens=8 .* context_length=8"):
        batches(range(8), batch_size=1, context_length=8, seed=0)


@pytest.mark.parametrize("tokens", [[-1, *range(20)], [0.5] * 20, [[1, 2], [3, 4]]])
def test_what_is_no_row_of_ids_is_refused(tokens):
    with pytest.raises(ValueError, match="ids count from 0|one row of whole numbers"):
        batches(tokens, batch_size=1, context_length=2, seed=0)


# --- files of tokens

@given(ids=st.lists(st.integers(0, 299), max_size=50), vocab_size=st.sampled_from([300, 70_000]))
def test_a_token_file_holds_what_was_written(ids, vocab_size, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "text.tokens"
    file = TokenFile.write(path, iter(ids), vocab_size=vocab_size)
    assert file[:].tolist() == ids and len(file) == len(ids) and file.vocab_size == vocab_size
    assert [file[i] for i in range(len(ids))] == ids
    assert path.stat().st_size == 32 + len(ids) * (2 if vocab_size == 300 else 4)


def test_a_token_file_gives_the_same_batches_as_memory(tmp_path):
    ids = torch.randint(0, 1000, (5000,)).tolist()
    file = TokenFile.write(tmp_path / "t", ids, vocab_size=1000)
    for one, two in zip(some_batches(ids), some_batches(file), strict=True):
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    assert isinstance(compact(file).base, np.memmap)  # still on the disk


def test_a_token_file_is_written_in_flat_memory(tmp_path):
    tracemalloc.start()
    TokenFile.write(tmp_path / "t", (i % 60_000 for i in range(600_000)), vocab_size=60_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6  # as a list the ids would take 20 MB


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps rights in another way")
def test_a_token_file_may_be_read_by_whom_other_files_may(tmp_path):
    TokenFile.write(tmp_path / "t", [1, 2, 3], vocab_size=10)
    (tmp_path / "other").touch()
    assert (tmp_path / "t").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_writer_that_fails_leaves_nothing_and_spoils_nothing(tmp_path):
    path = tmp_path / "t"
    TokenFile.write(path, [1, 2, 3], vocab_size=10)

    def broken():
        yield from range(5)
        raise KeyboardInterrupt

    for ids, error in ((broken(), KeyboardInterrupt), ([1, 10], ValueError), ([-1], ValueError)):
        with pytest.raises(error):
            TokenFile.write(path, ids, vocab_size=10)
        assert [p.name for p in tmp_path.iterdir()] == ["t"]
        assert TokenFile(path)[:].tolist() == [1, 2, 3]


def test_a_damaged_token_file_is_refused(tmp_path):
    path = tmp_path / "t"
    TokenFile.write(path, range(10), vocab_size=10)
    whole = path.read_bytes()
    for data, why in ((whole[:-1], "52 bytes for 10 ids, but has 51"), (whole + b"x", "has 53"),
                      (whole[:20], "no file of tokens"), (b"x" + whole[1:], "no file of tokens")):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=why):
            TokenFile(path)


def test_of_prompts_and_answers_the_answers_alone_are_targets():
    inputs, targets = answered([([1, 2, 3], [4, 5]), ([6], [7])], padding=9)
    assert inputs.tolist() == [[1, 2, 3, 4], [6, 9, 9, 9]]
    assert targets.tolist() == [[-100, -100, 4, 5], [7, -100, -100, -100]]
    assert [x.shape for x in answered([])] == [(0, 0), (0, 0)]


def test_an_answer_without_a_prompt_is_refused_by_its_number():
    with pytest.raises(ValueError, match="row 1 has no prompt before its answer of 2 ids.*begin with"):
        answered([([1], [2]), ([], [3, 4])])
