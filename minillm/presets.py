"""Hold the published architectures at their true sizes, one row each."""
from __future__ import annotations

from dataclasses import replace

from minillm.config import ModelConfig, RopeScaling

GPT2 = ModelConfig(vocab_size=50257, d_model=768, n_layers=12, n_heads=12, context_length=1024,
                   norm="layernorm", position="learned", mlp="gelu", bias="all", tie_embeddings=True)
LLAMA = ModelConfig(vocab_size=32000, d_model=4096, n_layers=32, n_heads=32, d_ff=11008, context_length=2048,
                    norm_eps=1e-6, tie_embeddings=False)
LLAMA3 = replace(LLAMA, vocab_size=128256, n_kv_heads=8, d_ff=14336, context_length=8192, norm_eps=1e-5,
                 rope_theta=500_000.0)
MISTRAL = replace(LLAMA, n_kv_heads=8, d_ff=14336, context_length=32768, norm_eps=1e-5, window=4096)
QWEN2 = replace(LLAMA, vocab_size=151936, d_model=896, n_layers=24, n_heads=14, n_kv_heads=2, d_ff=4864,
                context_length=131072, rope_theta=1e6, bias="qkv", tie_embeddings=True)
QWEN3 = replace(QWEN2, d_model=1024, n_layers=28, n_heads=16, n_kv_heads=8, d_head=128, d_ff=3072,
                bias="none", qk_norm="head", context_length=40960)
GEMMA = ModelConfig(vocab_size=256000, d_model=2048, n_layers=18, n_heads=8, n_kv_heads=1, d_head=256,
                    d_ff=16384, context_length=8192, norm_eps=1e-6, mlp="geglu", embed_scale=True)
GEMMA2 = replace(GEMMA, d_model=2304, n_layers=26, n_kv_heads=4, d_ff=9216, norm_order="sandwich",
                 window=4096, global_every=2, attention_scale=256 ** -0.5, attention_softcap=50.0,
                 logit_softcap=30.0)
GEMMA3 = replace(GEMMA2, vocab_size=262144, d_model=1152, n_heads=4, n_kv_heads=1, d_ff=6912, qk_norm="head",
                 window=512, global_every=6, context_length=32768, rope_theta=1e6, rope_theta_local=1e4,
                 attention_softcap=None, logit_softcap=None)
OLMO = replace(LLAMA, vocab_size=50304, norm="layernorm", norm_weight=False, norm_eps=1e-5)
OLMO2 = replace(LLAMA, vocab_size=100352, context_length=4096, norm_order="output", qk_norm="full",
                rope_theta=500_000.0)
OLMO3 = replace(OLMO2, vocab_size=100278, context_length=65536, norm_eps=1e-6, window=4096, global_every=4,
                rope_theta_local=500_000.0, rope_scaling=RopeScaling("yarn", 8.0, 1.0, 32.0, 8192))
PYTHIA = ModelConfig(vocab_size=50304, d_model=512, n_layers=6, n_heads=8, context_length=2048,
                     norm="layernorm", norm_order="parallel", rope_fraction=0.25, mlp="gelu-exact",
                     bias="all", tie_embeddings=False)
BLOOM = ModelConfig(vocab_size=250880, d_model=1024, n_layers=24, n_heads=16, context_length=2048,
                    norm="layernorm", position="alibi", mlp="gelu", bias="all", embed_norm=True)
PHI = ModelConfig(vocab_size=51200, d_model=2048, n_layers=24, n_heads=32, context_length=2048,
                  norm="layernorm", norm_order="parallel-shared", rope_fraction=0.5, mlp="gelu", bias="all",
                  unembed_bias=True, tie_embeddings=False)
SMOLLM2 = replace(LLAMA, vocab_size=49152, d_model=576, n_layers=30, n_heads=9, n_kv_heads=3, d_ff=1536,
                  context_length=8192, norm_eps=1e-5, rope_theta=1e5, tie_embeddings=True)
STARCODER2 = replace(GPT2, vocab_size=49152, d_model=3072, n_layers=30, n_heads=24, n_kv_heads=2, d_ff=12288,
                     position="rope", rope_theta=1e6, context_length=16384, window=4096)
STABLELM = replace(LLAMA, vocab_size=50304, d_model=2560, d_ff=6912, norm="layernorm", norm_eps=1e-5,
                   rope_fraction=0.25, context_length=4096)
COMMAND = replace(LLAMA, vocab_size=256000, d_model=8192, n_layers=40, n_heads=64, d_ff=22528, context_length=8192,
                  norm="layernorm-gain", norm_eps=1e-5, norm_order="parallel-shared", rope_pairs="neighbours",
                  rope_theta=8e6, tie_embeddings=True)
