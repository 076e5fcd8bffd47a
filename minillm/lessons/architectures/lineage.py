"""Follow the architectures from 2017 on: what each changed of the one before it, and what that cost."""
from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from html import escape
from typing import Any

from minillm.config import ModelConfig, canonical, without_effect
from minillm.costs import cache_bytes, parameters
from minillm.lessons.architectures.comparison import word
from minillm.notebook.markup import FAINT, TINTS, Markup, Raw, card, table
from minillm.presets import PRESETS

# Vaswani et al. 2017, arXiv:1706.03762: the decoder of its base model, without what looks at an encoder
FIRST, DECODER = "transformer", ModelConfig(
    vocab_size=37000, d_model=512, n_layers=6, n_heads=8, context_length=512, norm="layernorm", norm_order="post",
    position="sinusoidal", mlp="relu", bias="all", embed_scale=True, tie_embeddings=True)
LINE = {  # model -> the year of its paper or release, and the model that it is compared with
    FIRST: (2017, None), "gpt": (2018, FIRST), "gpt2": (2019, "gpt"), "gpt-j-6b": (2021, "gpt2"),
    "bloom": (2022, "gpt2"), "opt-6.7b": (2022, "gpt2"), "pythia-6.9b": (2023, "gpt-j-6b"), "llama-7b": (2023, "gpt2"),
    "falcon-7b": (2023, "gpt-j-6b"), "llama-2-70b": (2023, "llama-7b"), "mistral-7b": (2023, "llama-2-70b"),
    "mixtral-8x7b": (2024, "mistral-7b"), "deepseek-moe-16b": (2024, "mixtral-8x7b"), "olmo-7b": (2024, "llama-7b"),
    "gemma-2b": (2024, "llama-7b"), "llama-3-8b": (2024, "llama-2-70b"), "gemma-2-2b": (2024, "gemma-2b"),
    "deepseek-v2": (2024, "deepseek-moe-16b"), "qwen2-7b": (2024, "llama-3-8b"), "deepseek-v3": (2024, "deepseek-v2"),
    "olmo-2-7b": (2025, "olmo-7b"), "gemma-3-1b": (2025, "gemma-2-2b"), "qwen3-8b": (2025, "qwen2-7b"),
    "qwen3-30b-a3b": (2025, "qwen3-8b"), "smollm3-3b": (2025, "llama-3-8b"), "glm-4.5-air": (2025, "qwen2-7b"),
    "gpt-oss-20b": (2025, "mixtral-8x7b"), "olmo-3-7b": (2025, "olmo-2-7b"), "solar-open-100b": (2026, "glm-4.5-air")}
SIZES = ("vocab_size", "d_model", "n_layers", "n_heads", "d_head", "d_ff", "context_length", "d_latent", "d_rotary",
         "d_expert", "n_dense_layers", "norm_eps", "dropout")  # no choices: how much of it there is
SAME = dict(vocab_size=32_000, d_model=4096, n_layers=32, n_heads=32, context_length=8192)  # for costs: LLaMA's
SAID = {"n_kv_heads": "queries per key head"}  # of a choice that is not told as its field is
COLUMNS = {  # of the table of toggles, with the choices that each is about
    "norm": ("norm", "norm_weight", "embed_norm"), "where": ("norm_order", "residual"),
    "positions": ("position", "rope_fraction", "rope_pairs", "rope_theta", "rope_theta_local", "rope_scaling",
                  "nope_every"),
    "MLP": ("mlp",), "bias": ("bias", "unembed_bias"), "tied": ("tie_embeddings", "embed_scale", "logit_softcap"),
    "keys": ("attention", "n_kv_heads", "d_query"),
    "sees": ("window", "global_every", "global_first", "linear_attention", "full_every", "full_first", "conv_width"),
    "queries": ("qk_norm", "attention_scale", "attention_softcap", "attention_sinks", "attention_gate"),
    "experts": ("n_experts", "experts_per_token", "n_shared_experts", "normalize_experts"),
    "router": ("router", "router_bias", "balance_bias", "n_expert_groups", "groups_per_token")}


