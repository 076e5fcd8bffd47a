"""Know the families that keep LLaMA's block, and changed a detail or two: RMSNorm, RoPE and, in most, a gate."""
from __future__ import annotations

from dataclasses import replace

from minillm.config import RopeScaling
from minillm.pretrained.layouts import Absent, Backwards, Both, Fused, OnePlus
from minillm.pretrained.multipliers import NONE, Multipliers, Sharpened
from minillm.pretrained.names import (
    ACT,
    EMBED,
    GATED,
    GLOBAL,
    GROUPS,
    HEADS,
    NO_BIAS,
    OUTPUT,
    PLAIN,
    PRE,
    QKV,
    RMS,
    SANDWICH,
    SIZES,
    WINDOW,
    WINDOWS,
)
from minillm.pretrained.settings import Family

BOTH = {"bias": {True: "all", False: "none"}}
ATTENTION = {"bias": {True: "attention", False: "none"}}
APART = {"bias": {(False, False): "none", (True, False): "attention", (False, True): "mlp", (True, True): "all"}}
LLAMA = Family(  # Touvron et al. 2023, arXiv:2302.13971, arXiv:2307.09288; Llama Team 2024, arXiv:2407.21783
    "llama", "LlamaForCausalLM", PRE, SIZES | HEADS | RMS | ACT | {"bias": "attention_bias+mlp_bias"},
    values=GATED | APART, facts=dict(tie_embeddings=False, norm_eps=1e-6, context_length=2048),
    free=("rope_theta", "rope_scaling", "yarn"))
MISTRAL = replace(  # Jiang et al. 2023, arXiv:2310.06825
    LLAMA, keys=SIZES | HEADS | RMS | ACT, values=GATED, model_type="mistral", architecture="MistralForCausalLM",
    facts=LLAMA.facts | dict(n_kv_heads=8, context_length=131072, window=4096),
    free=("rope_theta", "rope_scaling", "window"), needs={}, windows=WINDOW)
QWEN2 = replace(  # Yang et al. 2024, arXiv:2407.10671
    LLAMA, model_type="qwen2", architecture="Qwen2ForCausalLM", keys=SIZES | GROUPS | RMS | ACT, values=GATED,
    facts=LLAMA.facts | dict(bias="qkv", n_kv_heads=32, context_length=32768, window=4096), needs={},
    free=("rope_theta", "rope_scaling", *GLOBAL, "yarn"),
    windows=(*WINDOWS, "use_sliding_window", "max_window_layers"))
QWEN3 = replace(  # Qwen Team 2025, arXiv:2505.09388
    QWEN2, model_type="qwen3", architecture="Qwen3ForCausalLM", keys=LLAMA.keys | {"bias": "attention_bias"},
    values=GATED | ATTENTION, facts=QWEN2.facts | dict(bias="none", qk_norm="head", d_head=128))
OLMO = replace(  # Groeneveld et al. 2024, arXiv:2402.00838
    LLAMA, model_type="olmo", architecture="OlmoForCausalLM", keys=SIZES | GROUPS | ACT, values=GATED,
    free=("rope_theta", "rope_scaling"),
    facts=dict(norm="layernorm", norm_weight=False, norm_eps=1e-5, tie_embeddings=False, context_length=2048),
    needs=NO_BIAS | {"clip_qkv": None})
OLMO2 = replace(  # Team OLMo 2025, arXiv:2501.00656
    LLAMA, model_type="olmo2", architecture="Olmo2ForCausalLM", names=OUTPUT, keys=SIZES | GROUPS | RMS | ACT,
    values=GATED, free=("rope_theta", "rope_scaling"),
    facts=dict(norm_order="output", qk_norm="full", norm_eps=1e-5, tie_embeddings=False, context_length=2048),
    needs=NO_BIAS)
OLMO3 = Family(  # Team OLMo 2025, "OLMo 3"
    "olmo3", "Olmo3ForCausalLM", OUTPUT, SIZES | GROUPS | RMS | ACT, values=GATED,
    facts=dict(norm_order="output", qk_norm="full", rope_theta=500_000.0, rope_theta_local=500_000.0, window=4096,
               global_every=4, tie_embeddings=False, context_length=2048),
    free=("rope_theta", "rope_scaling", "rope_theta_local", *GLOBAL, "yarn"), windows=WINDOWS,
    needs=NO_BIAS | {"rope_local_base_freq": None}, scaled=Sharpened(4))
