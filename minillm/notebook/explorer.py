"""Turn every choice of an architecture and see at once what becomes of picture, equations, code and costs."""
from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from html import escape
from typing import Any

from torch import nn

from minillm.config import CHOICES, GATED, ModelConfig
from minillm.costs import activation_bytes, cache_bytes, flops, parameters, state_bytes
from minillm.layers import POSITIONS
from minillm.model import Transformer
from minillm.notebook.diagrams import MLPS, NORMS, ORDERS, block_diagram
from minillm.notebook.explain import equations, source
from minillm.notebook.markup import Markup, Raw, card, table
from minillm.notebook.plots import COLOURS, MUTED, Picture, png
from minillm.notebook.widgets import Live, button, choice, slider, text, toggle
from minillm.presets import PRESETS, SIZES, scaled
from minillm.pretrained import load_pretrained
from minillm.sampling import generate
from minillm.translation import canonical

ROLES = ("block", "attention", "norm", "position", "MLP", "whole model")
HUB = {"GPT-2, 0.5 GB": "openai-community/gpt2", "Pythia 70M, 0.2 GB": "EleutherAI/pythia-70m",
       "SmolLM2 135M (a Llama), 0.3 GB": "HuggingFaceTB/SmolLM2-135M", "Qwen3 0.6B, 1.5 GB": "Qwen/Qwen3-0.6B"}
NONE = "none"  # a drop-down takes None for "nothing chosen"
CONTEXTS = tuple(2 ** n for n in range(7, 18))
PART_COLOURS = {"embedding": COLOURS["embedding"], "positions": COLOURS["embedding"],
                "unembedding": COLOURS["embedding"], "attention": COLOURS["attention"], "norms": COLOURS["norm"]}


def classes_in_use(config: ModelConfig) -> dict[str, type[nn.Module]]:
    """The classes that this configuration is made of, by name, in the order in which a token meets them."""
    return dict(_classes(_nano(config)))


def class_of(config: ModelConfig, role: str) -> type[nn.Module] | None:
    """The class that plays a role of ROLES; None where nothing does (no positions)."""
    if role == "position":
        return next((each for each in classes_in_use(config).values() if each in POSITIONS.values()), None)
    model = _model(_nano(config))
    block = model.blocks[-1]
    return type({"whole model": model, "block": block, "attention": block.attention, "MLP": block.mlp,
                 "norm": getattr(block, block.norms[0])}[role])


def written(config: ModelConfig) -> Markup:
    """The equations of exactly the classes in use, from their docstrings."""
    shown, found = [], classes_in_use(config)
    for name, part in found.items():
        purpose = (part.__doc__ or "").strip().splitlines()[0].split("  ")[0]
        stated = "".join(f"<div style='overflow-x:auto'>$$ {_spaced(each)} $$</div>" for each in equations(part))
        shown.append(f"<b>{escape(name)}</b> <span style='color:{MUTED}'>{escape(purpose)}</span>{stated}")
    return card("".join(shown), f"the equations of {', '.join(found)}", math=True)


def code(config: ModelConfig, role: str) -> Markup:
    """The source of the class that plays a role, as it stands in the library."""
    part = class_of(config, role)
    if part is None:
        return card("<b>position</b>: none. No class tells where a token stands.", "no class tells the position")
    shown = escape(source(part))
    return card(f"<b>{part.__module__}.{part.__name__}</b><pre style='margin:6px 0;font-size:12px;line-height:1.35;"
                f"background:none;color:inherit;max-height:420px;overflow:auto'>{shown}</pre>",
                f"the source of {part.__name__}, {len(shown.splitlines())} lines")


