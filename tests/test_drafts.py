"""A draft from counts names what came next most often, and nothing that was not counted."""
from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from minillm.drafts import Continuations


def counted(ids, context):
    """The commonest continuation by plain counting, the smallest id among equals."""
    n = len(context)
    found = Counter(ids[i + n] for i in range(len(ids) - n) if ids[i:i + n] == context)
    return min(found, key=lambda one: (-found[one], one)) if found else None


def test_a_guess_is_what_plain_counting_finds():
    ids = np.random.default_rng(0).integers(0, 6, 400).tolist()
    table = Continuations(ids, longest=4)
    for start in range(300):
        context = ids[start:start + 4]
        longest = next(context[-n:] for n in range(4, 0, -1) if counted(ids, context[-n:]) is not None)
        assert table.guess(context) == counted(ids, longest)


def test_the_longest_context_that_is_known_decides():
    table = Continuations([1, 2, 3, 9, 2, 4, 8, 2, 4], longest=2)
    assert table.guess([1, 2]) == 3  # once
    assert table.guess([7, 2]) == 4  # 2 alone: 4 twice, 3 once
    assert table.guess([2, 7]) is None


def test_a_draft_goes_on_from_its_own_guesses():
    table = Continuations([1, 2, 3, 4, 5], longest=3)
    assert table.draft([1], 3) == [2, 3, 4] and table.draft([4], 3) == [5] and table.draft([9], 3) == []


def test_contexts_keep_their_order():
    table = Continuations([1, 2, 5, 2, 1, 6, 0, 0], longest=2)
    assert table.guess([1, 2]) == 5 and table.guess([2, 1]) == 6


def test_a_text_must_be_longer_than_its_contexts():
    with pytest.raises(ValueError, match="longest=4 must lie between 1 and 2"):
        Continuations([1, 2, 3], longest=4)
