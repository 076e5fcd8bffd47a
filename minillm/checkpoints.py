"""Put a model away and take it out again, exactly, whatever happens to the computer meanwhile."""
from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from minillm.config import ModelConfig
from minillm.corpora import data_folder
from minillm.model import Transformer
from minillm.tokenizers import WITH_MODEL, Tokenizer, load_tokenizer

FORMAT = "minillm checkpoint 1"
SUMS = "checksums.json"  # written last: a folder without it was never finished


def save(model: nn.Module, tokenizer: Tokenizer | None, folder: str | os.PathLike, *,
         state: dict[str, Any] | None = None, log: Iterable[dict[str, Any]] = ()) -> Path:
    """Write a folder: config.json, model.safetensors, tokenizer/, log.jsonl (one row a line), and, given a
    `state` of nested values and tensors (`training.snapshot`), state.json and state.safetensors.

    All goes to a temporary folder, which takes an older checkpoint's place when it is complete, so there is a
    whole one at every moment.  Refuses to replace a folder that is not a checkpoint, and a model with weights that
    `load` would find no place for (LoRA's, before `merge_lora`).
    """
    folder, model = Path(folder), bare(model)
    weights, tensors = _weights(model), {}
    check_described(model)
    described = None if state is None else _describe(state, "state", tensors)
    if torch.distributed.is_initialized() and torch.distributed.get_rank() > 0:
        return folder
    _recover(folder)
    if folder.exists() and not (folder / SUMS).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} holds something that is not a checkpoint; choose another folder")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        _write_json(draft / "config.json", {"format": FORMAT, "model": model.config.to_dict()})
        save_file(weights, draft / "model.safetensors")
        if tokenizer is not None:
            (draft / WITH_MODEL).mkdir()
            tokenizer.save(draft / WITH_MODEL)
        if state is not None:
            _write_json(draft / "state.json", described)
            save_file(tensors, draft / "state.safetensors")
        (draft / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log), encoding="utf-8")
        _write_json(draft / SUMS, {name: _sum(path) for name, path in _files(draft).items()})
        for path in _files(draft).values():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        if folder.exists():
            folder.rename(_old(folder))
        draft.rename(folder)
    except (OSError, SafetensorError) as error:
        before = "; what it held before is untouched" if (folder / SUMS).exists() else ""
        raise OSError(f"{folder} could not be written ({error}){before}; make room, or save into another folder"
                      ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(_old(folder), ignore_errors=True)
    return folder


def load(folder: str | os.PathLike, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
         ) -> tuple[Transformer, Tokenizer | None]:
    """The model, ready to be used (`eval` mode), and its tokenizer (None if it was saved without one).

    ``load("storyteller")`` takes the small model that ships; its weights are stored in 16 bits and computed in
    32.  `dtype` casts the weights (None: as they were saved).  Raises ValueError for a folder that is unfinished,
    was edited, or holds another model, and says which.
    """
    if not Path(folder).exists() and (ours := shipped(folder)):
        folder, dtype = ours, dtype or torch.float32
    folder = check(folder)
    config = ModelConfig.from_dict(_read_json(folder / "config.json")["model"])
    with torch.random.fork_rng([]):  # drawing weights that are about to be replaced is nobody's business
        model = Transformer(config)
    fill(model, load_file(folder / "model.safetensors"), source=str(folder))
    tokenizer = load_tokenizer(folder / WITH_MODEL) if (folder / WITH_MODEL).exists() else None
    return model.to(device, dtype).eval(), tokenizer


def shipped(name: str | os.PathLike) -> Path | None:
    """The folder of the model of this name that comes with minillm; None if there is none."""
    folder = data_folder() / "models" / name
    return folder if Path(name).parts == (folder.name,) and (folder / SUMS).is_file() else None


def load_state(folder: str | os.PathLike) -> dict[str, Any]:
    """The `state` that was saved with the model.  Raises ValueError where there is none."""
    folder = check(folder)
    if not (folder / "state.json").exists():
        raise ValueError(f"{folder} holds no state of a training run; it can be used, not resumed")
    return _restore(_read_json(folder / "state.json"), load_file(folder / "state.safetensors"))


def load_log(folder: str | os.PathLike) -> list[dict[str, Any]]:
    """The rows of the log that was saved with the model."""
    lines = (check(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def fill(model: nn.Module, tensors: dict[str, Tensor], *, source: str = "the checkpoint") -> None:
    """Copy tensors into a model, in their own dtype, strictly: a ValueError names the first missing,
    unexpected or misshapen one, and the model is then left as it was.
    """
    wanted = _weights(model)
    for name, tensor in wanted.items():
        if name not in tensors:
            raise ValueError(f"{source} has no tensor {name!r}, which this model needs")
        if tensors[name].shape != tensor.shape:
            theirs, ours = tuple(tensors[name].shape), tuple(tensor.shape)
            raise ValueError(f"{name!r} is {theirs} in {source}, but {ours} in this model; "
                             f"build the model from the checkpoint's own config")
    for name in tensors:
        if name not in wanted:
            raise ValueError(f"{source} has a tensor {name!r}, for which this model has no place")
    dtypes = {tensor.dtype for tensor in tensors.values()}
    if len(dtypes) == 1:
        model.to(dtypes.pop())
    with torch.no_grad():
        for name, tensor in _weights(model).items():
            tensor.copy_(tensors[name])


def check(folder: str | os.PathLike) -> Path:
    """Is this a whole checkpoint, as it was written?  Returns the folder; raises with the reason if not."""
    folder = Path(folder)
    _recover(folder)
    if not (folder / "config.json").exists():
        raise FileNotFoundError(f"{folder} holds no checkpoint: it has no config.json")
    kind = _read_json(folder / "config.json").get("format")
    if kind is None:
        raise ValueError(f"{folder} was not written by minillm.save; for a Hugging Face model use "
                         f"load_pretrained({str(folder)!r})")
    if not (folder / SUMS).exists():
        raise ValueError(f"{folder} is not finished: it has no {SUMS}; the copy or the download broke off")
    sums = _read_json(folder / SUMS)
    for name, expected in {"config.json": None, "model.safetensors": None, **sums}.items():
        if not (folder / name).exists():
            raise ValueError(f"{folder} is not whole: {name} is missing; copy it again from its source")
        if _sum(folder / name) != expected:
            raise ValueError(f"{folder / name} is not as it was saved (its SHA-256 differs): edited, "
                             f"or cut short; copy it again from its source")
    if kind != FORMAT:
        raise ValueError(f"{folder} has format {kind!r}; this minillm reads {FORMAT!r}")
    return folder


def bare(model: nn.Module) -> nn.Module:
    """The model itself: DDP keeps it in `module`, torch.compile in `_orig_mod`."""
    for wrapper in ("module", "_orig_mod"):
        model = getattr(model, wrapper, model)
    return model


def check_described(model: nn.Module) -> None:
    """Does its configuration say what the model is made of?  Raises ValueError naming the first tensor if not."""
    with torch.random.fork_rng([]), torch.device("meta"):
        plain = _once(Transformer(model.config))
    ours = _once(model)
    for name in [*ours, *plain]:
        here, there = (tuple(x[name].shape) if name in x else "absent" for x in (ours, plain))
        if here != there:
            raise ValueError(f"{name!r} is {here} in the model, but {there} by its configuration, so the model could "
                             f"not be opened again; change model.config with it, or, with LoRA layers, "
                             f"merge_lora(model) first")


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and persistent buffer once, in full."""
    return {name: _whole(tensor) for name, tensor in _once(model).items()}


def _once(model: nn.Module) -> dict[str, Tensor]:
    """Of tied parameters only the first name."""
    first: dict[int, str] = {}
    return {name: tensor for name, tensor in model.state_dict(keep_vars=True).items()
            if first.setdefault(id(tensor), name) == name}


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
    if isinstance(value, list):
        return [_restore(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    (kind, content), = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(_restore(item, tensors) for item in content)
    return {key: _restore(item, tensors) for key, item in content}


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _recover(folder: Path) -> None:
    """Finish a replacement that was cut off between its two renames."""
    if _old(folder).exists() and not folder.exists():
        _old(folder).rename(folder)
    shutil.rmtree(_old(folder), ignore_errors=True)


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


def _read_json(path: Path) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); the copy or the download broke off") from None
    if not isinstance(value, (dict, list) if path.name == "state.json" else dict):
        raise ValueError(f"{path} holds a {type(value).__name__} and no object; copy it again from its source")
    return value
