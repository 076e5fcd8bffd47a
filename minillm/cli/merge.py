"""Add an adapter to its model: one checkpoint, as fast as before."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from minillm.cli import called
from minillm.cli.generate import open_model

EXAMPLES = """\
examples:
  minillm merge storyteller runs/storyteller-tuned --out runs/merged
  minillm generate runs/merged --ask "What is the capital of France?"
"""


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="the model that the adapter was learned beside")
    parser.add_argument("adapter", metavar="ADAPTER", help="a folder as `minillm finetune` or PEFT writes it")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="a new folder for the merged checkpoint")


def run(options: argparse.Namespace) -> int:
    from minillm.checkpoints import save
    from minillm.cli.job import given_back, new_folder
    from minillm.lora import merge_lora
    from minillm.pretrained.adapters import load_adapter, told_base
    with given_back(new_folder(options.out)) as folder:
        model, tokenizer = open_model(options.model)
        if (base := told_base(options.adapter)) and Path(base).name != Path(options.model).name:
            print(f"note: {options.adapter} was learned beside {base}, by its own words; beside another model it does "
                  f"something else, however well its shapes fit", file=sys.stderr)
        save(merge_lora(load_adapter(model, options.adapter)), tokenizer, folder)
    print(f"{options.out} holds the merged model; `{called()} generate {options.out}` lets it write")
    return 0
