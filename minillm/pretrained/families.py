"""Know the published families: what each calls our fields and our tensors, and what it takes for granted."""
from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from minillm.config import ModelConfig, canonical
from minillm.pretrained.layouts import Fused, OnePlus
from minillm.pretrained.settings import Family

SIZES = {"vocab_size": "vocab_size", "d_model": "hidden_size", "n_layers": "num_hidden_layers",
         "n_heads": "num_attention_heads", "d_ff": "intermediate_size",
         "context_length": "max_position_embeddings", "tie_embeddings": "tie_word_embeddings"}
GROUPS = {"n_kv_heads": "num_key_value_heads"}
HEADS = GROUPS | {"d_head": "head_dim"}
RMS = {"norm_eps": "rms_norm_eps"}
ACT = {"mlp": "hidden_act"}
GATED = {"mlp": {"silu": "swiglu", "swish": "swiglu", "gelu_pytorch_tanh": "geglu"}}
PLAIN = {"mlp": {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "gelu_fast": "gelu", "gelu": "gelu-exact",
                 "relu": "relu", "relu2": "relu2"}}
NO_BIAS = {"attention_bias": False}
WINDOW, WINDOWS = ("sliding_window",), ("sliding_window", "layer_types")
QKV = ("q_proj", "k_proj", "v_proj")

EMBED = ((".embed_tokens.", ".embed."), (".layers.", ".blocks."), (".self_attn.", ".attention."),
         (".lm_head.", ".unembed."))
PRE = (*EMBED, (".input_layernorm.", ".attention_norm."), (".post_attention_layernorm.", ".mlp_norm."))
OUTPUT = (*EMBED, (".post_attention_layernorm.", ".attention_out_norm."),
          (".post_feedforward_layernorm.", ".mlp_out_norm."))
SANDWICH = (*EMBED, (".input_layernorm.", ".attention_norm."),
            (".post_attention_layernorm.", ".attention_out_norm."),
            (".pre_feedforward_layernorm.", ".mlp_norm."), (".post_feedforward_layernorm.", ".mlp_out_norm."))
ROUTED = (*PRE, (".mlp.gate.", ".mlp.router."))

LLAMA = Family(  # Touvron et al. 2023, arXiv:2302.13971, arXiv:2307.09288; Llama Team 2024, arXiv:2407.21783
    "llama", "LlamaForCausalLM", PRE, SIZES | HEADS | RMS | ACT, values=GATED,
    facts=dict(tie_embeddings=False, norm_eps=1e-6, context_length=2048), free=("rope_theta", "rope_scaling"),
    needs=NO_BIAS | {"mlp_bias": False})
MISTRAL = replace(  # Jiang et al. 2023, arXiv:2310.06825
    LLAMA, model_type="mistral", architecture="MistralForCausalLM",
    facts=LLAMA.facts | dict(n_kv_heads=8, context_length=131072, window=4096),
    free=("rope_theta", "rope_scaling", "window"), needs={}, windows=WINDOW)
MIXTRAL = replace(  # Jiang et al. 2024, arXiv:2401.04088
    MISTRAL, model_type="mixtral", architecture="MixtralForCausalLM",
    names=(*PRE, (".block_sparse_moe.", ".mlp."), (".mlp.gate.", ".mlp.router."), (".w1.", ".gate_proj."),
           (".w2.", ".down_proj."), (".w3.", ".up_proj.")),
    keys=MISTRAL.keys | {"n_experts": "num_local_experts", "experts_per_token": "num_experts_per_tok"},
    facts=dict(tie_embeddings=False, norm_eps=1e-5, rope_theta=1e6, n_kv_heads=8, context_length=131072, n_experts=8,
               experts_per_token=2))
QWEN2 = replace(  # Yang et al. 2024, arXiv:2407.10671
    LLAMA, model_type="qwen2", architecture="Qwen2ForCausalLM", keys=SIZES | GROUPS | RMS | ACT,
    facts=LLAMA.facts | dict(bias="qkv", n_kv_heads=32, context_length=32768, window=4096), needs={},
    free=("rope_theta", "rope_scaling", "window", "global_every"),
    windows=(*WINDOWS, "use_sliding_window", "max_window_layers"))
