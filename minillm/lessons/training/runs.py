"""Keep every run in a folder of its own, list them, and go on with one as if it had never stopped."""
from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from minillm import corpora, disk, reading
from minillm.checkpoints import load, load_log, load_state, save
from minillm.corpora import Corpus
from minillm.lessons.training.experiment import AMOUNTS, BATCH, FLOOR, OPTIMIZERS, Moment, Run, made_ready
from minillm.training import Step, restore, snapshot

DRIVE = Path("/content/drive/MyDrive")     # where Colab mounts Google Drive
ABOUT, SAMPLES, TEXT = "run.json", "samples.txt", "text.json"
COUNT = range(1, 2 ** 31)
STATE = {"text": str, "digest": str, "tokenizer": str, "lr": float, "n_steps": COUNT, "seed": range(2 ** 63),
         "rule": str, "amount": str, "batch_size?": COUNT, "floor?": float, "choices": {str: (str, float, bool, None)}}
ROW = {"step": int, "loss": float, "lr": float, "grad_norm": float, "tokens": int, "seconds": float,
       "validation?": float, "sample?": str, "written_at?": int}
LISTED = {"kept": str, "steps": int, "n_steps": int, "title": str, "text": str}


def on_colab() -> bool:
    return "google.colab" in sys.modules


def home() -> Path:
    """Where runs are kept: beside the notebook; on Colab, which forgets, on Google Drive if that is mounted."""
    return DRIVE / "minillm" / "runs" if on_colab() and DRIVE.is_dir() else Path("runs")


def fresh_folder(name: str) -> Path:
    """The first of name-001, name-002 … that is not there yet."""
    word = re.sub(r"[^\w-]+", "-", name).strip("-")[:40] or "run"
    return next(folder for number in range(1, 100_000) if not (folder := home() / f"{word}-{number:03}").exists())


def keep(run: Run, moments: Iterable[Moment], folder: Path, *, choices: dict[str, Any]) -> Path:
    """Write a run: checkpoint with optimizer, step and seed; one row of the log for each step; what it wrote.

    `choices` are what the reader's controls said.  The folder is whole at every moment (`disk`); `run.json` and
    `samples.txt` repeat for the eye what is in it.  A text that minillm cannot find by name is kept with it.
    """
    moments, corpus = list(moments), run.material.corpus
    about = {"text": corpus.name, "title": corpus.title, "digest": digest(corpus), "tokenizer": run.material.kind,
             "seed": run.seed, "lr": run.lr, "rule": run.rule, "amount": run.amount, "n_steps": run.n_steps,
             "batch_size": run.batch_size, "floor": run.floor, "choices": choices}
    save(run.model, run.material.tokenizer, folder, state=snapshot(run.optimizer, run.done, **about),
         log=map(as_row, moments))
    if corpus.name not in corpora.names() and not (folder / TEXT).exists():
        disk.write(folder / TEXT, json.dumps({"name": corpus.name, "title": corpus.title,
                                              "documents": corpus.documents}, ensure_ascii=False))
    written = [f"after {each.written_at} steps\n{each.sample.strip()}\n" for each in moments if each.sample]
    disk.write(folder / SAMPLES, "\n".join(written))
    held_out = [each.validation for each in moments if each.validation is not None]
    disk.write(folder / ABOUT, json.dumps({
        **about, "steps": run.done, "parameters": run.n_parameters, "held_out_nats_per_token": held_out[-1:],
        "bytes_per_token": run.material.bytes_per_token, "kept": datetime.now().isoformat(timespec="seconds")},
        indent=1, ensure_ascii=False) + "\n")
    return folder


def take_up(folder: Path) -> tuple[Run, list[Moment], dict[str, Any]]:
    """The run as it was kept, its log, and the reader's choices.  Going on gives the same numbers, to the last bit,
    as if it had never stopped.  Raises ValueError where the folder, or the text that it learned from, has changed."""
    state, log = load_state(folder), load_log(folder)
    reading.check(state, STATE, f"the state in {folder}")
    reading.check(log, [ROW], f"the log in {folder}")
    for name, known in (("rule", OPTIMIZERS), ("amount", AMOUNTS)):
        if state[name] not in known:
            raise ValueError(f"{folder} was learned with {name}={state[name]!r}, where there are {', '.join(known)}")
    model, tokenizer = load(folder)
    corpus = _text(Path(folder), state)
    material = made_ready(corpus, tokenizer, state["tokenizer"])
    run = Run(material, model.config, model=model.train(), lr=state["lr"], n_steps=state["n_steps"],
              seed=state["seed"], optimizer=state["rule"], amount=state["amount"],
              batch_size=state.get("batch_size", BATCH), floor=state.get("floor", FLOOR))      # kept before: the usual
    run.done = restore(state, run.optimizer)
    return run, [as_moment(row) for row in log], state["choices"]


def _text(folder: Path, state: dict[str, Any]) -> Corpus:
    """What the run learned from, unchanged."""
    if disk.find(folder, TEXT).exists():
        kept = reading.read_json(reading.inside(folder, TEXT), {"name": str, "title": str, "documents": [str]})
        corpus = Corpus(name=kept["name"], title=kept["title"], documents=tuple(kept["documents"]))
    else:
        corpus = corpora.load(state["text"])
    if digest(corpus) != state["digest"]:
        raise ValueError(f"{folder} learned from another version of {state['text']!r}; start a new run")
    return corpus


def digest(corpus: Corpus) -> str:
    return hashlib.sha256("\0".join(corpus.documents).encode()).hexdigest()[:16]


def as_row(moment: Moment) -> dict[str, Any]:
    """One line of the log."""
    row = dict(vars(moment.step))
    if moment.validation is not None:
        row["validation"] = moment.validation
    if moment.sample is not None:
        row |= {"sample": moment.sample, "written_at": moment.written_at}
    return row


def as_moment(row: dict[str, Any]) -> Moment:
    """What `as_row` wrote."""
    step = Step(**{name: row[name] for name in Step.__dataclass_fields__})
    return Moment(step, row.get("validation"), row.get("sample"), row.get("written_at", 0))


@dataclass(frozen=True)
class Kept:
    """A folder with a run in it, as far as a table needs it."""
    folder: Path
    about: dict[str, Any]

    @property
    def label(self) -> str:
        steps, n_steps = self.about["steps"], self.about["n_steps"]
        state = "finished" if steps >= n_steps else f"stopped at step {steps:,} of {n_steps:,}"
        return f"{self.folder.name}: {self.about['title'] or self.about['text']}, {state}"


def listed(place: Path | None = None) -> list[Kept]:
    """All runs that are kept, the latest first; folders with anything else in them are passed over."""
    found = []
    for path in (place or home()).glob(f"*/{ABOUT}"):
        try:
            about = reading.read_json(path, LISTED, within=path.parent)
            found.append((about["kept"], path.stat().st_mtime_ns, Kept(path.parent, about)))
        except (OSError, ValueError):
            continue
    return [kept for *_, kept in sorted(found, key=lambda each: each[:2], reverse=True)]


def age(then: float | None) -> str:
    """When it was saved, as a reader wants to know it."""
    mounted = "yes" if DRIVE.is_dir() else "no, this machine forgets: mount it"
    where = f"Drive mounted: {mounted} · " if on_colab() else ""
    if then is None:
        return f"{where}not saved yet"
    return f"{where}saved {max(0, round(time.time() - then))} s ago"
