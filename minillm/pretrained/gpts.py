"""Know the families that keep GPT's LayerNorm, most of them with its plain MLP and its biases."""
from __future__ import annotations

from dataclasses import replace

from minillm.pretrained.layouts import Absent, Fused, OnePlus, Shifted, Sines
from minillm.pretrained.multipliers import Multipliers
from minillm.pretrained.names import (
    ACT,
    EMBED,
    GATED,
    GLOBAL,
    GROUPS,
    HEADS,
    NO_BIAS,
    PLAIN,
    PRE,
    QKV,
    SIZES,
    WINDOW,
    WINDOWS,
)
from minillm.pretrained.settings import Family

GPT1 = Family(  # Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training"
    "openai-gpt", "OpenAIGPTLMHeadModel",
    ((".tokens_embed.", ".embed."), (".positions_embed.", ".position."), (".h.", ".blocks."),
     (".ln_1.", ".attention_out_norm."), (".ln_2.", ".mlp_out_norm."), (".attn.", ".attention."),
     (".attention.c_proj.", ".attention.o_proj."), (".c_fc.", ".up_proj."), (".mlp.c_proj.", ".mlp.down_proj."),
     (".lm_head.", ".unembed.")),
    {"vocab_size": "vocab_size", "d_model": "n_embd", "n_layers": "n_layer", "n_heads": "n_head",
     "context_length": "n_positions", "mlp": "afn", "norm_eps": "layer_norm_epsilon",
     "tie_embeddings": "tie_word_embeddings"},
    values={"mlp": {"gelu": "gelu", "relu": "relu"}},  # its "gelu" is the tanh form
    facts=dict(norm="layernorm", norm_order="post", position="learned", bias="all", mlp="gelu", tie_embeddings=True,
               context_length=512),
    prefix="transformer.", fix=Fused({"c_attn": QKV}, transposed=True))
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
GPT_NEOX = Family(  # Black et al. 2022, arXiv:2204.06745; Pythia: Biderman et al. 2023, arXiv:2304.01373
    "gpt_neox", "GPTNeoXForCausalLM",
    ((".embed_in.", ".embed."), (".layers.", ".blocks."), (".input_layernorm.", ".attention_norm."),
     (".post_attention_layernorm.", ".mlp_norm."), (".final_layer_norm.", ".norm."), (".dense.", ".o_proj."),
     (".dense_h_to_4h.", ".up_proj."), (".dense_4h_to_h.", ".down_proj."), (".embed_out.", ".unembed.")),
    SIZES | ACT | {"norm_eps": "layer_norm_eps", "norm_order": "use_parallel_residual", "bias": "attention_bias"},
    values=PLAIN | {"norm_order": {True: "parallel", False: "pre"}, "bias": {True: "all", False: "mlp"}},
    facts=dict(norm="layernorm", norm_order="parallel", bias="all", mlp="gelu-exact", tie_embeddings=False,
               rope_fraction=0.25, context_length=2048),
    free=("rope_theta", "rope_scaling", "rope_fraction"), prefix="gpt_neox.",
    passed=("is_decoder",), rotary=("rotary_emb_base", "rotary_pct"),
    fix=Fused({"query_key_value": QKV}, by_head=("query_key_value",)))
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
PHI = Family(  # Li et al. 2023, arXiv:2309.05463
    "phi", "PhiForCausalLM",
    (*EMBED, (".input_layernorm.", ".attention_norm."), (".final_layernorm.", ".norm."),
     (".dense.", ".o_proj."), (".fc1.", ".up_proj."), (".fc2.", ".down_proj.")),
    SIZES | GROUPS | ACT | {"norm_eps": "layer_norm_eps"}, values=PLAIN,
    facts=dict(norm="layernorm", norm_order="parallel-shared", bias="all", unembed_bias=True, mlp="gelu",
               tie_embeddings=False, rope_fraction=0.5, context_length=2048),
    free=("rope_theta", "rope_scaling", "rope_fraction"), needs={"qk_layernorm": False})