def ledger(config: ModelConfig, other: ModelConfig, names: tuple[str, str], context: int) -> Markup:
    """Parameters by part, operations, memory and cache, beside those of another configuration."""
    both = config, other
    parts = [parameters(each) for each in both]
    totals = [sum(each.values()) for each in parts]
    active = [sum(parameters(c, active=True).values()) for c in both]
    rows = [["parameters", *(f"{total:,}" for total in totals)],
            ["… that one token reads", *(f"{count:,}" for count in active)]]
    rows += [[f"… {part}", *(_bar(each.get(part, 0), total, part) for each, total in zip(parts, totals, strict=True))]
             for part in dict.fromkeys(part for each in parts for part in each)]
    rows.append([f"forward pass of one token at position {context:,}",
                 *(_big(sum(flops(c, seq=1, cached=context - 1).values()), "FLOP") for c in both)])
    rows.append([f"training on {context:,} tokens",
                 *(_big(3 * sum(flops(c, seq=context).values()), "FLOP") for c in both)])
    rows.append(["weights in bf16", *(_bytes(2 * total) for total in totals)])
    rows.append(["weights, gradients, AdamW in fp32", *(_bytes(sum(state_bytes(c).values())) for c in both)])
    rows.append([f"kept for the backward pass, one text of {context:,}, fp32",
                 *(_bytes(sum(activation_bytes(c, batch=1, seq=context).values())) for c in both)])
    longest = max(cache_bytes(c, seq=CONTEXTS[-1]) for c in both)
    for seq in sorted({context, *CONTEXTS[3::3]}):
        rows.append([f"KV cache of {seq:,} tokens in bf16", *(_share(cache_bytes(c, seq=seq), longest) for c in both)])
    return card(table(["the ledger", *names], rows),
                f"the ledger: {names[0]} has {totals[0]:,} parameters, {names[1]} {totals[1]:,}")


def differences(config: ModelConfig, other: ModelConfig, names: tuple[str, str]) -> Markup:
    """The fields in which two configurations really differ, fields without effect left out."""
    a, b = canonical(config), canonical(other)
    differ = [(f.name, *(_word(getattr(c, f.name)) for c in (a, b))) for f in fields(a)
              if getattr(a, f.name) != getattr(b, f.name)]
    words = f"{len(differ)} of {len(fields(a))} fields differ between {names[0]} and {names[1]}"
    return card(table(["field", *names], differ, caption=words) if differ else escape(words), words)


class Explorer(Live):
    """Choose a preset, then turn any of its choices; everything shown belongs to that one configuration.

    ``explorer.config`` is the configuration on show, to build a `Transformer` from.
    """

    def __init__(self, preset: str = "gpt2", compare: str = "llama-3-8b", *, name: str = "architecture explorer"):
        self._following = False
        self._last: list[Picture | Markup] = []
        base = PRESETS[preset]
        self.config = base
        controls = {
            "preset": choice("preset", list(PRESETS), preset),
            "size": choice("at size", ["published", *SIZES], "published"),
            "compare": choice("beside", list(PRESETS), compare),
            "context": slider("context for the ledger", CONTEXTS, 1024, show=lambda n: f"{n:,}"),
            "norm": choice("norm", _named(NORMS), base.norm),
            "norm_order": choice("where", {words: key for key, words in ORDERS.items()}, base.norm_order),
            "position": choice("positions", list(CHOICES["position"]), base.position),
            "n_kv_heads": choice("key heads", _named(_offered("n_kv_heads", "one per query head"))),
            "qk_norm": choice("query, key norm", {"none": NONE, "per head": "head", "full width": "full"}),
            "window": choice("window", _named(_offered("window", "none"))),
            "global_every": choice("global layers", _named(_offered("global_every", "none"))),
            "mlp": choice("MLP", _named(MLPS), base.mlp),
            "mixture": choice("experts", _mixtures(), _mixture(base)),
            "bias": choice("bias", list(CHOICES["bias"]), base.bias),
            "tie_embeddings": toggle("unembedding = embedding", base.tie_embeddings),
            "role": choice("show the code of", ROLES, "block"),
        }
        rows = [["preset", "size", "compare"], ["norm", "norm_order"], ["position", "n_kv_heads", "qk_norm"],
                ["window", "global_every"], ["mlp", "mixture"], ["bias", "tie_embeddings"], ["context", "role"]]
        self._follow(controls, base)
        super().__init__(name, controls, self._show, rules=self._idle, rows=rows)

    def _changed(self, name: str = "") -> None:
        if self._following:
            return
        if name == "preset":
            self._follow(self.controls, PRESETS[self.controls["preset"].value])
        super()._changed(name)

    def _follow(self, controls: dict[str, Any], base: ModelConfig) -> None:
        self._following = True
        try:
            for name, value in _choices(base).items():
                controls[name].value = NONE if value is None else value
        finally:
            self._following = False

    @staticmethod
    def _idle(**values: Any) -> dict[str, str]:
        reasons = {}
        if values["window"] == NONE:
            reasons["global_every"] = "without a window, every layer sees everything"
        return reasons

    def _show(self, preset: str, size: str, compare: str, context: int, role: str, **chosen: Any) -> list:
        chosen = {name: None if value == NONE else value for name, value in chosen.items()}
        try:
            self.config, label, remark = chosen_config(preset, size, chosen)
        except ValueError as error:
            said = card(f"<b>These do not go together.</b> {escape(str(error))}.", f"impossible: {error}")
            self._last = [said, *self._last[1:]]
            return self._last
        other = PRESETS[compare] if size == "published" else scaled(PRESETS[compare], size, vocab_size=512)
        names = label, compare if size == "published" else f"{compare} ({size})"
        self._last = [remark, _diagram(self.config, label), ledger(self.config, other, names, context),
                      differences(self.config, other, names), written(self.config), code(self.config, role)]
        return self._last


