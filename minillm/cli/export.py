"""Write a model in Hugging Face's form, as transformers and what reads its format open it."""
from __future__ import annotations

import argparse

from minillm.cli.generate import open_model

EXAMPLES = """\
examples:
  minillm export storyteller --out for-transformers
  minillm export runs/merged --out for-transformers --chat         with the template that questions were asked in
"""


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a checkpoint (runs/NAME), or storyteller")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="a new folder for it")
    parser.add_argument("--chat", action="store_true", help="write the chat template of `minillm finetune` with it")


def run(options: argparse.Namespace) -> int:
    from minillm.cli.job import given_back, new_folder
    from minillm.conversation import Template
    from minillm.pretrained import export_hf
    with given_back(new_folder(options.out)) as folder:
        model, tokenizer = open_model(options.model)
        export_hf(model, tokenizer, folder, template=Template() if options.chat else None)
    print(f'{options.out}: open it with transformers.AutoModelForCausalLM.from_pretrained("{options.out}")')
    return 0
