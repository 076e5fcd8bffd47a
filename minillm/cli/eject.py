"""Write a model's architecture as one readable Python file that needs PyTorch alone."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from minillm.cli.numbers import COUNT

EXAMPLES = """\
examples:
  minillm eject llama-3-8b --size nano --out model.py    a preset at a laptop's size
  minillm eject runs/shakespeare                         a model that was trained here, on the screen
"""


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="PRESET|FOLDER", help="a preset's name, or a checkpoint (runs/NAME)")
    parser.add_argument("--size", choices=("nano", "small", "full"), default="full",
                        help="a preset's size; full is the published one")
    parser.add_argument("--vocab-size", type=COUNT, metavar="N", help="how many tokens a preset knows")
    parser.add_argument("--out", metavar="FILE", help="where to write it; without, it is printed")


def run(options: argparse.Namespace) -> int:
    from minillm import disk
    from minillm.ejection import eject
    if options.out is not None and Path(options.out).is_file():
        raise ValueError(f"{options.out} exists already, and may have been edited; choose another --out")
    source = eject(read_config(options))
    if options.out is None:
        sys.stdout.write(source)
    else:
        disk.write(options.out, source)
        print(f"{options.out}: {len(source.splitlines())} lines")
    return 0


def read_config(options: argparse.Namespace):
    """The configuration of a checkpoint, or of a preset at the size asked for."""
    from dataclasses import replace
    from difflib import get_close_matches

    from minillm import disk
    from minillm.checkpoints import load_config
    from minillm.presets import PRESETS, scaled
    if disk.find(options.model, "config.json").exists():
        if unused := sorted(options.given & {"size", "vocab_size"}):
            raise ValueError(f"--{unused[0].replace('_', '-')} chooses how large a preset is; {options.model} is a "
                             f"checkpoint and has its own: leave it out, or name a preset")
        return load_config(options.model)
    if options.model not in PRESETS:
        near = ", ".join(get_close_matches(options.model, PRESETS, 3)) or ", ".join(PRESETS)
        raise ValueError(f"{options.model!r} is neither a checkpoint nor a preset; presets: {near}")
    config = PRESETS[options.model]
    vocab_size = options.vocab_size or config.vocab_size
    return replace(config, vocab_size=vocab_size) if options.size == "full" else scaled(
        config, options.size, vocab_size=vocab_size)
