"""Read and write corrections as PEFT does: two small files, adapter_config.json and adapter_model.safetensors."""
from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import regex
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from minillm import disk, reading, weights
from minillm.lora import DoRALinear, LoRALinear, corrections
from minillm.model import Transformer
from minillm.pretrained.families import family_for
from minillm.pretrained.layouts import Fused
from minillm.pretrained.settings import HEADS, Family

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
OUTER = "base_model.model."
READ = ("peft_type", "r", "lora_alpha", "use_rslora", "use_dora", "target_modules", "rank_pattern", "alpha_pattern",
        "modules_to_save")
RANK, ALPHA = range(1, 1 << 20), float
FORM = {"peft_type": str, "r?": RANK, "lora_alpha?": ALPHA, "rank_pattern?": {str: RANK},
        "alpha_pattern?": {str: ALPHA}, "use_dora?": bool, "use_rslora?": bool,
        "target_modules?": (str, [str]), "modules_to_save?": [str]}
SECONDS = 1.0  # that a pattern of a file may take to say whether it means a layer
WITHOUT_EFFECT = ("base_model_name_or_path", "revision", "task_type", "inference_mode", "auto_mapping", "peft_version",
                  "lora_dropout", "runtime_config", "megatron_core", "qalora_group_size", "ensure_weight_tying")
NEUTRAL = {"bias": "none", "init_lora_weights": (True, False, "gaussian", "orthogonal")}  # others change the base


class _Rehearsed(Exception):
    """All went well, and nothing is to be kept."""


def save_adapter(model: Transformer, folder: str | os.PathLike, *, base: str = "", rehearsal: bool = False) -> Path:
    """Write the corrections of a model, and nothing of the model itself, in PEFT's format.

    `base` says whose they are: the folder or name of the exported model, which PEFT opens first.  Raises ValueError
    where the published format has no such matrix.  The folder appears complete or not at all; a `rehearsal` does all
    but the last step, so that what would be raised after hours of training is raised before.
    """
    layers = corrections(model)
    if not layers:
        raise ValueError("this model has no corrections to save; add_lora(model) makes them, and merge_lora takes them "
                         "away: a merged model is written by save or export_hf")
    family = family_for(model.config)
    names = {ours: _theirs(family, ours) for ours in layers}
    tensors: dict[str, Tensor] = {}
    for ours, layer in layers.items():
        tensors |= {f"{OUTER}{names[ours]}.{half}.weight": getattr(layer, half).weight for half in ("lora_A", "lora_B")}
        if isinstance(layer, DoRALinear):
            tensors[f"{OUTER}{names[ours]}.lora_magnitude_vector"] = layer.magnitude
    settings = _settings(model, layers, names) | {"base_model_name_or_path": base}
    try:
        with (suppress(_Rehearsed),
              disk.folder(Path(folder), seal=CONFIG, ours=lambda folder: [CONFIG, WEIGHTS]) as draft):
            (draft / CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
            save_file({name: x.detach().cpu().contiguous() for name, x in tensors.items()}, draft / WEIGHTS,
                      metadata={"format": "pt"})
            if rehearsal:
                raise _Rehearsed
    except (OSError, SafetensorError) as error:
        raise OSError(f"{folder} could not be written ({error}); make room, or save into another folder") from error
    return Path(folder)


def load_adapter(model: Transformer, folder: str | os.PathLike, *, say: Callable[[str], None] = print) -> Transformer:
    """Put the corrections of a folder, ours or PEFT's, beside the matrices of a model, and say how many were found.

    Read are LoRA, rsLoRA and DoRA, ranks and alphas by pattern, and modules that were trained whole.  Raises
    ValueError naming the first setting or tensor that has no place here; nothing is skipped, and the model is changed
    only when all fits.
    """
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}; an adapter is a folder with {CONFIG} and {WEIGHTS}")
    if corrections(model):
        raise ValueError("this model has corrections already; merge_lora(model) first")
    theirs = reading.read_json(folder / CONFIG, FORM, within=folder)
    _check(theirs)
    names = _names(model)
    held = dict(weights.tensors([reading.regular(folder / WEIGHTS, within=folder)]))
    layers, saved = _sorted(held, theirs, {their: ours for ours, their in names.items()})
    made = {name: _layer(model.get_submodule(name), name, parts, theirs, names[name])
            for name, parts in layers.items()}
    whole = {name: _whole(name, tensor, theirs, model) for name, tensor in saved.items()}
    model.requires_grad_(False)
    for name, layer in made.items():
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, layer)
    with torch.no_grad():
        for name, tensor in whole.items():
            model.get_parameter(name).copy_(tensor)
    n_tensors = sum(map(len, layers.values())) + len(saved)
    say(f"{n_tensors} tensors found: corrections of {len(made)} matrices"
        + (f", and {len(whole)} weights replaced ({', '.join(whole)})" if whole else ""))
    return model


