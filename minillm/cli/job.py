"""Carry one training run from its text to its checkpoint, and on again after a stop."""
from __future__ import annotations

import argparse
import hashlib
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np
import torch

from minillm.checkpoints import load, load_log, rehearse, save
from minillm.cli import called
from minillm.cli.choices import make_config, make_tokenizer, read_texts
from minillm.cli.processes import Team
from minillm.cli.progress import Progress
from minillm.data import compact
from minillm.disk import alone
from minillm.model import Transformer
from minillm.optim import adamw
from minillm.precision import threads
from minillm.recipes import Growing, Recipe
from minillm.tokenizers import END_OF_TEXT
from minillm.training import evaluate, measure_precision, measure_threads, snapshot, train


class Job:
    """One run: its text, model and optimizer, and how far it has come."""

    def __init__(self, options: argparse.Namespace, saved: dict | None, team: Team):
        self.options, self.team, self.device = options, team, team.device
        corpus = read_texts(options.texts, int(options.max_mb * 2**20))
        train_part, validation_part = corpus.hold_out()  # before any tokenizer is trained
        torch.manual_seed(options.seed)
        if saved:
            model, self.tokenizer = load(options.resume)
            self.log, self.seconds = load_log(options.resume), saved["seconds"]
        else:
            ends = (END_OF_TEXT,) if len(corpus.documents) > 1 else ()
            self.tokenizer = make_tokenizer(options.tokenizer, train_part.documents, alphabet=corpus.documents,
                                            vocab_size=options.vocab_size, special=ends)
            model = Transformer(make_config(options, self.tokenizer.vocab_size))
            self.log, self.seconds = [], 0.0
        self.ids, self.validation = (compact(np.fromiter(part.encode_stream(self.tokenizer), np.uint32))
                                     for part in (train_part, validation_part))
        if len(self.validation) < 2:
            raise ValueError(f"{corpus.name} has {corpus.characters:,} characters, of which the last tenth is kept for "
                             f"validation: too few to measure anything on; take a longer text")
        self.bytes_per_token = len(validation_part.text.encode()) / len(self.validation)
        self.config = model.config
        self.n_parameters = sum(p.numel() for p in model.parameters())
        self.model = team.share(model.to(self.device), split=options.fsdp)
        asked = {"batch_size": options.batch, "lr": options.lr}
        self.recipe = Recipe(**{name: value for name, value in asked.items() if value})
        make = {"muon": self.recipe.optimizer, "adamw": lambda model: adamw(model, lr=options.lr or 1e-3)}
        self.optimizer = make[options.optimizer](self.model)
        self.start, self.saved = 0, saved
        if saved:
            self._check_same_text(saved)
            self.start = team.restore(saved, self.optimizer)
            if self.fraction(self.start) >= 1:
                raise ValueError(f"the run in {options.resume} is finished, after {self.start:,} steps; ask for more "
                                 f"with --steps or --minutes (in all), or let it write: {called()} generate "
                                 f"{options.resume}")
        if self.recipe.batch_size % team.size:
            raise ValueError(f"--batch {self.recipe.batch_size} cannot be shared evenly by {team.size} processes; "
                             f"make it a multiple of {team.size}")
        self.done = self.start
        self.folder = team.same(lambda: str(reserve(options)))
        if not saved:
            with suppress(ValueError):  # on Windows, another disk
                options.base = os.path.relpath(Path.cwd(), self.folder)  # from where the names of texts are meant

    def _check_same_text(self, saved: dict) -> None:
        if saved["text"] != fingerprint(self.ids):
            raise ValueError(f"{', '.join(self.options.texts)} is no longer what {self.options.resume} was trained on; "
                             "put the old text back, or begin a new run")

    def fraction(self, step: int) -> float:
        """How much of the run lies behind, from 0 to 1."""
        steps, minutes = self.options.steps, self.options.minutes
        return step / steps if steps else min(1.0, self.seconds / (60 * minutes))

    def work(self, told: list[int]) -> int:
        """Train to the end, to a Ctrl-C, or until `told` to stop.  Returns the exit code."""
        try:
            with alone(self.folder) if self.team.first else nullcontext():
                return self._work(told)
        finally:
            with suppress(OSError):
                Path(self.folder).rmdir()  # a folder that nothing was saved in is given back

    def _work(self, told: list[int]) -> int:
        options = self.options
        stream = Growing(self.ids, batch_size=self.recipe.batch_size, context_length=self.config.context_length,
                         seed=options.seed, start=self.start, progress=self.fraction)
        name = self.saved["precision"] if self.saved else options.precision
        self.threads = options.threads or self._threads(name, stream[self.start])
        with threads(self.threads):
            return self._learn(told, stream, name)

    def _threads(self, precision: str, batch: tuple[torch.Tensor, torch.Tensor]) -> int:
        """As many as the run began with, so that it goes on to the bit; at its beginning the fastest."""
        if self.saved and "threads" in self.saved:
            before, now = self.saved["threads"], torch.get_num_threads()
            if before != now:
                self.team.say(f"going on with {before} of {now} threads, as it began; --threads takes others")
            return before
        return measure_threads(precision, self.model, batch, say=self.team.say)

    def _learn(self, told: list[int], stream: Growing, name: str) -> int:
        options, team = self.options, self.team
        self.precision = measure_precision(name, self.model, stream[self.start], say=team.say)
        if self.saved:
            if {*self.saved["scaler"]} != {*self.precision.scaler.state_dict()}:
                raise ValueError(f"{options.resume} kept no loss scale as {self.precision.name} has one; copy it again "
                                 f"from its source")
            self.precision.scaler.load_state_dict(self.saved["scaler"])
        self.save(rehearse)  # what could not be written is found out before there is anything to lose
        team.say(f"{self.n_parameters:,} parameters learn from {len(self.ids):,} tokens "
                 f"({self.config.vocab_size:,} kinds); {len(self.validation):,} are kept for validation")
        bar = Progress(shown=team.first, done=self.fraction(self.start))
        marks = [i / options.evaluations for i in range(1, options.evaluations)]
        marks = [mark for mark in marks if mark > self.fraction(self.start)]
        steps = train(self.model, stream, optimizer=self.optimizer, n_steps=options.steps, start=self.start,
                      schedule=lambda step: self.recipe.factor(self.fraction(step)), precision=self.precision,
                      micro_batch=options.micro_batch, seed=options.seed, say=team.say)
        try:
            for step in steps:
                self.done = step.step + 1
                self.seconds, stop = team.same(lambda took=step.seconds: (self.seconds + took, bool(told)))
                self.log.append(vars(step))
                bar.show(step, self.fraction(self.done))
                if marks and marks[0] <= self.fraction(self.done) < 1:
                    marks = [mark for mark in marks if mark > self.fraction(self.done)]
                    bar.note(self.evaluate(20_000))
                    self._save_if_there_is_room()
                if self.fraction(self.done) >= 1:
                    break
                if stop:
                    return self._stop()
        except KeyboardInterrupt:
            return self._stop()
        finally:
            bar.close()
        self.save()  # the look at the whole validation part takes a while
        loss = bar.note(self.evaluate(len(self.validation)))
        self.save()
        team.say(f"the whole validation part: {loss:.3f} nats per token, "
                 f"{loss / math.log(2) / self.bytes_per_token:.3f} bits per byte; saved. Now let it write:\n"
                 f"  {called()} generate {self.folder}")
        if team.first:
            print(self.folder)
        return 0

    def _stop(self) -> int:
        if self.done == self.start:
            self.team.say("stopped before the first step; nothing is lost, and nothing was saved")
        else:
            self.save()
            self.team.say(f"stopped after step {self.done:,} and saved; to go on:\n"
                          f"  {called()} train --resume {self.folder}")
        return 130

    def evaluate(self, n_tokens: int) -> float:
        """Nats per token on (the beginning of) the validation part."""
        ids = torch.from_numpy(self.validation[:n_tokens].astype("int64"))
        loss = evaluate(self.model, ids, context_length=self.config.context_length)
        self.log.append({"step": self.done - 1, "validation": loss, "tokens": len(ids)})
        return loss

    def _save_if_there_is_room(self) -> None:
        try:
            self.save()
        except OSError as error:
            self.team.say(f"{error}.  The run goes on; it is saved again later")

    def save(self, write: Callable[..., object] | None = None) -> None:
        for name, weight in self.model.named_parameters():
            if not torch.isfinite(getattr(weight, "to_local", lambda weight=weight: weight)()).all():
                raise FloatingPointError(f"{name} is no longer finite after step {self.done:,}; what {self.folder} "
                                         f"held before is untouched. Begin again with a lower --lr")
        state = snapshot(self.optimizer, self.done, self.precision, seconds=self.seconds, threads=self.threads,
                         options=vars(self.options), text=fingerprint(self.ids))
        (write or save)(self.model, self.tokenizer, self.folder, state=state, log=self.log)


