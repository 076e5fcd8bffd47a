"""Draw what happens to a text: bits that become bytes, a pair that is merged, the ways to cut a word."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from minillm.notebook.drawings import Sheet
from minillm.notebook.plots import BLUE, COLOURS, GREEN, MUTED, ORANGE, PURPLE, Picture

_GROUPS = (BLUE, ORANGE, GREEN, PURPLE)


def bits_to_bytes(character: str) -> Picture:
    """Where the bits of a character's code point stand in its UTF-8 bytes; the grey ones say how many there are."""
    data, u = character.encode("utf-8"), ord(character)
    carried = [8 - (1 if len(data) == 1 else len(data) + 1)] + [6] * (len(data) - 1)     # bits of u in each byte
    bits, owner = f"{u:0{sum(carried)}b}", [i for i, n in enumerate(carried) for _ in range(n)]
    sheet = Sheet(max(420, 40 + 19 * 8 * len(data) + 24 * len(data)), 170, f"U+{u:04X} in UTF-8")
    above = sheet.row(20, 46, list(bits), width=17, colours=[_GROUPS[each] for each in owner])
    used = 0
    for i, (byte, n) in enumerate(zip(data, carried, strict=True)):
        shades = [None] * (8 - n) + [_GROUPS[i]] * n
        below = sheet.row(20 + i * (8 * 19 + 20), 112, list(f"{byte:08b}"), width=17, colours=shades)
        top, bottom = above[used:used + n], below[8 - n:]
        sheet.arrow(((top[0].left + top[-1].right) / 2, 74), ((bottom[0].left + bottom[-1].right) / 2, 110),
                    colour=_GROUPS[i])
        sheet.words((below[0].left + below[-1].right) / 2, 152, f"{byte:02X}", side="middle", colour=MUTED)
        used += n
    return sheet.describe(f"The {len(bits)} bits of U+{u:04X}, {bits}, are dealt out to {len(data)} bytes: "
                          f"{', '.join(f'{byte:08b}' for byte in data)}.")


def merged(ids: Sequence[int], pair: tuple[int, int], new: int) -> Picture:
    """A list before and after each pair in it, from the left, became one token."""
    sheet = Sheet(max(380, 40 + 34 * len(ids)), 168, f"{pair[0]} {pair[1]} becomes {new}")
    starts, i = [], 0
    while i < len(ids):
        starts.append(i)
        i += 2 if tuple(ids[i:i + 2]) == tuple(pair) else 1
    ends = [*starts[1:], len(ids)]
    out = [new if end - start == 2 else ids[start] for start, end in zip(starts, ends, strict=True)]
    hit = [place for start, end in zip(starts, ends, strict=True) if end - start == 2 for place in (start, start + 1)]
    above = sheet.row(20, 48, [str(i) for i in ids], colours=[BLUE if i in hit else None for i in range(len(ids))])
    left = 20.0
    for start, end, token in zip(starts, ends, out, strict=True):
        wide = 30 + 32 * (end - start - 1)
        box = sheet.box(left, 118, wide, 26, str(token), colour=BLUE if end - start == 2 else MUTED,
                        strong=0.3 if end - start == 2 else 0.08)
        for cell in above[start:end]:
            sheet.line((cell.middle[0], cell.bottom), (box.middle[0] + (cell.middle[0] - box.middle[0]) / 2, box.top),
                       colour=BLUE if end - start == 2 else MUTED)
        left += wide + 2
    return sheet.describe(f"{' '.join(map(str, ids))} becomes {' '.join(map(str, out))}: {len(ids) - len(out)} times, "
                          f"from the left, {pair[0]} {pair[1]} was joined to {new}.")


def cuts(text: str, scores: Mapping[str, float], best: Sequence[str]) -> Picture:
    """All pieces of a word as bows over its letters; the best way from its start to its end in colour."""
    pieces = [(i, j) for i in range(len(text)) for j in range(i + 1, len(text) + 1) if text[i:j] in scores]
    taken, at = set(), 0
    for piece in best:
        taken.add((at, at + len(piece)))
        at += len(piece)
    step = 110
    sheet = Sheet(60 + step * len(text), 210, "Which way from the left to the right costs least?")
    for i, j in sorted(pieces, key=lambda each: each in taken):
        height, colour = 34 + 34 * (j - i), COLOURS["target"] if (i, j) in taken else MUTED
        x0, x1 = 30 + step * i, 30 + step * j
        sheet.arc(x0, x1, 172, height, colour=colour, width=2.2 if (i, j) in taken else 1)
        sheet.words((x0 + x1) / 2, 172 - 0.75 * height, f"{text[i:j]} {scores[text[i:j]]:g}", side="middle",
                    size=9, colour=colour, bold=(i, j) in taken, ground=True)
    for place in range(len(text) + 1):
        sheet.box(30 + step * place - 4, 168, 8, 8, strong=0.9)
        if place < len(text):
            sheet.words(30 + step * (place + 0.5), 172, text[place], side="middle", size=11)
    total = sum(scores[piece] for piece in best)
    return sheet.describe(f"{len(pieces)} pieces fit into {text}; the best way takes {', '.join(best)}, "
                          f"with a score of {total:g}.")