GPTJ = Family(  # Wang and Komatsuzaki 2021, "GPT-J-6B"
    "gptj", "GPTJForCausalLM",
    ((".wte.", ".embed."), (".h.", ".blocks."), (".ln_1.", ".attention_norm."), (".ln_f.", ".norm."),
     (".attn.", ".attention."), (".out_proj.", ".o_proj."), (".fc_in.", ".up_proj."), (".fc_out.", ".down_proj."),
     (".lm_head.", ".unembed.")),
    {name: key for name, key in GPT2.keys.items() if name != "context_length"} | {
        "context_length": "n_positions", "rope_fraction": "rotary_dim"},
    values=PLAIN,
    facts=dict(norm="layernorm", norm_order="parallel-shared", bias="mlp", mlp="gelu", unembed_bias=True,
               rope_pairs="neighbours", tie_embeddings=False, d_ff=None, context_length=2048),
    prefix="transformer.", passed=("rotary", "scale_attn_weights"))
CODEGEN = replace(  # Nijkamp et al. 2022, arXiv:2203.13474
    GPTJ, model_type="codegen", architecture="CodeGenForCausalLM", passed=("n_ctx", "rotary"),
    fix=Fused({"qkv_proj": ("q_proj", "v_proj", "k_proj")}, by_head=("qkv_proj",), shards=4))
GPT_NEO = Family(  # Black et al. 2021, "GPT-Neo"; TinyStories: Eldan and Li 2023, arXiv:2305.07759
    "gpt_neo", "GPTNeoForCausalLM",
    ((".wte.", ".embed."), (".wpe.", ".position."), (".h.", ".blocks."), (".ln_1.", ".attention_norm."),
     (".ln_2.", ".mlp_norm."), (".ln_f.", ".norm."), (".attn.attention.", ".attention."), (".out_proj.", ".o_proj."),
     (".c_fc.", ".up_proj."), (".mlp.c_proj.", ".mlp.down_proj."), (".lm_head.", ".unembed.")),
    {"vocab_size": "vocab_size", "d_model": "hidden_size", "n_layers": "num_layers", "n_heads": "num_heads",
     "context_length": "max_position_embeddings", "d_ff": "intermediate_size", "mlp": "activation_function",
     "norm_eps": "layer_norm_epsilon", "tie_embeddings": "tie_word_embeddings"}, values=PLAIN,
    facts=dict(norm="layernorm", position="learned", bias="all", mlp="gelu", tie_embeddings=True, d_ff=None,
               attention_scale=1.0, window=256, global_every=2, global_first=True, context_length=2048),
    free=GLOBAL, windows=WINDOWS, listed=("attention_layers", "attention_types", "window_size"), prefix="transformer.",
    passed=("resid_dropout", "embed_dropout"), fix=Absent(tuple((f"{part}.bias", 0.0) for part in QKV)))
BIGCODE = replace(  # SantaCoder, StarCoder: Li et al. 2023, arXiv:2305.06161
    GPT2, model_type="gpt_bigcode", architecture="GPTBigCodeForCausalLM",
    keys=GPT2.keys | {"context_length": "n_positions"}, facts=GPT2.facts | dict(n_kv_heads=1),
    needs={"scale_attn_weights": True, "multi_query": True},
    passed=("scale_attention_softmax_in_fp32", "num_key_value_heads"), fix=Fused({"c_attn": QKV}))
OPT = Family(  # Zhang et al. 2022, arXiv:2205.01068
    "opt", "OPTForCausalLM",
    (("^.final_layer_norm.", "^.norm."), (".embed_tokens.", ".embed."), (".embed_positions.", ".position."),
     (".layers.", ".blocks."), (".final_layer_norm.", ".mlp_norm."), (".self_attn_layer_norm.", ".attention_norm."),
     (".self_attn.", ".attention."), (".out_proj.", ".o_proj."), (".fc1.", ".mlp.up_proj."),
     (".fc2.", ".mlp.down_proj."), (".lm_head.", ".unembed.")),
    {"vocab_size": "vocab_size", "d_model": "hidden_size&word_embed_proj_dim", "n_layers": "num_hidden_layers",
     "n_heads": "num_attention_heads", "d_ff": "ffn_dim", "context_length": "max_position_embeddings",
     "mlp": "activation_function", "tie_embeddings": "tie_word_embeddings"},
    values={"mlp": {"relu": "relu", "gelu": "gelu-exact", "gelu_new": "gelu"}},
    facts=dict(norm="layernorm", position="learned", bias="all", mlp="relu", tie_embeddings=True, context_length=2048),
    prefix="model.decoder.", fix=Shifted(2), passed=("layerdrop", "dropout", "activation_dropout", "init_std"),
    needs={"do_layer_norm_before": True, "_remove_final_layer_norm": False, "enable_bias": True,
           "layer_norm_elementwise_affine": True})