@contextmanager
def given_back(folder: Path) -> Iterator[Path]:
    """A new folder, which goes again where nothing came to stand in it."""
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()


def fingerprint(ids) -> str:
    """The same for the same text and tokenizer."""
    return hashlib.sha256(ids.tobytes()).hexdigest()


def _short(name: str) -> str:
    """A name that any disk takes, of at most 60 bytes; what is no character (of a name in an older encoding) is _."""
    clean = "".join(c if c.isprintable() else "_" for c in name)
    return clean.encode()[:60].decode(errors="ignore") or "text"


def reserve(options: argparse.Namespace) -> Path:
    """The folder that a run writes."""
    if options.resume:
        return Path(options.resume)
    return new_folder(options.out, Path("runs") / "-".join(_short(Path(text).stem) for text in options.texts[:3]),
                      otherwise=", or go on with --resume {}")


def new_folder(out: str | None, usual: Path = Path(), *, otherwise: str = "") -> Path:
    """The folder to write, `out` or the usual one with a number; made at once, so that two runs never share it."""
    if out == "":
        raise ValueError("--out names no folder; give one, or leave it out where it may be")
    wanted = Path(out or usual)
    for number in range(1, 1000):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if out:
                raise ValueError(f"{folder} exists already; choose another --out{otherwise.format(folder)}") from None
    raise ValueError(f"{wanted} and 998 more exist already; name another folder with --out")
