"""Every cost that is counted from a config equals what the model really has, computes and keeps."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from minillm import costs
from minillm.cache import KVCache
from minillm.config import CHOICES, ModelConfig
from minillm.model import Transformer
from minillm.presets import PRESETS, scaled
from tests.variants import name_of, variants

PUBLISHED = {  # number of parameters, from the papers, the model cards or the published files' own headers
    "gpt2": 124_439_808, "gpt2-medium": 354_823_168, "gpt2-large": 774_030_080, "gpt2-xl": 1_557_611_200,
    "llama-7b": 6_738_415_616, "llama-2-7b": 6_738_415_616, "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192, "llama-3-8b": 8_030_261_248, "llama-3-70b": 70_553_706_496,
    "llama-3.1-8b": 8_030_261_248, "llama-3.2-1b": 1_235_814_400, "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704, "qwen2-0.5b": 494_032_768, "qwen2-7b": 7_615_616_512,
    "qwen3-0.6b": 596_049_920, "qwen3-8b": 8_190_735_360, "qwen3-30b-a3b": 30_532_122_624,
    "gemma-2b": 2_506_172_416, "gemma-7b": 8_537_680_896, "gemma-2-2b": 2_614_341_888,
    "gemma-2-9b": 9_241_705_984, "gemma-2-27b": 27_227_128_320, "gemma-3-270m": 268_098_176,
    "gemma-3-1b": 999_885_952, "olmo-1b": 1_176_764_416, "olmo-7b": 6_888_095_744,
    "olmoe-1b-7b": 6_919_161_856, "olmo-2-1b": 1_484_916_736, "olmo-2-7b": 7_298_617_344,
    "pythia-70m": 70_426_624, "pythia-160m": 162_322_944, "pythia-1.4b": 1_414_647_808,
    "pythia-6.9b": 6_857_302_016, "bloom-560m": 559_214_592, "bloom-7b1": 7_069_016_064,
    "bloom": 176_247_271_424, "phi-1.5": 1_418_270_720, "phi-2": 2_779_683_840, "phi-3-mini": 3_821_079_552,
    "deepseek-moe-16b": 16_375_728_128, "deepseek-v2-lite": 15_706_484_224, "gpt": 116_534_784,
    "opt-125m": 125_239_296 - 2 * 768, "opt-6.7b": 6_658_473_984 - 2 * 4096,  # without the rows for padding
    "falcon-7b": 6_921_720_704, "starcoder": 15_517_456_384, "starcoder2-3b": 3_030_371_328,
    "starcoder2-7b": 7_173_923_840, "stablelm-3b": 2_795_443_200, "stablelm-2-1.6b": 1_644_515_328,
    "minitron-4b": 4_190_509_056, "command-r": 34_980_831_232, "command-r7b": 8_028_033_024, "glm-4-9b": 9_399_951_360,
    "glm-4-9b-0414": 9_400_279_040, "granite-3.1-2b": 2_533_531_648, "granite-3.1-8b": 8_170_848_256,
    "smollm2-135m": 134_515_008, "smollm2-1.7b": 1_711_376_384, "smollm3-3b": 3_075_098_624,
    "exaone-4-1.2b": 1_279_391_488, "exaone-4-32b": 32_003_216_384, "seed-oss-36b": 36_151_104_512,
    "ernie-4.5-0.3b": 360_748_032, "gpt-j-6b": 6_050_882_784, "olmo-3-7b": 7_298_011_136, "olmo-3-32b": 32_233_522_176,
    "deepseek-v2": 235_741_434_880, "gpt-oss-20b": 20_914_757_184, "gpt-oss-120b": 116_829_156_672,
    "deepseek-v3": 671_026_419_200 - 58 * 256, "kimi-k2": 1_026_408_232_448 - 60 * 384,  # less what is not learned
    "glm-4.5-air": 106_852_245_504, "glm-4.5": 352_797_814_784,  # less their last layer, which guesses a second token
    "solar-open-100b": 102_651_793_408, "youtu-llm-2b": 1_961_560_064,
}
SMALL = {name: scaled(config, "small", vocab_size=300) for name, config in PRESETS.items()}
KINDS = {str(config.resolve()): name for name, config in reversed(SMALL.items())}.values()


def of_size(config: ModelConfig) -> int:
    with torch.device("meta"):
        model = Transformer(config)
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_as_many_parameters_as_were_published(name):
    assert sum(costs.parameters(PRESETS[name]).values()) == PUBLISHED[name]


@pytest.mark.parametrize("name", PRESETS)
def test_the_model_built_has_the_parameters_counted(name):
    config = PRESETS[name]
    if config.position == "rope":  # a long table of angles is no parameter, but would take its memory
        config = replace(config, context_length=16)
    first = config.n_dense_layers + 1  # from here on every layer is like the last
    one, two = (of_size(replace(config, n_layers=n)) for n in (first, first + 1))
    assert one + (config.n_layers - first) * (two - one) == PUBLISHED[name]


@pytest.mark.parametrize("config", variants(60, seed=4), ids=name_of)
def test_every_combination_of_choices_is_counted_exactly(config):
    assert sum(costs.parameters(config).values()) == of_size(config)


def test_a_latent_saves_what_deepseek_says_it_saves():
    latent = replace(PRESETS["deepseek-v2-lite"], d_model=5120, n_heads=128, n_layers=60, d_head=128)
    groups = replace(latent, attention="heads", n_kv_heads=1)
    ratio = costs.cache_bytes(latent, seq=1000) / costs.cache_bytes(groups, seq=1000)
    assert ratio == 2.25  # DeepSeek-AI 2024, section 2.1.4: "equal to GQA with only 2.25 groups"


def test_a_token_reads_thirteen_of_mixtrals_forty_seven_billions():
    active = sum(costs.parameters(PRESETS["mixtral-8x7b"], active=True).values())
    assert round(active / 1e9, 1) == 12.9  # Jiang et al. 2024: "13B active parameters"


@pytest.mark.parametrize("config", [*variants(24, seed=5), *(SMALL[name] for name in KINDS)], ids=name_of)
def test_counted_operations_are_those_that_run(config):
    config = replace(config, vocab_size=31)
    model, tokens = Transformer(config), torch.randint(0, 31, (2, 12))
    with FlopCounterMode(display=False) as forward:
        logits = model(tokens)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    expected = 2 * sum(costs.flops(config, seq=12).values())
    assert forward.get_total_flops() == expected
    c = config.resolve()
    triangles = sum(c.attention_of(i) == "delta" for i in range(c.n_layers))  # solved forward, multiplied backward
    assert backward.get_total_flops() == 2 * expected + triangles * 2 * (2 * 12 ** 2 * c.n_kv_heads * c.d_head)


@pytest.mark.parametrize("attention", CHOICES["attention"])
@pytest.mark.parametrize("new", [1, 3])
@pytest.mark.parametrize("window", [None, 5])
def test_operations_with_a_cache_are_those_that_run(window, new, attention):
    config = ModelConfig(vocab_size=31, d_model=32, n_heads=4, n_layers=2, context_length=24, window=window,
                         attention=attention)
    model, cache = Transformer(config).fuse(False), KVCache(config)  # the counter overlooks the fused kernel
    with torch.no_grad():
        model(torch.randint(0, 31, (1, 9)), cache=cache)
        with FlopCounterMode(display=False) as counter:
            model(torch.randint(0, 31, (1, new)), cache=cache)
    assert counter.get_total_flops() == sum(costs.flops(config, seq=new, cached=9).values())


def test_causal_pairs_are_the_visible_ones():
    config = ModelConfig(window=3, n_layers=2, global_every=2)
    assert costs.pairs(config, 1, seq=4, causal=True) == 1 + 2 + 3 + 4
    assert costs.pairs(config, 0, seq=4, causal=True) == 1 + 2 + 3 + 3
    assert costs.pairs(config, 0, seq=2, cached=4, causal=True) == 3 + 3


@pytest.mark.parametrize("name", KINDS)
def test_the_cache_takes_the_memory_counted(name):
    config = SMALL[name]
    cache = KVCache(config)
    with torch.no_grad():
        Transformer(config)(torch.randint(0, 300, (2, 3)), cache=cache)
    counted = costs.cache_bytes(config, seq=config.context_length, batch=2, bytes_per_number=4)
    assert cache.bytes == counted


def step_bytes(config: ModelConfig) -> int:
    """What a training step on four texts of 64 really keeps, without weights and tables."""
    model, tokens = Transformer(config).fuse(False), torch.randint(0, config.vocab_size, (4, 65))
    owned = {x.untyped_storage().data_ptr() for x in [*model.parameters(), *model.buffers()]}
    kept = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        if x.untyped_storage().data_ptr() not in owned:
            kept[x.untyped_storage().data_ptr()] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
    return sum(x.untyped_storage().nbytes() for x in kept.values())


@pytest.mark.parametrize("name", KINDS)
def test_a_training_step_keeps_the_memory_counted(name):
    counted = sum(costs.activation_bytes(SMALL[name], batch=4, seq=64).values())
    assert counted == pytest.approx(step_bytes(SMALL[name]), rel=0.02)  # indices, masks and angles are not counted


def test_training_state_is_four_numbers_per_parameter():
    assert sum(costs.state_bytes(PRESETS["gpt2"]).values()) == 16 * PUBLISHED["gpt2"]
    assert costs.state_bytes(PRESETS["gpt2"], trained=False) == {"weights": 4 * PUBLISHED["gpt2"]}
