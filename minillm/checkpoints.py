"""Put a model away and take it out again, exactly, whatever happens to the computer meanwhile."""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from minillm import disk, reading, weights
from minillm.config import ModelConfig
from minillm.corpora import data_folder
from minillm.model import Transformer, WithoutWeights
from minillm.tokenizers import WITH_MODEL, Tokenizer, load_tokenizer

FORMAT = "minillm checkpoint 1"
MOST_CONFIG = 1 << 20  # bytes of what takes a few thousand
MOST = {"state.json": 64 << 20, "log.jsonl": 256 << 20}  # a row of some hundred for each of two million steps
SUMS = "checksums.json"  # written last: a folder without it was never finished


def save(model: nn.Module, tokenizer: Tokenizer | None, folder: str | os.PathLike, *,
         state: dict[str, Any] | None = None, log: Iterable[dict[str, Any]] = ()) -> Path:
    """Write a folder: config.json, model.safetensors, tokenizer/, log.jsonl (one row a line), and, given a
    `state` of nested values and tensors (`training.snapshot`), state.json and state.safetensors.

    It appears at once, beside what else is in the folder, and an older checkpoint is there until then (`disk`): there
    is a whole one at every moment.  Refuses a folder that holds something else, and a model with weights that `load`
    would find no place for (LoRA's, before `merge_lora`).
    """
    return _save(model, tokenizer, folder, state, log)


def rehearse(model: nn.Module, tokenizer: Tokenizer | None, folder: str | os.PathLike, *,
             state: dict[str, Any] | None = None, log: Iterable[dict[str, Any]] = ()) -> None:
    """Do all that `save` does but for the last step: what it raises, `save` would later, with more to lose."""
    with suppress(_Rehearsed):
        _save(model, tokenizer, folder, state, log, keep=False)


def load(folder: str | os.PathLike, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
         ) -> tuple[Transformer, Tokenizer | None]:
    """The model, ready to be used (`eval` mode), and its tokenizer (None if it was saved without one).

    ``load("storyteller")`` takes the small model that ships; its weights are stored in 16 bits and computed in
    32.  `dtype` casts the weights (None: as they were saved).  Raises ValueError for a folder that is unfinished,
    was edited, or holds another model, and says which.  Nothing is written, and a process that saves into the folder
    meanwhile does no harm.
    """
    if not Path(folder).exists() and (ours := shipped(folder)):
        folder, dtype = ours, dtype or torch.float32

    def read(folder: Path, names: Iterable[str]) -> tuple[Transformer, Tokenizer | None]:
        config = load_config(folder)
        with torch.random.fork_rng([]):  # drawing weights that are about to be replaced is nobody's business
            model = Transformer(config)
        fill(model, dict(weights.tensors([reading.inside(folder, "model.safetensors")])), source=str(folder))
        spoken = any(name.startswith(f"{WITH_MODEL}/") for name in names)
        return model, load_tokenizer(disk.find(folder, WITH_MODEL)) if spoken else None

    model, tokenizer = _undisturbed(folder, read)
    if tokenizer is not None:
        model.nameless = tokenizer.nameless(model.config.vocab_size)
    return model.to(device, dtype).eval(), tokenizer


def shipped(name: str | os.PathLike) -> Path | None:
    """The folder of the model of this name that comes with minillm; None if there is none."""
    folder = data_folder() / "models" / name
    return folder if Path(name).parts == (folder.name,) and (folder / SUMS).is_file() else None


def load_config(folder: str | os.PathLike) -> ModelConfig:
    """What a checkpoint's model is made of, as the header of its weights bears out; none of them is read."""
    told = _config(folder := Path(folder))
    return weights.confirmed(told["model"], reading.inside(folder, "model.safetensors"), folder)


def load_state(folder: str | os.PathLike) -> dict[str, Any]:
    """The `state` that was saved with the model.  Raises ValueError where there is none."""
    def read(folder: Path, names: Iterable[str]) -> dict[str, Any]:
        if "state.json" not in names:
            raise ValueError(f"{folder} holds no state of a training run; it can be used, not resumed")
        tensors = dict(weights.tensors([reading.inside(folder, "state.safetensors")]))
        return _restore(_read(folder, "state.json", {"items": list}), tensors)
    return _undisturbed(folder, read)


