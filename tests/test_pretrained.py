"""Weights of other families open here, ours open there, and what does not fit is refused with the reason."""
from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from minillm.checkpoints import load_state, save
from minillm.config import ModelConfig, RopeScaling, canonical
from minillm.model import Transformer
from minillm.optim import adamw, muon
from minillm.presets import PRESETS, scaled
from minillm.pretrained import export_hf, load_pretrained
from minillm.pretrained.families import FAMILIES, family_for, family_of
from minillm.tokenizers import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    SentencePieceTokenizer,
    load_tokenizer,
)
from minillm.training import train
from tests.parity.references import CONFIGS, VOCAB, reference

TEXT = "The fox — said: “naïve”?\n\n  It's 12  o'clock, привет 你好.\n" * 20
TOKENIZERS = [
    CharTokenizer.train(TEXT, special=("<|endoftext|>",)), ByteTokenizer(special=("<|endoftext|>",)),
    BPETokenizer.train(TEXT, 300), SentencePieceTokenizer.train(TEXT, 330),
    SentencePieceTokenizer.train(TEXT, 330, algorithm="bpe"),
]
TINY = {name: scaled(config, "nano", vocab_size=VOCAB) for name, config in PRESETS.items()}
KINDS = {str(canonical(config)): name for name, config in reversed(TINY.items())}.values()


def shaken(config: ModelConfig) -> Transformer:
    """A model whose every weight, gains and biases too, is random."""
    model = Transformer(config).eval()
    for weight in [*model.parameters(), *(x for name, x in model.named_buffers() if name.endswith("balance"))]:
        torch.nn.init.normal_(weight, std=0.3)
    return model


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_an_exported_model_is_the_same_in_transformers(name, tmp_path):
    model = shaken(TINY[name])
    tokens = torch.randint(0, VOCAB, (2, 40))
    export_hf(model, None, tmp_path / "out")
    back, tokenizer = load_pretrained(tmp_path / "out")
    assert tokenizer is None
    assert (back(tokens) - model(tokens)).abs().max() < 1e-5  # 1 + (w - 1) rounds
    if family_for(model.config).model_type == "deepseek":
        return  # transformers has no class of that name; its parts are compared in tests/parity
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert (theirs(tokens).logits - model(tokens)).abs().max() < 1e-4


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: f"{t.kind}-{t.vocab_size}")
def test_an_exported_tokenizer_gives_the_same_ids_in_transformers(tokenizer, tmp_path):
    model = Transformer(scaled(PRESETS["llama-2-7b"], "nano", vocab_size=tokenizer.vocab_size))
    export_hf(model, tokenizer, tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    _, ours = load_pretrained(tmp_path / "out")
    ids = tokenizer.encode(TEXT)
    assert theirs.encode(TEXT, add_special_tokens=False) == ids == ours.encode(TEXT)
    assert theirs.decode(ids) == TEXT
    assert theirs.eos_token_id == tokenizer.end_of_text


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: f"{t.kind}-{t.vocab_size}")
def test_one_door_leads_to_a_tokenizer_also_where_others_published_it(tokenizer, tmp_path):
    model = Transformer(scaled(PRESETS["llama-2-7b"], "nano", vocab_size=tokenizer.vocab_size))
    (export_hf(model, tokenizer, tmp_path / "out") / "minillm_tokenizer.json").unlink()
    opened = []
    for door in (load_tokenizer, lambda folder: load_pretrained(folder)[1]):
        try:
            opened.append(door(tmp_path / "out").encode(TEXT))
        except ValueError as refusal:
            opened.append(str(refusal))
    assert opened[0] == opened[1]
    assert isinstance(opened[0], str) == (tokenizer.kind == "char") and opened[0] in (tokenizer.encode(TEXT), opened[1])


def test_shards_are_read_like_one_file(tmp_path):
    reference("llama", tmp_path / "whole")
    reference("llama", tmp_path / "parts", shards=True)
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    whole, parts = (load_pretrained(tmp_path / place)[0] for place in ("whole", "parts"))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))


def test_tied_weights_stay_one_tensor(tmp_path):
    reference("gpt2", tmp_path)
    model, _ = load_pretrained(tmp_path)
    assert model.unembed.weight is model.embed.weight


