"""Make tiny random models with transformers, one for each family, saved as transformers saves them."""
from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from torch import nn

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
VOCAB = 96
COMMON = dict(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
              intermediate_size=48, max_position_embeddings=64, bos_token_id=None, eos_token_id=None,
              pad_token_id=None)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
CAPS = dict(attn_logit_softcapping=2.0, final_logit_softcapping=3.0, query_pre_attn_scalar=5)
YARN = dict(rope_type="yarn", rope_theta=500.0, factor=8.0, beta_slow=1, beta_fast=4, mscale=0.707,
            mscale_all_dim=0.707, original_max_position_embeddings=32)
LATENT = dict(num_hidden_layers=3, qk_nope_head_dim=12, v_head_dim=12, qk_rope_head_dim=16, kv_lora_rank=20,
              q_lora_rank=None, first_k_dense_replace=1, n_routed_experts=4, num_experts_per_tok=2,
              n_shared_experts=2, moe_intermediate_size=24, topk_method="greedy")
PAPER = dict(rope_type="yarn", rope_theta=500.0, factor=8.0, beta_slow=1, beta_fast=4,
             original_max_position_embeddings=32)
GROUPED = dict(q_lora_rank=18, n_routed_experts=8, num_experts_per_tok=3, n_group=4, topk_group=2,
               routed_scaling_factor=2.5)
SIGMOID = dict(num_key_value_heads=2, n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1,
               moe_intermediate_size=24, routed_scaling_factor=1.5)
