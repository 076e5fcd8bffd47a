"""Cut a long row of ids into pieces to learn from: what the model sees, and what comes next."""
from __future__ import annotations

import operator
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from minillm import disk, reading
from minillm.precision import choose_device

IGNORED = -100  # a target that costs nothing
MOST_IDS = 1 << 24  # in one batch
Batch = tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]


class Endless:
    """Batches for as long as they are asked for; `step` is the number of the next one."""
    step: int

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        self.step += 1
        return self[self.step - 1]


class Batches(Endless):
    r"""Windows that begin at random places; the targets are the inputs, one step on.

    $$ \mathrm{input}_{bt} = w_{\mathrm{start}_b + t}, \qquad \mathrm{target}_{bt} = w_{\mathrm{start}_b + t + 1} $$

    A start is drawn evenly from 0 … N_ids - T - 1.  Only the ids themselves are kept (two bytes each below
    65,536); a window exists while it is used.  Batch n is a function of seed and n alone, so a run that goes on
    after n steps asks for ``start=n`` and misses nothing, and processes that share a batch make the same one.
    Raises ValueError for a text that is shorter than a window.
    """

    def __init__(self, tokens: Tokens, *, batch_size: int, context_length: int, seed: int, start: int = 0,
                 device: str | torch.device | None = None):
        self.tokens = compact(tokens)
        check_counts(batch_size=batch_size, context_length=context_length)
        if len(self.tokens) <= context_length:
            raise ValueError(
                f"tokens={len(self.tokens)} are too few for context_length={context_length}: a window needs "
                f"{context_length + 1}, its last target included; take a longer text, or a shorter context")
        self.batch_size, self.context_length, self.seed = batch_size, context_length, seed
        self.step, self.device = start, device and choose_device(str(device))

    def __getitem__(self, step: int) -> Batch:
        """The batch of any step, without disturbing the iteration."""
        starts = self.starts(step)
        windows = self.tokens[starts[:, None] + np.arange(self.context_length + 1)].astype(np.int64)
        return as_batch(self.device, windows[:, :-1], windows[:, 1:])

    def starts(self, step: int) -> np.ndarray:
        """Where in the row of ids the windows of a step begin."""
        return (draw(self.seed, step, self.batch_size) % (len(self.tokens) - self.context_length)).astype(np.int64)


def check_counts(**counts: object) -> None:
    """Refuse what counts nothing."""
    for name, count in counts.items():
        if not isinstance(count, Integral) or isinstance(count, bool) or count < 1:
            raise ValueError(f"{name}={count!r} must be a whole number, at least 1")
    rows, length = counts.get("batch_size", 1), counts.get("context_length", 1)
    if rows * length > MOST_IDS:
        raise ValueError(f"batch_size={rows:,} rows of context_length={length:,} ids are more than the {MOST_IDS:,} "
                         f"that one batch holds; take fewer, or add up several batches' gradients")


def draw(seed: int, step: int, count: int) -> np.ndarray:
    """`count` random numbers below 2^64 that depend on seed and step alone, on every machine.

    From a generator that counts instead of remembering.  Salmon et al. 2011, "Parallel random numbers".
    """
    if not isinstance(seed, Integral):
        raise ValueError(f"seed={seed!r} must be a whole number")
    return np.random.Philox(key=seed % 2 ** 128, counter=(0, step, 0, 0)).random_raw(count)


def compact(tokens: Tokens) -> np.ndarray:
    """Ids in two bytes each, or in four where one is 65,536 or more; a `TokenFile` stays on the disk."""
    if isinstance(tokens, TokenFile):
        return tokens.ids
    ids = tokens.detach().cpu().numpy() if isinstance(tokens, Tensor) else np.asarray(tokens)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ValueError(f"tokens must be one row of whole numbers, not shape {ids.shape} of {ids.dtype}; "
                         f"tokenizer.encode(text) gives one")
    if ids.size and ids.min() < 0:
        raise ValueError(f"tokens hold {ids.min()}, but ids count from 0; tokenizer.encode(text) gives such")
    if ids.size and ids.max() >= 1 << 32:
        raise ValueError(f"tokens hold {ids.max()}, but an id has at most four bytes; was this made by a tokenizer?")
    return ids.astype(_width(int(ids.max(initial=0)) + 1), copy=False)


