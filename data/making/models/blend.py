"""Set a model between two others: `python -m data.making.models.blend FIRST SECOND SHARE FOLDER`.

Every weight is (1 - SHARE) of the second model's and SHARE of the first's.  Of a model and one that went on from it,
such a mean keeps most of what either knows.  Wortsman et al. 2022, arXiv:2109.01903.
"""
from __future__ import annotations

import sys
from pathlib import Path

from minillm.checkpoints import load, load_log, save


def main(first: str, second: str, share: str, folder: str) -> None:
    """Save the blend, with the second model's tokenizer and log, and the share at the log's end."""
    model, tokenizer = load(second)
    others, rows = load(first)[0].float().state_dict(), load_log(second)
    model.float().load_state_dict({name: own.lerp(others[name], float(share))
                                   for name, own in model.float().state_dict().items()})
    save(model.half(), tokenizer, Path(folder), log=[*rows, {**rows[-1], "blended_at_the_end": float(share)}])


if __name__ == "__main__":
    main(*sys.argv[1:])