GLM = replace(LLAMA, vocab_size=151552, n_layers=40, n_kv_heads=2, d_ff=13696, context_length=8192, norm_eps=1.5625e-7,
              bias="qkv", rope_pairs="neighbours", rope_fraction=0.5)
GRANITE = replace(LLAMA, vocab_size=49155, d_model=2048, n_layers=40, n_kv_heads=8, d_ff=8192, context_length=131072,
                  norm_eps=1e-5 / 12 ** 2, attention_scale=1 / 64, rope_theta=5e6, tie_embeddings=True)
EXAONE = replace(LLAMA, vocab_size=102400, d_model=2048, n_layers=30, n_kv_heads=8, d_ff=4096, norm_order="output",
                 norm_eps=1e-5, qk_norm="head", rope_theta=1e6, context_length=65536,
                 rope_scaling=RopeScaling("llama3", 16.0, 1.0, 4.0, 8192), tie_embeddings=True)

DEEPSEEK2 = replace(LLAMA, vocab_size=102400, d_model=2048, n_layers=27, n_heads=16, d_ff=10944, context_length=163840,
                    attention="latent", d_head=128, d_latent=512, d_rotary=64, rope_pairs="neighbours",
                    rope_scaling=RopeScaling("yarn", 40.0, 1.0, 32.0, 4096, sharpen=0.0707), n_experts=64,
                    experts_per_token=6, n_shared_experts=2, d_expert=1408, n_dense_layers=1, normalize_experts=False)
DEEPSEEK3 = replace(DEEPSEEK2, vocab_size=129280, d_model=7168, n_layers=61, n_heads=128, d_ff=18432, d_query=1536,
                    n_experts=256, experts_per_token=8, n_shared_experts=1, d_expert=2048, n_dense_layers=3,
                    n_expert_groups=8, groups_per_token=4, router="sigmoid", balance_bias=True, normalize_experts=True,
                    rope_scaling=RopeScaling("yarn", 40.0, 1.0, 32.0, 4096, sharpen=0.1))
GPT_OSS = replace(LLAMA, vocab_size=201088, d_model=2880, n_layers=24, n_heads=64, n_kv_heads=8, d_head=64, d_ff=2880,
                  context_length=131072, norm_eps=1e-5, window=128, global_every=2, attention_sinks=True, bias="all",
                  rope_theta=150_000.0, mlp="swiglu-capped", n_experts=32, experts_per_token=4, router_bias=True,
                  rope_scaling=RopeScaling("yarn", 32.0, 1.0, 32.0, 4096, sharpen=0.1, whole_pairs=False))
GLM45 = replace(GLM, n_heads=96, n_kv_heads=8, n_layers=46, d_head=128, d_ff=10944, context_length=131072,
                norm_eps=1e-5, rope_pairs="halves", rope_theta=1e6, n_experts=128, experts_per_token=8,
                n_shared_experts=1, d_expert=1408, n_dense_layers=1, router="sigmoid", balance_bias=True)

