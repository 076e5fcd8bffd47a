"""Make the mistakes of notebook 01 that need no right answer to start from.  Like solutions.py, not for students."""
from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise


def at_limits(*limits):
    return lambda character: 1 + sum(ord(character) >= limit for limit in limits)


def bytes_of_the_number(character):
    return max(1, (ord(character).bit_length() + 7) // 8)


def limits_belong_below(character):
    return 1 + (ord(character) > 0x80) + (ord(character) > 0x800) + (ord(character) > 0x10000)


def compares_the_character(character):
    return 1 + (character >= 0x80) + (character >= 0x800) + (character >= 0x10000)


def seven_and_then_six_bits(character):
    return 1 if ord(character) < 0x80 else 1 + (ord(character).bit_length() - 2) // 6


def pairs_apart(ids):
    return Counter(zip(ids[::2], ids[1::2], strict=False))


def pairs_round(ids):
    return Counter(zip(ids, ids[1:] + ids[:1], strict=True))


def pairs_unordered(ids):
    return Counter(tuple(sorted(pair)) for pair in pairwise(ids))


def pairs_past_the_end(ids):
    return Counter((ids[i], ids[i + 1]) for i in range(len(ids)))


def pairs_of_the_first_turn(ids):
    return Counter(list(pairwise(ids))[:1])


def pairs_without_overlap(ids):
    counts, i = Counter(), 0
    while i < len(ids) - 1:
        counts[ids[i], ids[i + 1]] += 1
        i += 2 if ids[i] == ids[i + 1] else 1
    return counts


def merge_without_jump(ids, pair, new):
    return [new if tuple(ids[i:i + 2]) == pair else ids[i] for i in range(len(ids))]


def merge_once(ids, pair, new):
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return [*ids[:i], new, *ids[i + 2:]]
    return ids


def merge_by_steps(ids, pair, new, *, end=0, step=2, found=lambda two, pair: two == pair):
    merged, i = [], 0
    while i < len(ids) - end:
        joined = found(tuple(ids[i:i + 2]), pair)
        merged.append(new if joined else ids[i])
        i += step if joined else 1
    return merged


def merge_past_the_end(ids, pair, new):
    merged, i = [], 0
    while i < len(ids):
        joined = (ids[i], ids[i + 1]) == pair
        merged.append(new if joined else ids[i])
        i += 2 if joined else 1
    return merged


def merge_as_text(ids, pair, new):
    text = " ".join(map(str, ids)).replace(f"{pair[0]} {pair[1]}", str(new))
    return [int(word) for word in text.split()]


def merge_runs(ids, pair, new):
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i:i + 2]) == pair:
            merged.append(new)
            i += 2
            while pair[0] == pair[1] and i < len(ids) and ids[i] == pair[0]:
                i += 1
        else:
            merged.append(ids[i])
            i += 1
    return merged


def single_bytes(chunk):
    return [bytes([value]) for value in chunk]


def encode_by(choose):
    """Join pairs until none can be joined; `choose(rank, i, how_often)` is smallest for the pair that comes first."""
    def encode(chunk, ranks, parts=None):
        parts = single_bytes(chunk) if parts is None else parts
        while found := [(a + b, i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]:
            often = Counter(token for token, _ in found)
            i = min(found, key=lambda each: choose(ranks[each[0]], each[1], often[each[0]]))[1]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        return parts
    return encode


def encode_longest(chunk, ranks):
    parts = []
    while chunk:
        n = next(n for n in range(len(chunk), 0, -1) if n == 1 or chunk[:n] in ranks)
        parts.append(chunk[:n])
        chunk = chunk[n:]
    return parts


def encode_one_step(chunk, ranks):
    parts = single_bytes(chunk)
    found = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]
    if found:
        i = min(found)[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def encode_each_merge_once(chunk, ranks):
    parts = single_bytes(chunk)
    for token in sorted(ranks, key=ranks.get):
        for i in range(len(parts) - 1):
            if parts[i] + parts[i + 1] == token:
                parts[i:i + 2] = [token]
                break
    return parts


def best_score(text, scores):
    best = [0.0] + [-math.inf] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(end):
            if text[start:end] in scores:
                best[end] = max(best[end], best[start] + scores[text[start:end]])
    return best[-1]


def total_with(*, first=1.0, value=math.exp, add=True, start_at=0, known=True):
    """The recursion for q with one thing changed."""
    def total(text, scores):
        q = [first] + [0.0] * len(text)
        for end in range(1, len(text) + 1):
            for start in range(start_at if end > 1 else 0, end):
                if not known or text[start:end] in scores:
                    q[end] = (q[end] if add else 0.0) + q[start] * value(scores[text[start:end]])
        return math.log(q[-1])
    return total


def sum_of_logs(text, scores):
    total = [0.0] + [0.0] * len(text)
    for end in range(1, len(text) + 1):
        total[end] = sum(total[start] + scores[text[start:end]] for start in range(end) if text[start:end] in scores)
    return total[-1]


def total_ways(text, scores):
    ways = [1] + [0] * len(text)
    for end in range(1, len(text) + 1):
        ways[end] = sum(ways[start] for start in range(end) if text[start:end] in scores)
    return ways[-1]


def letters_only(text, scores):
    return sum(scores[character] for character in text)


def bits_with(*, added_above=None, added_below=None):
    """Bits per byte with another number added to each count, or another below."""
    def bits_per_byte(known, unseen, vocab_size, n_bytes, added):
        counts, above = Counter(known), added if added_above is None else added_above
        below = len(known) + (added * vocab_size if added_below is None else added_below(vocab_size, added))
        return -sum(math.log2((counts[t] + above) / below) for t in unseen) / n_bytes
    return bits_per_byte


def weighted_bits(known, unseen, vocab_size, n_bytes, added):
    counts, n = Counter(known), len(known) + added * vocab_size
    shares = [(counts[t] + added) / n for t in unseen]
    return -sum(p * math.log2(p) for p in shares) / n_bytes


def only_ascii(data):
    n = next((i for i, value in enumerate(data) if value >= 0x80), len(data))
    return data[:n].decode(), data[n:]


def all_or_nothing(data):
    try:
        return data.decode(), b""
    except UnicodeDecodeError:
        return "", data


def one_byte_back(data):
    try:
        return data.decode(), b""
    except UnicodeDecodeError:
        return data[:-1].decode(), data[-1:]


def holds_what_continues(data):
    end = len(data)
    while end and 0x80 <= data[end - 1] < 0xC0:
        end -= 1
    return data[:end].decode(errors="ignore"), data[end:]
