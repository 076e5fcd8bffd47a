"""Answers to notebook 01, right and wrong, written from its texts alone before its solutions were read."""
import math
from collections import Counter, defaultdict
from itertools import pairwise


def _by_bits(character):
    bits = ord(character).bit_length()
    return 1 if bits <= 7 else 2 if bits <= 11 else 3 if bits <= 16 else 4


def _by_table(character):
    for n, limit in enumerate((0x7F, 0x7FF, 0xFFFF, 0x10FFFF), start=1):
        if ord(character) <= limit:
            return n


def _first_byte_only(character):
    u = ord(character)
    if u < 128:
        return 1
    if u < 2048:
        return 2
    return 3


def _three_ifs(character):
    n, u = 1, ord(character)
    if u > 2**7:
        n += 1
    if u > 2**11:
        n += 1
    if u > 2**16:
        n += 1
    return n


def _bits_over_eight(character):
    return math.ceil(ord(character).bit_length() / 8)


def _hex_digits(character):
    return max(1, (len(f"{ord(character):x}") + 1) // 2)


def _powers_wrong(character):
    u = ord(character)
    return 1 + (u >= 2**8) + (u >= 2**11) + (u >= 2**16)


def _last_power_wrong(character):
    u = ord(character)
    return 1 + (u >= 2**7) + (u >= 2**11) + (u >= 2**15)


def _loop_pairs(ids):
    counts = {}
    for i in range(len(ids) - 1):
        pair = (ids[i], ids[i + 1])
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def _defaultdict_pairs(ids):
    counts = defaultdict(int)
    for left, right in zip(ids, ids[1:]):
        counts[left, right] += 1
    return counts


def _pairs_until_too_early(ids):
    counts = Counter()
    for i in range(len(ids) - 2):
        counts[ids[i], ids[i + 1]] += 1
    return counts


def _pairs_past_the_end(ids):
    counts = Counter()
    for i in range(len(ids)):
        counts[ids[i], ids[i + 1]] += 1
    return counts


def _pairs_wrapped_round(ids):
    return Counter((ids[i - 1], ids[i]) for i in range(len(ids)))


def _pairs_without_return(ids):
    counts = Counter()
    for pair in pairwise(ids):
        counts[pair] += 1


def _pairs_set_to_one(ids):
    counts = Counter()
    for pair in pairwise(ids):
        counts[pair] = 1
    return counts


def _pairs_returned_in_the_loop(ids):
    counts = Counter()
    for pair in pairwise(ids):
        counts[pair] += 1
        return counts


def _pairs_without_overlap(ids):
    counts, i = Counter(), 0
    while i < len(ids) - 1:
        counts[ids[i], ids[i + 1]] += 1
        i += 2 if ids[i] == ids[i + 1] else 1
    return counts


def _merge_while(ids, pair, new):
    out, i = [], 0
    while i < len(ids):
        if tuple(ids[i:i + 2]) == tuple(pair):
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def _merge_iterator(ids, pair, new):
    out, skip = [], False
    for left, right in zip(ids, [*ids[1:], None]):
        if skip:
            skip = False
        elif (left, right) == pair:
            out.append(new)
            skip = True
        else:
            out.append(left)
    return out


def _merge_stack(ids, pair, new):
    a, b = pair
    out, fresh = [], False
    for each in ids:
        if fresh and out and out[-1] == a and each == b:
            out[-1], fresh = new, False
        else:
            out.append(each)
            fresh = True
    return out


def _merge_never_moves(ids, pair, new):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out += ids[i:i]
    return out


def _merge_for_cannot_skip(ids, pair, new):
    out = []
    for i in range(len(ids)):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 1
        else:
            out.append(ids[i])
    return out


def _merge_drops_last(ids, pair, new):
    out, i = [], 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def _merge_past_the_end(ids, pair, new):
    out, i = [], 0
    while i < len(ids):
        if (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def _merge_from_the_right(ids, pair, new):
    out, i = [], len(ids) - 1
    while i >= 0:
        if i > 0 and (ids[i - 1], ids[i]) == pair:
            out.insert(0, new)
            i -= 2
        else:
            out.insert(0, ids[i])
            i -= 1
    return out


def _merge_in_place(ids, pair, new):
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids[i:i + 2] = [new]
        i += 1
    return ids


def _merge_any_of_the_two(ids, pair, new):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] in pair and ids[i + 1] in pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def _merge_keeps_the_second(ids, pair, new):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
        else:
            out.append(ids[i])
        i += 1
    return out


def _merge_by_text(ids, pair, new):
    text = " ".join(map(str, ids)).replace(f"{pair[0]} {pair[1]}", str(new))
    return [int(each) for each in text.split()]


def _merge_first_only(ids, pair, new):
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return ids[:i] + [new] + ids[i + 2:]
    return ids


def _merge_skips_one_more(ids, pair, new):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 3
        else:
            out.append(ids[i])
            i += 1
    return out


def _bytes_of(chunk):
    return [bytes([each]) for each in chunk]


def _encode_min(chunk, ranks):
    parts = _bytes_of(chunk)
    while True:
        found = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]
        if not found:
            return parts
        i = min(found)[1]
        parts = parts[:i] + [parts[i] + parts[i + 1]] + parts[i + 2:]