CONFIGS = {  # sizes chosen so that every choice of the family has an effect on 40 tokens
    "gpt2": ("GPT2Config", dict(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64,
                                bos_token_id=None, eos_token_id=None)),
    "llama": ("LlamaConfig", COMMON | dict(tie_word_embeddings=False)),
    "llama-2": ("LlamaConfig", COMMON | dict(rms_norm_eps=1e-5, num_key_value_heads=2)),
    "llama-3.1": ("LlamaConfig", COMMON | dict(num_key_value_heads=2, rope_parameters=LLAMA3)),
    "mistral": ("MistralConfig", COMMON | dict(num_key_value_heads=2, sliding_window=8)),
    "mixtral": ("MixtralConfig", COMMON | dict(num_key_value_heads=2, num_local_experts=4)),
    "qwen2": ("Qwen2Config", COMMON | dict(num_key_value_heads=2)),
    "qwen3": ("Qwen3Config", COMMON | dict(num_key_value_heads=2, head_dim=16)),
    "qwen3_moe": ("Qwen3MoeConfig", COMMON | dict(num_key_value_heads=2, head_dim=16, num_experts=4,
                                                  num_experts_per_tok=2, moe_intermediate_size=24,
                                                  norm_topk_prob=True)),
    "mellum": ("MellumConfig", COMMON | dict(
        num_hidden_layers=4, num_key_value_heads=2, head_dim=16, num_experts=4, num_experts_per_tok=2, sliding_window=8,
        moe_intermediate_size=24, layer_types=["sliding_attention"] * 3 + ["full_attention"], rope_parameters=dict(
            full_attention=PAPER, sliding_attention=dict(rope_type="default", rope_theta=300.0)))),
    "gemma": ("GemmaConfig", COMMON | dict(num_key_value_heads=1, head_dim=16)),
    "gemma2": ("Gemma2Config", COMMON | CAPS | dict(num_key_value_heads=2, head_dim=16, sliding_window=8)),
    "gemma3": ("Gemma3TextConfig", COMMON | dict(num_hidden_layers=7, num_key_value_heads=2, head_dim=16,
                                                 sliding_window=8, query_pre_attn_scalar=5)),
    "olmo": ("OlmoConfig", COMMON),
    "olmo2": ("Olmo2Config", COMMON | dict(num_key_value_heads=2)),
    "olmoe": ("OlmoeConfig", COMMON | dict(num_experts=4, num_experts_per_tok=2)),
    "gpt_neox": ("GPTNeoXConfig", COMMON | dict(num_attention_heads=2)),
    "gpt_neox-unbiased": ("GPTNeoXConfig", COMMON | dict(
        num_attention_heads=2, attention_bias=False, use_parallel_residual=False)),
    "bloom": ("BloomConfig", dict(vocab_size=VOCAB, hidden_size=48, n_layer=2, n_head=6, bos_token_id=None,
                                  eos_token_id=None, pad_token_id=None)),
    "phi": ("PhiConfig", COMMON),
    "phi3": ("Phi3Config", COMMON | dict(num_key_value_heads=2, sliding_window=8)),
    "openai-gpt": ("OpenAIGPTConfig", dict(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64)),
    "gpt_bigcode": ("GPTBigCodeConfig", dict(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64,
                                             bos_token_id=None, eos_token_id=None)),
    "opt": ("OPTConfig", dict(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48,
                              max_position_embeddings=64, word_embed_proj_dim=32, pad_token_id=None, bos_token_id=None,
                              eos_token_id=None)),
    "falcon": ("FalconConfig", dict(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                                    max_position_embeddings=64, bos_token_id=None, eos_token_id=None)),
    "stablelm": ("StableLmConfig", COMMON | dict(hidden_size=64, num_key_value_heads=2, use_qkv_bias=True)),
    "starcoder2": ("Starcoder2Config", COMMON | dict(num_key_value_heads=2, sliding_window=8)),
    "nemotron": ("NemotronConfig", COMMON | dict(num_key_value_heads=2, head_dim=16)),
    "cohere": ("CohereConfig", COMMON | dict(num_key_value_heads=2)),
    "cohere2": ("Cohere2Config", COMMON | dict(num_hidden_layers=5, num_key_value_heads=2, sliding_window=8,
                                               logit_scale=0.25)),
    "smollm3": ("SmolLM3Config", COMMON | dict(num_hidden_layers=5, num_key_value_heads=2)),
    "arcee": ("ArceeConfig", COMMON | dict(num_key_value_heads=2)),
    "seed_oss": ("SeedOssConfig", COMMON | dict(num_key_value_heads=2, head_dim=16)),
    "ernie4_5": ("Ernie4_5Config", COMMON | dict(head_dim=16, use_bias=True)),
    "glm": ("GlmConfig", COMMON | dict(num_key_value_heads=2, head_dim=16)),
    "glm4": ("Glm4Config", COMMON | dict(num_key_value_heads=2, head_dim=16)),
    "granite": ("GraniteConfig", COMMON | dict(num_key_value_heads=2, embedding_multiplier=12.0, logits_scaling=8.0,
                                               residual_multiplier=0.22, attention_multiplier=0.3, rms_norm_eps=0.05,
                                               tie_word_embeddings=True)),
    "exaone4": ("Exaone4Config", COMMON | dict(num_hidden_layers=5, num_key_value_heads=2, sliding_window=8)),
    "exaone4-small": ("Exaone4Config", COMMON | dict(num_key_value_heads=2, sliding_window=None,
                                                     layer_types=["full_attention"] * 2)),
    "olmo3": ("Olmo3Config", COMMON | dict(num_hidden_layers=5, num_key_value_heads=2, sliding_window=8)),
    "llama-biased": ("LlamaConfig", COMMON | dict(attention_bias=True, num_key_value_heads=2)),
    "llama-yarn": ("LlamaConfig", COMMON | dict(num_key_value_heads=2, rope_parameters=PAPER)),
    "olmo3-yarn": ("Olmo3Config", COMMON | dict(num_hidden_layers=5, num_key_value_heads=2, sliding_window=8,
                                                rope_parameters=dict(full_attention=PAPER, sliding_attention=dict(
                                                    rope_type="default", rope_theta=500.0)))),
    "gptj": ("GPTJConfig", dict(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64, rotary_dim=4,
                                bos_token_id=None, eos_token_id=None)),
    "gpt_oss": ("GptOssConfig", COMMON | dict(num_key_value_heads=2, head_dim=16, num_hidden_layers=3, sliding_window=8,
                                              num_local_experts=4, num_experts_per_tok=2, rope_parameters=PAPER | dict(
                                                  truncate=False))),
    "deepseek_v2-groups": ("DeepseekV2Config", COMMON | LATENT | GROUPED | dict(
        topk_method="group_limited_greedy", rope_parameters=YARN)),
    "deepseek_v3": ("DeepseekV3Config", COMMON | LATENT | GROUPED | dict(
        topk_method="noaux_tc", num_key_value_heads=4, num_nextn_predict_layers=0, norm_topk_prob=True,
        rope_parameters=YARN)),
    "youtu": ("YoutuConfig", COMMON | {key: LATENT[key] for key in (
        "qk_nope_head_dim", "v_head_dim", "qk_rope_head_dim", "kv_lora_rank")} | dict(q_lora_rank=18)),
    "glm4_moe": ("Glm4MoeConfig", COMMON | SIGMOID | dict(num_hidden_layers=3, num_nextn_predict_layers=0,
                                                          use_qk_norm=True, head_dim=16)),
    "solar_open": ("SolarOpenConfig", {k: v for k, v in COMMON.items() if k != "intermediate_size"} | SIGMOID | dict(
        head_dim=16, attention_bias=True)),
    "hyperclovax": ("HyperCLOVAXConfig", COMMON | dict(
        num_key_value_heads=2, head_dim=16, embedding_multiplier=12.0, logits_scaling=8.0, residual_multiplier=0.22,
        attention_multiplier=0.3, rms_norm_eps=0.05)),
    "llama-mlp-biased": ("LlamaConfig", COMMON | dict(mlp_bias=True, num_key_value_heads=2)),
    "cwm": ("CwmConfig", {k: v for k, v in COMMON.items() if "token" not in k} | dict(
        num_hidden_layers=5, num_key_value_heads=2, head_dim=16, sliding_window=8, rope_parameters=LLAMA3)),
    "ministral": ("MinistralConfig", COMMON | dict(
        num_key_value_heads=2, head_dim=16, sliding_window=8, layer_types=["full_attention", "sliding_attention"])),
    "internlm3": ("InternLM3Config", COMMON | dict(num_key_value_heads=2, head_dim=16, attention_bias=True,
                                                   mlp_bias=True)),
    "iquestcoder": ("IQuestCoderConfig", COMMON | dict(num_key_value_heads=2, head_dim=16, mlp_bias=True)),
    "helium": ("HeliumConfig", COMMON | dict(num_key_value_heads=2, head_dim=8)),
    "vaultgemma": ("VaultGemmaConfig", COMMON | CAPS | dict(num_key_value_heads=2, head_dim=16, sliding_window=8)),
    "nanochat": ("NanoChatConfig", COMMON | dict(num_key_value_heads=2, final_logit_softcapping=3.0)),
    "codegen": ("CodeGenConfig", dict(vocab_size=VOCAB, n_embd=64, n_layer=2, n_head=8, n_positions=64, rotary_dim=4,
                                      bos_token_id=None, eos_token_id=None)),
    "gpt_neo": ("GPTNeoConfig", dict(vocab_size=VOCAB, hidden_size=32, num_layers=5, num_heads=4, window_size=8,
                                     attention_types=[[["global", "local"], 2], [["global"], 1]],
                                     max_position_embeddings=64, bos_token_id=None, eos_token_id=None)),
    "biogpt": ("BioGptConfig", COMMON),
    "xglm": ("XGLMConfig", dict(vocab_size=VOCAB, d_model=32, num_layers=2, attention_heads=4, ffn_dim=48,
                                max_position_embeddings=64, bos_token_id=None, eos_token_id=None, pad_token_id=None)),
    "ctrl": ("CTRLConfig", dict(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, dff=48, n_positions=64,
                                bos_token_id=None, eos_token_id=None)),
    "mpt": ("MptConfig", dict(vocab_size=VOCAB, d_model=48, n_layers=2, n_heads=6, max_seq_len=64, bos_token_id=None,
                              eos_token_id=None, attn_config=dict(softmax_scale=0.3))),
    "jais2": ("Jais2Config", COMMON | dict(num_key_value_heads=2, head_dim=16)),
    "dots1": ("Dots1Config", COMMON | SIGMOID | dict(num_hidden_layers=3, first_k_dense_replace=1, norm_topk_prob=True,
                                                     n_routed_experts=8, n_group=4, topk_group=2)),
    "exaone_moe": ("ExaoneMoeConfig", COMMON | dict(
        num_hidden_layers=5, num_key_value_heads=2, sliding_window=8, num_experts=4, num_experts_per_tok=2,
        num_shared_experts=1, moe_intermediate_size=24, routed_scaling_factor=1.5)),
    "hy_v3": ("HYV3Config", COMMON | dict(
        num_hidden_layers=3, num_key_value_heads=2, head_dim=16, num_experts=4, num_experts_per_tok=2,
        num_shared_experts=1, moe_intermediate_size=24, router_scaling_factor=1.5)),
    "minimax_m2": ("MiniMaxM2Config", COMMON | dict(num_key_value_heads=2, head_dim=16, num_local_experts=4,
                                                    num_experts_per_tok=2, rotary_dim=8)),
    "ernie4_5_moe": ("Ernie4_5_MoeConfig", COMMON | dict(
        num_hidden_layers=3, num_key_value_heads=2, moe_num_experts=4, moe_k=2, moe_num_shared_experts=1,
        moe_intermediate_size=24)),
    "flex_olmo": ("FlexOlmoConfig", COMMON | dict(num_experts=4, num_experts_per_tok=2)),
    "granitemoe": ("GraniteMoeConfig", COMMON | dict(
        num_key_value_heads=2, embedding_multiplier=12.0, logits_scaling=8.0, residual_multiplier=0.22,
        attention_multiplier=0.3, rms_norm_eps=0.05, num_local_experts=4)),
    "deepseek": ("LlamaConfig", COMMON | dict(num_hidden_layers=3)),
    "deepseek_v2": ("DeepseekV2Config", COMMON | LATENT | dict(rope_parameters=YARN)),
}


