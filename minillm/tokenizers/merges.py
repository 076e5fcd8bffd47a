"""Learn a vocabulary: join the most frequent pair of neighbours, and again, and again."""
from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

import regex

from minillm.tokenizers.protocol import check_text

Pair = tuple[int, int]

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_REST = r"\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {  # where a text is cut into chunks before any merge; no token ever spans two chunks
    # Radford et al. 2019, encoder.py: a word takes the space before it along
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # tiktoken, cl100k_base; also Llama 3: digits in groups of three, any one sign may lead a word
    "gpt4": _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _REST,
    # the same with digits one by one
    "qwen2": _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _REST,
    # StarCoder and SmolLM: GPT-2's with digits one by one
    "starcoder": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+",
    # tiktoken, o200k_base: vowel signs belong to words, capitals begin them
    "gpt4o": "|".join([rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?",
                       rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?",
                       r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", _REST]),
}


def cut(text: str, pattern: regex.Pattern) -> list[str]:
    """The chunks of a text.  Raises ValueError for a pattern that does not give all of it back."""
    chunks = pattern.findall(text)
    if pattern.groups or sum(map(len, chunks)) != len(text):
        raise ValueError(f"pattern={pattern.pattern!r} passes over some characters; add |\\s|\\S at its end, write "
                         f"(?:...) for (...), or take one of: {', '.join(PATTERNS)}")
    return chunks


def count_chunks(texts: str | Iterable[str], pattern: str) -> Counter[bytes]:
    """How often each chunk occurs.  A text has few distinct ones, so all that follows is fast."""
    compiled, counts = regex.compile(pattern), Counter()
    for text in [texts] if isinstance(texts, str) else texts:
        check_text(text)
        counts.update(cut(text, compiled))
    return Counter({chunk.encode("utf-8"): count for chunk, count in counts.items()})


def learn_merges(chunks: Mapping[bytes, int]) -> Iterator[Pair]:
    """Yield the pairs of ids to join, best first; the n-th joins into id 256 + n.

    Best is the pair that occurs most often; among equals the one with the lower left id, then the lower right
    id.  Ends when no pair occurs twice.  Gage 1994; Sennrich et al. 2016, arXiv:1508.07909.

    The chunks lie one after the other in one linked list, and every pair knows where it occurs, so a merge
    costs only what it changes.  Two things may be out of date and are checked when used: a place where a pair
    once stood, and a count in the heap that has fallen since.
    """
    tokens, weight = [-1], [0]  # -1 stands between two chunks: no pair crosses it
    for chunk, count in chunks.items():
        tokens += [*chunk, -1]
        weight += [*[count] * len(chunk), 0]
    before, after = list(range(-1, len(tokens) - 1)), list(range(1, len(tokens) + 1))

    counts, places = defaultdict(int), defaultdict(list)
    for place, pair in enumerate(pairwise(tokens)):
        if -1 not in pair:
            counts[pair] += weight[place]
            places[pair].append(place)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)

    new = 256
    while heap:
        count, pair = heapq.heappop(heap)
        if counts[pair] != -count:  # it has fallen since: back to where it belongs now
            heapq.heappush(heap, (-counts[pair], pair))
            continue
        if -count < 2:
            return
        yield pair
        left, right = pair
        born = set()
        for place in places.pop(pair):
            partner = after[place]
            if tokens[place] != left or tokens[partner] != right:
                continue
            n, previous, following = weight[place], before[place], after[partner]
            tokens[place], tokens[partner] = new, -2
            after[place], before[following] = following, place
            if (neighbour := tokens[previous]) >= 0:
                counts[neighbour, left] -= n
                counts[neighbour, new] += n
                places[neighbour, new].append(previous)
                born.add((neighbour, new))
            if (neighbour := tokens[following]) >= 0:
                counts[right, neighbour] -= n
                counts[new, neighbour] += n
                places[new, neighbour].append(place)
                born.add((new, neighbour))
        del counts[pair]
        for pair_born in born:
            heapq.heappush(heap, (-counts[pair_born], pair_born))
        new += 1
