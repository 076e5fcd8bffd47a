"""Open published weights in the class just built, and hand ours to the tools that read theirs."""
from __future__ import annotations

import json
import os
import warnings
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from minillm import disk, weights
from minillm.checkpoints import bare, check_described
from minillm.config import ModelConfig
from minillm.conversation import Template, chat_template
from minillm.model import Transformer, WithoutWeights
from minillm.pretrained import files
from minillm.pretrained.families import family_for, family_of
from minillm.pretrained.layouts import State
from minillm.pretrained.roles import CHAT, GENERATION, take_chat, take_roles, tell_roles
from minillm.pretrained.settings import Family, same_model
from minillm.pretrained.wrapped import inner_name, text_of
from minillm.tokenizers import Tokenizer
from minillm.tokenizers.published import export_tokenizer, published_tokenizer

EXPORTED = ["config.json", GENERATION, CHAT, files.WEIGHTS, "tokenizer*.json", "tokenizer.model",
            "minillm_tokenizer.json"]
WANTED = ["config.json", GENERATION, "*.safetensors", files.INDEX, "tokenizer*", "added_tokens.json",
          "vocab.json", "merges.txt", CHAT, "chat_template.json"]


def load_pretrained(source: str | os.PathLike, *, dtype: torch.dtype = torch.float32
                    ) -> tuple[Transformer, Tokenizer | None]:
    """A published model and its tokenizer, from a folder, or by name ("gpt2") from the Hugging Face hub.

    A folder holds config.json, safetensors (one file, or shards) and the tokenizer's files; without those the
    tokenizer is None, and one that cannot be read here says why when it is asked for anything (`UnreadTokenizer`).
    Raises ValueError naming the first tensor or setting that does not fit,
    FileNotFoundError where a file is missing, ConnectionError or PermissionError where the hub gives nothing.
    Nothing is unpickled.
    """
    folder = Path(source) if Path(source).is_dir() else _download(str(source))
    if (folder / disk.NEXT).exists():
        raise ValueError(f"{folder} was cut off at the end of its replacement; export the model again, or move what "
                         f"is in {folder / disk.NEXT} one level up")
    theirs = files.read_json(folder / "config.json")
    files.check_kind(folder, theirs)
    if "text_config" not in theirs:
        family_of(theirs)  # what is of no family is refused as that, whatever else the folder lacks
    parts = files.parts(folder)
    held = weights.shapes(parts)
    outer, theirs = theirs, text_of(theirs, held)
    family = family_of(theirs)
    family.check_depth(theirs, len(held))
    config = family.read(theirs)
    names = names_of(family, config, theirs, {name: inner_name(name) if outer is not theirs else name for name in held})
    check_shapes(family, config, {names[name]: what for name, what in held.items() if name in names})
    theirs_by_name = one_of_twins(family, config, {
        names[name]: x for name, x in weights.tensors(parts) if name in names})
    state = family.load(theirs_by_name, config, theirs)
    model, tokenizer = build(config, cast(state, dtype)), published_tokenizer(folder)
    if tokenizer is not None:
        take_roles(tokenizer, folder, theirs)
        take_chat(tokenizer, folder)
        model.nameless = tokenizer.nameless(config.vocab_size)
    return model, tokenizer


def names_of(family: Family, config: ModelConfig, theirs: dict[str, Any], names: dict[str, str | None]
             ) -> dict[str, str]:
    """Name in the file -> name in the language model.  What is of no use to it is left out, and told by its names."""
    out = {name for name, inner in names.items() if inner is None or family.is_ahead(inner, theirs, config.n_layers)}
    for what, left in (("of other senses than text", {name for name in out if names[name] is None}),
                       ("that guess tokens further ahead", {name for name in out if names[name] is not None})):
        if left:
            begins = sorted({_place(name) for name in left})
            more = f" and {len(begins) - 3} more" * (len(begins) > 3)
            warnings.warn(f"{len(left)} tensors {what} are left out: {', '.join(begins[:3])}{more}; the model here "
                          f"reads and writes text, one token after the other", stacklevel=3)
    return {name: inner for name, inner in names.items() if inner is not None and name not in out}


def _place(name: str) -> str:
    """"model.layers.61.mlp.…" -> "model.layers.61", "model.vision_tower.…" -> "model.vision_tower" """
    deep = 1 + name.startswith("model.") + name.startswith("model.layers.")
    return ".".join(name.split(".")[:deep])


def cast(state: State, dtype: torch.dtype) -> State:
    """Every tensor in this dtype; a warning where that rounds what was worked out as it was read (Gemma's gains)."""
    stored, rounded = state["embed.weight"].dtype, {name: x.to(dtype) for name, x in state.items()}
    moved = [name for name, x in state.items() if x.dtype != stored and not torch.equal(rounded[name].to(x.dtype), x)]
    if moved and stored == dtype:
        warnings.warn(f"{moved[0]!r} (and {len(moved) - 1} like it) is worked out from what the file stores, and "
                      f"{dtype} rounds it: load with dtype=torch.float32 for the published model's very numbers",
                      stacklevel=3)
    return rounded