QWEN3 = replace(  # Qwen Team 2025, arXiv:2505.09388
    QWEN2, model_type="qwen3", architecture="Qwen3ForCausalLM", keys=LLAMA.keys,
    facts=QWEN2.facts | dict(bias="none", qk_norm="head", d_head=128), needs=NO_BIAS)
QWEN3_MOE = replace(
    QWEN3, model_type="qwen3_moe", architecture="Qwen3MoeForCausalLM", names=ROUTED,
    keys=LLAMA.keys | {"n_experts": "num_experts|num_local_experts",
                       "experts_per_token": "num_experts_per_tok", "d_expert": "moe_intermediate_size",
                       "normalize_experts": "norm_topk_prob"},
    facts=QWEN3.facts | dict(d_head=None, n_kv_heads=4, n_experts=128, experts_per_token=8, d_expert=768,
                             normalize_experts=False, window=None),
    free=("rope_theta", "rope_scaling"), windows=(), passed=("sliding_window", "max_window_layers"),
    needs=NO_BIAS | {"decoder_sparse_step": 1, "mlp_only_layers": [], "use_sliding_window": False})
OLMO = replace(  # Groeneveld et al. 2024, arXiv:2402.00838
    LLAMA, model_type="olmo", architecture="OlmoForCausalLM", keys=SIZES | GROUPS | ACT,
    facts=dict(norm="layernorm", norm_weight=False, norm_eps=1e-5, tie_embeddings=False, context_length=2048),
    needs=NO_BIAS | {"clip_qkv": None})
OLMO2 = replace(  # Team OLMo 2025, arXiv:2501.00656
    LLAMA, model_type="olmo2", architecture="Olmo2ForCausalLM", names=OUTPUT, keys=SIZES | GROUPS | RMS | ACT,
    facts=dict(norm_order="output", qk_norm="full", norm_eps=1e-5, tie_embeddings=False, context_length=2048),
    needs=NO_BIAS)
OLMOE = replace(  # Muennighoff et al. 2024, arXiv:2409.02060
    LLAMA, model_type="olmoe", architecture="OlmoeForCausalLM", names=ROUTED,
    keys=SIZES | GROUPS | RMS | ACT | {"n_experts": "num_experts", "experts_per_token": "num_experts_per_tok",
                                       "normalize_experts": "norm_topk_prob"},
    facts=dict(qk_norm="full", norm_eps=1e-5, tie_embeddings=False, normalize_experts=False, context_length=4096,
               n_experts=64, experts_per_token=8),
    needs=NO_BIAS | {"clip_qkv": None})
DEEPSEEK = replace(  # Dai et al. 2024, arXiv:2401.06066 (DeepSeekMoE, before latent attention)
    LLAMA, model_type="deepseek", architecture="DeepseekForCausalLM",
    names=(*ROUTED, (".shared_experts.", ".shared.")),
    keys=SIZES | GROUPS | RMS | ACT | {
        "n_experts": "n_routed_experts", "experts_per_token": "num_experts_per_tok",
        "n_shared_experts": "n_shared_experts", "d_expert": "moe_intermediate_size",
        "n_dense_layers": "first_k_dense_replace", "normalize_experts": "norm_topk_prob"},
    facts=dict(tie_embeddings=False, norm_eps=1e-6, normalize_experts=False, context_length=2048, n_shared_experts=0,
               d_expert=1407, n_dense_layers=0),
    needs=NO_BIAS | {"mlp_bias": False, "moe_layer_freq": 1, "scoring_func": "softmax"})
