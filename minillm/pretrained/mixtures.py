"""Know the families whose layers are mixtures of experts."""
from __future__ import annotations

from dataclasses import replace

from minillm.config import RopeScaling
from minillm.pretrained.layouts import Both, Compressed, Fused, Stacked
from minillm.pretrained.llamas import LLAMA, MISTRAL, QWEN3
from minillm.pretrained.multipliers import Multipliers
from minillm.pretrained.names import ACT, GATED, GROUPS, HEADS, NO_BIAS, PRE, RMS, ROUTED, SIZES, WINDOWS
from minillm.pretrained.settings import Family

BALANCE = (".mlp.router.e_score_correction_bias", ".mlp.balance")

MIXTRAL = replace(  # Jiang et al. 2024, arXiv:2401.04088
    MISTRAL, model_type="mixtral", architecture="MixtralForCausalLM",
    names=(*PRE, (".block_sparse_moe.", ".mlp."), (".mlp.gate.", ".mlp.router."), (".w1.", ".gate_proj."),
           (".w2.", ".down_proj."), (".w3.", ".up_proj.")),
    keys=MISTRAL.keys | {"n_experts": "num_local_experts", "experts_per_token": "num_experts_per_tok"},
    facts=dict(tie_embeddings=False, norm_eps=1e-5, rope_theta=1e6, n_kv_heads=8, context_length=131072, n_experts=8,
               experts_per_token=2))
QWEN3_MOE = replace(
    QWEN3, model_type="qwen3_moe", architecture="Qwen3MoeForCausalLM", names=ROUTED,
    keys=LLAMA.keys | {"n_experts": "num_experts|num_local_experts",
                       "experts_per_token": "num_experts_per_tok", "d_expert": "moe_intermediate_size",
                       "normalize_experts": "norm_topk_prob"},
    facts=QWEN3.facts | dict(d_head=None, n_kv_heads=4, n_experts=128, experts_per_token=8, d_expert=768,
                             normalize_experts=False, window=None),
    free=("rope_theta", "rope_scaling"), windows=(), passed=("sliding_window", "max_window_layers"),
    needs=NO_BIAS | {"decoder_sparse_step": 1, "mlp_only_layers": [], "use_sliding_window": False})
OLMOE = replace(  # Muennighoff et al. 2024, arXiv:2409.02060
    LLAMA, model_type="olmoe", architecture="OlmoeForCausalLM", names=ROUTED,
    values=GATED, free=("rope_theta", "rope_scaling"),
    keys=SIZES | GROUPS | RMS | ACT | {"n_experts": "num_experts", "experts_per_token": "num_experts_per_tok",
                                       "normalize_experts": "norm_topk_prob"},
    facts=dict(qk_norm="full", norm_eps=1e-5, tie_embeddings=False, normalize_experts=False, context_length=4096,
               n_experts=64, experts_per_token=8),
    needs=NO_BIAS | {"clip_qkv": None})
DEEPSEEK = replace(  # Dai et al. 2024, arXiv:2401.06066 (DeepSeekMoE, before latent attention)
    LLAMA, model_type="deepseek", architecture="DeepseekForCausalLM",
    names=(*ROUTED, (".shared_experts.", ".shared.")), values=GATED, free=("rope_theta", "rope_scaling"),
    keys=SIZES | GROUPS | RMS | ACT | {
        "n_experts": "n_routed_experts", "experts_per_token": "num_experts_per_tok",
        "n_shared_experts": "n_shared_experts", "d_expert": "moe_intermediate_size",
        "n_dense_layers": "first_k_dense_replace", "normalize_experts": "norm_topk_prob"},
    facts=dict(tie_embeddings=False, norm_eps=1e-6, normalize_experts=False, context_length=2048, n_shared_experts=0,
               d_expert=1407, n_dense_layers=0),
    needs=NO_BIAS | {"mlp_bias": False, "moe_layer_freq": 1, "scoring_func": "softmax"})
LATENT_NAMES = ((".q_a_proj.", ".q_latent.query_proj."), (".q_a_layernorm.", ".q_latent.norm."),
                (".kv_a_layernorm.", ".latent_norm."))
LATENT_KEYS = {"d_head": "qk_nope_head_dim&v_head_dim", "d_latent": "kv_lora_rank", "d_rotary": "qk_rope_head_dim",
               "d_query": "q_lora_rank"}
LATENT_FIX = Both(Compressed(), Fused({"kv_a_proj_with_mqa": ("latent_proj", "rotary_proj"),
                                       "kv_b_proj": ("k_proj", "v_proj")}, by_head=("kv_b_proj",)))
DEEPSEEK_V2 = replace(  # DeepSeek-AI 2024, arXiv:2405.04434
    DEEPSEEK, model_type="deepseek_v2", architecture="DeepseekV2ForCausalLM",
    names=(*DEEPSEEK.names, *LATENT_NAMES),
    keys={name: key for name, key in DEEPSEEK.keys.items() if name not in ("norm_eps", "normalize_experts")}
    | LATENT_KEYS,
    facts=DEEPSEEK.facts | dict(attention="latent", rope_pairs="neighbours", n_experts=64, n_shared_experts=2,
                                d_head=128, d_latent=512, d_rotary=64, d_query=1536),
    free=(*DEEPSEEK.free, "yarn"), grouped="if limited", scaled=Multipliers(experts=("routed_scaling_factor", 1.0)),
    needs=DEEPSEEK.needs | {"rms_norm_eps": 1e-6, "norm_topk_prob": False},
    passed=("qk_head_dim", "head_dim"), fix=LATENT_FIX)
