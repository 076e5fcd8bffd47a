"""Know the families whose layers are mixtures of experts."""
from __future__ import annotations

from dataclasses import replace

from minillm.config import RopeScaling
from minillm.pretrained.layouts import Both, Compressed, Flat, Fused, Stacked
from minillm.pretrained.llamas import ERNIE, EXAONE4, GRANITE, LLAMA, MISTRAL, QWEN3
from minillm.pretrained.multipliers import Multipliers, Sharpened
from minillm.pretrained.names import (
    ACT,
    GATED,
    GLOBAL,
    GROUPS,
    HEADS,
    NO_BIAS,
    OUTPUT,
    PRE,
    RMS,
    ROUTED,
    SIZES,
    WINDOWS,
)
from minillm.pretrained.settings import Family

BALANCE = (".mlp.router.e_score_correction_bias", ".mlp.balance")
AHEAD = ("num_nextn_predict_layers", "num_mtp_layers")
SHARED = (".shared_experts.", ".shared.")

MIXTRAL = replace(  # Jiang et al. 2024, arXiv:2401.04088
    MISTRAL, model_type="mixtral", architecture="MixtralForCausalLM",
    names=(*PRE, (".block_sparse_moe.", ".mlp."), (".mlp.gate.", ".mlp.router."), (".w1.", ".gate_proj."),
           (".w2.", ".down_proj."), (".w3.", ".up_proj.")),
    keys=MISTRAL.keys | {"n_experts": "num_local_experts", "experts_per_token": "num_experts_per_tok"},
    facts=dict(tie_embeddings=False, norm_eps=1e-5, rope_theta=1e6, n_kv_heads=8, context_length=131072, n_experts=8,
               experts_per_token=2))
QWEN3_MOE = replace(
    QWEN3, model_type="qwen3_moe", architecture="Qwen3MoeForCausalLM", names=ROUTED,
    keys=QWEN3.keys | {"n_experts": "num_experts|num_local_experts",
                       "experts_per_token": "num_experts_per_tok", "d_expert": "moe_intermediate_size",
                       "normalize_experts": "norm_topk_prob"},
    facts=QWEN3.facts | dict(d_head=None, n_kv_heads=4, n_experts=128, experts_per_token=8, d_expert=768,
                             normalize_experts=False, window=None),
    free=("rope_theta", "rope_scaling"), windows=(), passed=("sliding_window", "max_window_layers"),
    needs=NO_BIAS | {"decoder_sparse_step": 1, "mlp_only_layers": [], "use_sliding_window": False})
MELLUM = replace(  # JetBrains 2026, "Mellum 2"
    QWEN3_MOE, model_type="mellum", architecture="MellumForCausalLM",
    keys=QWEN3_MOE.keys | {"n_dense_layers": "first_k_dense_replace"},
    facts=QWEN3_MOE.facts | dict(d_head=128, n_experts=64, d_expert=896, normalize_experts=True, window=1024,
                                 rope_theta=500_000.0, rope_theta_local=1e4, context_length=131072),
    free=("rope_theta", "rope_scaling", "rope_theta_local", *GLOBAL, "yarn"), windows=WINDOWS, scaled=Sharpened(1),
    listed=("layer_types", "mlp_layer_types", "rope_parameters"), passed=("mtp_layer_types", "mtp_mlp_layer_types"),
    ahead=AHEAD)
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
    names=(*ROUTED, SHARED), values=GATED, free=("rope_theta", "rope_scaling"),
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
    needs=NO_BIAS | {"rms_norm_eps": 1e-6, "moe_layer_freq": 1, "scoring_func": "sigmoid", "rope_interleave": True},
    ahead=AHEAD)
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
    scaled=Multipliers(experts=("routed_scaling_factor", 1.0)), ahead=AHEAD)
SOLAR_OPEN = replace(  # Upstage 2026, arXiv:2601.07022
    GLM4_MOE, model_type="solar_open", architecture="SolarOpenForCausalLM",
    keys={name: key for name, key in GLM4_MOE.keys.items() if name not in ("qk_norm", "n_dense_layers", "d_ff")},
    values=GATED | {"bias": {True: "qkv", False: "none"}}, free=("rope_theta", "rope_scaling"),
    facts=GLM4_MOE.facts | dict(rope_fraction=1.0, rope_theta=1e6, d_head=128, d_expert=1280, n_dense_layers=0),
    ahead=())
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
DOTS1 = Family(  # rednote-hilab 2025, arXiv:2506.05767
    "dots1", "Dots1ForCausalLM", (*DEEPSEEK.names, BALANCE), DEEPSEEK.keys | HEADS, values=GATED,
    facts=dict(router="sigmoid", balance_bias=True, qk_norm="head", n_kv_heads=32, norm_eps=1e-6, tie_embeddings=False,
               normalize_experts=False, n_dense_layers=0, context_length=2048),
    free=("rope_theta", "rope_scaling", *GLOBAL), windows=(*WINDOWS, "max_window_layers"), grouped="always",
    scaled=Multipliers(experts=("routed_scaling_factor", 1.0)), needs=NO_BIAS)