def told_base(folder: str | os.PathLike) -> str:
    """The model that an adapter says it was learned beside; nothing where it does not say."""
    path = Path(folder) / CONFIG
    base = reading.read_json(path, within=folder).get("base_model_name_or_path") if path.is_file() else None
    return base if isinstance(base, str) else ""


def _check(theirs: dict[str, Any]) -> None:
    """Refuse what would compute something else here."""
    if theirs.get("peft_type") != "LORA":
        raise ValueError(f"{CONFIG} says peft_type={theirs.get('peft_type')!r}; built here is LORA alone")
    for key, value in theirs.items():
        if key in READ or key in WITHOUT_EFFECT or not value:
            continue
        known = NEUTRAL.get(key)
        if known is None or value != known and not (isinstance(known, tuple) and value in known):
            raise ValueError(f"{CONFIG} sets {key}={value!r}, which is not built here; train the adapter without it, "
                             f"or merge it with PEFT and open the merged model")


def _sorted(tensors: dict[str, Tensor], theirs: dict[str, Any], ours: dict[str, str]
            ) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """Their tensors by our layer and part; and those of modules that were saved whole, by our name."""
    layers, saved = {}, {}
    for name, tensor in tensors.items():
        plain = name.removeprefix(OUTER).replace(".default", "").replace(".modules_to_save", "")
        where, mark, rest = plain.partition(".lora_")
        if not mark:
            saved[_find(plain.removesuffix(".weight"), ours, name) + ".weight"] = tensor
            continue
        part = {"A.weight": "lora_A", "B.weight": "lora_B", "magnitude_vector": "magnitude",
                "magnitude_vector.weight": "magnitude"}.get(rest)
        if part is None:
            raise ValueError(f"the tensor {name!r} is no part of a LoRA that is built here (A, B, magnitude vector)")
        layers.setdefault(_find(where, ours, name), {})[part] = tensor
    if saved and not theirs.get("modules_to_save"):
        raise ValueError(f"the tensor {next(iter(saved))!r} belongs to no correction, and {CONFIG} names no "
                         f"modules_to_save")
    return layers, saved


def _layer(base: nn.Linear, name: str, parts: dict[str, Tensor], theirs: dict[str, Any], called: str) -> LoRALinear:
    """One corrected layer, its tensors in place."""
    wanted = {"lora_A", "lora_B"} | ({"magnitude"} if theirs.get("use_dora") else set())
    if wanted != set(parts):
        odd = sorted(wanted ^ set(parts))[0]
        raise ValueError(f"{name} {'lacks' if odd in wanted else 'has'} {odd}, which use_dora="
                         f"{bool(theirs.get('use_dora'))} {'needs' if odd in wanted else 'has no place for'}")
    rank = parts["lora_A"].shape[0]
    said = _pattern(theirs.get("rank_pattern"), called, theirs.get("r"))
    if rank != said:
        raise ValueError(f"{name}'s lora_A has {rank} rows, but {CONFIG} says rank {said}; do they belong together?")
    d_in, d_out = base.in_features, base.out_features
    shapes = {"lora_A": (rank, d_in), "lora_B": (d_out, rank), "magnitude": (d_out,)}
    for part, tensor in parts.items():
        if tuple(tensor.shape) != shapes[part]:
            raise ValueError(f"{name}'s {part} is of shape {tuple(tensor.shape)}, but this model needs {shapes[part]}; "
                             f"was the adapter made for another one?")
    alpha = _pattern(theirs.get("alpha_pattern"), called, theirs.get("lora_alpha", 8))
    layer = (DoRALinear if theirs.get("use_dora") else LoRALinear)(
        base, rank=rank, alpha=float(alpha), rule="alpha/sqrt(r)" if theirs.get("use_rslora") else "alpha/r")
    with torch.no_grad():
        layer.lora_A.weight.copy_(parts["lora_A"])
        layer.lora_B.weight.copy_(parts["lora_B"])
        if "magnitude" in parts:
            layer.magnitude.copy_(parts["magnitude"])
    return layer