def check_shapes(family: Family, config: ModelConfig, held: dict[str, tuple]) -> None:
    """Do the files hold each tensor that this configuration needs, in its shape, and no other?  On paper: nothing is
    read, and no size is believed that the weights do not bear out."""
    on_paper = weights.on_paper(config, held, "config.json", apart=family.has_experts_apart)
    state = on_paper.state_dict()
    try:
        expected = {name: tuple(x.shape) for name, x in family.save(state, config.resolve()).items()}
    except (RuntimeError, OverflowError, TypeError) as error:
        raise ValueError(f"sizes such as config.json's cannot be built ({str(error).splitlines()[0]}); do "
                         f"config.json and weights belong together?") from None
    have: dict[str, str] = {}
    for name, (_, kind, _) in held.items():
        if family.is_computed(name):
            continue
        if (full := family.full_name(name)) in have:
            raise ValueError(f"{name!r} and {have[full]!r} are one tensor by their names; which is meant?")
        if kind not in files.FLOATS:
            raise ValueError(f"{name!r} holds numbers of kind {kind}, not {', '.join(files.FLOATS)}: quantized "
                             f"weights, which are not opened here; choose the checkpoint in full precision")
        have[full] = name
    twin = family.twin(config)
    for name in [*expected, *have]:
        if name not in expected and name not in twin:
            raise ValueError(f"the weights hold {have[name]!r}, which this configuration has no place for; do "
                             f"config.json and weights belong together?")
        if name not in have:
            raise ValueError(f"the weights lack {name!r}, which this configuration needs; do config.json and weights "
                             f"belong together?")
        want, found = expected[twin.get(name, name)], held[have[name]][0]
        if found != want:
            raise ValueError(f"{have[name]!r} is of shape {found}, but the configuration needs {want}; do "
                             f"config.json and weights belong together?")


def one_of_twins(family: Family, config: ModelConfig, state: State) -> State:
    """The tensors that the model is built from: no tables, and of tied ones the first.  A second must not differ."""
    state = {name: x for name, x in state.items() if not family.is_computed(name)}
    by_name = {family.full_name(name): name for name in state}
    for name, first in family.twin(config).items():
        if name in by_name and not torch.equal(state.pop(by_name[name]), state[by_name[first]]):
            raise ValueError(f"{by_name[name]!r} differs from {by_name[first]!r}, but tie_word_embeddings is true, "
                             f"which makes them one; which is meant?")
    return state


def build(config: ModelConfig, state: State) -> Transformer:
    """A model around these very tensors, copied only where they lie in memory with gaps (what was turned or cut out of
    a larger matrix), which no optimizer's fused kernel expects.  Strict: each name and shape has to fit."""
    with WithoutWeights():
        model = Transformer(config)
    if config.tie_embeddings:
        state = state | {"unembed.weight": state["embed.weight"]}
    model.load_state_dict({name: nn.Parameter(x.contiguous()) for name, x in state.items()}, assign=True)
    if config.tie_embeddings:
        model.unembed.weight = model.embed.weight
    return model.to(model.embed.weight.dtype).eval()  # with what is worked out, not stored


def export_hf(model: Transformer, tokenizer: Tokenizer | None, folder: str | os.PathLike, *,
              template: Template | None = None) -> Path:
    """Write a folder that `transformers` (and what reads its format) opens, with equal logits and tokens; with a
    `template`, its `apply_chat_template` asks as that does, and without one as a published tokenizer's own says.

    Raises ValueError where no published family has this combination of choices, naming the fields in the way.
    The folder appears complete or not at all; an earlier export is replaced, one that holds something else is not.
    """
    folder, model = Path(folder), bare(model)
    if template is not None and tokenizer is None:
        raise ValueError("a template says how questions are put to a tokenizer, and there is none; export without it, "
                         "or give the tokenizer")
    if folder.exists() and not _is_export(folder):
        raise FileExistsError(f"{folder} holds something else; export into a new folder")
    check_described(model)
    family = family_for(model.config)
    theirs = family.write(model.config)
    if not same_model(family.read(theirs), model.config):
        raise ValueError(f"the {family.model_type} format does not give {model.config} back; "
                         f"please report this")
    if family.model_type == "deepseek":
        warnings.warn("transformers has no class for a mixture with shared experts and attention of this kind; the "
                      "folder opens here, and there with the code of deepseek-ai/deepseek-moe-16b-base", stacklevel=2)
    dtype = str(model.embed.weight.dtype).removeprefix("torch.")
    roles = tell_roles(tokenizer)
    theirs |= roles | {"torch_dtype": dtype}
    state = {name: x.detach().cpu().contiguous()
             for name, x in family.save(model.state_dict(), model.config.resolve()).items()}

    try:
        with disk.folder(folder, seal="config.json", ours=_exported) as draft:
            (draft / "config.json").write_text(json.dumps(theirs, indent=2) + "\n", encoding="utf-8")
            (draft / GENERATION).write_text(json.dumps(roles, indent=2) + "\n", encoding="utf-8")
            save_file(state, draft / files.WEIGHTS, metadata={"format": "pt"})
            if tokenizer is not None:
                export_tokenizer(tokenizer, draft)
                chat = (tokenizer.chat if template is None
                        else chat_template(template, begins=tokenizer.roles.always))
                if chat:
                    (draft / CHAT).write_bytes(chat.encode("utf-8"))
    except (OSError, SafetensorError) as error:
        raise OSError(f"{folder} could not be written ({error}); make room, or export into another folder") from error
    return folder


def _is_export(folder: Path) -> bool:
    """Is this an empty folder, or one with an export and nothing beside it?"""
    if disk.is_empty(folder) or not folder.is_dir():
        return folder.is_dir()
    config = disk.find(folder, "config.json")
    return disk.is_empty(folder, but=_exported(folder)) and config.is_file() and "model_type" in files.read_json(config)


def _exported(folder: Path) -> list[str]:
    """What an earlier export left in a folder."""
    return [path.name for path in folder.iterdir() if any(fnmatch(path.name, wanted) for wanted in EXPORTED)]


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
