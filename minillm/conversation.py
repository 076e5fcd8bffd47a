"""Turn questions and answers into batches from which only the answers are learned."""
from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from minillm.data import IGNORED, Batch, Endless, answered, check_counts, draw
from minillm.precision import choose_device
from minillm.reading import contents


@dataclass(frozen=True)
class Template:
    """How a conversation is written down, so that a model that continues text comes to answer.

    The reply begins with its space: in running text a word and the space before it are often one token.
    """
    prompt: str = "Question: {}\nAnswer:"
    reply: str = " {}"

    def __post_init__(self):
        for name, written in vars(self).items():
            if written.count("{}") != 1:
                raise ValueError(f"the template's {name}={written!r} holds {{}} {written.count('{}')} times; it says "
                                 f"where the text goes, so write it once (other braces stay as they are)")

    def ask(self, prompt: str, tokenizer) -> list[int]:
        """Ids up to where the answer begins; give these to `generate`."""
        return tokenizer.prompt(self.prompt.replace("{}", prompt))

    def answer(self, reply: str, tokenizer) -> list[int]:
        """Ids of the answer and of the end of text, from which the model learns to stop."""
        if tokenizer.end_of_text is None:
            raise ValueError("this tokenizer has no end-of-text token, so a model could never learn to stop; train "
                             "one with special=(\"<|endoftext|>\",)")
        return [*tokenizer.encode(self.reply.replace("{}", reply), continues=True), tokenizer.end_of_text]


def chat_template(template: Template | None = None, *, begins: bool = False) -> str:
    """The template in Jinja, as transformers reads it (`chat_template`): a user asks, an assistant answers and ends.

    Refuses any other role: a small model that never read a system's words would not know what they are.  `begins`: the
    tokenizer puts a token before every text, and so must this.
    """
    ask, reply = (template or Template()).prompt.split("{}"), (template or Template()).reply.split("{}")
    def around(parts: list[str]) -> str:
        before, after = (json.dumps(part, ensure_ascii=False) for part in parts)
        return f"{before} + message['content'] + {after}"
    begin = "{{- bos_token -}}" if begins else ""
    return (begin + "{%- for message in messages -%}{%- if message['role'] == 'user' -%}{{- " + around(ask)
            + " -}}{%- elif message['role'] == 'assistant' -%}{{- " + around(reply) + " + eos_token -}}{%- else -%}"
            "{{- raise_exception('roles are user and assistant') -}}{%- endif -%}{%- endfor -%}")


def pairs_from(file: str | os.PathLike) -> list[tuple[str, str]]:
    """(prompt, answer) of each row of a file: JSON lines (.jsonl, .json), or CSV with a line of names.

    The columns are called "prompt" or "question", and "answer", "response" or "completion"; others are left alone.
    Raises ValueError naming the first row, counted from 1, that lacks one of them or holds no text.
    """
    return pairs_in(str(file), contents(file))


def pairs_in(path: str, content: bytes) -> list[tuple[str, str]]:
    """As `pairs_from`, of a file's bytes; its name says what it is and stands in what is refused."""
    try:
        text = content.decode("utf-8-sig")
        lines = io.StringIO(text if "\n" in text else text.replace("\r", "\n"), newline="")  # old Macs end lines by \r
        if path.lower().endswith(".csv"):
            rows = [(i, row) for i, row in enumerate(csv.DictReader(lines, strict=True), 1)]
        else:
            rows = [(i, _json(line, i, path)) for i, line in enumerate(lines, 1) if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); save it as UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path} is not CSV ({error}); is a quotation mark missing?") from None
    if not rows:
        raise ValueError(f"{path} holds no rows; each is a prompt and its answer")
    return [(_text(row, ("prompt", "question"), i, path), _text(row, ("answer", "response", "completion"), i, path))
            for i, row in rows]


def _json(line: str, number: int, path: str) -> dict:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"row {number} of {path} is not JSON ({error}); each line is one object, "
                         f'{{"prompt": "…", "answer": "…"}}') from None
    if not isinstance(row, dict):
        raise ValueError(f"row {number} of {path} is {line.strip()[:40]!r}, not an object with prompt and answer")
    return row