def _whole(name: str, tensor: Tensor, theirs: dict[str, Any], model: Transformer) -> Tensor:
    """A weight that was trained whole, if it fits."""
    if model.config.tie_embeddings and name in ("embed.weight", "unembed.weight"):
        raise ValueError(f"modules_to_save={theirs['modules_to_save']} holds {name}, which this model shares between "
                         f"both ends (tie_embeddings); PEFT would keep two, so it cannot be opened as one")
    have = model.get_parameter(name)
    if have.shape != tensor.shape:
        raise ValueError(f"{name} is of shape {tuple(tensor.shape)}, but this model needs {tuple(have.shape)}")
    return tensor


def _pattern(patterns: dict[str, Any] | None, name: str, usual: Any) -> Any:
    """PEFT's own rule: the first pattern that is the end of a module's name."""
    for pattern, value in (patterns or {}).items():
        try:
            if regex.match(rf"(.*\.)?({pattern})$", name, timeout=SECONDS):
                return value
        except (regex.error, TimeoutError, OverflowError, RecursionError) as error:
            raise ValueError(f"{CONFIG} names layers by {reading.shown(pattern)}, which is no pattern that ends "
                             f"({error or 'too slow'}); was it put together by hand?") from None
    return usual


def _settings(model: nn.Module, layers: dict[str, LoRALinear], names: dict[str, str]) -> dict[str, Any]:
    """What adapter_config.json says of these layers."""
    first = next(iter(layers.values()))
    alphas = {name: each.scale * (each.rank ** 0.5 if each.rule == "alpha/sqrt(r)" else each.rank)
              for name, each in layers.items()}
    rank = Counter(each.rank for each in layers.values()).most_common(1)[0][0]
    alpha = Counter(alphas.values()).most_common(1)[0][0]
    kinds = {(type(each) is DoRALinear, each.rule == "alpha/sqrt(r)") for each in layers.values()}
    if len(kinds) > 1:
        raise ValueError("some of these layers are DoRA or follow another rule than the rest; PEFT's format has one "
                         "kind per adapter")
    last = {name.rpartition(".")[2] for name in layers}
    same = {name for name, part in model.named_modules() if name.rpartition(".")[2] in last
            and isinstance(part, (nn.Linear, LoRALinear))}
    modules = sorted({names[name].rpartition(".")[2] for name in layers}) if same == set(layers) else sorted(
        names.values())
    return {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": alpha, "target_modules": modules,
            "use_rslora": first.rule == "alpha/sqrt(r)", "use_dora": isinstance(first, DoRALinear), "lora_dropout": 0.0,
            "bias": "none", "fan_in_fan_out": False, "inference_mode": True, "modules_to_save": None,
            "rank_pattern": {names[name]: each.rank for name, each in layers.items() if each.rank != rank},
            "alpha_pattern": {names[name]: value for name, value in alphas.items() if value != alpha}}


def _names(model: Transformer) -> dict[str, str]:
    """Our name of each layer that the published format knows -> the name that its code gives it."""
    family, found = family_for(model.config), {}
    for name, part in model.named_modules():
        if isinstance(part, (nn.Linear, nn.Embedding, LoRALinear)):
            with suppress(ValueError):
                found[name] = _theirs(family, name)
    return found


def _theirs(family: Family, name: str) -> str:
    """Our name of a layer as the published family's code calls it."""
    fix, last = family.fix, name.rpartition(".")[2]
    if isinstance(fix, Fused) and (fix.transposed or any(last in parts for parts in fix.parts.values())):
        raise ValueError(f"the {family.model_type} format keeps {name} inside a larger or turned matrix, so a "
                         f"correction of it alone has no place there; choose other targets, or merge_lora(model) and "
                         f"export")
    if ".experts." in name:
        raise ValueError(f"the {family.model_type} format keeps the experts ({name}) in one block, so a correction of "
                         f"one has no place there; choose other targets, or merge_lora(model) and export")
    called = f".{name}."
    for theirs, ours in reversed(family.names):
        called = called.replace(ours, theirs)
    return called[1:-1] if called.startswith(HEADS) else family.prefix + called[1:-1]


def _find(name: str, ours: dict[str, str], told: str) -> str:
    """Our name for theirs, with the family's prefix or without."""
    for known, name_here in ours.items():
        if known == name or known.partition(".")[2] == name:
            return name_here
    raise ValueError(f"the tensor {told!r} belongs to {name!r}, which this model has not, or cannot correct; was the "
                     f"adapter made for another model?")