EXAONE_MOE = replace(  # LG AI Research 2026, "K-EXAONE"
    DOTS1, model_type="exaone_moe", architecture="ExaoneMoeForCausalLM",
    names=(*ROUTED, SHARED, (".mlp.e_score_correction_bias", ".mlp.balance")),
    keys=DOTS1.keys | {"n_experts": "num_experts", "n_shared_experts": "num_shared_experts"},
    facts=DOTS1.facts | dict(norm_eps=1e-5, normalize_experts=True, n_experts=64, experts_per_token=8, d_expert=1024,
                             n_shared_experts=1, n_dense_layers=1, window=4096, global_every=4),
    free=EXAONE4.free, windows=EXAONE4.windows, turned=EXAONE4.turned, needs={}, ahead=AHEAD,
    listed=("mlp_layer_types",), scaled=Multipliers(experts=("routed_scaling_factor", 2.5)))
HY3 = replace(  # Tencent 2026, "Hunyuan 3"
    DOTS1, model_type="hy_v3", architecture="HYV3ForCausalLM",
    names=(*PRE, (".mlp.router.gate.", ".mlp.router."), (".mlp.expert_bias", ".mlp.balance"),
           (".mlp.shared_mlp.", ".mlp.shared.")),
    keys={name: key for name, key in EXAONE_MOE.keys.items() if name != "normalize_experts"},
    facts=DOTS1.facts | dict(normalize_experts=True, n_kv_heads=8, d_head=128, norm_eps=1e-5, n_experts=192,
                             experts_per_token=8, d_expert=1536, n_shared_experts=1, n_dense_layers=1,
                             rope_theta=11_158_840.0, context_length=131072),
    free=("rope_theta", "rope_scaling"), windows=(), grouped="", listed=("mlp_layer_types",), ahead=AHEAD,
    passed=("enable_moe_fp32_combine",), needs=NO_BIAS | {"mlp_bias": False},
    scaled=Multipliers(experts=("router_scaling_factor", 2.826)))
MINIMAX_M2 = replace(  # MiniMax 2025, "MiniMax-M2"
    MIXTRAL, model_type="minimax_m2", architecture="MiniMaxM2ForCausalLM",
    names=(*MIXTRAL.names, (".mlp.e_score_correction_bias", ".mlp.balance")),
    facts=MIXTRAL.facts | dict(router="sigmoid", balance_bias=True, qk_norm="full", d_head=128, norm_eps=1e-6,
                               rope_theta=5e6, n_experts=256, experts_per_token=8, context_length=196608),
    free=("rope_theta", "rope_scaling", "rope_fraction"), windows=(), listed=("rotary_dim",))
ERNIE_MOE = Family(  # Baidu 2025, "ERNIE 4.5 Technical Report"
    "ernie4_5_moe", "Ernie4_5_MoeForCausalLM",
    (*ROUTED, SHARED, (".mlp.moe_statics.e_score_correction_bias", ".mlp.balance")),
    {name: key for name, key in ERNIE.keys.items() if name != "bias"} | {
        "n_experts": "moe_num_experts|num_experts", "experts_per_token": "moe_k|num_experts_per_tok",
        "n_shared_experts": "moe_num_shared_experts", "d_expert": "moe_intermediate_size",
        "n_dense_layers": "moe_layer_start_index"}, values=GATED,
    facts=ERNIE.facts | dict(balance_bias=True, n_kv_heads=4, d_head=None, n_experts=64, experts_per_token=6,
                             n_shared_experts=2, d_expert=1536, n_dense_layers=1),
    free=ERNIE.free, fix=Flat(), listed=("moe_layer_end_index",), ahead=AHEAD,
    needs={"moe_layer_interval": 1, "moe_norm_min": 1e-12, "use_bias": False},
    passed=("moe_capacity", "moe_gate", "moe_use_aux_free"))
FLEX_OLMO = replace(  # Shi et al. 2025, arXiv:2507.07024
    OLMOE, model_type="flex_olmo", architecture="FlexOlmoForCausalLM", names=(*OUTPUT, (".mlp.gate.", ".mlp.router.")),
    facts=OLMOE.facts | dict(norm_order="output", norm_eps=1e-6, rope_theta=500_000.0, n_experts=7,
                             experts_per_token=5), needs=NO_BIAS)
GRANITE_MOE = replace(  # IBM 2024, "Granite 3.0 Language Models"
    GRANITE, model_type="granitemoe", architecture="GraniteMoeForCausalLM",
    names=(*PRE, (".block_sparse_moe.router.layer.", ".mlp.router."),
           (".block_sparse_moe.input_linear.weight", ".mlp.experts.gate_up_proj"),
           (".block_sparse_moe.output_linear.weight", ".mlp.experts.down_proj")),
    keys=GRANITE.keys | {"n_experts": "num_local_experts", "experts_per_token": "num_experts_per_tok"},
    facts=GRANITE.facts | dict(n_experts=8, experts_per_token=2), needs=NO_BIAS, fix=Stacked())

ROWS = (MIXTRAL, QWEN3_MOE, MELLUM, OLMOE, DEEPSEEK, DEEPSEEK_V2, DEEPSEEK_V3, YOUTU, GLM4_MOE, SOLAR_OPEN, GPT_OSS,
        DOTS1, EXAONE_MOE, HY3, MINIMAX_M2, ERNIE_MOE, FLEX_OLMO, GRANITE_MOE)
