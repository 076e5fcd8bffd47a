"""Let a trained model write, token by token, as it thinks of them."""
from __future__ import annotations

import argparse
import copy
import sys
from contextlib import suppress
from pathlib import Path

from minillm.cli import called
from minillm.cli.numbers import COUNT, SEED, number

EXAMPLES = """\
examples:
  minillm generate runs/shakespeare --prompt "ROMEO:"
  minillm generate runs/shakespeare --temperature 0.7 --top-k 20 --seed 3
  echo "To be" | minillm generate runs/shakespeare --prompt -
  minillm generate storyteller --prompt "The capital of France is"        a small model that ships with minillm
  minillm generate storyteller --adapter runs/storyteller-tuned --ask "What is the capital of France?"
"""


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a checkpoint (runs/NAME), storyteller (which ships), or a "
                        "model in Hugging Face's form: a folder, or its name on the hub")
    parser.add_argument("--prompt", metavar="TEXT", help="the text to go on from; - reads it from standard input")
    parser.add_argument("--ask", metavar="QUESTION", help="a question, in the words that `finetune` asks in")
    parser.add_argument("--adapter", metavar="FOLDER", help="a correction beside the model, from `finetune` or PEFT")
    parser.add_argument("--tokens", type=COUNT, default=500, metavar="N", help="how many to write at most")
    parser.add_argument("--temperature", type=number(float, least=0), default=0.8, metavar="T",
                        help="below 1 the likely becomes likelier; 0 always takes the likeliest")
    parser.add_argument("--top-k", type=COUNT, metavar="K", help="choose among the K likeliest tokens only")
    parser.add_argument("--top-p", type=number(float, above=0, most=1), metavar="P",
                        help="choose among the likeliest that hold P together")
    parser.add_argument("--min-p", type=number(float, least=0, most=1), metavar="P",
                        help="choose among those P times as likely as the best, or more")
    parser.add_argument("--repetition-penalty", type=number(float, least=1), default=1.0, metavar="X",
                        help="above 1, what the text has already becomes less likely; 1.2 is usual")
    parser.add_argument("--seed", type=SEED, default=0, metavar="N", help="the same seed writes the same text")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--weights", choices=("fp32", "bf16", "int8", "auto"), default="fp32",
                        help="round them to 16 bits, or to 8 for one text's sake, and then say what that costs in "
                        "loss; auto: to 16 where that is faster here")
    parser.add_argument("--bf16", action="store_const", const="bf16", dest="weights", help="short for --weights bf16")


def run(options: argparse.Namespace) -> int:
    from minillm.precision import choose_device
    from minillm.sampling import generate
    model, tokenizer = open_model(options.model)
    if tokenizer is None:
        raise ValueError(f"{options.model} holds a model without a tokenizer; it cannot read or write text")
    if options.adapter is not None:
        from minillm.pretrained.adapters import load_adapter
        load_adapter(model, options.adapter, say=say)
    model = model.to(choose_device(options.device))
    exact, model = model, with_weights(model, options.weights)
    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt or ""
    if options.ask is not None:
        from minillm.conversation import Template
        if options.prompt is not None:
            raise ValueError("--ask and --prompt both say what comes first; give one of them")
        prompt = Template().prompt.replace("{}", options.ask)
    ids = tokenizer.prompt(prompt)
    if not ids:  # begin as a document does
        ids = [beginning(tokenizer)]
    decoder, written = tokenizer.decoder(continues=bool(prompt)), list(ids)
    print(prompt, end="", flush=True)
    try:
        for token in generate(model, ids, n_tokens=options.tokens, temperature=options.temperature,
                              top_k=options.top_k, top_p=options.top_p, min_p=options.min_p,
                              repetition_penalty=options.repetition_penalty, seed=options.seed, stop=tokenizer.ends):
            print(decoder.push(token), end="", flush=True)
            written.append(token)
    except KeyboardInterrupt:
        pass
    print(decoder.finish())
    if options.weights == "int8":
        from minillm.quantized import price
        start = written[:model.config.context_length]
        say(f"weights in int8 cost {price(exact, model, start):.2g} nats per token of loss in this text")
    return 0


def with_weights(model, kind: str):
    """The model in fewer bits; "auto" says what it took.  In eight bits it is a copy, to be compared with."""
    if kind == "auto":
        from minillm.sampling import choose_weights
        return choose_weights(model, say=say)
    if kind == "int8":
        from minillm.quantized import in_int8
        return in_int8(copy.deepcopy(model))
    return model.bfloat16() if kind == "bf16" else model


def say(words: str) -> None:
    """To people, not into the text."""
    print(words, file=sys.stderr)


def beginning(tokenizer) -> int:
    """The id after which a text may begin: end of text, a new line, or the first that there is."""
    if tokenizer.end_of_text is not None:
        return tokenizer.end_of_text
    with suppress(ValueError):  # a text of one line teaches no new line
        return tokenizer.encode("\n")[0]
    return 0


def open_model(name: str):
    """Our own checkpoint, or a model in Hugging Face's form: a folder, or a name on the hub."""
    from minillm.checkpoints import load, shipped
    from minillm.reading import read_json
    folder = Path(name)
    if folder.is_dir():
        config = folder / "config.json"
        if not config.is_file() or "model_type" not in read_json(config, within=folder):
            return load(folder)
    elif shipped(name):
        return load(name)
    elif folder.is_absolute() or Path(folder.parts[0]).exists() or folder.parts[0] == "runs" or len(folder.parts) > 2:
        raise FileNotFoundError(f"there is no folder {name}; `{called()} train` makes one, and says where")
    from minillm.pretrained import load_pretrained
    return load_pretrained(name)