GEMMA = replace(  # Gemma Team 2024, arXiv:2403.08295; files that say "gelu" beside the tanh form mean the latter
    LLAMA, model_type="gemma", architecture="GemmaForCausalLM", free=("rope_theta", "rope_scaling"),
    keys=SIZES | HEADS | RMS | {"mlp": "hidden_activation>hidden_act"},
    values={"mlp": {"gelu_pytorch_tanh": "geglu", "silu": "swiglu"}},
    facts=dict(embed_scale=True, tie_embeddings=True, norm_eps=1e-6, mlp="geglu", d_head=256, n_kv_heads=16,
               context_length=8192),
    fix=OnePlus(), needs=NO_BIAS | {"use_bidirectional_attention": False})
GEMMA2 = replace(  # Gemma Team 2024, arXiv:2408.00118
    GEMMA, model_type="gemma2", architecture="Gemma2ForCausalLM", names=SANDWICH,
    keys=GEMMA.keys | {"mlp": "hidden_activation", "attention_scale": "query_pre_attn_scalar",
                       "attention_softcap": "attn_logit_softcapping",
                       "logit_softcap": "final_logit_softcapping"},
    facts=GEMMA.facts | dict(norm_order="sandwich", window=4096, global_every=2, attention_scale=256 ** -0.5,
                             n_kv_heads=4, attention_softcap=50.0, logit_softcap=30.0),
    free=("rope_theta", "rope_scaling", *GLOBAL), windows=WINDOWS,
    passed=("use_sliding_window", "max_window_layers", "hidden_act"))
GEMMA3 = replace(  # Gemma Team 2025, arXiv:2503.19786
    GEMMA2, model_type="gemma3_text", architecture="Gemma3ForCausalLM",
    facts=GEMMA2.facts | dict(qk_norm="head", global_every=6, rope_theta=1e6, rope_theta_local=1e4,
                              context_length=131072, attention_softcap=None, logit_softcap=None),
    free=(*GEMMA2.free, "rope_theta_local"), windows=(*WINDOWS, "sliding_window_pattern"),
    keys={name: key for name, key in GEMMA2.keys.items() if name != "attention_softcap"},
    needs=GEMMA2.needs | {"attn_logit_softcapping": None},  # its code never came to use it
    passed=(*GEMMA2.passed, "_sliding_window_pattern"))
PHI3 = replace(  # Abdin et al. 2024, arXiv:2404.14219
    LLAMA, model_type="phi3", architecture="Phi3ForCausalLM", keys=SIZES | GROUPS | RMS | ACT, values=GATED,
    facts=dict(tie_embeddings=False, norm_eps=1e-5, context_length=4096),
    free=("rope_theta", "rope_fraction", "window"), windows=WINDOW,
    needs=NO_BIAS, passed=("original_max_position_embeddings",),
    fix=Fused({"qkv_proj": QKV, "gate_up_proj": ("gate_proj", "up_proj")}))
SMOLLM3 = Family(  # Bakouch et al. 2025, "SmolLM3: smol, multilingual, long-context reasoner"
    "smollm3", "SmolLM3ForCausalLM", PRE, SIZES | GROUPS | RMS | ACT, values=GATED,
    facts=dict(n_kv_heads=4, norm_eps=1e-6, rope_theta=2e6, nope_every=4, tie_embeddings=True, context_length=32768),
    free=("rope_theta", "rope_scaling", "nope_every"), turned="listed",
    passed=("sliding_window", "max_window_layers", "layer_types"),
    needs=NO_BIAS | {"mlp_bias": False, "use_sliding_window": False})
ARCEE = Family(  # Arcee 2025, "AFM-4.5B"
    "arcee", "ArceeForCausalLM", PRE, SIZES | HEADS | RMS | ACT, values=PLAIN,
    facts=dict(mlp="relu2", tie_embeddings=False, context_length=4096), free=("rope_theta", "rope_scaling"),
    needs=NO_BIAS | {"mlp_bias": False})
