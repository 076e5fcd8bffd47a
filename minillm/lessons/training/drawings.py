"""Draw how training is put together: windows of ids, what is a target, a batch in pieces, one turn of the loop."""
from __future__ import annotations

from collections.abc import Sequence

from minillm.notebook.drawings import Sheet
from minillm.notebook.plots import BLUE, COLOURS, MUTED, ORANGE, Picture

_ROWS = (BLUE, ORANGE, "#CC79A7")


def windows(ids: Sequence[int], starts: Sequence[int], length: int) -> Picture:
    """Inputs and targets of a batch, and where in the row of ids each was cut out (up to three windows)."""
    sheet = Sheet(max(560, 40 + 34 * len(ids)), 118 + 64 * len(starts), "From the row of ids to a batch")
    owner = {place: _ROWS[b] for b, start in enumerate(starts) for place in range(start, start + length + 1)}
    cells = sheet.row(20, 44, [str(i) for i in ids], colours=[owner.get(place) for place in range(len(ids))])
    for b, start in enumerate(starts):
        top = 106 + 64 * b
        sheet.brace(cells[start].left, cells[start + length].right, 82 + 5 * b, "", colour=_ROWS[b])
        for name, shift, y in (("inputs", 0, top), ("targets", 1, top + 28)):
            sheet.words(20, y + 13, name, colour=MUTED)
            sheet.row(82, y, [str(i) for i in ids[start + shift:start + shift + length]], height=24,
                      colours=[COLOURS["target"] if shift else _ROWS[b]] * length)
        sheet.words(96 + 32 * length, top + 27, f"starts at place {start}; each target is its input's next id",
                    size=8.5, colour=MUTED)
    return sheet.describe(" ".join(
        f"Window {b} starts at place {start}: inputs {' '.join(map(str, ids[start:start + length]))}, targets "
        f"{' '.join(map(str, ids[start + 1:start + length + 1]))}." for b, start in enumerate(starts)))


def targets_hit(n: int, length: int, stride: int) -> list[int]:
    """How often each of n ids is a target, where windows of `length` begin every `stride` places and the last is cut
    off by the end of the row."""
    hits = [0] * n
    for start in range(0, n - 1, stride):
        for place in range(start + 1, min(start + length, n - 1) + 1):
            hits[place] += 1
    return hits


def coverage(n: int, length: int, strides: Sequence[int]) -> Picture:
    """A strip for each stride: how often each of n ids is a target."""
    sheet = Sheet(110 + 32 * n, 62 + 52 * len(strides), "How often is each id a target?")
    said, look = [], {0: COLOURS["wrong"], 1: COLOURS["target"]}
    for row, stride in enumerate(strides):
        hits, top = targets_hit(n, length, stride), 50 + 52 * row
        sheet.words(20, top + 13, f"stride {stride}", colour=MUTED)
        colours = [None] + [look.get(count, BLUE) for count in hits[1:]]        # nothing comes before the first id
        sheet.row(92, top, ["–", *map(str, hits[1:])], height=26, colours=colours)
        never, twice = hits[1:].count(0), sum(count > 1 for count in hits)
        said.append(f"stride {stride}: {never} never, {twice} more than once")
    return sheet.describe(f"Of the {n - 1} ids that could be a target of windows of {length}, {'; '.join(said)}.")


def pieces(counts: Sequence[int]) -> Picture:
    """What share of the whole gradient each piece of a batch has, by its number of targets, and by mistake."""
    total = sum(counts)
    sheet = Sheet(620, 190, "How much does each piece weigh?")
    for row, (name, shares) in enumerate((("by its targets", [n / total for n in counts]),
                                          ("all alike: wrong", [1 / len(counts)] * len(counts)))):
        left = 150.0
        sheet.words(20, 74 + 66 * row, name, colour=COLOURS["wrong"] if row else MUTED)
        for i, (share, n) in enumerate(zip(shares, counts, strict=True)):
            box = sheet.box(left, 56 + 66 * row, 440 * share - 4, 36, f"{share:.0%}", colour=_ROWS[i % 3], strong=0.3)
            sheet.words(box.middle[0], box.bottom + 10, f"{n} target{'s' * (n != 1)}", side="middle", size=8.5,
                        colour=MUTED)
            left += 440 * share
    return sheet.describe(f"Pieces with {', '.join(map(str, counts))} targets weigh "
                          f"{', '.join(f'{n / total:.0%}' for n in counts)}; taken all alike, "
                          f"{1 / len(counts):.0%} each, which is not the gradient of the whole batch.")


def turn(shape: Sequence[int], loss: float, norm: float, limit: float, rate: float) -> Picture:
    """One turn of the training loop with the numbers of a step that was really made."""
    steps = [("read", f"{shape[0]} × {shape[1]} ids", COLOURS["embedding"]),
             ("measure", f"loss {loss:.1f}", COLOURS["train"]),
             ("find the slopes", f"norm {norm:.1f}", COLOURS["gradient"]),
             ("clip", f"to {min(norm, limit):.1f}", COLOURS["gradient"]),
             ("step", f"rate {rate:g}", COLOURS["target"])]
    sheet = Sheet(720, 150, "One turn of the loop")
    boxes = [sheet.box(20 + 138 * i, 50, 112, 46, lines[:2], colour=lines[2]) for i, lines in enumerate(steps)]
    for before, after in zip(boxes, boxes[1:], strict=False):
        sheet.arrow((before.right, 73), (after.left, 73))
    sheet.arrow((boxes[-1].middle[0], 96), (boxes[-1].middle[0], 124), (boxes[0].middle[0], 124),
                (boxes[0].middle[0], 97), colour=MUTED)
    sheet.words(360, 136, "with the weights as they are now", side="middle", size=8.5, colour=MUTED)
    return sheet.describe(f"A circle of five boxes: read {shape[0]} × {shape[1]} ids, measure a loss of {loss:.1f}, "
                          f"find slopes of norm {norm:.1f}, clip them to {min(norm, limit):.1f}, step with rate "
                          f"{rate:g}; then again, with the new weights.")
