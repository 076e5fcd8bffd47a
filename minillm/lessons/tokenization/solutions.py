"""Answer notebook 01's exercises, and make the mistakes that readers make."""
from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

from minillm.notebook.checks import Solution


def utf8_length(character):
    return 1 + (ord(character) >= 0x80) + (ord(character) >= 0x800) + (ord(character) >= 0x10000)


def edges_off_by_one(character):
    return 1 + (ord(character) >= 0x7F) + (ord(character) >= 0x7FF) + (ord(character) >= 0xFFFF)


def bytes_of_the_number(character):
    return max(1, (ord(character).bit_length() + 7) // 8)


def no_fourth_byte(character):
    return min(3, utf8_length(character))


def limits_belong_below(character):
    return 1 + (ord(character) > 0x80) + (ord(character) > 0x800) + (ord(character) > 0x10000)


def count_pairs(ids):
    return Counter(pairwise(ids))


def pairs_apart(ids):
    return Counter(zip(ids[::2], ids[1::2], strict=False))


def pairs_round(ids):
    return Counter(zip(ids, ids[1:] + ids[:1], strict=True))


def pairs_unordered(ids):
    return Counter(tuple(sorted(pair)) for pair in pairwise(ids))


def merge(ids, pair, new):
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i:i + 2]) == pair:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def merge_without_jump(ids, pair, new):
    return [new if tuple(ids[i:i + 2]) == pair else ids[i] for i in range(len(ids))]


def merge_once(ids, pair, new):
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return [*ids[:i], new, *ids[i + 2:]]
    return ids


def merge_loses_the_last(ids, pair, new):
    merged, i = [], 0
    while i < len(ids) - 1:
        found = (ids[i], ids[i + 1]) == pair
        merged.append(new if found else ids[i])
        i += 2 if found else 1
    return merged


def merge_from_the_right(ids, pair, new):
    return merge(ids[::-1], pair[::-1], new)[::-1]


def encode(chunk, ranks):
    parts = [bytes([value]) for value in chunk]
    while True:
        found = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]
        if not found:
            return parts
        i = min(found)[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]


def encode_leftmost(chunk, ranks):
    parts = [bytes([value]) for value in chunk]
    while found := [i for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]:
        parts[found[0]:found[0] + 2] = [parts[found[0]] + parts[found[0] + 1]]
    return parts


def encode_longest(chunk, ranks):
    parts = []
    while chunk:
        n = next(n for n in range(len(chunk), 0, -1) if n == 1 or chunk[:n] in ranks)
        parts.append(chunk[:n])
        chunk = chunk[n:]
    return parts


def encode_last_rank(chunk, ranks):
    return encode(chunk, {token: -rank for token, rank in ranks.items()})


