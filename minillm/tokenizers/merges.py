"""Learn a vocabulary: join the most frequent pair of neighbours, and again, and again."""
from __future__ import annotations

import heapq
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise

Pair = tuple[int, int]


def learn_merges(chunks: Mapping[Sequence[int], int], *, first: int = 256) -> Iterator[Pair]:
    """Yield the pairs of ids to join, best first; the n-th, counted from 0, joins into id `first` + n.

    A chunk is a row of ids below `first`: bytes, or what earlier merges made of them.  Best is the pair that occurs
    most often; among equals the one with the lower left id, then the lower right id.  Ends when no pair occurs
    twice.  Gage 1994; Sennrich et al. 2016, arXiv:1508.07909.

    The chunks lie one after the other in one linked list, and every pair knows where it occurs, so a merge
    costs only what it changes.  Two things may be out of date and are checked when used: a place where a pair
    once stood, and a count in the heap that has fallen since.  All are arrays: a list of numbers would take ten times
    the memory.
    """
    tokens, weight = array("i", [-1]), array("q", [0])  # -1 stands between two chunks: no pair crosses it
    for chunk, count in chunks.items():
        tokens.extend([*chunk, -1])
        weight.extend([*[count] * len(chunk), 0])
    before, after = array("q", range(-1, len(tokens) - 1)), array("q", range(1, len(tokens) + 1))

    counts, places = defaultdict(int), defaultdict(partial(array, "q"))
    for place, pair in enumerate(pairwise(tokens)):
        if -1 not in pair:
            counts[pair] += weight[place]
            places[pair].append(place)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)

    new = first
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


def join_lowest(chunk: bytes, ranks: Mapping[bytes, int], *, but: bytes | None = None) -> list[bytes]:
    """The parts of one chunk as `BPETokenizer.merge` leaves them, faster, and never joined into all of `but`."""
    never = len(ranks)
    parts = [bytes([value]) for value in chunk]
    while len(parts) > 1:
        found = [ranks.get(a + b, never) if a + b != but else never for a, b in pairwise(parts)]
        rank = min(found)
        if rank == never:
            break
        i = found.index(rank)
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return parts


def reached(pairs: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """The tokens that a published list of pairs leads to, in order of rank.

    A list may name several pairs for a token (Llama 3's holds every way to cut one in two) of which one ever meets:
    the pair that the token's own bytes come to, joined lowest rank first.  A token whose bytes come to none of its
    pairs is never joined.  Both follow from all the others, so it is asked again until nothing changes.
    """
    place = {pair: i for i, pair in enumerate(pairs)}
    ranks = {left + right: i for (left, right), i in reversed(place.items())}
    for _ in range(20):
        found, order = {}, {token: rank for rank, token in enumerate(sorted(ranks, key=ranks.get))}
        for token in ranks:
            last = tuple(join_lowest(token, order, but=token))
            if last in place:
                found[token] = place[last]
        if found == ranks:
            return sorted(found, key=found.get)
        ranks = found
    raise ValueError("these merges do not settle on an order; was the list put together by hand?")
