"""Read and write what a published model uses its special tokens for, and how it writes a conversation down."""
from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from minillm import reading
from minillm.pretrained.files import read_json
from minillm.tokenizers import Tokenizer, huggingface
from minillm.tokenizers.protocol import Roles

GENERATION = "generation_config.json"  # of several files that tell, the one that holds
CHAT = "chat_template.jinja"  # so, too; older folders have it in tokenizer_config.json


def take_roles(tokenizer: Tokenizer, folder: Path, theirs: dict[str, Any]) -> None:
    """Tell a tokenizer what generation_config.json says, else config.json, else tokenizer_config.json."""
    told = {key: value for key, value in theirs.items() if value is not None}
    if (folder / GENERATION).is_file():
        told |= {key: value for key, value in read_json(folder / GENERATION).items() if value is not None}
    names = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}

    def read(role: str) -> tuple[int, ...]:
        ids = told.get(f"{role}_token_id")
        if ids is None:
            name = names.get(f"{role}_token")
            ids = tokenizer.special.get(name.get("content") if isinstance(name, dict) else name)
        ids = ids if isinstance(ids, list) else [] if ids is None else [ids]
        if not all(type(i) is int for i in ids):
            raise ValueError(f"{role}_token_id={ids} in {folder} is no id and no list of ids; which token is meant?")
        return tuple(i for i in ids if 0 <= i < tokenizer.vocab_size)  # another could never be drawn

    (begin, *_), ends, (padding, *_) = (*read("bos"), None), read("eos"), (*read("pad"), None)
    always = names.get("add_bos_token", True) is True
    if (folder / huggingface.FILE).is_file():
        path = folder / huggingface.FILE
        always = begin is not None and begin == huggingface.first_of_every_text(read_json(path), path)
    tokenizer.roles = Roles(begin, ends, padding, always=begin is not None and always)


def tell_roles(tokenizer: Tokenizer | None) -> dict[str, Any]:
    """The same for config.json and generation_config.json."""
    if tokenizer is None:
        return {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    ends = tokenizer.ends
    return {"bos_token_id": tokenizer.roles.begin, "pad_token_id": tokenizer.roles.padding,
            "eos_token_id": list(ends) if len(ends) > 1 else next(iter(ends), None)}


def take_chat(tokenizer: Tokenizer, folder: Path) -> None:
    """Keep a folder's chat template with its tokenizer, as it stands, so that an export has it again."""
    if (folder / CHAT).is_file():
        try:
            tokenizer.chat = reading.contents(folder / CHAT, within=folder).decode("utf-8")  # its line ends, too
        except UnicodeDecodeError as error:
            raise ValueError(f"{folder / CHAT} is not UTF-8 text (byte {error.start:,}); download it again, or remove "
                             f"it: it is only handed on") from None
        return
    for name in ("chat_template.json", "tokenizer_config.json"):
        told = read_json(folder / name).get("chat_template") if (folder / name).is_file() else None
        if isinstance(told, list):  # several, by name; transformers uses the one called "default"
            named = {each["name"]: each.get("template") for each in told
                     if isinstance(each, dict) and isinstance(each.get("name"), str)}
            told = named.pop("default", None)
            if named:
                warnings.warn(f"{folder / name} has chat templates by the names {', '.join(named)}; "
                              f"{'only “default” is' if told else 'none is'} kept for an export", stacklevel=3)
        if isinstance(told, str):
            tokenizer.chat = told
            return