BIOGPT = replace(  # Luo et al. 2022, arXiv:2210.10341
    OPT, model_type="biogpt", architecture="BioGptForCausalLM", prefix="biogpt.",
    names=(("^.layer_norm.", "^.norm."), *OPT.names[1:-1], (".output_projection.", ".unembed.")),
    keys=SIZES | ACT | {"embed_scale": "scale_embedding"}, values=PLAIN, needs={},
    facts=OPT.facts | dict(mlp="gelu-exact", embed_scale=True, context_length=1024),
    passed=("layer_norm_eps", "layerdrop", "activation_dropout", "attention_probs_dropout_prob"))
XGLM = replace(  # Lin et al. 2021, arXiv:2112.10668
    BIOGPT, model_type="xglm", architecture="XGLMForCausalLM", prefix="model.",
    names=(*BIOGPT.names[:-1], (".lm_head.", ".unembed.")), fix=Sines(2),
    keys={"vocab_size": "vocab_size", "d_model": "d_model", "n_layers": "num_layers", "n_heads": "attention_heads",
          "d_ff": "ffn_dim", "context_length": "max_position_embeddings", "mlp": "activation_function",
          "embed_scale": "scale_embedding", "tie_embeddings": "tie_word_embeddings"},
    facts=BIOGPT.facts | dict(context_length=2048), passed=("layerdrop", "dropout", "activation_dropout", "init_std"))
CTRL = Family(  # Keskar et al. 2019, arXiv:1909.05858
    "ctrl", "CTRLLMHeadModel",
    (("^.layernorm.", "^.norm."), (".w.", ".embed."), (".h.", ".blocks."), (".layernorm1.", ".attention_norm."),
     (".layernorm2.", ".mlp_norm."), (".multi_head_attention.", ".attention."), (".Wq.", ".q_proj."),
     (".Wk.", ".k_proj."), (".Wv.", ".v_proj."), (".dense.", ".o_proj."), (".ffn.0.", ".mlp.up_proj."),
     (".ffn.2.", ".mlp.down_proj."), (".lm_head.", ".unembed.")),
    {name: key for name, key in GPT2.keys.items() if name not in ("mlp", "norm_eps")} | {
        "context_length": "n_positions", "d_ff": "dff"},
    facts=dict(norm="layernorm", position="learned", bias="all", mlp="relu", embed_scale=True, unembed_bias=True,
               tie_embeddings=True, norm_eps=1e-6, context_length=256),
    prefix="transformer.", fix=Sines(short=True), needs={"layer_norm_epsilon": 1e-6})
MPT = Family(  # MosaicML 2023, "MPT-7B"
    "mpt", "MptForCausalLM",
    ((".wte.", ".embed."), (".norm_f.", ".norm."), (".norm_1.", ".attention_norm."), (".norm_2.", ".mlp_norm."),
     (".attn.", ".attention."), (".out_proj.", ".o_proj."), (".ffn.", ".mlp."), (".lm_head.", ".unembed.")),
    {"vocab_size": "vocab_size", "d_model": "d_model", "n_layers": "n_layers", "n_heads": "n_heads",
     "context_length": "max_seq_len", "norm_eps": "layer_norm_epsilon", "attention_scale": "softmax_scale",
     "tie_embeddings": "tie_word_embeddings"},
    facts=dict(norm="layernorm-gain", position="alibi", mlp="gelu-exact", tie_embeddings=True, context_length=2048),
    prefix="transformer.", fix=Fused({"Wqkv": QKV}),
    needs={"alibi": True, "alibi_bias_max": 8, "clip_qkv": None, "qk_ln": False, "prefix_lm": False, "no_bias": True,
           "attn_type": "multihead_attention", "expansion_ratio": 4, "logit_scale": None},
    inside={"attn_config": ("alibi", "alibi_bias_max", "clip_qkv", "qk_ln", "prefix_lm", "attn_type", "softmax_scale")},
    passed=("attn_impl", "attn_uses_sequence_id", "emb_pdrop", "init_device", "learned_pos_emb", "embedding_fraction",
            "norm_type", "verbose", "init_config"))
JAIS2 = Family(  # Inception, MBZUAI and Cerebras 2025, "Jais 2"
    "jais2", "Jais2ForCausalLM", PRE, SIZES | HEADS | ACT | {"norm_eps": "layer_norm_eps"}, values=PLAIN,
    facts=dict(norm="layernorm", mlp="relu2", bias="all", tie_embeddings=False, context_length=8192),
    free=("rope_theta", "rope_scaling"), needs={"attention_bias": True, "mlp_bias": True})
