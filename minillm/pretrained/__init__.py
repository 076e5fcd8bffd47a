"""Open published weights in the class just built, and hand ours to the tools that read theirs."""
from __future__ import annotations

import json
import os
from fnmatch import fnmatch
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from minillm import disk
from minillm.checkpoints import bare, check_described
from minillm.config import ModelConfig, canonical
from minillm.model import Transformer, WithoutWeights
from minillm.pretrained.families import family_for, family_of
from minillm.pretrained.layouts import State
from minillm.tokenizers import Tokenizer
from minillm.tokenizers.published import export_tokenizer, published_tokenizer

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
EXPORTED = ["config.json", WEIGHTS, "tokenizer*.json", "tokenizer.model", "minillm_tokenizer.json"]
WANTED = ["config.json", "*.safetensors", INDEX, "tokenizer*", "vocab.json", "merges.txt"]


def load_pretrained(source: str | os.PathLike, *, dtype: torch.dtype = torch.float32
                    ) -> tuple[Transformer, Tokenizer | None]:
    """A published model and its tokenizer, from a folder, or by name ("gpt2") from the Hugging Face hub.

    A folder holds config.json, safetensors (one file, or shards) and the tokenizer's files; without those the
    tokenizer is None.  Raises ValueError naming the first tensor or setting that does not fit,
    FileNotFoundError where a file is missing, ConnectionError or PermissionError where the hub gives nothing.
    Nothing is unpickled.
    """
    folder = Path(source) if Path(source).is_dir() else _download(str(source))
    if (folder / disk.NEXT).exists():
        raise ValueError(f"{folder} was cut off at the end of its replacement; export the model again, or move what "
                         f"is in {folder / disk.NEXT} one level up")
    theirs = _read_json(folder / "config.json")
    if "format" in theirs and "model_type" not in theirs:
        raise ValueError(f"{folder} was written by minillm.save; open it with load({str(folder)!r})")
    family = family_of(theirs)
    config = family.read(theirs)
    state = family.load({name: x.to(dtype) for name, x in _read_weights(folder).items()}, config)
    return build(config, state), published_tokenizer(folder)


def build(config: ModelConfig, state: State) -> Transformer:
    """A model around these very tensors, copied only where they lie in memory with gaps (what was turned or cut out of
    a larger matrix), which no optimizer's fused kernel expects.  Strict: each name and shape has to fit."""
    with WithoutWeights():
        model = Transformer(config)
    if config.tie_embeddings:
        state = state | {"unembed.weight": state["embed.weight"]} if "embed.weight" in state else state
    expected = model.state_dict()
    for name, have, want in [(name, state.get(name), expected.get(name)) for name in [*expected, *state]]:
        if have is None or want is None:
            raise ValueError(f"the weights {'lack' if have is None else 'hold'} {name!r}, which this "
                             f"configuration {'needs' if have is None else 'has no place for'}; "
                             f"do config.json and weights belong together?")
        if have.shape != want.shape:
            raise ValueError(f"{name!r} is of shape {tuple(have.shape)}, but the configuration needs "
                             f"{tuple(want.shape)}; do config.json and weights belong together?")
    model.load_state_dict({name: nn.Parameter(x.contiguous()) for name, x in state.items()}, assign=True)
    if config.tie_embeddings:
        model.unembed.weight = model.embed.weight
    return model.eval()


def export_hf(model: Transformer, tokenizer: Tokenizer | None, folder: str | os.PathLike) -> Path:
    """Write a folder that `transformers` (and what reads its format) opens, with equal logits and tokens.

    Raises ValueError where no published family has this combination of choices, naming the fields in the way.
    The folder appears complete or not at all; an earlier export is replaced, one that holds something else is not.
    """
    folder, model = Path(folder), bare(model)
    if folder.exists() and not _is_export(folder):
        raise FileExistsError(f"{folder} holds something else; export into a new folder")
    check_described(model)
    family = family_for(model.config)
    theirs = family.write(model.config)
    if family.read(theirs) != canonical(model.config):
        raise ValueError(f"the {family.model_type} format does not give {model.config} back; "
                         f"please report this")
    end = tokenizer.end_of_text if tokenizer else None
    dtype = str(model.embed.weight.dtype).removeprefix("torch.")
    theirs |= {"bos_token_id": None, "eos_token_id": end, "pad_token_id": None, "torch_dtype": dtype}
    state = {name: x.detach().cpu().contiguous()
             for name, x in family.save(model.state_dict(), model.config.resolve()).items()}

    try:
        with disk.folder(folder, seal="config.json", ours=_exported) as draft:
            (draft / "config.json").write_text(json.dumps(theirs, indent=2) + "\n", encoding="utf-8")
            save_file(state, draft / WEIGHTS, metadata={"format": "pt"})
            if tokenizer is not None:
                export_tokenizer(tokenizer, draft)
    except (OSError, SafetensorError) as error:
        raise OSError(f"{folder} could not be written ({error}); make room, or export into another folder") from error
    return folder


def _is_export(folder: Path) -> bool:
    """Is this an empty folder, or one with an export and nothing beside it?"""
    if disk.is_empty(folder) or not folder.is_dir():
        return folder.is_dir()
    config = disk.find(folder, "config.json")
    return disk.is_empty(folder, but=_exported(folder)) and config.is_file() and "model_type" in _read_json(config)


def _exported(folder: Path) -> list[str]:
    """What an earlier export left in a folder."""
    return [path.name for path in folder.iterdir() if any(fnmatch(path.name, wanted) for wanted in EXPORTED)]


def _read_weights(folder: Path) -> State:
    if (folder / INDEX).is_file():
        shards = sorted(set(_read_json(folder / INDEX)["weight_map"].values()))
    elif (folder / WEIGHTS).is_file():
        shards = [WEIGHTS]
    else:
        pickled = " (it holds pickled weights, which can run any code and are not opened)" if any(
            folder.glob("*.bin")) else ""
        raise FileNotFoundError(f"{folder} holds no {WEIGHTS}{pickled}; choose a checkpoint in safetensors")
    state: State = {}
    for shard in shards:
        if not (folder / shard).is_file():
            raise FileNotFoundError(f"{folder} lacks {shard}, one of {len(shards)} parts of the weights; "
                                    f"download the folder again")
        try:
            state |= load_file(folder / shard)
        except Exception as error:  # safetensors raises its own kind, which says nothing of the file
            raise ValueError(f"{folder / shard} is damaged or cut short ({error}); "
                             f"download it again") from error
    return state


def _read_json(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} holds no {path.name}; is it a folder with a published model?")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); download it again") from None


def _download(name: str) -> Path:
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise FileNotFoundError(f"there is no folder {name}; give an existing one, "
                                f"or a model's name on the hub")
    try:
        from huggingface_hub import errors, snapshot_download
    except ImportError:
        raise ImportError(f"fetching {name!r} by name needs huggingface_hub: pip install huggingface_hub tokenizers; "
                          f"or give a folder that holds the model") from None
    try:
        return Path(snapshot_download(name, allow_patterns=WANTED))
    except errors.GatedRepoError:
        raise PermissionError(f"{name!r} asks you to accept its licence first: do so on "
                              f"huggingface.co/{name}, then log in with `hf auth login`") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise FileNotFoundError(f"there is no folder {name!r}, and the hub knows no model of that name; "
                                f"check the spelling") from None
    except Exception as error:  # every client library has its own for "no network"
        raise ConnectionError(f"{name!r} is no folder here, and the hub cannot be reached "
                              f"({type(error).__name__}); give a folder, or try again online") from error