DEEPSEEK_V2 = replace(  # DeepSeek-AI 2024, arXiv:2405.04434: V2-Lite (V2 also compresses queries and groups experts)
    DEEPSEEK, model_type="deepseek_v2", architecture="DeepseekV2ForCausalLM",
    names=(*DEEPSEEK.names, (".kv_a_layernorm.", ".latent_norm.")),
    keys={name: key for name, key in DEEPSEEK.keys.items() if name not in ("norm_eps", "normalize_experts")} | {
        "d_head": "qk_nope_head_dim&v_head_dim", "d_latent": "kv_lora_rank", "d_rotary": "qk_rope_head_dim"},
    facts=DEEPSEEK.facts | dict(attention="latent", rope_pairs="neighbours", n_experts=64, n_shared_experts=2,
                                d_head=128, d_latent=512, d_rotary=64),
    free=(*DEEPSEEK.free, "yarn"),
    needs=DEEPSEEK.needs | {"rms_norm_eps": 1e-6, "norm_topk_prob": False, "q_lora_rank": None,
                            "topk_method": "greedy", "routed_scaling_factor": 1.0},
    stated=("q_lora_rank",), passed=("n_group", "topk_group", "qk_head_dim", "head_dim"),
    fix=Fused({"kv_a_proj_with_mqa": ("latent_proj", "rotary_proj"), "kv_b_proj": ("k_proj", "v_proj")},
              by_head=("kv_b_proj",)))
GEMMA = replace(  # Gemma Team 2024, arXiv:2403.08295; files that say "gelu" beside the tanh form mean the latter
    LLAMA, model_type="gemma", architecture="GemmaForCausalLM",
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
    free=("rope_theta", "rope_scaling", "window", "global_every"), windows=WINDOWS,
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
    LLAMA, model_type="phi3", architecture="Phi3ForCausalLM", keys=SIZES | GROUPS | RMS | ACT,
    facts=dict(tie_embeddings=False, norm_eps=1e-5, context_length=4096),
    free=("rope_theta", "rope_fraction", "window"), windows=WINDOW,
    needs=NO_BIAS, passed=("original_max_position_embeddings",),
    fix=Fused({"qkv_proj": QKV, "gate_up_proj": ("gate_proj", "up_proj")}))
PHI = Family(  # Li et al. 2023, arXiv:2309.05463
    "phi", "PhiForCausalLM",
    (*EMBED, (".input_layernorm.", ".attention_norm."), (".final_layernorm.", ".norm."),
     (".dense.", ".o_proj."), (".fc1.", ".up_proj."), (".fc2.", ".down_proj.")),
    SIZES | GROUPS | ACT | {"norm_eps": "layer_norm_eps"}, values=PLAIN,
    facts=dict(norm="layernorm", norm_order="parallel-shared", bias="all", unembed_bias=True, mlp="gelu",
               tie_embeddings=False, rope_fraction=0.5, context_length=2048),
    free=("rope_theta", "rope_scaling", "rope_fraction"), needs={"qk_layernorm": False})
GPT_NEOX = Family(  # Black et al. 2022, arXiv:2204.06745; Pythia: Biderman et al. 2023, arXiv:2304.01373
    "gpt_neox", "GPTNeoXForCausalLM",
    ((".embed_in.", ".embed."), (".layers.", ".blocks."), (".input_layernorm.", ".attention_norm."),
     (".post_attention_layernorm.", ".mlp_norm."), (".final_layer_norm.", ".norm."), (".dense.", ".o_proj."),
     (".dense_h_to_4h.", ".up_proj."), (".dense_4h_to_h.", ".down_proj."), (".embed_out.", ".unembed.")),
    SIZES | ACT | {"norm_eps": "layer_norm_eps", "norm_order": "use_parallel_residual"},
    values=PLAIN | {"norm_order": {True: "parallel", False: "pre"}},
    facts=dict(norm="layernorm", norm_order="parallel", bias="all", mlp="gelu-exact", tie_embeddings=False,
               rope_fraction=0.25, context_length=2048),
    free=("rope_theta", "rope_scaling", "rope_fraction"), prefix="gpt_neox.",
    needs={"attention_bias": True}, passed=("is_decoder",), rotary=("rotary_emb_base", "rotary_pct"),
    fix=Fused({"query_key_value": QKV}, by_head=("query_key_value",)))