def _text(row: dict, names: tuple[str, ...], number: int, path: str) -> str:
    found = [row[name] for name in names if name in row]
    if not found or not isinstance(found[0], str) or not found[0].strip():
        raise ValueError(f"row {number} of {path} has no {' or '.join(names)}; it has: "
                         f"{', '.join(str(name) for name in row) or 'nothing'}")
    return found[0]


class PromptBatches(Endless):
    """Conversations of like length side by side; only answers are learned, all other targets are -100.

    Each epoch shows every pair, in an order that depends on seed and epoch alone (some twice where they do not
    fill the last batch).  `signal` is the share of all positions, padding included, that are learned from.
    `pairs` are (question, answer), both str; other rows are refused by number.  Raises ValueError for a pair that
    does not fit into the context: cut, it would not teach to stop.
    """

    def __init__(self, pairs: Iterable, tokenizer, *, batch_size: int, context_length: int,
                 seed: int, template: Template | None = None, start: int = 0,
                 device: str | torch.device | None = None):
        pairs = list(pairs)
        for i, pair in enumerate(pairs):
            if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(x, str) for x in pair)):
                raise ValueError(f"row {i} is {str(pair)[:60]!r} of type {type(pair).__name__}, not a pair of texts; "
                                 f"give (question, answer), say [(row[\"prompt\"], row[\"response\"]) for row in rows]")
        check_counts(pairs=len(pairs), batch_size=batch_size, context_length=context_length)
        template = template or Template()
        asked = [template.ask(prompt, tokenizer) for prompt, _ in pairs]
        self.ids = [ask + template.answer(reply, tokenizer)
                    for ask, (_, reply) in zip(asked, pairs, strict=True)]
        self.n_asked = [max(1, len(ask)) for ask in asked]  # of no question, the first id answers nothing
        for pair, ids in zip(pairs, self.ids, strict=True):
            if len(ids) - 1 > context_length:
                raise ValueError(f"the pair {pair[0]!r} takes {len(ids) - 1} tokens, more than "
                                 f"context_length={context_length}; shorten it or leave it out")
        self.batch_size, self.seed, self.padding = batch_size, seed, tokenizer.end_of_text
        self.n_batches = -(-len(pairs) // batch_size)  # of one epoch
        self.device = device and choose_device(str(device))
        self.step, self._ordered = start, (-1, np.zeros((0, 0), np.int64))

    @property
    def signal(self) -> float:
        """Targets that are learned from / all positions, over the first epoch."""
        targets = [self[step][1] for step in range(self.n_batches)]
        return sum(int((y != IGNORED).sum()) for y in targets) / sum(y.numel() for y in targets)

    def __getitem__(self, step: int) -> Batch:
        """The batch of any step, without disturbing the iteration."""
        epoch, place = divmod(step, self.n_batches)
        if self._ordered[0] != epoch:
            self._ordered = epoch, self._epoch(epoch)
        chosen = self._ordered[1][place]
        rows = [(self.ids[i][:self.n_asked[i]], self.ids[i][self.n_asked[i]:]) for i in chosen]
        return answered(rows, padding=self.padding, device=self.device)

    def _epoch(self, epoch: int) -> np.ndarray:
        """The pairs of each batch: like lengths together, equal ones and the batches themselves shuffled."""
        n = len(self.ids)
        noise = draw(self.seed, epoch, n + self.n_batches)
        order = np.lexsort((noise[:n], [len(ids) for ids in self.ids]))
        total = self.n_batches * self.batch_size
        rows = order[np.arange(total) * n // total].reshape(self.n_batches, self.batch_size)
        return rows[np.argsort(noise[n:])]


class Mixed(Endless):
    """Steps of questions, and in a `share` of them steps of another text instead, so that it is not forgotten.

    Which steps, depends on seed and step alone.  Both are anything that gives a batch by number.
    """

    def __init__(self, asked: Endless, text: Endless, *, share: float, seed: int, start: int = 0):
        if not 0 <= share <= 1:
            raise ValueError(f"share={share} must lie between 0 (questions alone) and 1 (the text alone)")
        self.asked, self.text, self.share, self.seed, self.step = asked, text, share, seed, start

    def __getitem__(self, step: int) -> Batch:
        """The batch of any step."""
        return (self.text if draw(self.seed + 17, step, 1)[0] / 2 ** 64 < self.share else self.asked)[step]


prompt_batches = PromptBatches  # in a loop it reads as what it gives
