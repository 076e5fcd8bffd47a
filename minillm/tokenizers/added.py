"""Read the tokens that a published folder adds beside its `tokenizer.model`."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minillm.tokenizers.huggingface import FLAGS, MOST

FILES = ("added_tokens.json", "tokenizer_config.json")


def added_beside(folder: Path, pieces: dict[str, int]) -> dict[str, dict]:
    """`special` names and those that are one token in every text (`added`), each with its id; and of special ones that
    take the blanks beside them along, which (`strips`: lstrip, rstrip).

    As transformers reads them: `added_tokens.json` has ids alone, `added_tokens_decoder` of `tokenizer_config.json`
    what each is.  Left out are those that the model has as `pieces`.  Raises ValueError for what two files tell
    differently, and for flags that are not built here.
    """
    rows: dict[str, dict[str, Any]] = {}
    try:
        plain, config = (json.loads((folder / name).read_text("utf-8")) if (folder / name).is_file() else {}
                         for name in FILES)
        for name, i in plain.items():
            rows[name] = {"id": i, "special": True}
        for i, token in (config.get("added_tokens_decoder") or {}).items():
            name = token["content"]
            if rows.get(name, {}).get("id", int(i)) != int(i):
                raise ValueError(f"{folder} gives {name!r} two ids, {rows[name]['id']} and {i}; which is meant?")
            rows[name] = {**token, "id": int(i)}
    except (KeyError, TypeError, AttributeError, RecursionError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{' or '.join(FILES)} in {folder} does not list tokens ({error!r}); download it again"
                         ) from None
    special: dict[str, int] = {}
    always: dict[str, int] = {}
    strips: dict[str, list[str]] = {}
    for name, token in rows.items():
        if pieces.get(name) == token["id"]:
            continue
        if name in pieces:
            raise ValueError(f"{folder} gives {name!r} the id {token['id']}, but its model has it as {pieces[name]}; "
                             f"which is meant?")
        if type(token["id"]) is not int or not 0 <= token["id"] < MOST or not name:
            raise ValueError(f"{folder} adds {name!r} as {token['id']!r}, which is no name and id; download it again")
        flags = [flag for flag in FLAGS if token.get(flag)]
        if "single_word" in flags or flags and not token.get("special"):
            raise ValueError(f"{folder} adds {name!r} with {flags[0]}, which is not built here for it; its "
                             f"tokenizer.json alone, without tokenizer.model, may open")
        if flags:
            strips[name] = flags
        (special if token.get("special") else always)[name] = token["id"]
    return {"special": special, "added": always, "strips": strips}