def config_of(name: str) -> ModelConfig:
    """The configuration of a model of the line."""
    return DECODER if name == FIRST else PRESETS[name]


@cache
def choices(config: ModelConfig) -> dict[str, Any]:
    """What a model chose, whatever its size: None where a choice has no effect.  Key heads are told by how many
    queries share one, a scale only where it is not the usual one."""
    c, idle = canonical(config), without_effect(config)
    out = {f.name: None if f.name in idle else getattr(c, f.name) for f in fields(c) if f.name not in SIZES}
    usual = replace(c, attention_scale=None).resolve().attention_scale
    out["attention_scale"] = None if c.attention_scale == usual else c.attention_scale
    if out["n_kv_heads"] is not None:
        out["n_kv_heads"] = "all" if c.n_kv_heads == 1 else c.n_heads // c.n_kv_heads
    if out["rope_scaling"] is not None:
        out["rope_scaling"] = c.rope_scaling.kind
    return out


def changed(name: str) -> dict[str, tuple[Any, Any]]:
    """Choice -> its value in the model before and in this one, where the two differ."""
    before, after = choices(config_of(LINE[name][1])), choices(config_of(name))
    usual = {f.name: f.default for f in fields(ModelConfig)}  # what a choice begins with says nothing
    return {key: (before[key], after[key]) for key in after
            if before[key] != after[key] and {before[key], after[key]} != {None, usual[key]}}