PRESETS = {
    # Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training"
    "gpt": replace(GPT2, vocab_size=40478, context_length=512, norm_order="post"),
    # Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"
    "gpt2": GPT2,
    "gpt2-medium": replace(GPT2, d_model=1024, n_layers=24, n_heads=16),
    "gpt2-large": replace(GPT2, d_model=1280, n_layers=36, n_heads=20),
    "gpt2-xl": replace(GPT2, d_model=1600, n_layers=48, n_heads=25),
    # Touvron et al. 2023, arXiv:2302.13971 and arXiv:2307.09288; Llama Team 2024, arXiv:2407.21783
    "llama-7b": LLAMA,
    "llama-2-7b": replace(LLAMA, context_length=4096, norm_eps=1e-5),
    "llama-2-13b": replace(LLAMA, d_model=5120, n_layers=40, n_heads=40, d_ff=13824, context_length=4096,
                           norm_eps=1e-5),
    "llama-2-70b": replace(LLAMA, d_model=8192, n_layers=80, n_heads=64, n_kv_heads=8, d_ff=28672,
                           context_length=4096, norm_eps=1e-5),
    "llama-3-8b": LLAMA3,
    "llama-3-70b": replace(LLAMA3, d_model=8192, n_layers=80, n_heads=64, d_ff=28672),
    "llama-3.1-8b": replace(LLAMA3, context_length=131072, rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0,
                                                                                    8192)),
    "llama-3.2-1b": replace(LLAMA3, d_model=2048, n_layers=16, d_ff=8192, context_length=131072,
                            rope_scaling=RopeScaling("llama3", 32.0, 1.0, 4.0, 8192), tie_embeddings=True),
    # Jiang et al. 2023, arXiv:2310.06825; Jiang et al. 2024, arXiv:2401.04088
    "mistral-7b": MISTRAL,
    "mixtral-8x7b": replace(MISTRAL, window=None, rope_theta=1e6, n_experts=8, experts_per_token=2),
    # Yang et al. 2024, arXiv:2407.10671; Qwen Team 2025, arXiv:2505.09388
    "qwen2-0.5b": QWEN2,
    "qwen2-7b": replace(QWEN2, vocab_size=152064, d_model=3584, n_layers=28, n_heads=28, n_kv_heads=4,
                        d_ff=18944, tie_embeddings=False),
    "qwen3-0.6b": QWEN3,
    "qwen3-8b": replace(QWEN3, d_model=4096, n_layers=36, n_heads=32, d_ff=12288, tie_embeddings=False),
    "qwen3-30b-a3b": replace(QWEN3, d_model=2048, n_layers=48, n_heads=32, n_kv_heads=4, d_ff=6144,
                             n_experts=128, experts_per_token=8, d_expert=768, tie_embeddings=False),
    # Gemma Team 2024, arXiv:2403.08295 and arXiv:2408.00118; Gemma Team 2025, arXiv:2503.19786
    "gemma-2b": GEMMA,
    "gemma-7b": replace(GEMMA, d_model=3072, n_layers=28, n_heads=16, n_kv_heads=None, d_ff=24576),
    "gemma-2-2b": GEMMA2,
    "gemma-2-9b": replace(GEMMA2, d_model=3584, n_layers=42, n_heads=16, n_kv_heads=8, d_ff=14336),
    "gemma-2-27b": replace(GEMMA2, d_model=4608, n_layers=46, n_heads=32, n_kv_heads=16, d_head=128,
                           d_ff=36864, attention_scale=144 ** -0.5),
    "gemma-3-270m": replace(GEMMA3, d_model=640, n_layers=18, d_ff=2048),
    "gemma-3-1b": GEMMA3,
    # Groeneveld et al. 2024, arXiv:2402.00838; Muennighoff et al. 2024, arXiv:2409.02060; Team OLMo 2025,
    # arXiv:2501.00656
    "olmo-1b": replace(OLMO, d_model=2048, n_layers=16, n_heads=16, d_ff=8192, tie_embeddings=True),
    "olmo-7b": OLMO,
    "olmoe-1b-7b": replace(LLAMA, vocab_size=50304, d_model=2048, n_layers=16, n_heads=16, d_ff=1024,
                           context_length=4096, norm_eps=1e-5, qk_norm="full", n_experts=64,
                           experts_per_token=8,
                           normalize_experts=False),
    "olmo-2-1b": replace(OLMO2, d_model=2048, n_layers=16, n_heads=16, d_ff=8192),
    "olmo-2-7b": OLMO2,
    # Team OLMo 2025, "OLMo 3" (its longer angles in full layers are folded into the queries' norm)
    "olmo-3-7b": OLMO3,
    "olmo-3-32b": replace(OLMO3, d_model=5120, n_layers=64, n_heads=40, n_kv_heads=8, d_ff=27648),
    # GPT-NeoX: Black et al. 2022, arXiv:2204.06745; Pythia: Biderman et al. 2023, arXiv:2304.01373
    "pythia-70m": PYTHIA,
    "pythia-160m": replace(PYTHIA, d_model=768, n_layers=12, n_heads=12),
    "pythia-1.4b": replace(PYTHIA, d_model=2048, n_layers=24, n_heads=16),
    "pythia-6.9b": replace(PYTHIA, vocab_size=50432, d_model=4096, n_layers=32, n_heads=32),
    # BigScience 2022, arXiv:2211.05100
    "bloom-560m": BLOOM,
    "bloom-7b1": replace(BLOOM, d_model=4096, n_layers=30, n_heads=32),
    "bloom": replace(BLOOM, d_model=14336, n_layers=70, n_heads=112),
    # Li et al. 2023, arXiv:2309.05463; Javaheripi et al. 2023, "Phi-2"; Abdin et al. 2024, arXiv:2404.14219
    "phi-1.5": PHI,
    "phi-2": replace(PHI, d_model=2560, n_layers=32, rope_fraction=0.4),
    "phi-3-mini": replace(LLAMA, vocab_size=32064, d_model=3072, d_ff=8192, context_length=4096,
                          norm_eps=1e-5, window=2047),
    # Dai et al. 2024, arXiv:2401.06066
    "deepseek-moe-16b": replace(LLAMA, vocab_size=102400, d_model=2048, n_layers=28, n_heads=16, d_ff=10944,
                                context_length=4096, n_experts=64, experts_per_token=6, n_shared_experts=2,
                                d_expert=1408, n_dense_layers=1, normalize_experts=False),
    # DeepSeek-AI 2024, arXiv:2405.04434, appendix B
    "deepseek-v2-lite": DEEPSEEK2,
    "deepseek-v2": replace(DEEPSEEK2, d_model=5120, n_layers=60, n_heads=128, d_ff=12288, d_query=1536, n_experts=160,
                           d_expert=1536, n_expert_groups=8, groups_per_token=3),
    # DeepSeek-AI 2024, arXiv:2412.19437 (without the layer that guesses a second token); Kimi Team 2025,
    # arXiv:2507.20534
    "deepseek-v3": DEEPSEEK3,
    "kimi-k2": replace(DEEPSEEK3, vocab_size=163840, n_heads=64, n_experts=384, n_dense_layers=1, n_expert_groups=1,
                       groups_per_token=1, rope_theta=50_000.0, context_length=131072,
                       rope_scaling=RopeScaling("yarn", 32.0, 1.0, 1.0, 4096, sharpen=0.1)),
    # OpenAI 2025, arXiv:2508.10925
    "gpt-oss-20b": GPT_OSS,
    "gpt-oss-120b": replace(GPT_OSS, n_layers=36, n_experts=128),
    # Wang and Komatsuzaki 2021, "GPT-J-6B"
    "gpt-j-6b": replace(GPT2, vocab_size=50400, d_model=4096, n_layers=28, n_heads=16, context_length=2048,
                        norm_order="parallel-shared", position="rope", rope_pairs="neighbours", rope_fraction=0.25,
                        bias="mlp", unembed_bias=True, tie_embeddings=False),
    # Zhang et al. 2022, arXiv:2205.01068 (two rows more in its table of positions are for padding)
    "opt-125m": replace(GPT2, vocab_size=50272, context_length=2048, mlp="relu"),
    "opt-6.7b": replace(GPT2, vocab_size=50272, d_model=4096, n_layers=32, n_heads=32, context_length=2048, mlp="relu"),
    # Almazrouei et al. 2023, arXiv:2311.16867
    "falcon-7b": replace(LLAMA, vocab_size=65024, d_model=4544, n_heads=71, n_kv_heads=1, d_ff=18176, norm="layernorm",
                         norm_eps=1e-5, norm_order="parallel-shared", mlp="gelu-exact", tie_embeddings=True),
    # Li et al. 2023, arXiv:2305.06161; Lozhkov et al. 2024, arXiv:2402.19173
    "starcoder": replace(GPT2, vocab_size=49152, d_model=6144, n_layers=40, n_heads=48, n_kv_heads=1,
                         context_length=8192),
    "starcoder2-3b": STARCODER2,
    "starcoder2-7b": replace(STARCODER2, d_model=4608, n_layers=32, n_heads=36, n_kv_heads=4, d_ff=18432),
    # Stability AI 2023, "StableLM-3B-4E1T"; Bellagente et al. 2024, arXiv:2402.17834
    "stablelm-3b": STABLELM,
    "stablelm-2-1.6b": replace(STABLELM, vocab_size=100352, d_model=2048, n_layers=24, d_ff=5632, bias="qkv"),
    # Parmar et al. 2024, arXiv:2402.16819; Muralidharan et al. 2024, arXiv:2407.14679
    "minitron-4b": replace(LLAMA, vocab_size=256000, d_model=3072, n_heads=24, n_kv_heads=8, d_head=128, d_ff=9216,
                           context_length=4096, norm="layernorm", norm_eps=1e-5, mlp="relu2", rope_fraction=0.5),
    # Cohere 2024, "Command R"; Cohere 2025, arXiv:2504.00698
    "command-r": COMMAND,
    "command-r7b": replace(COMMAND, d_model=4096, n_layers=32, n_heads=32, n_kv_heads=8, d_ff=14336, window=4096,
                           global_every=4, nope_every=4, rope_theta=5e4),
    # GLM Team 2024, arXiv:2406.12793
    "glm-4-9b": GLM,
    "glm-4-9b-0414": replace(GLM, norm_order="sandwich", context_length=32768),
    # GLM Team 2025, arXiv:2508.06471 (without the layer that guesses a second token); Upstage 2026, arXiv:2601.07022
    "glm-4.5-air": GLM45,
    "glm-4.5": replace(GLM45, d_model=5120, n_layers=92, d_ff=12288, qk_norm="head", n_experts=160, d_expert=1536,
                       n_dense_layers=3),
    "solar-open-100b": replace(GLM45, vocab_size=196608, n_heads=64, n_layers=48, bias="none", rope_fraction=1.0,
                               d_ff=None, d_expert=1280, n_dense_layers=0),
    # IBM 2024, "Granite 3.0 Language Models" (its multipliers are folded into the weights)
    "granite-3.1-2b": GRANITE,
    "granite-3.1-8b": replace(GRANITE, d_model=4096, d_ff=12800, attention_scale=1 / 128, rope_theta=1e7),
    # Allal et al. 2025, arXiv:2502.02737; Bakouch et al. 2025, "SmolLM3"
    "smollm2-135m": SMOLLM2,
    "smollm2-1.7b": replace(SMOLLM2, d_model=2048, n_layers=24, n_heads=32, n_kv_heads=None, d_ff=8192,
                            rope_theta=130_000.0),
    "smollm3-3b": replace(LLAMA3, d_model=2048, n_layers=36, n_heads=16, n_kv_heads=4, d_ff=11008, norm_eps=1e-6,
                          context_length=65536, rope_theta=5e6, nope_every=4, tie_embeddings=True),
    # LG AI Research 2025, arXiv:2507.11407
    "exaone-4-1.2b": EXAONE,
    "exaone-4-32b": replace(EXAONE, d_model=5120, n_layers=64, n_heads=40, d_ff=27392, window=4096, global_every=4,
                            nope_every=4, context_length=131072, tie_embeddings=False),
    # ByteDance Seed 2025, "Seed-OSS"; Baidu 2025, "ERNIE 4.5 Technical Report"
    "seed-oss-36b": replace(LLAMA, vocab_size=155136, d_model=5120, n_layers=64, n_heads=80, n_kv_heads=8, d_head=128,
                            d_ff=27648, bias="qkv", context_length=524288, rope_theta=1e7),
    "ernie-4.5-0.3b": replace(LLAMA, vocab_size=103424, d_model=1024, n_layers=18, n_heads=16, n_kv_heads=2,
                              d_head=128, d_ff=3072, norm_eps=1e-5, rope_pairs="neighbours", rope_theta=500_000.0,
                              context_length=131072, tie_embeddings=True),
    # Tencent 2025, arXiv:2512.24618
    "youtu-llm-2b": replace(LLAMA, vocab_size=128256, d_model=2048, n_heads=16, d_ff=6144, context_length=131072,
                            attention="latent", d_head=128, d_latent=512, d_rotary=64, d_query=1536,
                            rope_pairs="neighbours", rope_theta=1.6e6, tie_embeddings=True),
}