SEED_OSS = Family(  # ByteDance Seed 2025, "Seed-OSS"
    "seed_oss", "SeedOssForCausalLM", PRE, SIZES | HEADS | RMS | ACT, values=GATED,
    facts=dict(bias="qkv", n_kv_heads=8, d_head=128, norm_eps=1e-6, tie_embeddings=False, context_length=524288),
    free=("rope_theta", "rope_scaling"), passed=("residual_dropout",),
    needs={"attention_bias": True, "attention_out_bias": False, "mlp_bias": False})
ERNIE = Family(  # Baidu 2025, "ERNIE 4.5 Technical Report"
    "ernie4_5", "Ernie4_5ForCausalLM", PRE, SIZES | HEADS | RMS | ACT | {"bias": "use_bias"}, values=GATED | BOTH,
    facts=dict(rope_pairs="neighbours", rope_theta=500_000.0, n_kv_heads=2, d_head=128, tie_embeddings=True,
               context_length=131072), free=("rope_theta", "rope_scaling"))
GLM = Family(  # GLM Team 2024, arXiv:2406.12793
    "glm", "GlmForCausalLM", PRE, SIZES | HEADS | RMS | ACT | {"bias": "attention_bias"},
    values=GATED | {"bias": {True: "qkv", False: "none"}},
    facts=dict(bias="qkv", rope_pairs="neighbours", rope_fraction=0.5, n_kv_heads=2, d_head=128,
               norm_eps=1.5625e-7, tie_embeddings=False, context_length=131072),
    free=("rope_theta", "rope_scaling", "rope_fraction"), fix=Fused({"gate_up_proj": ("gate_proj", "up_proj")}))
GLM4 = replace(  # GLM-4-0414, Z.ai 2025
    GLM, model_type="glm4", architecture="Glm4ForCausalLM",
    names=(*EMBED, (".input_layernorm.", ".attention_norm."), (".post_self_attn_layernorm.", ".attention_out_norm."),
           (".post_attention_layernorm.", ".mlp_norm."), (".post_mlp_layernorm.", ".mlp_out_norm.")),
    facts=GLM.facts | dict(norm_order="sandwich"))
GRANITE = Family(  # IBM 2024, "Granite 3.0 Language Models"
    "granite", "GraniteForCausalLM", PRE, SIZES | GROUPS | RMS | ACT | {"attention_scale": "attention_multiplier"},
    values=GATED, facts=dict(norm_eps=1e-6, attention_scale=1.0, tie_embeddings=False, context_length=2048),
    free=("rope_theta", "rope_scaling"), needs=NO_BIAS | {"mlp_bias": False},
    scaled=Multipliers(("embedding_multiplier", 1.0), ("residual_multiplier", 1.0), divisor=("logits_scaling", 1.0)))
HYPERCLOVAX = replace(  # NAVER Cloud 2025, "HyperCLOVA X THINK"
    GRANITE, model_type="hyperclovax", architecture="HyperCLOVAXForCausalLM",
    names=(*PRE, (".post_norm1.", ".attention_out_norm."), (".post_norm2.", ".mlp_out_norm.")),
    keys=GRANITE.keys | HEADS | {"norm_order": "use_post_norm"},
    values=GATED | {"norm_order": {True: "sandwich", False: "pre"}},
    facts=GRANITE.facts | dict(attention_scale=None, norm_order="sandwich"),
    scaled=replace(GRANITE.scaled, divisor=NONE, logit=("logits_scaling", 1.0)))  # Granite's divides
EXAONE4 = Family(  # LG AI Research 2025, arXiv:2507.11407
    "exaone4", "Exaone4ForCausalLM", OUTPUT, SIZES | HEADS | RMS | ACT, values=GATED,
    facts=dict(norm_order="output", qk_norm="head", n_kv_heads=32, window=4096, global_every=4, tie_embeddings=False,
               context_length=2048),
    free=("rope_theta", "rope_scaling", "window", "global_every", "nope_every"), turned="windowed, if any",
    windows=(*WINDOWS, "sliding_window_pattern"), needs=NO_BIAS)
