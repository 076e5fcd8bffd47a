"""What most families call our fields and our parts, written once for the rows of the tables."""
from __future__ import annotations

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
GLOBAL = ("window", "global_every", "global_first")
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
