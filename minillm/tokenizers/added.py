"""Read the tokens that a published folder adds beside its `tokenizer.model`."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from minillm import reading
from minillm.tokenizers.huggingface import FLAGS
from minillm.tokenizers.protocol import ID

FILES = {"added_tokens.json": {str: int}, "tokenizer_config.json": {"added_tokens_decoder?": {str: {"content": str}}}}


def added_beside(folder: Path, pieces: dict[str, int]) -> dict[str, dict]:
    """`special` names and those that are one token in every text (`added`), each with its id; and of special ones that
    take the blanks beside them along, which (`strips`: lstrip, rstrip).

    As transformers reads them: `added_tokens.json` has ids alone, `added_tokens_decoder` of `tokenizer_config.json`
    what each is.  Left out are those that the model has as `pieces`.  Raises ValueError for what two files tell
    differently, and for flags that are not built here.
    """
    rows: dict[str, dict[str, Any]] = {}
    plain, config = (reading.read_json(folder / name, form, within=folder) if (folder / name).is_file() else {}
                     for name, form in FILES.items())
    for name, i in plain.items():
        rows[name] = {"id": i, "special": True}
    for i, token in (config.get("added_tokens_decoder") or {}).items():
        name, id = token["content"], int(i) if i.isdecimal() and len(i) < 10 else i
        if rows.get(name, {}).get("id", id) != id:
            raise ValueError(f"{folder} gives {name!r} two ids, {rows[name]['id']} and {i}; which is meant?")
        rows[name] = {**token, "id": id}
    special: dict[str, int] = {}
    always: dict[str, int] = {}
    strips: dict[str, list[str]] = {}
    for name, token in rows.items():
        if pieces.get(name) == token["id"]:
            continue
        if name in pieces:
            raise ValueError(f"{folder} gives {name!r} the id {token['id']}, but its model has it as {pieces[name]}; "
                             f"which is meant?")
        if token["id"] not in ID or not name:
            raise ValueError(f"{folder} adds {name!r} as {token['id']!r}, which is no name and id; download it again")
        flags = [flag for flag in FLAGS if token.get(flag)]
        if "single_word" in flags or flags and not token.get("special"):
            raise ValueError(f"{folder} adds {name!r} with {flags[0]}, which is not built here for it; its "
                             f"tokenizer.json alone, without tokenizer.model, may open")
        if flags:
            strips[name] = flags
        (special if token.get("special") else always)[name] = token["id"]
    return {"special": special, "added": always, "strips": strips}