CWM = replace(  # FAIR CodeGen Team 2025, arXiv:2510.02387: LLaMA 3, with a window in three of four layers
    LLAMA, model_type="cwm", architecture="CwmForCausalLM", keys=SIZES | HEADS | RMS | ACT, values=GATED,
    facts=dict(n_kv_heads=8, d_head=128, tie_embeddings=False, norm_eps=1e-5, context_length=131072, window=8192,
               global_every=4, global_first=True, rope_theta=1e6,
               rope_scaling=RopeScaling("llama3", 16.0, 1.0, 4.0, 8192)),
    free=("rope_theta", "rope_scaling", *GLOBAL), windows=WINDOWS, needs=NO_BIAS | {"mlp_bias": False},
    listed=("rope_parameters",))
MINISTRAL = replace(  # Mistral AI 2024, "Un Ministral, des Ministraux"
    MISTRAL, model_type="ministral", architecture="MinistralForCausalLM", free=("rope_theta", "rope_scaling", *GLOBAL),
    facts=MISTRAL.facts, windows=WINDOWS, needs=NO_BIAS)
INTERNLM3 = replace(  # InternLM Team 2025, "InternLM3"
    LLAMA, model_type="internlm3", architecture="LlamaForCausalLM",
    keys=SIZES | HEADS | RMS | ACT | {"bias": "attention_bias&mlp_bias&qkv_bias&bias"}, values=GATED | BOTH,
    facts=dict(n_kv_heads=2, d_head=128, tie_embeddings=False, norm_eps=1e-5, context_length=32768),
    free=("rope_theta", "rope_scaling"))
IQUEST = replace(  # IQuest Lab 2025, "IQuest-Coder-V1"
    LLAMA, model_type="iquestcoder", architecture="LlamaForCausalLM",
    facts=dict(n_kv_heads=8, d_head=128, tie_embeddings=False, norm_eps=1e-5, context_length=131072),
    free=("rope_theta", "rope_scaling"), needs={"clip_qkv": None, "use_sliding_window": False})
HELIUM = replace(  # Kyutai 2025, "Helium 1"
    LLAMA, model_type="helium", architecture="HeliumForCausalLM", keys=SIZES | HEADS | RMS | ACT, values=GATED,
    facts=dict(rope_pairs="neighbours", rope_theta=100_000.0, n_kv_heads=20, d_head=128, tie_embeddings=False,
               norm_eps=1e-8, context_length=4096),
    free=("rope_theta", "rope_scaling"), needs=NO_BIAS | {"mlp_bias": False})
VAULTGEMMA = replace(  # VaultGemma Team 2025, arXiv:2510.15001: Gemma 2 without the norms after its parts
    GEMMA2, model_type="vaultgemma", architecture="VaultGemmaForCausalLM",
    names=(*EMBED, (".input_layernorm.", ".attention_norm."), (".pre_feedforward_layernorm.", ".mlp_norm.")),
    facts=GEMMA2.facts | dict(norm_order="pre"), needs=NO_BIAS, passed=("hidden_act",))
NANOCHAT = Family(  # Karpathy 2025, "nanochat": norms without gains, RoPE the other way round
    "nanochat", "NanoChatForCausalLM",
    (*EMBED, (".fc1.", ".up_proj."), (".fc2.", ".down_proj.")),
    SIZES | GROUPS | RMS | ACT | {"logit_softcap": "final_logit_softcapping"}, values=PLAIN,
    facts=dict(norm_weight=False, embed_norm=True, qk_norm="head", mlp="relu2", norm_eps=1e-6, logit_softcap=15.0,
               tie_embeddings=False, context_length=2048),
    free=("rope_theta", "rope_scaling"), needs=NO_BIAS,
    fix=Both(Backwards(), Absent((("q_norm.weight", 1.0), ("k_norm.weight", 1.0)))))

ROWS = (LLAMA, MISTRAL, QWEN2, QWEN3, OLMO, OLMO2, OLMO3, GEMMA, GEMMA2, GEMMA3, PHI3, SMOLLM3, ARCEE,
        SEED_OSS, ERNIE, GLM, GLM4, GRANITE, EXAONE4, HYPERCLOVAX, MINISTRAL, CWM, INTERNLM3, IQUEST, HELIUM,
        VAULTGEMMA, NANOCHAT)