def chosen_config(preset: str, size: str, chosen: dict[str, Any]) -> tuple[ModelConfig, str, Markup]:
    """The configuration that the controls say, its name, and what is to be said of it."""
    base = PRESETS[preset]
    usual = _choices(base)
    turned = {name: value for name, value in chosen.items() if value != usual[name]}
    if chosen["window"] is None:
        turned.pop("global_every", None)
    change = {name: value for name, value in turned.items() if name != "mixture"}
    if chosen["window"] is None:
        change["global_every"] = None
    remarks = []
    if "mixture" in turned:
        n, k, shared = turned["mixture"]
        change |= {"n_experts": n, "experts_per_token": k or 1, "n_shared_experts": shared}
        change |= {} if n else {"n_dense_layers": 0}
    if "mlp" in turned and (turned["mlp"] in GATED) != (base.mlp in GATED):
        for name in ("d_ff", "d_expert"):
            old = getattr(base.resolve(), name)
            change[name] = round(old * (2 / 3 if turned["mlp"] in GATED else 3 / 2))
        remarks.append(f"d_ff is {change['d_ff']:,} instead of {base.resolve().d_ff:,}, so that "
                       f"{'three' if turned['mlp'] in GATED else 'two'} matrices hold as many parameters")
    config = replace(base, **change)
    if size != "published":
        config = scaled(config, size, vocab_size=512)
    label = preset + (f" ({size})" if size != "published" else "")
    if not turned:
        what = f"<b>{label}</b>, as published." if size == "published" else f"<b>{label}</b>: its choices, shrunk."
    else:
        words = ", ".join(f"{name} = {_word(value)}" for name, value in turned.items())
        what = f"<b>{label}</b> with {escape(words)}."
        label += ", changed"
    total = sum(parameters(config).values())
    said = " ".join([what, f"{total:,} parameters.", *(f"{each}." for each in remarks)])
    return config, label, card(said, said.replace("<b>", "").replace("</b>", ""))


def _choices(base: ModelConfig) -> dict[str, Any]:
    names = ("norm", "norm_order", "position", "n_kv_heads", "qk_norm", "window", "global_every", "mlp", "bias",
             "tie_embeddings")
    return {name: getattr(base, name) for name in names} | {"mixture": _mixture(base)}