SIZES = {  # for a laptop: the architecture stays, the sizes shrink
    "nano": dict(d_model=64, n_layers=2, n_heads=4, context_length=128),
    "small": dict(d_model=128, n_layers=4, n_heads=4, context_length=256),
}


def scaled(config: ModelConfig, size: str, *, vocab_size: int) -> ModelConfig:
    """A preset's architecture at a laptop's size ("nano" or "small"): every choice kept, every width shrunk.

    Heads keep the preset's sharing (a group of g query heads per key head, as far as four heads allow),
    a window
    becomes a quarter of the context, and experts their count, at most 8.
    """
    if size not in SIZES:
        raise ValueError(f"size={size!r} is not one of: {', '.join(SIZES)}")
    shape, n_experts = SIZES[size], min(config.n_experts, 8)
    n_groups = min(config.n_expert_groups, max(1, n_experts // 2))
    visited = n_groups if config.groups_per_token == config.n_expert_groups else max(1, n_groups // 2)
    group = min(config.n_heads // (config.n_kv_heads or config.n_heads), shape["n_heads"])
    while shape["n_heads"] % group:
        group -= 1
    return replace(
        config, **shape, vocab_size=vocab_size, d_head=None, d_ff=None, d_expert=None, d_latent=None, d_rotary=None,
        d_query=config.d_query and shape["d_model"] // 2, attention_scale=None,
        n_kv_heads=None if group == 1 else shape["n_heads"] // group,
        window=config.window and shape["context_length"] // 4,
        global_every=config.global_every and min(config.global_every, shape["n_layers"]),
        full_every=config.full_every and min(config.full_every, shape["n_layers"]),
        nope_every=config.nope_every and min(config.nope_every, shape["n_layers"]),
        n_experts=n_experts, n_expert_groups=n_groups, groups_per_token=visited,
        experts_per_token=min(config.experts_per_token, 2),
        n_shared_experts=min(config.n_shared_experts, 1), n_dense_layers=min(config.n_dense_layers, 1),
        rope_scaling=None)