@pytest.mark.parametrize("make", [adamw, muon])
@pytest.mark.parametrize("name", CONFIGS)
def test_an_opened_model_learns_as_the_same_weights_in_a_new_one_do(name, make, tmp_path):
    reference(name, tmp_path)
    opened, _ = load_pretrained(tmp_path)
    new = Transformer(opened.config)
    new.load_state_dict(opened.state_dict())
    tokens = torch.randint(0, VOCAB, (2, 17))
    before = {key: x.clone() for key, x in opened.state_dict().items()}
    for model in (opened, new):
        optimizer = make(model, lr=1e-2)
        for group in optimizer.param_groups if model is new else ():
            group["fused"] = False  # one weight at a time, as the formula says
        list(train(model, [(tokens[:, :-1], tokens[:, 1:])] * 2, optimizer=optimizer, precision="fp32"))
    for key, x in opened.state_dict().items():
        if key.endswith("k_proj.bias"):  # a softmax does not see it: its gradient is rounding, which Adam makes large
            continue
        if ".router." not in key:  # of one that is sure of its choice the gradient is rounding, too
            torch.testing.assert_close(x, new.state_dict()[key], rtol=0, atol=1e-4, msg=key)
        idle = key.endswith(".balance") or ".experts." in key  # nudged, not learned; perhaps nobody's choice
        assert idle or (x - before[key]).abs().max() > 1e-3, f"{key} does not move"


def test_weights_may_be_opened_in_half_precision(tmp_path):
    reference("llama", tmp_path)
    model, _ = load_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model.blocks[0].attention.rotate.speeds.dtype == torch.float32  # angles are never rounded


def test_every_preset_has_its_family():
    of = {name: family_for(config).model_type for name, config in PRESETS.items()}
    assert of.pop("phi-3-mini") == "mistral"  # the same function; Phi-3 differs in how its files are laid out
    assert of.pop("solar-open-100b") == "glm4_moe"    # another file of the same function, too
    assert {of.pop("opt-125m"), of.pop("opt-6.7b")} == {"gpt2"}  # the same function again
    for name, family in of.items():
        first, second = name.split("-")[0], "-".join(name.split("-")[:2])
        named = {"pythia": "gpt_neox", "gemma-2": "gemma2", "gemma-3": "gemma3_text", "olmo-2": "olmo2",
                 "qwen3-30b": "qwen3_moe", "deepseek-v2": "deepseek_v2", "gpt": "openai-gpt",
                 "starcoder": "gpt_bigcode", "minitron": "nemotron", "command-r": "cohere", "command-r7b": "cohere2",
                 "glm-4-9b-0414": "glm4", "smollm2": "llama", "exaone": "exaone4", "seed": "seed_oss",
                 "ernie": "ernie4_5", "olmo-3": "olmo3", "gpt-j": "gptj", "gpt-oss": "gpt_oss", "kimi": "deepseek_v3",
                 "deepseek-v3": "deepseek_v3", "glm-4.5": "glm4_moe", "glm-4.5-air": "glm4_moe",
                 "youtu": "youtu"}
        assert family == named.get(name, named.get(second, named.get(first, first))), name


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.model_type)
def test_settings_survive_the_way_there_and_back(family):
    for config in PRESETS.values():
        if not family.standing_in_the_way(config):
            assert family.read(json.loads(json.dumps(family.write(config)))) == canonical(config)


def test_names_survive_the_way_there_and_back():
    for name, config in TINY.items():
        model, family = Transformer(config), family_for(config)
        state = {k: x for k, x in model.state_dict().items()
                 if not (k == "unembed.weight" and config.tie_embeddings)}
        back = family.load(family.save(state, config.resolve()), config.resolve(), family.write(config))
        assert back.keys() == state.keys(), name


def test_the_published_settings_of_deepseek_v2_lite_are_the_preset():
    yarn = dict(type="yarn", factor=40, beta_fast=32, beta_slow=1, mscale=0.707, mscale_all_dim=0.707,
                original_max_position_embeddings=4096)
    theirs = dict(
        model_type="deepseek_v2", attention_bias=False, first_k_dense_replace=1, hidden_act="silu", hidden_size=2048,
        intermediate_size=10944, kv_lora_rank=512, max_position_embeddings=163840, moe_intermediate_size=1408,
        moe_layer_freq=1, n_group=1, n_routed_experts=64, n_shared_experts=2, norm_topk_prob=False,
        num_attention_heads=16, num_experts_per_tok=6, num_hidden_layers=27, num_key_value_heads=16, q_lora_rank=None,
        qk_nope_head_dim=128, qk_rope_head_dim=64, rms_norm_eps=1e-6, rope_scaling=yarn, rope_theta=10000,
        routed_scaling_factor=1.0, scoring_func="softmax", tie_word_embeddings=False, topk_group=1,
        topk_method="greedy", v_head_dim=128, vocab_size=102400)
    assert family_of(theirs).read(theirs) == canonical(PRESETS["deepseek-v2-lite"])


