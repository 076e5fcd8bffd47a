"""Teach a model to answer: learn from questions and answers, all of its weights or a small correction beside them."""
from __future__ import annotations

import argparse
from pathlib import Path

from minillm.cli import called
from minillm.cli.generate import open_model
from minillm.cli.numbers import COUNT, SEED, number

EXAMPLES = """\
examples:
  minillm finetune storyteller mine.jsonl                 LoRA on a file of {"prompt": …, "answer": …} lines, or a CSV
  minillm finetune storyteller mine.csv --text stories --share 0.25      a quarter of the steps a text, not to forget it
  minillm finetune runs/mine pairs.jsonl --method dora --rank 8
  minillm finetune runs/mine pairs.jsonl --method full --lr 1e-3
  minillm generate storyteller --adapter runs/mine-tuned --ask "What is the capital of France?"

LoRA and DoRA write an adapter (two small files, as PEFT has them); full writes a checkpoint.
"""
METHODS = ("lora", "dora", "full")


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a checkpoint, storyteller, or a model in Hugging Face's form")
    parser.add_argument("pairs", metavar="FILE", help="JSON lines or CSV, with prompt and answer in each row")
    parser.add_argument("--out", metavar="FOLDER", help="what to write; runs/NAME-tuned if left out")
    parser.add_argument("--method", choices=METHODS, default="lora", help="a correction, with lengths, or all")
    parser.add_argument("--rank", type=COUNT, default=16, metavar="R", help="of the correction")
    parser.add_argument("--alpha", type=number(float, above=0), metavar="A", help="scale × rank; 2 × rank if left out")
    parser.add_argument("--targets", metavar="NAMES", help="which matrices, as q_proj,v_proj; all seven if left out")
    parser.add_argument("--steps", type=COUNT, default=240, metavar="N", help="how many steps to make")
    parser.add_argument("--batch", type=COUNT, default=16, metavar="N", help="questions per step")
    parser.add_argument("--lr", type=number(float, above=0), metavar="X",
                        help="learning rate; 3e-3 for a correction and 1e-3 for all weights if left out")
    parser.add_argument("--text", metavar="TEXT", help="a text (a name or a file) to go on reading, not to forget it")
    parser.add_argument("--share", type=number(float, least=0, most=1), default=0.25, metavar="S",
                        help="of the steps that are --text")
    parser.add_argument("--seed", type=SEED, default=0, metavar="N", help="the same seed makes the same model")


def run(options: argparse.Namespace) -> int:
    from minillm.checkpoints import rehearse, save
    from minillm.cli.job import given_back, new_folder
    from minillm.cli.train import told_to_end
    from minillm.conversation import pairs_from
    from minillm.optim import adamw, warmup_cosine
    from minillm.pretrained.adapters import save_adapter
    from minillm.training import train
    check(options)
    model, tokenizer = open_model(options.model)
    if tokenizer is None:
        raise ValueError(f"{options.model} holds a model without a tokenizer; it cannot read questions")
    pairs = pairs_from(options.pairs)
    batches = stream(options, pairs, model, tokenizer)
    model = prepare(model, options)
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    lr, done = options.lr or (1e-3 if options.method == "full" else 3e-3), 0
    new = new_folder(options.out, Path("runs") / f"{Path(options.model).name}-tuned")
    with given_back(new) as folder, told_to_end() as told:
        if options.method == "full":  # what could not be written is found out before there is anything to lose
            rehearse(model, tokenizer, folder)
        else:
            save_adapter(model, folder, base=options.model, rehearsal=True)
        print(f"{len(pairs)} pairs; {learned:,} weights learn. Ctrl-C stops it and keeps what was learned", flush=True)
        try:
            for step in train(model, batches, optimizer=adamw(model, lr=lr, weight_decay=0.0), n_steps=options.steps,
                              schedule=warmup_cosine(options.steps, warmup=min(10, options.steps // 4)),
                              precision="fp32", seed=options.seed):
                done = step.step + 1
                if done % max(1, options.steps // 10) == 0:
                    print(f"step {done} of {options.steps}: loss {step.loss:.3f}", flush=True)
                if told:
                    break
        except KeyboardInterrupt:
            pass
        if done < options.steps:
            print(f"stopped after step {done}")
        if done and options.method == "full":
            save(model.eval(), tokenizer, folder)
            print(f"{folder} holds the model; `{called()} generate {folder} --ask \"…\"` asks it")
        elif done:
            save_adapter(model.eval(), folder, base=options.model)
            say = f"{called()} generate {options.model} --adapter {folder} --ask \"…\""
            print(f"{folder} holds the adapter; `{say}` asks")
    return 0 if done == options.steps else 130


def check(options: argparse.Namespace) -> None:
    """Refuse what would be passed over."""
    if options.text is None and "share" in options.given:
        raise ValueError("--share says how many steps are a text, and there is none; name one with --text")
    if options.method == "full" and (idle := sorted(options.given & {"rank", "alpha", "targets"})):
        raise ValueError(f"--{idle[0]} is about a correction, and --method full learns all weights; leave one out")


def prepare(model, options: argparse.Namespace):
    """The model as the method wants it: with corrections, or with all weights free."""
    from minillm.lora import MATRICES, DoRALinear, LoRALinear, add_lora
    if options.method == "full":
        return model.requires_grad_(True)
    present = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    targets = options.targets.split(",") if options.targets else [name for name in MATRICES if name in present]
    return add_lora(model, rank=options.rank, alpha=options.alpha or 2.0 * options.rank, targets=targets,
                    seed=options.seed, layer=DoRALinear if options.method == "dora" else LoRALinear)


def stream(options: argparse.Namespace, pairs: list[tuple[str, str]], model, tokenizer):
    """Batches of questions, and of the text that is not to be forgotten."""
    from minillm.cli.choices import read_texts
    from minillm.cli.words import MAX_MB
    from minillm.conversation import Mixed, PromptBatches
    from minillm.data import Batches
    context = model.config.context_length
    asked = PromptBatches(pairs, tokenizer, batch_size=options.batch, context_length=context, seed=options.seed)
    if options.text is None:
        return asked
    text = read_texts([options.text], MAX_MB * 1_000_000)
    rows = Batches(text.encode(tokenizer), batch_size=8, context_length=min(64, context), seed=options.seed)
    return Mixed(asked, rows, share=options.share, seed=options.seed)