def load_log(folder: str | os.PathLike) -> list[dict[str, Any]]:
    """The rows of the log that was saved with the model."""
    def read(folder: Path, names: Iterable[str]) -> list[dict[str, Any]]:
        path = reading.inside(folder, "log.jsonl")
        rows = reading.contents(path, most=MOST["log.jsonl"]).removesuffix(b"\n").split(b"\n")
        log = reading.parse(b"[" + b",".join(filter(None, rows)) + b"]", path)
        reading.check(log, [dict], path)
        return log
    return _undisturbed(folder, read)


def fill(model: nn.Module, tensors: dict[str, Tensor], *, source: str = "the checkpoint") -> None:
    """Copy tensors into a model, in their own dtype, strictly: a ValueError names the first missing,
    unexpected or misshapen one, and the model is then left as it was.
    """
    weights.fits(model, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, source)
    dtypes = {tensor.dtype for tensor in tensors.values()}
    if len(dtypes) == 1:
        model.to(dtypes.pop())
    with torch.no_grad():
        for name, tensor in _weights(model).items():
            tensor.copy_(tensors[name])


def check(folder: str | os.PathLike) -> Path:
    """Is this a whole checkpoint, as it was written?  Returns the folder; raises with the reason if not."""
    return _undisturbed(folder, lambda folder, names: folder)


def bare(model: nn.Module) -> nn.Module:
    """The model itself: DDP keeps it in `module`, torch.compile in `_orig_mod`."""
    for wrapper in ("module", "_orig_mod"):
        model = getattr(model, wrapper, model)
    return model


