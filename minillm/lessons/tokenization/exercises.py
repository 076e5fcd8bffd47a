"""Say what notebook 01 asks: from the bytes of a character to a stream that never shows half of one."""
from __future__ import annotations

import math
from random import Random

from minillm.notebook.checks import Exercise

LETTERS = "abab cdé漢😀"


def _characters(random: Random) -> list[tuple]:
    edges = ["a", "\x7f", "\x80", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff"]
    ranges = [(0, 0x80), (0x80, 0x800), (0x800, 0xD800), (0x10000, 0x110000)]
    drawn = [chr(random.randrange(*each)) for each in ranges for _ in range(2)]
    return [(character,) for character in [*edges, *drawn]]


def _lists(random: Random) -> list[tuple]:
    return [([1, 2, 1, 2, 3],), ([7, 7, 7],), ([],), ([5],), ([300, 12, 3, 12, 3],),
            ([random.randrange(4) for _ in range(30)],)]


def _merges(random: Random) -> list[tuple]:
    return [([1, 2, 3, 1, 2], (1, 2), 9), ([5, 5, 5, 4], (5, 5), 9), ([], (1, 2), 9), ([1], (1, 1), 9),
            ([11, 2, 1, 22, 1, 2, 2, 1], (1, 2), 256), ([300, 300, 256, 7], (300, 256), 301),
            ([random.randrange(3) for _ in range(40)], (0, 1), 9),
            ([random.randrange(2) for _ in range(40)], (1, 1), 9)]


def _chunks(random: Random) -> list[tuple]:
    """Chunks with merges among which the order matters."""
    ranks = {b"bc": 0, b"bcd": 1, b"abcd": 2, b"ab": 3, b"ca": 4}
    drawn = [bytes(random.choice(b"abcd") for _ in range(12)) for _ in range(4)]
    beyond = {"é".encode(): 0, "éé".encode(): 1, b"\xa9\xc3": 2, b"a\xc3": 3}
    whole = {b"bc": 0, b"ab": 1, b"cd": 2, b"abcd": 3}               # no merge leads to its last token
    return [*((chunk, ranks) for chunk in [b"abc", b"abcd", b"bca", b"cab", b"", b"z", *drawn]),
            (b"aaaaa", {b"aa": 0}), ("aéé".encode(), beyond), ("漢é".encode()[1:], beyond), (b"abcd", whole),
            ("ñ".encode(), beyond)]


def _streams(random: Random) -> list[tuple]:
    text = "".join(random.choice(LETTERS) for _ in range(12)).encode()
    cuts = sorted(random.sample(range(1, len(text)), 5))
    return [("€".encode()[:2],), (b"",), (b"ab",), ("é€".encode(),), ("a😀".encode()[:4],),
            *[(text[:cut],) for cut in cuts]]


def _words(random: Random) -> list[tuple]:
    scores = {"a": -3.0, "b": -3.5, "c": -4.0, "ab": -5.0, "bc": -3.6, "abc": -9.0, "ca": -5.5, "cab": -6.5}
    drawn = ["".join(random.choice("abc") for _ in range(9)) for _ in range(3)]
    long = {"a": -1.0, "ab": -2.0, "bc": -0.5, "c": -0.7}            # no piece for b alone
    return [*((word, scores) for word in ["abc", "cabc", *drawn]), ("abc", long), ("abcab", long), ("a", {"a": -1e-3})]


def _counts(random: Random) -> list[tuple]:
    known = [random.randrange(5) for _ in range(60)]
    unseen = [random.randrange(7) for _ in range(20)]
    return [([0, 0, 0, 1], [0, 1], 4, 8, 1.0), (known, unseen, 8, 55, 0.5)]


EXERCISES = [
    Exercise("01.1", "How many bytes is a character?", points=1, minutes=5, difficulty="easy", cases=_characters,
             properties={"UTF-8 uses one to four bytes": lambda out, character: out in (1, 2, 3, 4)},
             forbid=(".encode", "bytes", "bytearray", "codecs", "minillm")),
    Exercise("01.2", "Count the neighbours", points=1, minutes=5, difficulty="easy", cases=_lists,
             properties={"n ids have n - 1 pairs of neighbours":
                         lambda out, ids: sum(out.values()) == max(0, len(ids) - 1)},
             forbid=("minillm",)),
    Exercise("01.3", "Merge a pair", points=2, minutes=10, difficulty="medium", cases=_merges,
             properties={"a merge never makes a list longer": lambda out, ids, pair, new: len(out) <= len(ids),
                         "each merge takes exactly one place away":
                         lambda out, ids, pair, new: len(ids) - len(out) == out.count(new)},
             forbid=("minillm",)),
    Exercise("01.4", "Encode with the merges in their order", points=3, minutes=15, difficulty="medium", cases=_chunks,
             properties={"the parts must spell the chunk": lambda out, chunk, ranks: b"".join(out) == chunk},
             forbid=("minillm", "tiktoken")),
    Exercise("01.5", "All segmentations together", points=3, minutes=20, difficulty="hard", cases=_words,
             properties={"a log probability is a negative number": lambda out, text, scores: -math.inf < out < 0},
             forbid=("minillm",)),
    Exercise("01.6", "Bits per byte", points=2, minutes=10, difficulty="medium", cases=_counts,
             properties={"a text costs more than nothing": lambda out, *_: out > 0}, forbid=("minillm",)),
    Exercise("01.7", "Never show half a character", points=2, minutes=15, difficulty="medium", cases=_streams,
             properties={"what is shown and what is held must make up what came":
                         lambda out, data: out[0].encode() + out[1] == data,
                         "a whole character must not be held back":
                         lambda out, data: len(out[1]) < 4 and (not out[1] or out[1][0] >= 0xC0)},
             forbid=("minillm", "codecs")),
]
