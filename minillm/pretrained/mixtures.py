"""Know the families whose layers are mixtures of experts."""
from __future__ import annotations

from dataclasses import replace

from minillm.pretrained.layouts import Fused
from minillm.pretrained.llamas import LLAMA, MISTRAL, QWEN3
from minillm.pretrained.names import ACT, GROUPS, NO_BIAS, PRE, RMS, ROUTED, SIZES

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

ROWS = (MIXTRAL, QWEN3_MOE, OLMOE, DEEPSEEK, DEEPSEEK_V2)