DEEPSEEK_V3 = replace(  # DeepSeek-AI 2024, arXiv:2412.19437; Kimi K2: Kimi Team 2025, arXiv:2507.20534
    DEEPSEEK_V2, model_type="deepseek_v3", architecture="DeepseekV3ForCausalLM",
    names=(*DEEPSEEK_V2.names, BALANCE), keys=DEEPSEEK_V2.keys | {"normalize_experts": "norm_topk_prob"},
    facts=DEEPSEEK_V2.facts | dict(router="sigmoid", balance_bias=True, normalize_experts=True, n_experts=256,
                                   experts_per_token=8, n_shared_experts=1, d_expert=2048, n_dense_layers=3,
                                   n_expert_groups=8, groups_per_token=4, context_length=4096),
    grouped="always", scaled=Multipliers(experts=("routed_scaling_factor", 2.5)),
    needs=NO_BIAS | {"rms_norm_eps": 1e-6, "moe_layer_freq": 1, "scoring_func": "sigmoid", "rope_interleave": True,
                     "num_nextn_predict_layers": 0, "num_mtp_layers": 0})
YOUTU = replace(  # Tencent 2025, arXiv:2512.24618: DeepSeek's attention in a dense model
    DEEPSEEK_V2, model_type="youtu", architecture="YoutuForCausalLM", names=(*PRE, *LATENT_NAMES),
    keys=SIZES | ACT | LATENT_KEYS,
    facts=dict(attention="latent", rope_pairs="neighbours", d_head=128, d_latent=512, d_rotary=64, d_query=1536,
               norm_eps=1e-6, tie_embeddings=True, context_length=131072),
    grouped="", scaled=None, passed=(*DEEPSEEK_V2.passed, "num_key_value_heads", "embedding_initializer_range"),
    needs=NO_BIAS | {"rms_norm_eps": 1e-6, "mlp_bias": False, "rope_interleave": True})
GLM4_MOE = Family(  # GLM-4.5: GLM Team 2025, arXiv:2508.06471
    "glm4_moe", "Glm4MoeForCausalLM", (*DEEPSEEK.names, BALANCE),
    DEEPSEEK.keys | HEADS | {"qk_norm": "use_qk_norm", "bias": "attention_bias"},
    values=GATED | {"qk_norm": {True: "head", False: None}, "bias": {True: "qkv", False: "none"}},
    facts=dict(router="sigmoid", balance_bias=True, n_kv_heads=8, norm_eps=1e-5, tie_embeddings=False,
               rope_fraction=0.5, context_length=131072, n_experts=128, experts_per_token=8, n_shared_experts=1,
               d_expert=1408, n_dense_layers=1),
    free=("rope_theta", "rope_scaling", "rope_fraction"), grouped="always",
    scaled=Multipliers(experts=("routed_scaling_factor", 1.0)),
    needs={"num_nextn_predict_layers": 0, "num_mtp_layers": 0})
SOLAR_OPEN = replace(  # Upstage 2026, arXiv:2601.07022
    GLM4_MOE, model_type="solar_open", architecture="SolarOpenForCausalLM",
    keys={name: key for name, key in GLM4_MOE.keys.items() if name not in ("qk_norm", "n_dense_layers", "d_ff")},
    values=GATED | {"bias": {True: "qkv", False: "none"}}, free=("rope_theta", "rope_scaling"),
    facts=GLM4_MOE.facts | dict(rope_fraction=1.0, rope_theta=1e6, d_head=128, d_expert=1280, n_dense_layers=0),
    needs={})
GPT_OSS = Family(  # OpenAI 2025, arXiv:2508.10925
    "gpt_oss", "GptOssForCausalLM", (*PRE, (".sinks", ".softmax.sinks")),
    SIZES | HEADS | RMS | {"n_experts": "num_local_experts|num_experts", "experts_per_token": "num_experts_per_tok"},
    facts=dict(mlp="swiglu-capped", bias="all", router_bias=True, attention_sinks=True, window=128, global_every=2,
               n_kv_heads=8, d_head=64, rope_theta=150_000.0, tie_embeddings=False, norm_eps=1e-5,
               context_length=131072, n_experts=128, experts_per_token=4,
               rope_scaling=RopeScaling("yarn", 32.0, 1.0, 32.0, 4096, sharpen=0.1, whole_pairs=False)),
    free=("rope_theta", "rope_scaling", "window", "global_every", "yarn"), windows=WINDOWS,
    passed=("initial_context_length", "experts_per_token"),
    needs={"attention_bias": True, "hidden_act": "silu", "swiglu_alpha": 1.702, "swiglu_limit": 7.0},
    fix=Stacked(transposed=True, alternating=True))

ROWS = (MIXTRAL, QWEN3_MOE, OLMOE, DEEPSEEK, DEEPSEEK_V2, DEEPSEEK_V3, YOUTU, GLM4_MOE, SOLAR_OPEN, GPT_OSS)
