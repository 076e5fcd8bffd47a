"""Say what a model is made of: one field per choice."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from minillm.fields import (
    check_experts,
    check_latent,
    check_numbers,
    check_stretch,
    check_type,
    made,
    require,
)

BIASES = {  # which matrices have one: those that read queries, keys and values, attention's last, the MLP's
    "none": (), "qkv": ("qkv",), "attention": ("qkv", "out"), "mlp": ("mlp",), "all": ("qkv", "out", "mlp")}
CHOICES = {
    "attention": ("heads", "latent"),
    "linear_attention": (None, "sum", "delta"),
    "norm": ("rmsnorm", "layernorm", "layernorm-gain"),
    "norm_order": ("pre", "post", "output", "sandwich", "parallel", "parallel-shared"),
    "residual": ("plain", "x0"),
    "position": ("rope", "learned", "sinusoidal", "alibi", "none"),
    "rope_pairs": ("halves", "neighbours"),
    "qk_norm": (None, "head", "full"),
    "mlp": ("swiglu", "swiglu-capped", "geglu", "gelu", "gelu-exact", "relu2", "relu"),
    "router": ("softmax", "sigmoid"),
    "bias": tuple(BIASES),
}
GATED = ("swiglu", "swiglu-capped", "geglu")
WINDOW = ("window", "global_every", "global_first")
MIXTURE = ("router", "router_bias", "balance_bias", "experts_per_token", "n_expert_groups", "groups_per_token",
           "n_shared_experts", "d_expert", "n_dense_layers", "normalize_experts")
TURNED = ("rope_theta", "rope_theta_local", "rope_scaling", "rope_fraction", "rope_pairs", "nope_every")
LATENT = ("d_latent", "d_rotary", "d_query")
FULL = ("attention", "qk_norm", "attention_scale", "attention_softcap", "attention_sinks", *LATENT, *TURNED, *WINDOW)


@dataclass(frozen=True)
class RopeScaling:
    """Stretch RoPE's wavelengths so that a model reads further than it was trained to.

    ``linear`` divides every angle by `factor` (Chen et al. 2023, arXiv:2306.15595).  ``llama3`` does so only for
    wavelengths longer than original_context / low_freq, leaves those shorter than original_context / high_freq
    alone, and blends between (Llama Team 2024, arXiv:2407.21783).  ``yarn`` blends from pair to pair instead, from
    the last that turns at least high_freq times in the original context to the first that turns at most low_freq
    times, and multiplies scores by (1 + sharpen ln factor)², as more keys would blur them (Peng et al. 2023,
    arXiv:2309.00071).
    """
    kind: str = "linear"
    factor: float = 1.0
    low_freq: float = 1.0
    high_freq: float = 4.0
    original_context: int = 8192
    sharpen: float = 0.0                   # yarn alone: 0.1 in its paper, 0.0707 in DeepSeek-V2
    whole_pairs: bool = True               # yarn alone; False: the blend begins and ends between pairs (gpt-oss)

    def __post_init__(self):
        if self.kind not in ("linear", "llama3", "yarn"):
            raise ValueError(f"RopeScaling kind={self.kind!r} is not one of: linear, llama3, yarn")
        for field in fields(self):
            check_type(field, getattr(self, field.name))
        check_stretch(self)
        if not self.whole_pairs and self.kind != "yarn":
            raise ValueError(f"RopeScaling whole_pairs=False belongs to yarn, not to {self.kind}; leave it True")
        if self.sharpen and self.kind != "yarn":
            raise ValueError(f"RopeScaling sharpen={self.sharpen} belongs to yarn, not to {self.kind}; leave it 0")


@dataclass(frozen=True)
class ModelConfig:
    """Every architectural choice of a decoder-only transformer.

    Change one with ``dataclasses.replace(config, norm="layernorm")``.  ``None`` means "the usual value"; it stays
    None until `resolve` is asked, so a replaced config never keeps a size that belonged to the old one.
    Raises ValueError for a value of another type than its field's, and for choices that cannot live together, naming
    both values and the way out.
    """
    vocab_size: int = 256
    d_model: int = 128
    n_layers: int = 4
    n_heads: int = 4
    n_kv_heads: int | None = None          # None: one per head (MHA); 1: MQA; between: GQA
    d_head: int | None = None              # None: d_model / n_heads
    d_ff: int | None = None                # None: 4 d_model, or 8/3 d_model where a gate adds a third matrix
    context_length: int = 256

    attention: str = "heads"               # "latent": keys and values are read from a latent vector (MLA, DeepSeek-V2)
    d_latent: int | None = None            # width of what it keeps of a token; None: 4 d_head
    d_rotary: int | None = None            # and of the key that tells the position; None: d_head / 2
    d_query: int | None = None             # width of a latent that queries are read from; None: from x (V2: 1536)

    linear_attention: str | None = None    # "sum", "delta": layers that keep one matrix per head instead of keys
    full_every: int | None = None          # of these, every n-th keeps keys and softmax (Qwen3-Next, Kimi Linear: 4)
    full_first: bool = False               # … the first of each n instead of the last
    conv_width: int | None = None          # of tokens that they mix before they read (4)

    norm: str = "rmsnorm"
    norm_order: str = "pre"                # pre | post (2017) | output (OLMo 2) | sandwich (Gemma 2) | parallel (NeoX)
    norm_eps: float = 1e-5
    norm_weight: bool = True               # False: no learned gain (OLMo 1)
    residual: str = "plain"                # "x0": the first stream is added again before each block (nanochat)

    position: str = "rope"
    rope_theta: float = 10_000.0
    rope_theta_local: float | None = None  # windowed layers; None: rope_theta (Gemma 3 has another)
    rope_scaling: RopeScaling | None = None
    rope_fraction: float = 1.0             # share of d_head that is rotated (GPT-NeoX: 0.25)
    rope_pairs: str = "halves"             # component i turns with i + d/2, or with its neighbour
    nope_every: int | None = None          # every n-th layer turns nothing: NoPE (SmolLM3, Llama 4: 4)

    qk_norm: str | None = None             # "head": per head (Qwen 3); "full": over all heads at once (OLMo 2)
    window: int | None = None              # a query sees the last `window` positions, itself included
    global_every: int | None = None        # of windowed layers, every n-th sees everything (Gemma 2: 2)
    global_first: bool = False             # … the first of each n instead of the last (GPT-Neo)
    attention_scale: float | None = None   # None: 1 / sqrt(width of a key)
    attention_softcap: float | None = None
    attention_gate: bool = False           # x says how much of each head's output passes (Qwen3-Next)
    attention_sinks: bool = False          # one score more for each head, whose share goes nowhere (gpt-oss)
    logit_softcap: float | None = None

    mlp: str = "swiglu"
    n_experts: int = 0                     # 0: dense
    experts_per_token: int = 2
    n_shared_experts: int = 0              # experts that every token visits (DeepSeek-MoE)
    d_expert: int | None = None            # None: d_ff
    n_dense_layers: int = 0                # the first layers of a mixture that stay dense (DeepSeek-MoE: 1)
    normalize_experts: bool = True         # the chosen experts' weights sum to one (Mixtral)
    n_expert_groups: int = 1               # the experts stand in so many groups …
    groups_per_token: int = 1              # … of which a token may visit only these (DeepSeek-V3: 4 of 8)
    router: str = "softmax"                # "sigmoid": each expert is judged by itself (DeepSeek-V3)
    router_bias: bool = False              # a learned number more for each expert's score (gpt-oss)
    balance_bias: bool = False             # a bias, nudged and not learned, lets the idle be chosen (DeepSeek-V3)

    bias: str = "none"
    unembed_bias: bool = False
    tie_embeddings: bool = True
    embed_scale: bool = False              # multiply embeddings by sqrt(d_model) (Gemma)
    embed_norm: bool = False               # normalise embeddings (BLOOM)
    dropout: float = 0.0

    def __post_init__(self):
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r} is not one of: {', '.join(map(str, choices))}")
        for field in fields(self):
            value = getattr(self, field.name)
            check_type(field, value)
            if field.name in ("n_dense_layers", "n_experts", "n_shared_experts"):
                require(value >= 0, f"{field.name}={value} is negative; use 0 for none")
            elif field.type in ("int", "int | None") and value is not None:
                require(value >= 1, f"{field.name}={value} must be at least 1")
        require(self.d_head is not None or self.d_model % self.n_heads == 0,
                f"d_model={self.d_model} does not split into n_heads={self.n_heads} equal heads; "
                f"choose a multiple of {self.n_heads}, or set d_head")
        kv = self.n_kv_heads or self.n_heads
        require(self.n_heads % kv == 0,
                f"n_heads={self.n_heads} cannot share n_kv_heads={kv} evenly; choose a divisor of {self.n_heads}")
        require(0.0 <= self.dropout < 1.0, f"dropout={self.dropout} must be at least 0 and below 1")
        require(self.norm_eps > 0, f"norm_eps={self.norm_eps} must be positive")
        check_numbers(self)
        if self.attention == "latent":
            check_latent(self)
        require(self.linear_attention is None or self.full_every != 1,
                "full_every=1 leaves no layer to linear_attention; set that None, or full_every at least 2")
        self._check_positions()
        check_experts(self)

    def _check_positions(self) -> None:
        require(0.0 < self.rope_fraction <= 1.0, f"rope_fraction={self.rope_fraction} must be in (0, 1]")
        if self.position == "rope":
            for name in ("rope_theta", "rope_theta_local"):
                theta = getattr(self, name)
                require(theta is None or theta > 0, f"{name}={theta} must be positive; 10000 is usual")
            name, width = ("d_rotary" if self.attention == "latent" else "d_head"), self._rotary()
            turned = int(width * self.rope_fraction)
            require(turned >= 2 and turned % 2 == 0,
                    f"RoPE turns pairs, but rope_fraction={self.rope_fraction} of {name}={width} is {turned} "
                    f"components; make that an even number of at least 2, or choose another position")
            require(turned >= 4 or not self.rope_scaling or self.rope_scaling.kind != "yarn",
                    f"yarn blends from pair to pair, but {turned} components are one pair; widen {name}={width}")
            require(self.nope_every != 1,
                    "nope_every=1 leaves no layer that tells positions; choose position='none', or at least 2")
        if self.position == "sinusoidal":
            require(self.d_model % 2 == 0,
                    f"sinusoidal positions come in pairs, but d_model={self.d_model} is odd; make it even")
        require(self.global_every is None or self.window is not None,
                f"global_every={self.global_every} needs a window; set window, or leave global_every None")

    def resolve(self) -> ModelConfig:
        """The same model with every None replaced by its usual value; idempotent.

        An MLP with a gate gets 8/3 d_model instead of 4 d_model (to the nearest multiple of 8), so that its three
        matrices hold as many parameters as the other's two and a comparison is fair (Shazeer 2020).
        """
        d_ff = self.d_ff or (max(8, round(self.d_model / 3) * 8) if self.mlp in GATED else 4 * self.d_model)
        d_head, d_rotary = self.d_head or self.d_model // self.n_heads, self._rotary()
        d_key = d_head + d_rotary * (self.attention == "latent")
        s = self.rope_scaling
        sharper = (1 + s.sharpen * math.log(s.factor)) ** 2 if s and self.position == "rope" else 1.0
        return replace(
            self, d_head=d_head, d_ff=d_ff, n_kv_heads=self.n_kv_heads or self.n_heads,
            d_latent=self.d_latent or 4 * d_head, d_rotary=d_rotary, d_expert=self.d_expert or d_ff,
            attention_scale=self.attention_scale or d_key ** -0.5 * sharper)

    def _rotary(self) -> int:
        d_head = self.d_head or self.d_model // self.n_heads
        return (self.d_rotary or d_head // 2) if self.attention == "latent" else d_head

    def is_windowed(self, layer: int) -> bool:
        """Does this layer see only its window?  Layers count from 0; of `global_every`, one is global."""
        turn = layer if self.global_first else layer + 1
        return self.window is not None and not self.is_linear(layer) and not (
            self.global_every and turn % self.global_every == 0)

    def is_turned(self, layer: int) -> bool:
        """Does this layer turn its queries and keys?  Of every `nope_every` layers, the last does not."""
        return self.position == "rope" and not self.is_linear(layer) and not (
            self.nope_every and (layer + 1) % self.nope_every == 0)

    def is_linear(self, layer: int) -> bool:
        """Does this layer do without a softmax, and without keys to keep?"""
        turn = layer if self.full_first else layer + 1
        return self.linear_attention is not None and not (self.full_every and turn % self.full_every == 0)

    def attention_of(self, layer: int) -> str:
        """The kind of attention in this layer, a name in ATTENTIONS."""
        return self.linear_attention if self.is_linear(layer) else self.attention

    def is_mixture(self, layer: int) -> bool:
        """Does this layer route its tokens to experts?"""
        return self.n_experts > 0 and layer >= self.n_dense_layers

    def is_biased(self, part: str) -> bool:
        """Do these matrices have a bias?  "qkv", "out" (attention's last) or "mlp"."""
        return part in BIASES[self.bias]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, only those that differ from the defaults."""
        out = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        if self.rope_scaling:
            out["rope_scaling"] = vars(self.rope_scaling).copy()
        return out

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`.  Refuses names it does not know, with the nearest one that it does."""
        if isinstance(values.get("rope_scaling"), dict):
            values = {**values, "rope_scaling": made(RopeScaling, values["rope_scaling"])}
        return made(cls, values)


def canonical(config: ModelConfig) -> ModelConfig:
    """The same model with every None filled in and every field that has no effect at its default.

    Two configurations are the same function of the same weights where their canonical forms are equal.
    Dropout acts in training alone, so it is no part of that.
    """
    c, idle = config.resolve(), without_effect(config)
    defaults = {f.name: f.default for f in fields(c)}
    idle |= {"rope_theta_local"} if c.rope_theta_local == c.rope_theta and c.rope_scaling is None else set()
    d_ff = c.d_expert if c.n_experts and not c.n_dense_layers else c.d_ff
    return replace(c, **{name: defaults[name] for name in idle}, d_ff=d_ff).resolve()


def without_effect(config: ModelConfig) -> frozenset[str]:
    """The fields that make no difference to what this model computes, whatever they hold."""
    full = [i for i in range(config.n_layers) if not config.is_linear(i)]
    windowed, turned = ([f(i) for i in full] for f in (config.is_windowed, config.is_turned))
    idle = ["dropout", *set_aside(vars(config)), *(() if full else FULL)]
    idle += ["nope_every"] if all(turned) else ()
    idle += () if any(windowed) else WINDOW
    idle += () if any(w and t for w, t in zip(windowed, turned, strict=True)) else ["rope_theta_local"]
    idle += ["global_every", "global_first"] if all(windowed) else ()
    return frozenset(idle)


def set_aside(values: Mapping[str, Any]) -> dict[str, str]:
    """The fields that mean nothing beside the other values, each with the reason; `values` may lack some fields."""
    return {name: why for names, why, idle in IDLE if idle(values) for name in names}


IDLE = (  # these fields, because of this, where that holds
    (TURNED, "only RoPE turns queries and keys", lambda has: has["position"] != "rope"),
    (WINDOW[1:], "without a window, every layer sees everything", lambda has: has["window"] is None),
    (("global_first",), "none of the layers is global", lambda has: has.get("global_every", 0) is None),
    (("n_kv_heads",), "one latent serves all heads", lambda has: has["attention"] == "latent"),
    (("qk_norm",), "the latent is normed instead", lambda has: has["attention"] == "latent"),
    (("full_every", "full_first", "conv_width"), "without linear attention, every layer keeps its keys",
     lambda has: has["linear_attention"] is None),
    (("full_first",), "none of the layers is full", lambda has: has.get("full_every", 0) is None),
    (LATENT, "only latent attention keeps a latent", lambda has: has["attention"] != "latent"),
    (MIXTURE, "without experts there is one MLP for all", lambda has: not has["n_experts"]),
    (("n_expert_groups", "groups_per_token"), "a token may visit every group",
     lambda has: has.get("groups_per_token", 1) == has.get("n_expert_groups", 1)),
)