class TokenFile(Sequence):
    """Ids in a file that is read where it is needed: a text may be larger than the memory.

    32 bytes say what it is (name, bytes per id, vocabulary size, number of ids), then come the ids, two or four
    bytes each, little-endian.  Works wherever a row of ids does.
    """
    name = b"minillm tokens 1"
    header = struct.Struct("<16sIIQ")

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        with reading.regular(self.path).open("rb") as file:
            head, size = file.read(self.header.size), os.fstat(file.fileno()).st_size
        if len(head) < self.header.size or not head.startswith(self.name):
            raise ValueError(f"{path} is no file of tokens; TokenFile.write makes one")
        _, width, self.vocab_size, count = self.header.unpack(head)
        if width not in (2, 4):
            raise ValueError(f"{path} says that an id takes {width:,} bytes, where 2 or 4 belong; copy it again")
        if size != self.header.size + width * count:
            raise ValueError(f"{path} should have {self.header.size + width * count:,} bytes for {count:,} ids, but "
                             f"has {size:,}; copy it again, or write it again")
        self.ids = np.zeros(0, f"<u{width}") if not count else np.asarray(
            np.memmap(self.path, f"<u{width}", "r", offset=self.header.size, shape=(count,)))

    @classmethod
    def write(cls, path: str | os.PathLike, ids: Iterable[int], *, vocab_size: int) -> TokenFile:
        """Write ids as they come (``tokenizer.encode_stream(…)``) in flat memory: the whole file, or none.

        Raises ValueError for an id outside the vocabulary.
        """
        ids, count, width = iter(ids), 0, _width(vocab_size)
        with disk.file(path) as file:
            file.write(bytes(cls.header.size))
            while block := list(islice(ids, 1 << 16)):
                low, high = min(block), max(block)
                if low < 0 or high >= vocab_size:
                    raise ValueError(f"id {low if low < 0 else high} is outside vocab_size={vocab_size}; were "
                                     f"these ids made by another tokenizer?")
                file.write(np.array(block, width).tobytes())
                count += len(block)
            file.seek(0)
            file.write(cls.header.pack(cls.name, width.itemsize, vocab_size, count))
        return cls(path)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, place: int | slice) -> int | np.ndarray:
        return np.array(self.ids[place]) if isinstance(place, slice) else int(self.ids[place])


Tokens = Sequence[int] | np.ndarray | Tensor | TokenFile
batches = Batches  # in a loop it reads as what it gives


def _width(vocab_size: int) -> np.dtype:
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


def as_batch(device: str | torch.device | None, inputs: np.ndarray, targets: np.ndarray) -> Batch:
    """As tensors; on a GPU, copied while it still computes the batch before."""
    pair = torch.from_numpy(np.ascontiguousarray(inputs)), torch.from_numpy(np.ascontiguousarray(targets))
    if device is None or torch.device(device).type != "cuda":
        return tuple(x.to(device) if device else x for x in pair)
    return tuple(x.pin_memory().to(device, non_blocking=True) for x in pair)


def is_id(value: object) -> bool:
    """Whether this is a whole number that a tokenizer could give."""
    try:
        return 0 <= operator.index(value) < 1 << 32
    except TypeError:
        return False


def answered(rows: Sequence[tuple[Sequence[int], Sequence[int]]], *, padding: int = 0,
             device: str | torch.device | None = None) -> Batch:
    """Each row's prompt and answer (both ids) as one batch where the answers alone are targets, all others -100.

    Shorter rows end in `padding`, which stands behind all that counts and is seen by nothing that does.  Refuses a row
    without a prompt: nothing stands before its answer's first id, from which that could be told.
    """
    for i, (prompt, answer) in enumerate(rows):
        if not len(prompt):
            raise ValueError(f"row {i} has no prompt before its answer of {len(answer)} ids, so nothing foretells the "
                             f"first of them; begin with at least one id, say that of the end of text")
    width = max((len(prompt) + len(answer) for prompt, answer in rows), default=1) - 1
    inputs = np.full((len(rows), width), padding, np.int64)
    targets = np.full((len(rows), width), IGNORED, np.int64)
    for row, (prompt, answer) in enumerate(rows):
        ids = [*prompt, *answer]
        if strange := [i for i in ids if not is_id(i)]:
            raise ValueError(f"row {row} holds {reading.shown(strange[0])}, but an id is a whole number of at most "
                             f"four bytes; was this made by a tokenizer?")
        inputs[row, :len(ids) - 1] = ids[:-1]
        targets[row, len(prompt) - 1:len(ids) - 1] = answer
    return as_batch(device, inputs, targets)


def __getattr__(name: str):
    """Conversations stood here once: who imports them from here still finds them."""
    if name in ("PromptBatches", "Template", "prompt_batches"):
        return getattr(import_module("minillm.conversation"), name)
    raise AttributeError(f"minillm.data has no {name!r}")