@pytest.mark.parametrize(("change", "words"), [
    ({"topk_method": "noaux_tc"}, "topk_method='noaux_tc' is not built here"),
    ({"scoring_func": "tanh"}, "scoring_func"),
    ({"topk_method": "group_limited_greedy", "n_group": None}, "n_group=None must be a whole number"),
    ({"v_head_dim": 8}, r"qk_nope_head_dim and v_head_dim of \[12, 8\]"),
    ({"rope_parameters": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32}}, "mscale"),
])
def test_a_deepseek_v2_that_would_be_computed_differently_is_refused(change, words, tmp_path):
    reference("deepseek_v2", tmp_path)
    theirs = json.loads((tmp_path / "config.json").read_text()) | change
    with pytest.raises(ValueError, match=words):
        family_of(theirs).read(theirs)


def test_yarn_is_refused_where_nobody_published_it():
    yarn = RopeScaling("yarn", 8.0, 1.0, 32.0, 64, sharpen=0.1)
    with pytest.raises(ValueError, match="rope_scaling"):
        family_for(replace(TINY["gpt-j-6b"], rope_scaling=yarn))
    theirs = FAMILIES["granite"].write(TINY["granite-3.1-2b"])
    stretched = replace(TINY["llama-2-7b"], rope_scaling=yarn, rope_theta=TINY["granite-3.1-2b"].rope_theta)
    theirs |= {"rope_parameters": FAMILIES["llama"].write(stretched)["rope_parameters"]}
    with pytest.raises(ValueError, match="granite with rope scaling 'yarn' is not built here"):
        FAMILIES["granite"].read(theirs)