GPT2 = Family(  # Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"
    "gpt2", "GPT2LMHeadModel",
    ((".wte.", ".embed."), (".wpe.", ".position."), (".h.", ".blocks."), (".ln_1.", ".attention_norm."),
     (".ln_2.", ".mlp_norm."), (".ln_f.", ".norm."), (".attn.", ".attention."),
     (".attention.c_proj.", ".attention.o_proj."), (".c_fc.", ".up_proj."),
     (".mlp.c_proj.", ".mlp.down_proj."), (".lm_head.", ".unembed.")),
    {"vocab_size": "vocab_size", "d_model": "n_embd", "n_layers": "n_layer", "n_heads": "n_head",
     "context_length": "n_positions|n_ctx", "d_ff": "n_inner", "mlp": "activation_function",
     "norm_eps": "layer_norm_epsilon", "tie_embeddings": "tie_word_embeddings"},
    values=PLAIN,
    facts=dict(norm="layernorm", position="learned", bias="all", mlp="gelu", tie_embeddings=True, d_ff=None,
               context_length=1024),
    prefix="transformer.", needs={"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False},
    fix=Fused({"c_attn": QKV}, transposed=True))
BLOOM = Family(  # BigScience 2022, arXiv:2211.05100
    "bloom", "BloomForCausalLM",
    ((".word_embeddings.", ".embed."), (".word_embeddings_layernorm.", ".embed_norm."), (".h.", ".blocks."),
     (".input_layernorm.", ".attention_norm."), (".post_attention_layernorm.", ".mlp_norm."),
     (".ln_f.", ".norm."), (".self_attention.", ".attention."), (".dense.", ".o_proj."),
     (".dense_h_to_4h.", ".up_proj."),
     (".dense_4h_to_h.", ".down_proj."), (".lm_head.", ".unembed.")),
    {"vocab_size": "vocab_size", "d_model": "hidden_size|n_embed", "n_layers": "n_layer|num_hidden_layers",
     "n_heads": "n_head|num_attention_heads", "context_length": "seq_length",
     "norm_eps": "layer_norm_epsilon", "tie_embeddings": "tie_word_embeddings"},
    facts=dict(norm="layernorm", position="alibi", bias="all", mlp="gelu", embed_norm=True,
               tie_embeddings=True, context_length=2048),
    prefix="transformer.", passed=("skip_bias_add", "skip_bias_add_qkv", "offset_alibi"),
    needs={"apply_residual_connection_post_layernorm": False},
    fix=Fused({"query_key_value": QKV}, by_head=("query_key_value",)))

FAMILIES = {family.model_type: family for family in (
    LLAMA, MISTRAL, QWEN2, QWEN3, GPT2, GEMMA, GEMMA2, GEMMA3, OLMO, OLMO2, GPT_NEOX, PHI, BLOOM, PHI3,
    MIXTRAL, QWEN3_MOE, OLMOE, DEEPSEEK, DEEPSEEK_V2)}


def family_of(theirs: dict[str, Any]) -> Family:
    """The family that a config.json belongs to."""
    kind = theirs.get("model_type")
    if kind not in tuple(FAMILIES):
        near = "".join(f"; the nearest is {name}" for name in get_close_matches(str(kind), FAMILIES, 1, cutoff=0.4))
        raise ValueError(f"model_type={kind!r} is not a family known here{near}; known are: {', '.join(FAMILIES)}; "
                         f"choose one of these, or open it with transformers")
    return FAMILIES[kind]


def family_for(config: ModelConfig) -> Family:
    """The first family that is exactly this configuration.

    Raises ValueError where there is none, naming the fields that stand in the nearest one's way.
    """
    c = canonical(config)
    ways = {name: family.standing_in_the_way(c) for name, family in FAMILIES.items()}
    nearest = min(ways, key=lambda name: len(ways[name]))  # the first of equals
    if ways[nearest]:
        fields = ", ".join(f"{name}={value!r}" for name, value in ways[nearest].items())
        raise ValueError(f"no published family has this combination of choices; the nearest, {nearest}, "
                         f"has not: {fields}. "
                         f"Change that, or keep the model in minillm's own format with save(...)")
    return FAMILIES[nearest]
