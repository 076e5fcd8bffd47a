"""Weights of other families open here, ours open there, and what does not fit is refused with the reason."""
from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from minillm.checkpoints import load_state, save
from minillm.config import ModelConfig
from minillm.families import FAMILIES, family_for
from minillm.model import Transformer
from minillm.presets import PRESETS, scaled
from minillm.pretrained import export_hf, load_pretrained
from minillm.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer, SentencePieceTokenizer
from minillm.translation import canonical
from tests.parity.references import VOCAB, reference

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
    for weight in model.parameters():
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


def test_weights_may_be_opened_in_half_precision(tmp_path):
    reference("llama", tmp_path)
    model, _ = load_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model.blocks[0].attention.rotate.cos.dtype == torch.float32  # angles are never rounded


def test_every_preset_has_its_family():
    of = {name: family_for(config).model_type for name, config in PRESETS.items()}
    assert of.pop("phi-3-mini") == "mistral"  # the same function; Phi-3 differs in how its files are laid out
    for name, family in of.items():
        first, second = name.split("-")[0], "-".join(name.split("-")[:2])
        named = {"pythia": "gpt_neox", "gemma-2": "gemma2", "gemma-3": "gemma3_text", "olmo-2": "olmo2",
                 "qwen3-30b": "qwen3_moe"}
        assert family == named.get(second, named.get(first, first)), name


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
        back = family.load(family.save(state, config.resolve()), config.resolve())
        assert back.keys() == state.keys(), name


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
    with pytest.raises(ValueError, match="lack 'blocks.1.mlp.up_proj.weight'"):
        load_pretrained(tmp_path)
    save_file(state | {"model.layers.1.mlp.up_proj.weight": gone[:5].clone()}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"blocks.1.mlp.up_proj.weight' is of shape \(5, 32\).*\(48, 32\)"):
        load_pretrained(tmp_path)
    extra = {"model.layers.1.mlp.up_proj.weight": gone, "model.layers.7.what.weight": gone.clone()}
    save_file(state | extra, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="hold 'blocks.7.what.weight'"):
        load_pretrained(tmp_path)


def test_what_would_be_computed_differently_is_refused(tmp_path):
    reference("llama", tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    for change, reason in [({"model_type": "rwkv"}, "rwkv"), ({"hidden_act": "relu"}, "hidden_act='relu'"),
                           ({"attention_bias": True}, "attention_bias=True"),
                           ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "yarn")]:
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