def _encode_by_infinity(chunk, ranks):
    parts = [chunk[i:i + 1] for i in range(len(chunk))]
    while len(parts) > 1:
        rank, i = min((ranks.get(parts[i] + parts[i + 1], math.inf), i) for i in range(len(parts) - 1))
        if rank == math.inf:
            break
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def _encode_sweeping(chunk, ranks):
    parts = _bytes_of(chunk)
    while joinable := {a + b for a, b in pairwise(parts) if a + b in ranks}:
        best = min(joinable, key=ranks.get)
        out, i = [], 0
        while i < len(parts):
            if i + 1 < len(parts) and parts[i] + parts[i + 1] == best:
                out.append(best)
                i += 2
            else:
                out.append(parts[i])
                i += 1
        parts = out
    return tuple(parts)


def _encode_longest_first(chunk, ranks):
    out, i = [], 0
    while i < len(chunk):
        for end in range(len(chunk), i, -1):
            if chunk[i:end] in ranks or end == i + 1:
                out.append(chunk[i:end])
                i = end
                break
    return out


def _encode_leftmost(chunk, ranks):
    parts = _bytes_of(chunk)
    while pairs := [i for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]:
        i = pairs[0]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def _encode_highest_rank(chunk, ranks):
    parts = _bytes_of(chunk)
    while pairs := [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]:
        i = max(pairs)[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def _encode_once(chunk, ranks):
    parts = _bytes_of(chunk)
    pairs = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]
    if pairs:
        i = min(pairs)[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def _encode_each_merge_once_in_order(chunk, ranks):
    parts = _bytes_of(chunk)
    for token in sorted(ranks, key=ranks.get):
        for i in range(len(parts) - 1):
            if parts[i] + parts[i + 1] == token:
                parts[i:i + 2] = [token]
                break
    return parts


def _encode_ints(chunk, ranks):
    parts = list(chunk)
    while pairs := [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]:
        i = min(pairs)[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def _encode_gives_ranks(chunk, ranks):
    return [ranks.get(part, part[0]) for part in _encode_min(chunk, ranks)]


def _encode_whole_piece_first(chunk, ranks):
    return [chunk] if chunk in ranks else _encode_min(chunk, ranks)


def _encode_rightmost_of_equals(chunk, ranks):
    parts = _bytes_of(chunk)
    while pairs := [(ranks[a + b], -i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]:
        i = -min(pairs)[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def _encode_as_text(chunk, ranks):
    parts = [letter.encode() for letter in chunk.decode()]
    while pairs := [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]:
        i = min(pairs)[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def _encode_most_frequent(chunk, ranks):
    parts = _bytes_of(chunk)
    while pairs := Counter((a, b) for a, b in pairwise(parts) if a + b in ranks):
        a, b = pairs.most_common(1)[0][0]
        parts = _merge_while(parts, (a, b), a + b)
    return parts


def _total_forward(text, scores):
    q = [1.0]
    for end in range(1, len(text) + 1):
        q.append(sum(q[start] * math.exp(scores[text[start:end]]) for start in range(end) if text[start:end] in scores))
    return math.log(q[-1])


def _total_in_logs(text, scores):
    q = [0.0] + [-math.inf] * len(text)
    for end in range(1, len(text) + 1):
        parts = [q[r] + scores.get(text[r:end], -math.inf) for r in range(end)]
        top = max(parts)
        if top > -math.inf:
            q[end] = top + math.log(sum(math.exp(each - top) for each in parts))
    return q[-1]


def _total_recursive(text, scores):
    def probability(end):
        if end == 0:
            return 1.0
        return sum(probability(end - len(piece)) * math.exp(score) for piece, score in scores.items()
                   if text[:end].endswith(piece))
    return math.log(probability(len(text)))


def _total_best_cut(text, scores):
    best = [0.0]
    for end in range(1, len(text) + 1):
        best.append(max(best[r] + scores.get(text[r:end], -math.inf) for r in range(end)))
    return best[-1]


def _total_without_log(text, scores):
    return math.exp(_total_forward(text, scores))


def _total_scores_not_exponentiated(text, scores):
    q = [1.0]
    for end in range(1, len(text) + 1):
        q.append(sum(q[r] * scores.get(text[r:end], 0.0) for r in range(end)))
    return math.log(abs(q[-1]))


def _total_bits(text, scores):
    return _total_forward(text, scores) / math.log(2)


def _total_negative(text, scores):
    return -_total_forward(text, scores)


def _total_unknown_is_one(text, scores):
    q = [1.0]
    for end in range(1, len(text) + 1):
        q.append(sum(q[r] * math.exp(scores.get(text[r:end], 0.0)) for r in range(end)))
    return math.log(q[-1])


def _total_key_error(text, scores):
    q = [1.0]
    for end in range(1, len(text) + 1):
        q.append(sum(q[r] * math.exp(scores[text[r:end]]) for r in range(end)))
    return math.log(q[-1])


def _total_last_piece_wins(text, scores):
    q = [1.0] + [0.0] * len(text)
    for end in range(1, len(text) + 1):
        for r in range(end):
            if text[r:end] in scores:
                q[end] = q[r] * math.exp(scores[text[r:end]])
    return math.log(q[-1])


def _total_starts_at_zero(text, scores):
    q = [0.0]
    for end in range(1, len(text) + 1):
        q.append(sum(q[r] * math.exp(scores.get(text[r:end], -math.inf)) for r in range(end)))
    return math.log(q[-1])


def _total_sum_of_logs(text, scores):
    q = [0.0]
    for end in range(1, len(text) + 1):
        q.append(sum(q[r] + scores[text[r:end]] for r in range(end) if text[r:end] in scores))
    return q[-1]


def _total_skips_whole_words(text, scores):
    q = [1.0]
    for end in range(1, len(text) + 1):
        q.append(sum(q[r] * math.exp(scores[text[r:end]]) for r in range(1 if end > 1 else 0, end)
                     if text[r:end] in scores))
    return math.log(q[-1])


def _bpb_counter(known_ids, unseen_ids, vocab_size, n_bytes, alpha):
    counts, n = Counter(known_ids), len(known_ids)
    bits = -sum(math.log2((counts[i] + alpha) / (n + alpha * vocab_size)) for i in unseen_ids)
    return bits / n_bytes


def _bpb_table(known_ids, unseen_ids, vocab_size, n_bytes, alpha):
    counts = [alpha] * vocab_size
    for i in known_ids:
        counts[i] += 1
    total, nats = sum(counts), 0.0
    for i in unseen_ids:
        nats -= math.log(counts[i] / total)
    return nats / math.log(2) / n_bytes


def _bpb_by_list_count(known_ids, unseen_ids, vocab_size, n_bytes, alpha):
    p = {t: (known_ids.count(t) + alpha) / (len(known_ids) + vocab_size * alpha) for t in set(unseen_ids)}
    return sum(math.log2(1 / p[t]) for t in unseen_ids) / n_bytes


def _bpb(known_ids, unseen_ids, vocab_size, n_bytes, alpha, *, log=math.log2, sign=-1, add=None, below=None, by=None):
    counts, n = Counter(known_ids), len(known_ids)
    below = n + alpha * vocab_size if below is None else below
    add = alpha if add is None else add
    return sign * sum(log((counts[i] + add) / below) for i in unseen_ids) / (n_bytes if by is None else by)


def _held(data):
    for kept in range(len(data), max(-1, len(data) - 4), -1):
        try:
            return data[:kept].decode(), data[kept:]
        except UnicodeDecodeError:
            continue
    return "", data


def _held_by_lead(data):
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            need = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            if need > back:
                return data[:-back].decode("utf-8"), data[-back:]
            break
        if byte < 0x80:
            break
    return data.decode("utf-8"), b""


def _held_by_error(data):
    try:
        return data.decode(), b""
    except UnicodeDecodeError as error:
        return [data[:error.start].decode(), data[error.start:]]


def _held_character_by_character(data):
    text, at = "", 0
    while at < len(data):
        first = data[at]
        n = 1 if first < 0b10000000 else 2 if first < 0b11100000 else 3 if first < 0b11110000 else 4
        if at + n > len(data):
            break
        text += data[at:at + n].decode()
        at += n
    return text, data[at:]


def _held_replaced(data):
    return data.decode(errors="replace"), b""


def _held_ignored(data):
    text = data.decode(errors="ignore")
    return text, b""


def _held_all_or_nothing(data):
    try:
        return data.decode(), b""
    except UnicodeDecodeError:
        return "", data


def _held_last_byte_always(data):
    return data[:-1].decode(errors="ignore"), data[-1:]


def _held_strict(data):
    return data.decode("utf-8"), b""


def _held_swapped(data):
    text, waiting = _held(data)
    return waiting, text


def _held_counts(data):
    text, waiting = _held(data)
    return text, len(waiting)


def _held_continuations_only(data):
    end = len(data)
    while end > 0 and 0x80 <= data[end - 1] < 0xC0:
        end -= 1
    return data[:end].decode(errors="ignore"), data[end:]


def _held_one_step_back_only(data):
    try:
        return data.decode(), b""
    except UnicodeDecodeError:
        return data[:-1].decode(), data[-1:]


def _held_last_character_always(data):
    text, waiting = _held(data)
    if text:
        return text[:-1], text[-1].encode() + waiting
    return text, waiting


def _encode_longest_pair(chunk, ranks):
    parts = _bytes_of(chunk)
    while found := [(-len(a + b), i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]:
        i = min(found)[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def _held_from_the_end(data, shown=False, waiting=False):
    for held in range(4):
        try:
            text = (data[:-held] if shown else data[:len(data) - held]).decode()
        except UnicodeDecodeError:
            continue
        return text, data[-held:] if waiting else data[len(data) - held:]


RIGHT = {
    "01.1": [_by_bits, _by_table, lambda c: 1 + sum(ord(c) >= 1 << b for b in (7, 11, 16))],
    "01.2": [lambda ids: Counter(zip(ids, ids[1:])), _loop_pairs, _defaultdict_pairs],
    "01.3": [_merge_while, _merge_iterator, _merge_stack],
    "01.4": [_encode_min, _encode_by_infinity, _encode_sweeping],
    "01.5": [_total_forward, _total_in_logs, _total_recursive],
    "01.6": [_bpb_counter, _bpb_table, _bpb_by_list_count],
    "01.7": [_held, _held_by_lead, _held_by_error, _held_character_by_character],
}

WRONG = {
    "01.1": {
        "four bytes never": _first_byte_only,
        "> for >=": _three_ifs,
        "bits over eight, as if no bits were spent on marks": _bits_over_eight,
        "hexadecimal digits in twos": _hex_digits,
        "first limit 2**8": _powers_wrong,
        "last limit 2**15": _last_power_wrong,
        "counts characters": lambda character: len(character),
        "gives the code point": lambda character: ord(character),
        "forgets the one": lambda c: (ord(c) >= 2**7) + (ord(c) >= 2**11) + (ord(c) >= 2**16),
        "takes the character for a number": lambda c: 1 + (c >= 2**7) + (c >= 2**11) + (c >= 2**16),
        "6 bits for each byte after the first, 7 in the first":
            lambda c: 1 if ord(c) < 128 else 1 + math.ceil((ord(c).bit_length() - 7) / 6)},
    "01.2": {
        "stops one pair early": _pairs_until_too_early,
        "runs past the end": _pairs_past_the_end,
        "the last and the first make a pair": _pairs_wrapped_round,
        "no return": _pairs_without_return,
        "= 1 for += 1": _pairs_set_to_one,
        "return inside the loop": _pairs_returned_in_the_loop,
        "overlapping pairs once": _pairs_without_overlap,
        "sorted pairs": lambda ids: Counter(tuple(sorted(pair)) for pair in pairwise(ids)),
        "every second pair": lambda ids: Counter(zip(ids[::2], ids[1::2])),
        "single ids": lambda ids: Counter(ids),
        "pairs one apart": lambda ids: Counter(zip(ids, ids[2:])),
        "each pair once": lambda ids: Counter(set(zip(ids, ids[1:]))),
        "the list of pairs": lambda ids: list(pairwise(ids)),
        "the order turned": lambda ids: Counter(zip(ids[1:], ids)),
        "every pair of two places": lambda ids: Counter((a, b) for i, a in enumerate(ids) for b in ids[i + 1:]),
        "a set": lambda ids: set(zip(ids, ids[1:]))},
    "01.3": {
        "never moves on": _merge_never_moves,
        "a for loop cannot skip": _merge_for_cannot_skip,
        "drops the last id": _merge_drops_last,
        "runs past the end": _merge_past_the_end,
        "from the right": _merge_from_the_right,
        "in place": _merge_in_place,
        "either id of the pair": _merge_any_of_the_two,
        "by text": _merge_by_text,
        "the first occurrence only": _merge_first_only,
        "skips one more": _merge_skips_one_more,
        "does not skip": _merge_keeps_the_second,
        "list for tuple, never equal":
            lambda ids, pair, new: _merge_while(ids, pair, new) if ids[:2] == pair else list(ids)},
    "01.4": {
        "longest first": _encode_longest_first,
        "leftmost pair": _encode_leftmost,
        "highest rank": _encode_highest_rank,
        "one merge only": _encode_once,
        "each merge once, in order": _encode_each_merge_once_in_order,
        "ints for bytes": _encode_ints,
        "ranks for tokens": _encode_gives_ranks,
        "whole piece first": _encode_whole_piece_first,
        "rightmost of equals": _encode_rightmost_of_equals,
        "characters for bytes": _encode_as_text,
        "the most frequent pair": _encode_most_frequent,
        "longest pair": _encode_longest_pair,
        "no merge": lambda chunk, ranks: _bytes_of(chunk)},
    "01.5": {
        "best cut": _total_best_cut,
        "no logarithm": _total_without_log,
        "scores not exponentiated": _total_scores_not_exponentiated,
        "bits": _total_bits,
        "sign": _total_negative,
        "unknown pieces are certain": _total_unknown_is_one,
        "KeyError for unknown pieces": _total_key_error,
        "= for +=": _total_last_piece_wins,
        "q(0) = 0": _total_starts_at_zero,
        "sums logarithms": _total_sum_of_logs,
        "r from 1": _total_skips_whole_words,
        "characters alone": lambda text, scores: sum(scores[letter] for letter in text)},
    "01.6": {
        "nats": lambda *a: _bpb(*a, log=math.log),
        "negative": lambda *a: _bpb(*a, sign=1),
        "no alpha in the denominator": lambda k, u, v, b, a: _bpb(k, u, v, b, a, below=len(k)),
        "alpha once in the denominator": lambda k, u, v, b, a: _bpb(k, u, v, b, a, below=len(k) + a),
        "vocab without alpha": lambda k, u, v, b, a: _bpb(k, u, v, b, a, below=len(k) + v),
        "alpha for the distinct ids seen": lambda k, u, v, b, a: _bpb(k, u, v, b, a, below=len(k) + a * len(set(k))),
        "no alpha in the count": lambda k, u, v, b, a: _bpb(k, u, v, b, a, add=0),
        "per token": lambda k, u, v, b, a: _bpb(k, u, v, b, a, by=len(u)),
        "not divided": lambda k, u, v, b, a: _bpb(k, u, v, b, a, by=1),
        "multiplied by bytes": lambda k, u, v, b, a: _bpb(k, u, v, 1, a) * b,
        "frequencies of the unseen": lambda k, u, v, b, a: _bpb(u, u, v, b, a),
        "cost of the known": lambda k, u, v, b, a: _bpb(k, k, v, b, a),
        "every distinct token once": lambda k, u, v, b, a: _bpb(k, u, v, b, a) if False else sum(
            -math.log2((k.count(i) + a) / (len(k) + a * v)) for i in set(u)) / b,
        "nothing added": lambda k, u, v, b, a: -sum(math.log2(k.count(i) / len(k)) for i in u) / b,
        "bytes per bit": lambda *a: 1 / _bpb(*a),
        "entropy": lambda k, u, v, b, a: sum(
            -(k.count(i) + a) / (len(k) + a * v) * math.log2((k.count(i) + a) / (len(k) + a * v)) for i in u) / b},
    "01.7": {
        "replaced": _held_replaced,
        "ignored": _held_ignored,
        "all or nothing": _held_all_or_nothing,
        "the last byte always": _held_last_byte_always,
        "decodes and hopes": _held_strict,
        "swapped": _held_swapped,
        "counts the bytes": _held_counts,
        "continuation bytes only": _held_continuations_only,
        "one step back only": _held_one_step_back_only,
        "the last character always": _held_last_character_always,
        "counts the shown from the end": lambda data: _held_from_the_end(data, shown=True),
        "counts the waiting from the end": lambda data: _held_from_the_end(data, waiting=True),
        "counts both from the end": lambda data: _held_from_the_end(data, shown=True, waiting=True),
        "text alone": lambda data: _held(data)[0],
        "bytes for text": lambda data: (_held(data)[0].encode(), _held(data)[1])},
}

EQUAL = {
    "01.5": ["`range(1, len(text) + 1)` is `range(len(text) + 1)`", "`range(end)` is `range(end + 1)`"],
    "01.7": ["`range(min(4, len(data) + 1))` is `range(min(4, len(data) + 1) + 1)`", "`('', data)` is `(data, '')`",
             "`('', data)` is `''`"],
}
TOLD = {  # answers that were told another cause, or none
    "01.2": {"each pair once": "and no set"}, "01.4": {"longest pair": "the longest first comes to the same"},
    "01.6": {"nothing added": "nothing is added"},
    "01.7": {"counts the shown from the end": "nothing is shown, and nothing waits",
             "counts the waiting from the end": "all of data comes back as waiting",
             "counts both from the end": "nothing is shown, and all of it waits"}}