def _mixture(base: ModelConfig) -> tuple[int, int, int]:
    return (base.n_experts, base.experts_per_token, base.n_shared_experts) if base.n_experts else (0, 0, 0)


def _mixtures() -> dict[str, tuple[int, int, int]]:
    def words(n: int, k: int, shared: int) -> str:
        return f"{n}, {k} per token" + (f" + {shared} shared" if shared else "") if n else "none (dense)"
    return {words(*each): each for each in sorted({_mixture(base) for base in PRESETS.values()})}


def _offered(field: str, none: str) -> dict[Any, str]:
    found = sorted({getattr(base, field) for base in PRESETS.values()} - {None})
    if field == "n_kv_heads":
        found = sorted({1, 2, *found})
    words = {"global_every": "every {}th layer", "window": "{:,} tokens"}.get(field, "{}")
    return {NONE: none} | {value: words.format(value).replace("2th", "2nd") for value in found}


def _named(words: dict[Any, str]) -> dict[str, Any]:
    return {word: value for value, word in words.items()}


@lru_cache(maxsize=64)
def _diagram(config: ModelConfig, label: str) -> Picture:
    figure = block_diagram(config, label)
    figure.finished = png(figure, live=True)  # turning what it does not show draws nothing anew
    return figure


def _nano(config: ModelConfig) -> ModelConfig:
    return replace(scaled(config, "nano", vocab_size=8), dropout=0.0)


@lru_cache(maxsize=64)
def _model(config: ModelConfig) -> Transformer:
    return Transformer(config)


@lru_cache(maxsize=64)
def _classes(config: ModelConfig) -> tuple[tuple[str, type[nn.Module]], ...]:
    found: dict[str, type[nn.Module]] = {}
    for module in _model(config).modules():
        if type(module).__module__.startswith("minillm.") and equations(type(module)):
            found.setdefault(type(module).__name__, type(module))
    return tuple(found.items())


def _spaced(latex: str) -> str:
    return escape(" ".join(latex.split()), quote=False)


def _bar(count: int, total: int, part: str) -> Raw | str:
    return _share(count, total, f"{count:,}", PART_COLOURS.get(part, COLOURS["mlp"])) if count else "–"


def _share(count: int, whole: int, words: str = "", colour: str = COLOURS["value"]) -> Raw:
    width = max(1, round(110 * count / whole))
    return Raw(f'<span style="display:inline-block;width:{width}px;height:9px;background:{colour};opacity:.75;'
               f'margin-right:6px"></span>{words or _bytes(count)}')


def _bytes(count: int) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.3g} {unit}" if count < 1000 else f"{count:,.0f} {unit}"
        count /= 1000


def _big(count: float, unit: str) -> str:
    for prefix in ("", "k", "M", "G", "T", "P", "E"):
        if count < 1000 or prefix == "E":
            return f"{count:.3g} {prefix}{unit}"
        count /= 1000


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)



def hub() -> Live:
    """Fetch a published model by its name, when asked to, and let it continue a text."""
    fetched: dict[str, tuple] = {}

    def fetch() -> None:
        name = live["model"].value
        if name not in fetched:
            fetched[name] = load_pretrained(name)

    def draw(model: str, prompt: str) -> Markup:
        if model not in fetched:
            return card(f"<b>{escape(model)}</b> has not been fetched yet.", f"{model} has not been fetched yet")
        network, tokenizer = fetched[model]
        ids = list(generate(network, tokenizer.encode(prompt), n_tokens=24, temperature=0.0))
        said = f"{escape(prompt)}<b>{escape(tokenizer.decode(ids))}</b>"
        return card(said, f"{model} continues: {prompt}{tokenizer.decode(ids)}")

    live = Live("weights from the hub",
                {"model": choice("model", HUB), "prompt": text("prompt", "The capital of France is"),
                 "fetch": button("fetch it and continue the prompt")},
                draw, rows=[["model", "fetch"], ["prompt"]], on_press={"fetch": fetch})
    return live
