"""Say what each of several processes holds in memory: everything (DDP), or its share and a block at a time (FSDP)."""
from __future__ import annotations

from minillm.config import ModelConfig
from minillm.costs import Ledger, activation_bytes, parameters, state_bytes
from minillm.notebook import plots
from minillm.notebook.plots import BLUE, CARD, GREEN, INK, ORANGE, PURPLE, SKY
from minillm.notebook.widgets import Live, choice, slider
from minillm.presets import PRESETS

CARD_BYTES = 80e9     # of an A100 or H100
NAMES = ("gpt2-xl", "llama-7b", "llama-2-13b", "llama-2-70b")
COLOURS = {"weights": BLUE, "gradients": PURPLE, "AdamW": ORANGE, "gathered": SKY, "activations": GREEN}


def held(config: ModelConfig, n_processes: int = 1, *, split: bool, batch: int = 1, seq: int | None = None) -> Ledger:
    """Bytes that each process holds at least, in fp32, while it learns from `batch` texts of its own.

    DDP: all there is (Li et al. 2020, arXiv:2006.15704), and in torch a second copy of the gradients that is not
    counted here.  FSDP, `split`: a share, and for a moment one block and what stands outside of the blocks, whole
    (Zhao et al. 2023, arXiv:2304.11277).  Activations are counted as `activation_bytes` does, nothing recomputed.
    """
    shares = n_processes if split else 1
    ledger = {part: -(-size // shares) for part, size in state_bytes(config).items()}
    if split:
        ledger["gathered"] = sum(whole_for_a_moment(config).values()) * 4
    ledger["activations"] = sum(activation_bytes(config, batch=batch, seq=seq or config.context_length).values())
    return ledger


def whole_for_a_moment(config: ModelConfig) -> Ledger:
    """Parameters that FSDP puts together at once: a block, and what belongs to none."""
    ledger = parameters(config)
    outside = sum(ledger.get(part, 0) for part in ("embedding", "positions", "unembedding"))
    return {"outside": outside, "a block": -(-(sum(ledger.values()) - outside) // config.n_layers)}


def memory_dial() -> Live:
    """What one process holds, alone, with DDP and with FSDP, against the memory of a card."""
    figure = plots.picture(620, 250, title="Does it fit on a card of 80 GB?")
    ax = plots.axes(figure, left=70, top=72, xlabel="GB in each process", grid="x")
    rows = ("FSDP", "DDP", "alone")
    bars = {part: ax.barh(rows, [0, 0, 0], color=colour, label=part, height=0.62) for part, colour in COLOURS.items()}
    ax.axvline(CARD_BYTES / 1e9, color=INK, linewidth=1.6, linestyle="--")
    ax.legend(ncol=5, fontsize=9, edgecolor="none", facecolor=CARD, loc="lower left", bbox_to_anchor=(-0.02, 1.0),
              columnspacing=1.0, handlelength=1.2)

    def draw(name: str, n_processes: int, batch: int):
        config = PRESETS[name]
        ledgers = [*(held(config, n_processes, split=split, batch=batch) for split in (True, False)),
                   held(config, 1, split=False, batch=batch)]
        left = [0.0, 0.0, 0.0]
        for part, rectangles in bars.items():
            for i, (rectangle, ledger) in enumerate(zip(rectangles, ledgers, strict=True)):
                rectangle.set_x(left[i])
                rectangle.set_width(ledger.get(part, 0) / 1e9)
                left[i] += ledger.get(part, 0) / 1e9
        ax.set_xlim(0, max(100.0, 1.04 * max(left)))
        fsdp, ddp, alone = left
        fits = ", ".join(row for row, each in zip(rows, left, strict=True) if each * 1e9 <= CARD_BYTES) or "nothing"
        return figure.describe(
            f"{name}, {n_processes} processes, {batch} text{'s' * (batch > 1)} of {config.context_length:,} tokens in "
            f"each, fp32: alone {alone:,.0f} GB, with DDP {ddp:,.0f} GB in each process, with FSDP {fsdp:,.0f} GB. "
            f"What fits into 80 GB: {fits}.")

    controls = {"name": choice("model", list(NAMES), "llama-7b"),
                "n_processes": slider("processes", [1, 2, 4, 8, 16, 32, 64], 8),
                "batch": slider("texts in each", [1, 2, 4], 1)}
    return Live("memory", controls, draw, rows=[["name"], ["n_processes", "batch"]])