FALCON = Family(  # Falcon 7B: Almazrouei et al. 2023, arXiv:2311.16867
    "falcon", "FalconForCausalLM", BLOOM.names,
    {"vocab_size": "vocab_size", "d_model": "hidden_size|n_embed", "n_layers": "num_hidden_layers|n_layer",
     "n_heads": "num_attention_heads|n_head", "d_ff": "ffn_hidden_size", "context_length": "max_position_embeddings",
     "mlp": "activation", "norm_eps": "layer_norm_epsilon", "tie_embeddings": "tie_word_embeddings"},
    values=PLAIN,
    facts=dict(norm="layernorm", norm_order="parallel-shared", mlp="gelu-exact", n_kv_heads=1, d_ff=None,
               tie_embeddings=True, context_length=2048),
    free=("rope_theta", "rope_scaling"), prefix="transformer.", passed=("num_kv_heads", "num_ln_in_parallel_attn"),
    needs={"multi_query": True, "parallel_attn": True, "new_decoder_architecture": False, "alibi": False,
           "bias": False}, fix=Fused({"query_key_value": QKV}))
STABLELM = Family(  # Bellagente et al. 2024, arXiv:2402.17834
    "stablelm", "StableLmForCausalLM", PRE,
    SIZES | GROUPS | ACT | {"norm_eps": "layer_norm_eps", "bias": "use_qkv_bias"},
    values=GATED | {"bias": {True: "qkv", False: "none"}},
    facts=dict(norm="layernorm", n_kv_heads=32, tie_embeddings=False, rope_fraction=0.25, context_length=4096),
    free=("rope_theta", "rope_scaling", "rope_fraction"),
    needs={"qk_layernorm": False, "use_parallel_residual": False})
STARCODER2 = Family(  # Lozhkov et al. 2024, arXiv:2402.19173
    "starcoder2", "Starcoder2ForCausalLM", (*PRE, (".c_fc.", ".up_proj."), (".mlp.c_proj.", ".mlp.down_proj.")),
    SIZES | GROUPS | ACT | {"norm_eps": "norm_epsilon", "bias": "use_bias"},
    values=PLAIN | {"bias": {True: "all", False: "none"}},
    facts=dict(norm="layernorm", bias="all", mlp="gelu", n_kv_heads=2, tie_embeddings=True, context_length=4096),
    free=("rope_theta", "rope_scaling", "window"), windows=WINDOW, passed=("residual_dropout", "embedding_dropout"))
NEMOTRON = Family(  # Parmar et al. 2024, arXiv:2402.16819
    "nemotron", "NemotronForCausalLM", PRE, SIZES | HEADS | ACT | {"norm_eps": "norm_eps"}, values=PLAIN,
    facts=dict(norm="layernorm", mlp="relu2", tie_embeddings=False, rope_fraction=0.5, context_length=4096),
    free=("rope_theta", "rope_scaling", "rope_fraction"), needs=NO_BIAS | {"mlp_bias": False}, fix=OnePlus())
COHERE = Family(  # Command R: Cohere 2024, "Command R"
    "cohere", "CohereForCausalLM", PRE, SIZES | GROUPS | ACT | {"norm_eps": "layer_norm_eps"}, values=GATED,
    facts=dict(norm="layernorm-gain", norm_order="parallel-shared", rope_pairs="neighbours", rope_theta=500_000.0,
               tie_embeddings=True, context_length=8192),
    free=("rope_theta", "rope_scaling"), needs=NO_BIAS | {"use_qk_norm": False},
    scaled=Multipliers(logit=("logit_scale", 0.0625)))
COHERE2 = replace(  # Command A, Command R7B: Cohere 2025, arXiv:2504.00698
    COHERE, model_type="cohere2", architecture="Cohere2ForCausalLM", turned="windowed",
    facts=COHERE.facts | dict(window=4096, global_every=4, rope_theta=10_000.0),
    free=("rope_theta", "rope_scaling", "window", "global_every", "nope_every"), needs=NO_BIAS,
    windows=(*WINDOWS, "sliding_window_pattern"))

ROWS = (GPT1, GPT2, GPTJ, GPT_NEOX, BLOOM, PHI, BIGCODE, OPT, FALCON, STABLELM, STARCODER2, NEMOTRON, COHERE, COHERE2,
        CODEGEN, GPT_NEO, BIOGPT, XGLM, CTRL, MPT, JAIS2)