def reference(name: str, folder: Path, *, seed: int = 0, shards: bool = False) -> nn.Module:
    """A random model of the family, in evaluation mode, and its files in `folder`.

    All weights come from N(0, 0.3²), gains and biases too, so that none of them is without effect.
    """
    torch.manual_seed(seed)
    kind, settings = CONFIGS[name]
    model = transformers.AutoModelForCausalLM.from_config(
        getattr(transformers, kind)(**settings), experts_implementation="eager")
    if name == "deepseek":
        with_deepseeks_mixture(model)
    for weight in [*model.parameters(), *(x for name, x in model.named_buffers() if name.endswith("correction_bias"))]:
        nn.init.normal_(weight, std=0.3)
    if name == "deepseek":
        save_deepseek(model, folder)
    else:
        model.save_pretrained(folder, max_shard_size="20KB" if shards else "5GB")
    return model.eval()


def with_deepseeks_mixture(model: nn.Module) -> None:
    """DeepSeekMoE 16B by its parts: transformers has no class for it, but both halves of it.

    It is LLaMA's block,
    whose MLP from the second layer on is the mixture that DeepSeek-V2 kept (Dai et al. 2024,
    section 3; greedy top-k over a softmax, weights not rescaled, shared experts added).
    """
    from transformers.models.deepseek_v2 import DeepseekV2Config
    from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2Moe

    config = DeepseekV2Config(hidden_size=32, moe_intermediate_size=24, n_routed_experts=4,
                              num_experts_per_tok=2, n_shared_experts=2, topk_method="greedy",
                              routed_scaling_factor=1.0)
    config._experts_implementation = "eager"
    for layer in model.model.layers[1:]:
        layer.mlp = DeepseekV2Moe(config)


def save_deepseek(model: nn.Module, folder: Path) -> None:
    """Under the names and settings of the published deepseek-moe-16b files: one tensor per expert."""
    state = {}
    for name, tensor in model.state_dict().items():
        where, _, last = name.rpartition(".")
        if where.endswith("experts") and last in ("gate_up_proj", "down_proj"):
            for e, expert in enumerate(tensor):
                parts = zip(("gate_proj", "up_proj"), expert.chunk(2),
                            strict=True) if last == "gate_up_proj" else [
                    (last, expert)]
                state |= {f"{where}.{e}.{part}.weight": x.contiguous() for part, x in parts}
        else:
            state[name] = tensor
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    settings = model.config.to_dict() | dict(
        model_type="deepseek", architectures=["DeepseekForCausalLM"], n_routed_experts=4,
        num_experts_per_tok=2,
        n_shared_experts=2, moe_intermediate_size=24, first_k_dense_replace=1, moe_layer_freq=1,
        norm_topk_prob=False, scoring_func="softmax")
    (folder / "config.json").write_text(json.dumps(settings))
