"""Draw a correction beside its matrix, and the two files of an adapter beside its model."""
from __future__ import annotations

from collections.abc import Mapping

from minillm.lora import LoRALinear
from minillm.notebook.drawings import Sheet
from minillm.notebook.plots import BLUE, GREEN, MUTED, ORANGE, Picture


def beside(layer: LoRALinear) -> Picture:
    """The frozen matrix, and the two thin ones beside it, in proportion."""
    d_out, d_in, rank = layer.base.out_features, layer.base.in_features, layer.rank
    unit = 150 / max(d_out, d_in)
    wide, high, thin = d_in * unit, d_out * unit, max(9, rank * unit)
    sheet = Sheet(620, 250, "A matrix, and a correction beside it")
    sheet.box(40, 70, wide, high, ["W", "frozen"], colour=MUTED, strong=0.18)
    sheet.words(40 + wide / 2, 84 + high, f"{d_out} × {d_in} = {d_out * d_in:,}", side="middle", size=8.5, colour=MUTED)
    sheet.words(62 + wide, 70 + high / 2, f"+  {layer.scale:g} ×", size=12)
    left = 140 + wide
    sheet.box(left, 70, thin, high, colour=ORANGE, strong=0.35)
    sheet.words(left + thin / 2, 58, "W_B", side="middle", colour=ORANGE)
    sheet.box(left + thin + 14, 70, wide, thin, colour=BLUE, strong=0.35)
    sheet.words(left + thin + 14 + wide / 2, 58, "W_A", side="middle", colour=BLUE)
    learned = rank * (d_in + d_out)
    sheet.words(left + thin + 14, 94 + thin, f"{d_out} × {rank} and {rank} × {d_in}: {learned:,} weights that learn",
                size=8.5, colour=MUTED)
    sheet.words(left + thin + 14, 112 + thin, f"{learned / (d_out * d_in):.0%} of the matrix", size=8.5, colour=GREEN)
    return sheet.describe(f"A frozen matrix of {d_out} by {d_in}, {d_out * d_in:,} weights; beside it W_B, {d_out} by "
                          f"{rank}, times W_A, {rank} by {d_in}, times {layer.scale:g}: {learned:,} weights learn, "
                          f"{learned / (d_out * d_in):.0%} of the matrix.")


def adapter_files(sizes: Mapping[str, int], base: int) -> Picture:
    """The files of an adapter beside the model that they belong to, as bars of bytes."""
    sheet = Sheet(620, 60 + 44 * (len(sizes) + 1), "Only two small files?")
    for row, (name, size) in enumerate({**sizes, "the model it belongs to": base}.items()):
        top = 46 + 44 * row
        sheet.words(20, top + 13, name)
        sheet.box(230, top, max(3, 300 * size / base), 26, colour=BLUE if name in sizes else MUTED, strong=0.35)
        sheet.words(238 + max(3, 300 * size / base), top + 13, f"{size / 1e3:,.1f} kB", size=8.5, colour=MUTED)
    return sheet.describe("; ".join(f"{name}: {size / 1e3:,.1f} kB" for name, size in
                                    {**sizes, "the model": base}.items()) + ".")