def encode_one_step(chunk, ranks):
    parts = [bytes([value]) for value in chunk]
    found = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]
    if found:
        i = min(found)[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def best_score(text, scores):
    best = [0.0] + [-math.inf] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(end):
            if text[start:end] in scores:
                best[end] = max(best[end], best[start] + scores[text[start:end]])
    return best[-1]


def total_score(text, scores):
    total = [1.0] + [0.0] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(end):
            if text[start:end] in scores:
                total[end] += total[start] * math.exp(scores[text[start:end]])
    return math.log(total[-1])


def sum_of_logs(text, scores):
    total = [0.0] + [0.0] * len(text)
    for end in range(1, len(text) + 1):
        total[end] = sum(total[start] + scores[text[start:end]] for start in range(end) if text[start:end] in scores)
    return total[-1]


def number_of_ways(text, scores):
    return math.log(total_ways(text, scores)) + best_score(text, scores)


def total_ways(text, scores):
    ways = [1] + [0] * len(text)
    for end in range(1, len(text) + 1):
        ways[end] = sum(ways[start] for start in range(end) if text[start:end] in scores)
    return ways[-1]


def letters_only(text, scores):
    return sum(scores[character] for character in text)


def pieces_that_are_none(text, scores):
    return total_score(text, {text[start:end]: scores.get(text[start:end], 0.0)
                              for end in range(len(text) + 1) for start in range(end)})


def bits_per_byte(known, unseen, vocab_size, n_bytes, added):
    counts, n = Counter(known), len(known) + added * vocab_size
    return -sum(math.log2((counts[t] + added) / n) for t in unseen) / n_bytes


def nats_per_byte(*arguments):
    return bits_per_byte(*arguments) * math.log(2)


def bits_per_token(known, unseen, vocab_size, n_bytes, added):
    return bits_per_byte(known, unseen, vocab_size, len(unseen), added)


def not_normalised(known, unseen, vocab_size, n_bytes, added):
    counts = Counter(known)
    return -sum(math.log2((counts[t] + added) / len(known)) for t in unseen) / n_bytes


def counted_on_the_test(known, unseen, vocab_size, n_bytes, added):
    return bits_per_byte(unseen, unseen, vocab_size, n_bytes, added)


def whole_characters(data):
    for held in range(min(4, len(data) + 1)):
        try:
            return data[:len(data) - held].decode(), data[len(data) - held:]
        except UnicodeDecodeError:
            continue
    return "", data


def replaced(data):
    return data.decode(errors="replace"), b""


def dropped(data):
    return data.decode(errors="ignore"), b""


def only_ascii(data):
    n = next((i for i, value in enumerate(data) if value >= 0x80), len(data))
    return data[:n].decode(), data[n:]


def holds_the_last_character(data):
    shown, held = whole_characters(data)
    if shown and ord(shown[-1]) >= 0x80 and not held:
        return shown[:-1], shown[-1].encode()
    return shown, held


def characters_taken_for_bytes(data):
    shown, _ = whole_characters(data)
    return shown, data[len(shown):]


SOLUTIONS = {
    "01.1": Solution(utf8_length, {
        "the limits are off by one: 7F, 7FF and FFFF still fit into the shorter form": edges_off_by_one,
        "these are the bytes of the bare number; UTF-8 also spends bits on saying how long a character is":
            bytes_of_the_number,
        "characters from 10000 (hexadecimal) on take a fourth byte": no_fourth_byte,
        "every character takes one byte at least; the brackets count the further ones":
            lambda character: utf8_length(character) - 1,
        "a limit itself is above the line: >=, not >":
            limits_belong_below}),
    "01.2": Solution(count_pairs, {
        "you step by two, so every second pair is missed: neighbours overlap": pairs_apart,
        "the last id has no right neighbour; do not go round to the first": pairs_round,
        "(1, 2) and (2, 1) are different pairs": pairs_unordered,
        "the last pair is missing": lambda ids: Counter(pairwise(ids[:-1])),
        "these are the pairs themselves; put them into a Counter": lambda ids: list(pairwise(ids)),
        "this is a list made from the Counter; return the Counter itself":
            lambda ids: count_pairs(ids).most_common()}),
    "01.3": Solution(merge, {
        "after a merge you must jump over the second half of the pair": merge_without_jump,
        "only the first occurrence is replaced": merge_once,
        "the last id is lost where it belongs to no pair": merge_loses_the_last,
        "you merge from the right; in 5 5 5 the left two come first": merge_from_the_right,
        "nothing is replaced. The pair is a tuple, and a list never equals a tuple: compare "
        "tuple(ids[i:i + 2]) with it": lambda ids, pair, new: list(ids),
        "after a merge you must jump over the second half of the pair, and the last id is lost":
            lambda ids, pair, new: merge_without_jump(ids, pair, new)[:-1]}),
    "01.4": Solution(encode, {
        "you take the leftmost pair that can merge; take the one of lowest rank": encode_leftmost,
        "this is longest match first; BPE replays its merges in order, which can give other tokens": encode_longest,
        "you take the highest rank first; the lowest was learnt first": encode_last_rank,
        "you stop after one merge": encode_one_step,
        "a list of bytes is a list of numbers, and no two of them add up to a token; start from "
        "[bytes([value]) for value in chunk]": lambda chunk, ranks: list(chunk),
        "these are ranks; the tokens themselves are asked for":
            lambda chunk, ranks: [ranks.get(token) for token in encode(chunk, ranks)],
        "these are strings; tokens are bytes, since a token may be a part of a character":
            lambda chunk, ranks: [token.decode() for token in encode(chunk, ranks)]}),
    "01.5": Solution(total_score, {
        "this is the best segmentation alone, as Viterbi finds it; put a sum where the max was": best_score,
        "probabilities are added, logarithms are not: add exp(score), and take the logarithm at the end": sum_of_logs,
        "the segmentations are not equally probable; each has its own product": number_of_ways,
        "the pieces longer than one character are left out": letters_only,
        "this is the probability itself; its logarithm is asked for":
            lambda text, scores: math.exp(total_score(text, scores)),
        "this is the logarithm to base 2; the scores are natural logarithms, and so should this be":
            lambda text, scores: total_score(text, scores) / math.log(2),
        "a stretch that is not in scores is no piece: leave it out, rather than give it the score 0":
            pieces_that_are_none}),
    "01.6": Solution(bits_per_byte, {
        "these are nats: use the logarithm to base 2": nats_per_byte,
        "you divide by the tokens; then a tokenizer with longer tokens looks worse than it is": bits_per_token,
        "what is added counts V times below as well, or the probabilities do not sum to one": not_normalised,
        "the counts come from the text that is measured; a model may not see it before": counted_on_the_test,
        "the logarithm of a probability is negative; a cost is minus that":
            lambda *arguments: -bits_per_byte(*arguments),
        "divide by the number of bytes":
            lambda known, unseen, v, b, added: bits_per_byte(known, unseen, v, 1, added),
        "V is the whole vocabulary, also the tokens that never occurred":
            lambda known, unseen, v, b, added: bits_per_byte(known, unseen, len(set(known)), b, added),
        "a token that occurs twice in the unseen text costs twice":
            lambda known, unseen, v, b, added: bits_per_byte(known, set(unseen), v, b, added)}),
    "01.7": Solution(whole_characters, {
        "errors='replace' shows U+FFFD for a character whose end is still to come": replaced,
        "errors='ignore' loses the bytes that have already come": dropped,
        "you hold back everything after the first byte above 7F; whole characters can be shown": only_ascii,
        "a character that is complete need not wait": holds_the_last_character,
        "first the text, then the bytes": lambda data: whole_characters(data)[::-1],
        "two things are asked for, the text and the bytes that wait": lambda data: whole_characters(data)[0],
        "len(text) counts characters, and data is counted in bytes": characters_taken_for_bytes}),
}
