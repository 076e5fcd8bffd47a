"""Find what a published folder holds, and read nothing of it before it is known to fit."""
from __future__ import annotations

from pathlib import Path

from minillm import reading

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
FLOATS = ("F64", "F32", "F16", "BF16")
KINDS = {  # a file's name -> what a folder that holds it and no whole model is
    "adapter_config.json": "an adapter (LoRA), whose small matrices belong to another model; merge the two with peft "
                           "(merge_and_unload) and open the result",
    "*.gguf": "a model in llama.cpp's format; choose the checkpoint in safetensors that it was made from",
    "*.bin": "pickled weights, which can run any code and are not opened; choose a checkpoint in safetensors",
    "*.index.json": "a list of parts without the parts; download the folder again"}


def read_json(path: Path) -> dict:
    """The object in a JSON file.  Raises FileNotFoundError, or ValueError where it is something else."""
    if not path.exists():
        raise FileNotFoundError(f"{path.parent} holds no {path.name}{_instead(path.parent)}; is it a folder with a "
                                f"published model?")
    return reading.read_json(path, within=path.parent)


def check_kind(folder: Path, theirs: dict) -> None:
    """Refuse what is no language model in full precision by what it is, not by its first odd tensor."""
    if "format" in theirs and "model_type" not in theirs:
        raise ValueError(f"{folder} was written by minillm.save; open it with load({str(folder)!r})")
    if theirs.get("quantization_config"):
        raise ValueError(f"{folder} holds quantized weights (quantization_config), which are not opened here; choose "
                         f"the checkpoint in full precision that they were made from")


def parts(folder: Path) -> list[Path]:
    """The files of the weights: one, or those that the index names."""
    if (folder / WEIGHTS).is_file() or not (folder / INDEX).is_file():
        if not (folder / WEIGHTS).is_file():
            raise FileNotFoundError(f"{folder} holds no {WEIGHTS}{_instead(folder)}; choose a folder that does")
        return [reading.regular(folder / WEIGHTS, within=folder)]
    names = read_json(folder / INDEX).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()) or not names:
        raise ValueError(f"{folder / INDEX} has no weight_map from tensors to files; download it again")
    files = sorted(set(names.values()))
    for name in files:
        if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise ValueError(f"{folder / INDEX} names {name!r}, which is no safetensors file beside it; download the "
                             f"folder again")
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} lacks {name}, one of {len(files)} parts of the weights; download the "
                                    f"folder again")
    return [reading.inside(folder, name) for name in files]


def _instead(folder: Path) -> str:
    """What kind of folder it is that lacks the file that is looked for."""
    return next((f": it holds {what}" for pattern, what in KINDS.items() if any(folder.glob(pattern))), "")
