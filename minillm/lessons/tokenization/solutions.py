"""Answer notebook 01's exercises, and make the mistakes that readers make."""
from __future__ import annotations

import math
from collections import Counter
from itertools import combinations, pairwise

from minillm.lessons.tokenization import mistakes as wrong
from minillm.notebook.checks import Solution


def utf8_length(character):
    return 1 + (ord(character) >= 0x80) + (ord(character) >= 0x800) + (ord(character) >= 0x10000)


def no_fourth_byte(character):
    return min(3, utf8_length(character))


def count_pairs(ids):
    return Counter(pairwise(ids))


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


def total_score(text, scores):
    total = [1.0] + [0.0] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(end):
            if text[start:end] in scores:
                total[end] += total[start] * math.exp(scores[text[start:end]])
    return math.log(total[-1])


def number_of_ways(text, scores):
    return math.log(wrong.total_ways(text, scores)) + wrong.best_score(text, scores)


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


def counted_on_the_test(known, unseen, vocab_size, n_bytes, added):
    return bits_per_byte(unseen, unseen, vocab_size, n_bytes, added)


def whole_characters(data):
    for held in range(min(4, len(data) + 1)):
        try:
            return data[:len(data) - held].decode(), data[len(data) - held:]
        except UnicodeDecodeError:
            continue
    return "", data


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
        "the limits are off by one: 7F, 7FF and FFFF still fit into the shorter form":
            wrong.at_limits(0x7F, 0x7FF, 0xFFFF),
        "these are the bytes of the bare number; UTF-8 also spends bits on saying how long a character is":
            wrong.bytes_of_the_number,
        "characters from 10000 (hexadecimal) on take a fourth byte": no_fourth_byte,
        "every character takes one byte at least; the brackets count the further ones":
            lambda character: utf8_length(character) - 1,
        "a limit itself is above the line: >=, not >": wrong.limits_belong_below,
        "the first limit is 2 to the power of 7: a byte that stands alone begins with 0 and has 7 bits left":
            wrong.at_limits(2**8, 2**11, 2**16),
        "the second limit is 2 to the power of 11": wrong.at_limits(2**7, 2**12, 2**16),
        "the third limit is 2 to the power of 16: three bytes hold 4 + 6 + 6 bits":
            wrong.at_limits(2**7, 2**11, 2**15),
        "a further byte holds 6 bits, but the first one loses some for each: 11 bits fit into two bytes, 16 into three":
            wrong.seven_and_then_six_bits,
        "this counts characters, and there is only one; its bytes are asked for": len,
        "this is the code point itself; look between which limits it lies": ord,
        "a character is no number; compare its code point, ord(character)": wrong.compares_the_character,
        "from 800 (hexadecimal) on a character takes a third byte": lambda character: min(2, utf8_length(character)),
        "this is the number of bits; a byte is not full of them": lambda character: ord(character).bit_length()}),
    "01.2": Solution(count_pairs, {
        "you step by two, so every second pair is missed: neighbours overlap": wrong.pairs_apart,
        "the last id has no right neighbour; do not go round to the first": wrong.pairs_round,
        "(1, 2) and (2, 1) are different pairs": wrong.pairs_unordered,
        "the last pair is missing": lambda ids: Counter(pairwise(ids[:-1])),
        "the first pair is missing": lambda ids: Counter(pairwise(ids[1:])),
        "these are the pairs themselves; put them into a Counter": lambda ids: list(pairwise(ids)),
        "this is a list made from the Counter; return the Counter itself":
            lambda ids: count_pairs(ids).most_common(),
        "a pair counts as often as it stands there, not once: += instead of =, and no set":
            lambda ids: Counter(set(pairwise(ids))),
        "only the first pair is counted: does `return` stand inside the loop?": wrong.pairs_of_the_first_turn,
        "the last id has no right neighbour: the loop ends one earlier": wrong.pairs_past_the_end,
        "a pair may overlap the one before it: 7 7 7 holds (7, 7) twice": wrong.pairs_without_overlap,
        "these are counts of single ids": Counter,
        "the left id comes first in a pair": lambda ids: Counter((b, a) for a, b in pairwise(ids)),
        "these stand two places apart; neighbours are one apart":
            lambda ids: Counter(zip(ids, ids[2:], strict=False)),
        "these are all pairs of places; only neighbours are asked for": lambda ids: Counter(combinations(ids, 2)),
        "a set forgets how often; a Counter counts": lambda ids: set(pairwise(ids))}),
    "01.3": Solution(merge, {
        "after a merge you must jump over the second half of the pair": wrong.merge_without_jump,
        "only the first occurrence is replaced": wrong.merge_once,
        "the last id is lost where it belongs to no pair": lambda *given: wrong.merge_by_steps(*given, end=1),
        "you merge from the right; in 5 5 5 the left two come first": merge_from_the_right,
        "nothing is replaced. The pair is a tuple, and a list never equals a tuple: compare "
        "tuple(ids[i:i + 2]) with it": lambda ids, pair, new: list(ids),
        "after a merge you must jump over the second half of the pair, and the last id is lost":
            lambda ids, pair, new: wrong.merge_without_jump(ids, pair, new)[:-1],
        "the last id has no right neighbour: look whether there is one": wrong.merge_past_the_end,
        "both ids must be those of the pair, in its order": lambda *given: wrong.merge_by_steps(
            *given, found=lambda two, pair: len(two) == 2 and set(two) <= set(pair)),
        "the ids may stand the other way round; the pair has an order": lambda *given: wrong.merge_by_steps(
            *given, found=lambda two, pair: sorted(two) == sorted(pair)),
        "one look at the first id is not enough; the second must fit too": lambda *given: wrong.merge_by_steps(
            *given, found=lambda two, pair: two[0] == pair[0]),
        "after a merge you jump over one id too many": lambda *given: wrong.merge_by_steps(*given, step=3),
        "as text, 1 2 is also found inside 11 2 and 1 22": wrong.merge_as_text,
        "in 5 5 5 only two become one; the third stays": wrong.merge_runs,
        "the pair is taken out, but the new id is not put in":
            lambda ids, pair, new: [each for each in merge(ids, pair, new) if each != new]}),
    "01.4": Solution(encode, {
        "you take the leftmost pair that can merge (the longest first comes to the same); take the one of lowest rank":
            wrong.encode_by(lambda r, i, n: i),
        "this is longest match first; BPE replays its merges in order, which can give other tokens":
            wrong.encode_longest,
        "you take the highest rank first; the lowest was learnt first": wrong.encode_by(lambda r, i, n: (-r, i)),
        "you stop after one merge": wrong.encode_one_step,
        "each merge is made once; look again, until no pair makes a token": wrong.encode_each_merge_once,
        "a list of bytes is a list of numbers, and no two of them add up to a token; start from "
        "[bytes([value]) for value in chunk]": lambda chunk, ranks: list(chunk),
        "these are ranks; the tokens themselves are asked for":
            lambda chunk, ranks: [ranks.get(token) for token in encode(chunk, ranks)],
        "these are strings; tokens are bytes, since a token may be a part of a character":
            lambda chunk, ranks: [token.decode() for token in encode(chunk, ranks)],
        "no pair is ever joined": lambda chunk, ranks: wrong.single_bytes(chunk),
        "a chunk that is a token as a whole is still built from its bytes, merge by merge":
            lambda chunk, ranks: [chunk] if chunk in ranks else encode(chunk, ranks),
        "of two equal pairs the left one comes first": wrong.encode_by(lambda r, i, n: (r, -i)),
        "you take the rightmost pair that can merge; take the one of lowest rank":
            wrong.encode_by(lambda r, i, n: -i),
        "you take the most frequent pair; that is how merges are learnt, not how they are replayed":
            wrong.encode_by(lambda r, i, n: (-n, i)),
        "start from single bytes, not from characters": lambda chunk, ranks: wrong.encode_by(
            lambda r, i, n: (r, i))(chunk, ranks, [letter.encode() for letter in chunk.decode()])}),
    "01.5": Solution(total_score, {
        "this is the best segmentation alone, as Viterbi finds it; put a sum where the max was": wrong.best_score,
        "probabilities are added, logarithms are not: add exp(score), and take the logarithm at the end":
            wrong.sum_of_logs,
        "the segmentations are not equally probable; each has its own product": number_of_ways,
        "the pieces longer than one character are left out": wrong.letters_only,
        "each way overwrites the one before: += instead of =": wrong.total_with(add=False),
        "this is the probability itself; its logarithm is asked for":
            lambda text, scores: math.exp(total_score(text, scores)),
        "this is the logarithm to base 2; the scores are natural logarithms, and so should this be":
            lambda text, scores: total_score(text, scores) / math.log(2),
        "this is the logarithm to base 10; the scores are natural logarithms, and so should this be":
            lambda text, scores: total_score(text, scores) / math.log(10),
        "the sign is turned: the logarithm of a probability is negative":
            lambda text, scores: -total_score(text, scores),
        "a score is a logarithm; the recursion adds probabilities, exp(score)": wrong.total_with(value=float),
        "q(0) is 1: before the first letter there is one way, to do nothing": wrong.total_with(first=0.0),
        "a piece may begin with the first letter: r starts at 0": wrong.total_with(start_at=1),
        "not every stretch is a piece; leave out those that are not in scores": wrong.total_with(known=False),
        "a stretch that is not in scores is no piece: leave it out, rather than give it the score 0":
            pieces_that_are_none}),
    "01.6": Solution(bits_per_byte, {
        "these are nats: use the logarithm to base 2": nats_per_byte,
        "you divide by the tokens; then a tokenizer with longer tokens looks worse than it is": bits_per_token,
        "what is added counts V times below as well, or the probabilities do not sum to one":
            wrong.bits_with(added_below=lambda v, a: 0),
        "what is added once for each token of the vocabulary counts V times below, not once":
            wrong.bits_with(added_below=lambda v, a: a),
        "below, V is multiplied by what is added": wrong.bits_with(added_below=lambda v, a: v),
        "above, the count of the token lacks what is added": wrong.bits_with(added_above=0),
        "above, 1 is added whatever `added` is": wrong.bits_with(added_above=1),
        "nothing is added: what the known part lacks then has probability 0, and no logarithm":
            lambda known, unseen, v, b, added: bits_per_byte(known, unseen, v, b, 0),
        "the counts come from the text that is measured; a model may not see it before": counted_on_the_test,
        "this is what the known part costs; the unseen part is measured":
            lambda known, unseen, *rest: bits_per_byte(known, known, *rest),
        "the logarithm of a probability is negative; a cost is minus that":
            lambda *arguments: -bits_per_byte(*arguments),
        "divide by the number of bytes":
            lambda known, unseen, v, b, added: bits_per_byte(known, unseen, v, 1, added),
        "divide by the bytes; you multiply":
            lambda known, unseen, v, b, added: bits_per_byte(known, unseen, v, 1 / b, added),
        "this is upside down, bytes per bit": lambda *arguments: 1 / bits_per_byte(*arguments),
        "the text pays -log2 p for each of its tokens, not p times that": wrong.weighted_bits,
        "V is the whole vocabulary, also the tokens that never occurred":
            lambda known, unseen, v, b, added: bits_per_byte(known, unseen, len(set(known)), b, added),
        "a token that occurs twice in the unseen text costs twice":
            lambda known, unseen, v, b, added: bits_per_byte(known, set(unseen), v, b, added)}),
    "01.7": Solution(whole_characters, {
        "errors='replace' shows U+FFFD for a character whose end is still to come":
            lambda data: (data.decode(errors="replace"), b""),
        "errors='ignore' loses the bytes that have already come": lambda data: (data.decode(errors="ignore"), b""),
        "you hold back everything after the first byte above 7F; whole characters can be shown": wrong.only_ascii,
        "a character that is complete need not wait": holds_the_last_character,
        "first the text, then the bytes": lambda data: whole_characters(data)[::-1],
        "two things are asked for, the text and the bytes that wait": lambda data: whole_characters(data)[0],
        "len(text) counts characters, and data is counted in bytes": characters_taken_for_bytes,
        "half a character at the end holds everything back; show what is whole": wrong.all_or_nothing,
        "up to three bytes may have to wait, not only one": wrong.one_byte_back,
        "the byte that begins the unfinished character waits too": wrong.holds_what_continues,
        "half a character cannot be decoded: catch the error, or look at the bytes first":
            lambda data: (data.decode(), b""),
        "the last byte waits only where it belongs to an unfinished character":
            lambda data: (data[:-1].decode(errors="ignore"), data[-1:]),
        "the bytes that wait are asked for, not their number":
            lambda data: (whole_characters(data)[0], len(whole_characters(data)[1])),
        "nothing is shown, and nothing waits. (data[:-0] is empty: count from the front, data[:len(data) - held].)":
            lambda data: ("", b""),
        "nothing is shown, and all of it waits. (data[:-0] is empty, and data[-0:] is all: count from the front.)":
            lambda data: ("", data),
        "where nothing waits, all of data comes back as waiting. (data[-0:] is all: count from the front.)":
            lambda data: (whole_characters(data)[0], whole_characters(data)[1] or data),
        "what can be shown is a text (str); decode it":
            lambda data: (whole_characters(data)[0].encode(), whole_characters(data)[1])}),
}