PUBLISHED = {  # config.json of the published models, without what changes nothing
    "deepseek-v3": dict(
        model_type="deepseek_v3", attention_bias=False, first_k_dense_replace=3, hidden_act="silu", hidden_size=7168,
        intermediate_size=18432, kv_lora_rank=512, max_position_embeddings=163840, moe_intermediate_size=2048,
        moe_layer_freq=1, n_group=8, n_routed_experts=256, n_shared_experts=1, norm_topk_prob=True,
        num_attention_heads=128, num_experts_per_tok=8, num_hidden_layers=61, num_key_value_heads=128,
        num_nextn_predict_layers=1, q_lora_rank=1536,
        qk_nope_head_dim=128, qk_rope_head_dim=64, rms_norm_eps=1e-6, rope_theta=10000, routed_scaling_factor=2.5,
        rope_scaling=dict(type="yarn", factor=40, beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=1.0,
                          original_max_position_embeddings=4096),
        scoring_func="sigmoid", tie_word_embeddings=False, topk_group=4, topk_method="noaux_tc", v_head_dim=128,
        vocab_size=129280),
    "kimi-k2": dict(
        model_type="kimi_k2", attention_bias=False, first_k_dense_replace=1, hidden_act="silu", hidden_size=7168,
        intermediate_size=18432, kv_lora_rank=512, max_position_embeddings=131072, moe_intermediate_size=2048,
        moe_layer_freq=1, n_group=1, n_routed_experts=384, n_shared_experts=1, norm_topk_prob=True,
        num_attention_heads=64, num_experts_per_tok=8, num_hidden_layers=61, num_key_value_heads=64,
        num_nextn_predict_layers=0, q_lora_rank=1536, qk_nope_head_dim=128, qk_rope_head_dim=64, rms_norm_eps=1e-6,
        rope_theta=50000.0, routed_scaling_factor=2.827, scoring_func="sigmoid", tie_word_embeddings=False,
        rope_scaling=dict(type="yarn", factor=32.0, beta_fast=1.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0,
                          original_max_position_embeddings=4096),
        topk_group=1, topk_method="noaux_tc", v_head_dim=128, vocab_size=163840),
    "glm-4.5-air": dict(
        model_type="glm4_moe", attention_bias=True, first_k_dense_replace=1, head_dim=128, hidden_act="silu",
        hidden_size=4096, intermediate_size=10944, max_position_embeddings=131072, moe_intermediate_size=1408,
        n_group=1, n_routed_experts=128, n_shared_experts=1, norm_topk_prob=True, num_attention_heads=96,
        num_experts_per_tok=8, num_hidden_layers=46, num_key_value_heads=8, num_nextn_predict_layers=1,
        partial_rotary_factor=0.5, rms_norm_eps=1e-5, rope_scaling=None, rope_theta=1000000, routed_scaling_factor=1.0,
        tie_word_embeddings=False, topk_group=1, use_qk_norm=False, vocab_size=151552),
    "gpt-oss-20b": dict(
        model_type="gpt_oss", attention_bias=True, experts_per_token=4, head_dim=64, hidden_act="silu",
        hidden_size=2880, initial_context_length=4096, intermediate_size=2880,
        layer_types=["sliding_attention", "full_attention"] * 12, max_position_embeddings=131072,
        num_attention_heads=64, num_experts_per_tok=4, num_hidden_layers=24, num_key_value_heads=8,
        num_local_experts=32, rms_norm_eps=1e-5, rope_theta=150000, sliding_window=128, swiglu_limit=7.0,
        rope_scaling=dict(rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
                          original_max_position_embeddings=4096), tie_word_embeddings=False, vocab_size=201088),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_settings_are_the_preset(name):
    assert family_of(PUBLISHED[name]).read(PUBLISHED[name]) == canonical(PRESETS[name])
    unstretched = PUBLISHED[name] | {"rope_scaling": None, "rope_parameters": {"rope_type": "default"}}
    assert family_of(unstretched).read(unstretched).rope_scaling is None


def test_a_combination_that_nobody_published_says_what_stands_in_the_way(tmp_path):
    model = Transformer(replace(TINY["llama-3-8b"], position="sinusoidal"))
    with pytest.raises(ValueError, match="position='sinusoidal'"):
        export_hf(model, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_models_weights_are_refused_by_name(tmp_path):
    reference("llama", tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    gone = state.pop("model.layers.1.mlp.up_proj.weight")
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="lack 'model.layers.1.mlp.up_proj.weight'"):
        load_pretrained(tmp_path)
    save_file(state | {"model.layers.1.mlp.up_proj.weight": gone[:5].clone()}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"'model.layers.1.mlp.up_proj.weight' is of shape \(5, 32\).*\(48, 32\)"):
        load_pretrained(tmp_path)
    extra = {"model.layers.1.mlp.up_proj.weight": gone, "model.layers.7.what.weight": gone.clone()}
    save_file(state | extra, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="hold 'model.layers.7.what.weight'"):
        load_pretrained(tmp_path)


def test_what_would_be_computed_differently_is_refused(tmp_path):
    reference("llama", tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    for change, reason in [({"model_type": "rwkv"}, "rwkv"), ({"hidden_act": "relu"}, "hidden_act='relu'"),
                           ({"attention_bias": True}, "lack 'model.layers.0.self_attn.q_proj.bias'"),
                           ({"rope_parameters": {"rope_type": "longrope", "factor": 2.0}}, "longrope")]:
        (tmp_path / "config.json").write_text(json.dumps(settings | change))
        with pytest.raises(ValueError, match=reason):
            load_pretrained(tmp_path)


def test_a_damaged_or_pickled_folder_is_refused(tmp_path):
    reference("llama", tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged or cut short"):
        load_pretrained(tmp_path)
    weights.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="pickled"):
        load_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="config.json"):
        (tmp_path / "empty").mkdir()
        load_pretrained(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_pretrained("./nowhere/at/all")


def test_a_name_without_a_network_is_one_clear_sentence(monkeypatch):
    import huggingface_hub

    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(ConnectionError, match="'gpt2' is no folder here, and the hub cannot be reached"):
        load_pretrained("gpt2")


def test_an_export_does_not_overwrite_something_else(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="something else"):
        export_hf(Transformer(TINY["gpt2"]), None, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_an_export_replaces_an_export_and_never_a_run_or_a_project(tmp_path):
    model = Transformer(TINY["gpt2"])
    assert export_hf(model, None, export_hf(model, ByteTokenizer(), tmp_path / "out")).is_dir()
    assert not (tmp_path / "out" / "tokenizer.json").exists()
    (tmp_path / "out" / "notes.md").write_text("mine")
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "config.json").write_text("{}")
    (tmp_path / "file").write_text("mine")
    run = save(model, ByteTokenizer(), tmp_path / "run", state={"step": 3})
    for folder in (run, tmp_path / "out", tmp_path / "page", tmp_path / "file"):
        with pytest.raises(FileExistsError, match="something else"):
            export_hf(model, None, folder)
    assert load_state(run) == {"step": 3} and (tmp_path / "out" / "notes.md").exists()
    with pytest.raises(ValueError, match="minillm.save; open it with load"):
        load_pretrained(run)