def at_one_size(config: ModelConfig) -> ModelConfig:
    """The same choices in LLaMA 7B's sizes.  Experts keep their number, and their width beside the stream's."""
    c, n = config.resolve(), SAME["n_heads"]
    group = n if c.n_kv_heads == 1 else max(g for g in (1, 2, 4, 8, 16) if g <= c.n_heads // c.n_kv_heads)
    return replace(config, **SAME, d_head=None, d_ff=None, d_latent=None, d_rotary=None, attention_scale=None,
                   n_kv_heads=None if c.attention == "latent" else n // group,
                   d_expert=round(c.d_expert * SAME["d_model"] / c.d_model) if c.n_experts else None)


@cache
def costs(name: str) -> dict[str, float]:
    """Billions of parameters, those that one token reads, and gigabytes of cache for 8,192 tokens, at one size."""
    c = at_one_size(config_of(name))
    return {"parameters": sum(parameters(c).values()) / 1e9,
            "read by a token": sum(parameters(c, active=True).values()) / 1e9,
            "cache": cache_bytes(c, seq=SAME["context_length"]) / 1e9}


def timeline() -> Markup:
    """All models of the line, a column for each group of choices; what differs from the model before is marked."""
    rows = []
    for name, (year, before) in LINE.items():
        now, differs = choices(config_of(name)), set(changed(name)) if before else set()
        cells = [_cell(_short(column, now), bool(differs & set(names))) for column, names in COLUMNS.items()]
        cost = costs(name)
        rows.append([Raw(str(year)), Raw(f"<b>{escape(name)}</b>"), before or "–", *cells,
                     f"{cost['parameters']:.3g}", f"{cost['read by a token']:.3g}", f"{cost['cache']:.2g}"])
    head = ["year", "model", "beside", *COLUMNS, "G", "read", "cache"]
    said = (f"{len(rows)} models from {min(year for year, _ in LINE.values())} to "
            f"{max(year for year, _ in LINE.values())}; marked is what differs from the model named under “beside”. "
            f"G, read, cache: billions of parameters, those that one token reads, GB for 8,192 tokens in bf16, all "
            f"with LLaMA 7B's sizes")
    small = table(head, rows, caption=said).replace("padding:3px 10px", "padding:1px 5px")
    return card(f'<div style="font-size:11.5px">{small}</div>', said)


def ancestry(name: str) -> Markup:
    """How the choices of a model came about: each model before it, what it changed and what that cost."""
    if name not in LINE:
        raise ValueError(f"{name!r} is not on the line; choose one of: {', '.join(LINE)}")
    chain = [name]
    while LINE[chain[0]][1]:
        chain.insert(0, LINE[chain[0]][1])
    rows, said = [], []
    for each in chain:
        cost, before = costs(each), LINE[each][1]
        old = costs(before) if before else cost
        steps = [f"{SAID.get(key, key)}: {_word(a)} → {_word(b)}"
                 for key, (a, b) in changed(each).items()] if before else [
            f"{key}: {_word(value)}" for key, value in choices(config_of(each)).items()
            if key in ("norm", "norm_order", "position", "mlp", "bias", "tie_embeddings", "embed_scale")]
        said.append(f"{LINE[each][0]} {each}: {'; '.join(steps) or 'nothing but sizes'}")
        rows.append([Raw(str(LINE[each][0])), Raw(f"<b>{escape(each)}</b>"), "; ".join(steps) or "nothing but sizes",
                     *(_cell(f"{cost[key]:.3g} {unit}", abs(cost[key] - old[key]) > 0.004 * old[key])
                       for key, unit in (("parameters", "G"), ("read by a token", "G"), ("cache", "GB")))])
    head = ["year", "model", "what it chose otherwise", "parameters", "read by a token", "cache of 8,192"]
    caption = "Costs are those of the choices: each model with LLaMA 7B's sizes. Marked: changed by more than 0.4 %."
    return card(f'<div style="font-size:13px">{table(head, rows, caption=caption)}</div>', ". ".join(said))


def _cell(words: str, marked: bool) -> Raw:
    return Raw(f'<mark style="background:{TINTS[1]};color:inherit;border-radius:3px;padding:0 3px">{escape(words)}'
               f"</mark>" if marked else f'<span style="{FAINT}">{escape(words)}</span>')


def _word(value: Any) -> str:
    return "–" if value is None else word(value)


def _short(column: str, c: dict[str, Any]) -> str:
    """A group of choices in a few letters."""
    def when(field: str, words: str) -> list[str]:
        return [words] if c[field] else []
    if column == "norm":
        return {"layernorm": "LN", "layernorm-gain": "LN gain", "rmsnorm": "RMS"}[c["norm"]] + (
            ", no gain" if not c["norm_weight"] else "") + (", embed" if c["embed_norm"] else "")
    if column == "positions":
        turned = c["position"] == "rope"
        more = [f" {c['rope_fraction']:.0%}"] if turned and c["rope_fraction"] != 1 else []
        more += when("rope_theta_local", ", two θ") + when("nope_every", f", not every {c['nope_every']}th")
        return c["position"].replace("rope", "RoPE").replace("alibi", "ALiBi") + "".join(
            more + ([f", {c['rope_scaling']}"] if c["rope_scaling"] else []))
    if column == "tied":
        return ("yes" if c["tie_embeddings"] else "no") + "".join(when("embed_scale", ", × √D") + when(
            "logit_softcap", ", cap"))
    if column == "keys":
        shared = {None: "latent", "all": "MQA", 1: "MHA"}.get(c["n_kv_heads"], f"GQA {c['n_kv_heads']}")
        return shared + "".join(when("d_query", "s, q too"))
    if column == "sees":
        return f"{c['window']:,}" + "".join(when("global_every", f", 1 in {c['global_every']} all")) if (
            c["window"]) else "all"
    if column == "queries":
        found = [*when("qk_norm", f"norm ({c['qk_norm']})"), *when("attention_softcap", "cap"),
                 *when("attention_sinks", "sinks"), *when("attention_scale", "scale")]
        return ", ".join(found) or "–"
    if column == "experts":
        return f"{c['n_experts']}: {c['experts_per_token']}" + "".join(
            when("n_shared_experts", f" + {c['n_shared_experts']}")) if c["n_experts"] else "–"
    if column == "router":
        groups = [f"{c['groups_per_token']} of {c['n_expert_groups']} groups"] if c["groups_per_token"] else []
        found = [*when("router", str(c["router"])), *when("balance_bias", "nudged"), *when("router_bias", "bias")]
        return ", ".join(found + groups) or "–"
    return str(c[COLUMNS[column][0]]).replace("parallel-shared", "parallel, 1")