def check_described(model: nn.Module) -> None:
    """Does its configuration say what the model is made of?  Raises ValueError naming the first tensor if not."""
    with WithoutWeights():
        plain = weights.once(Transformer(model.config))
    ours = weights.once(model)
    for name in [*ours, *plain]:
        here, there = (tuple(x[name].shape) if name in x else "absent" for x in (ours, plain))
        if here != there:
            raise ValueError(f"{name!r} is {here} in the model, but {there} by its configuration, so it could not be "
                             f"opened again; change model.config with it, or merge_lora(model) first")


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and persistent buffer once, in full."""
    return {name: _whole(tensor) for name, tensor in weights.once(model).items()}


def _whole(tensor: Tensor) -> Tensor:
    whole = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # FSDP2 keeps it split
    return whole.detach().contiguous()


def _describe(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Nested values as JSON: a tensor goes into `tensors` and leaves its name; keys and tuples stay such."""
    if isinstance(value, Tensor):
        while path in tensors:  # two rows of keys may read alike: "a.b", and "b" in "a"
            path += "'"
        tensors[path] = _whole(value).clone()
        return {"tensor": path}
    if isinstance(value, dict):
        return {"items": [[key, _describe(item, f"{path}.{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_describe(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{path} is a {type(value).__name__}; a state holds tensors, numbers, text, lists, dicts")


def _restore(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The reverse.  Refuses what `_describe` never writes."""
    if isinstance(value, list):
        return [_restore(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    kind, content = next(iter(value.items())) if len(value) == 1 else ("", None)
    if kind == "tensor" and isinstance(content, str) and content in tensors:
        return tensors[content]
    if kind == "tuple" and isinstance(content, list):
        return tuple(_restore(item, tensors) for item in content)
    if kind == "items" and isinstance(content, list) and all(
            isinstance(row, list) and len(row) == 2 and isinstance(row[0], (str, int, float)) for row in content):
        return {key: _restore(item, tensors) for key, item in content}
    raise ValueError(f"the state holds {reading.shown(value)}, which is no tensor of its file, tuple or dict as they "
                     f"are written; copy it again from its source")


def _save(model: nn.Module, tokenizer: Tokenizer | None, folder: str | os.PathLike, state: dict[str, Any] | None,
          log: Iterable[dict[str, Any]], *, keep: bool = True) -> Path:
    folder, model = Path(folder), bare(model)
    learned, tensors = _weights(model), {}
    check_described(model)
    described = None if state is None else _describe(state, "state", tensors)
    if torch.distributed.is_initialized() and torch.distributed.get_rank() > 0:
        return folder
    if folder.exists() and not disk.find(folder, SUMS).exists() and not disk.is_empty(folder):
        raise FileExistsError(f"{folder} holds something that is not a checkpoint; choose another folder")
    try:
        with disk.folder(folder, seal=SUMS, ours=_listed) as draft:
            _write_json(draft / "config.json", {"format": FORMAT, "model": model.config.to_dict()})
            save_file(learned, draft / "model.safetensors")
            if tokenizer is not None:
                (draft / WITH_MODEL).mkdir()
                tokenizer.save(draft / WITH_MODEL)
            if state is not None:
                _write_json(draft / "state.json", described)
                save_file(tensors, draft / "state.safetensors")
            (draft / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log), encoding="utf-8")
            _write_json(draft / SUMS, {name: _sum(path) for name, path in _files(draft).items()})
            if not keep:
                raise _Rehearsed
    except (OSError, SafetensorError, UnicodeEncodeError) as error:
        before = "; what it held before is untouched" if disk.find(folder, SUMS).exists() else ""
        raise OSError(f"{folder} could not be written ({error}){before}; make room, or save elsewhere") from error
    return folder


class _Rehearsed(Exception):
    """All went well, and nothing is to be kept."""


def _undisturbed(folder: str | os.PathLike, read: Callable[[Path, Iterable[str]], Any]) -> Any:
    """What `read` makes of a whole checkpoint; once more where another process replaced it meanwhile."""
    folder = Path(folder)
    for turn in range(20):
        before, moving = _seal(folder), (folder / disk.NEXT).exists()  # its files move into their places one by one
        try:
            value = read(folder, _check(folder))
        except (OSError, ValueError, SafetensorError):
            moving = moving or (folder / disk.NEXT).exists()
            if not (moving and turn < 10) and _seal(folder) == before:
                raise
        else:
            if _seal(folder) == before:
                return value
    raise OSError(f"{folder} is written again and again by another process; copy it when that has ended")


def _seal(folder: Path) -> bytes | None:
    for _ in range(3):  # it may move as well
        with suppress(OSError, ValueError):
            return reading.contents(disk.find(folder, SUMS), within=folder)


def _config(folder: Path) -> dict[str, Any]:
    if not disk.find(folder, "config.json").exists():
        raise FileNotFoundError(f"{folder} holds no checkpoint: it has no config.json")
    told = _read(folder, "config.json")
    if told.get("format") is None:
        raise ValueError(f"{folder} was not written by minillm.save; for a Hugging Face model use "
                         f"load_pretrained({str(folder)!r})")
    reading.check(told, {"model": dict}, folder / "config.json")
    return told


def _check(folder: Path) -> list[str]:
    """The names of all that is in a checkpoint, which is as it was saved."""
    kind = _config(folder)["format"]
    if not disk.find(folder, SUMS).exists():
        raise ValueError(f"{folder} is not finished: it has no {SUMS}; the copy or the download broke off")
    sums = _read(folder, SUMS, {str: str})
    for name, expected in {"config.json": None, "model.safetensors": None, **sums}.items():
        if disk.leads_inside(name) and not disk.find(folder, name).exists():
            raise ValueError(f"{folder} is not whole: {name} is missing; copy it again from its source")
        if _sum(reading.inside(folder, name)) != expected:
            raise ValueError(f"{folder / name} is not as it was saved (its SHA-256 differs): edited, "
                             f"or cut short; copy it again from its source")
    if kind != FORMAT:
        raise ValueError(f"{folder} has format {kind!r}; this minillm reads {FORMAT!r}")
    return [*sums]


def _listed(folder: Path) -> list[str]:
    """What an earlier checkpoint left in a folder."""
    try:
        return [*reading.read_json(folder / SUMS, within=folder), SUMS]
    except (OSError, ValueError):
        return []


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        sha = hashlib.sha256()
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _read(folder: Path, name: str, form: Any = dict) -> Any:
    return reading.read_json(reading.inside(folder, name), form, most=MOST.get(name, MOST_CONFIG),
                             halves=name == "state.json")
