"""That what was saved comes back bit for bit, and what is not whole is refused with the reason."""
from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from minillm import checkpoints
from minillm.checkpoints import fill, load, load_log, load_state, save
from minillm.config import ModelConfig
from minillm.data import batches
from minillm.model import Transformer
from minillm.optim import adamw, muon, warmup_cosine
from minillm.precision import Precision
from minillm.pretrained import export_hf
from minillm.tokenizers import CharTokenizer, load_tokenizer
from minillm.training import restore, snapshot, train
from tests.variants import name_of, variants

TEXT = "ما أجمل النماذج الصغيرة! the quick brown fox jumps over the lazy dog. " * 6
TOKENIZER = CharTokenizer.train(TEXT)
CONFIG = ModelConfig(vocab_size=TOKENIZER.vocab_size, d_model=16, n_layers=2, n_heads=2, context_length=8)


def model(seed: int = 0, **choices) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(replace(CONFIG, **choices)).eval()


@pytest.mark.parametrize("config", variants(25, seed=2), ids=name_of)
def test_every_kind_of_model_comes_back_bit_for_bit(config, tmp_path):
    torch.manual_seed(0)
    m = Transformer(config).eval()
    loaded, tokenizer = load(save(m, None, tmp_path / "run"))
    assert loaded.config == config and tokenizer is None and not loaded.training
    tokens = torch.randint(config.vocab_size, (2, config.context_length))
    assert torch.equal(m(tokens), loaded(tokens))


def test_the_tokenizer_comes_back_with_its_alphabet(tmp_path):
    _, tokenizer = load(save(model(), TOKENIZER, tmp_path / "run"))
    assert tokenizer.encode(TEXT) == TOKENIZER.encode(TEXT)


def test_weights_keep_their_precision_and_tied_ones_stay_tied(tmp_path):
    loaded, _ = load(save(model().bfloat16(), None, tmp_path / "run"))
    assert loaded.embed.weight.dtype == torch.bfloat16
    assert loaded.unembed.weight is loaded.embed.weight


def test_loading_draws_nothing(tmp_path):
    save(model(), None, tmp_path / "run")
    state = torch.get_rng_state()
    load(tmp_path / "run")
    assert torch.equal(state, torch.get_rng_state())


def test_states_and_logs_come_back_as_they_were(tmp_path):
    state = {"step": 7, "nested": {3: (1.5, [None, True, "text"]), "empty": {}, "tensor": torch.arange(3)}, "t": ()}
    log = [{"step": 0, "loss": 0.1 + 0.2}, {"step": 1, "text": "ش"}]
    folder = save(model(), None, tmp_path / "run", state=state, log=log)
    back = load_state(folder)
    assert torch.equal(back["nested"].pop("tensor"), state["nested"].pop("tensor"))
    assert back == state and load_log(folder) == log
    assert not [f for f in folder.rglob("*") if f.suffix in (".pt", ".pkl", ".bin")]
    with pytest.raises(ValueError, match="no state of a training run"):
        load_state(save(model(), None, tmp_path / "other"))
    with pytest.raises(TypeError, match="state.x is a object"):
        save(model(), None, tmp_path / "third", state={"x": object()})
    assert not (tmp_path / "third").exists()


def test_states_keep_tensors_apart_whose_keys_read_alike(tmp_path):
    state = {"a.b": torch.tensor(1), "a": {"b": torch.tensor(2)}, "0": torch.tensor(3), 0: torch.tensor(4)}
    assert load_state(save(model(), None, tmp_path / "run", state=state)) == state


@pytest.mark.parametrize("make", [adamw, muon])
def test_resumed_is_uninterrupted_to_the_last_bit(make, tmp_path):
    """Dropout, micro-batches, warm-up and a falling rate: nothing remembers the stop."""
    ids = TOKENIZER.encode(TEXT)

    def go_on(m, optimizer, start, stop):
        stream = batches(ids, batch_size=6, context_length=8, seed=3, start=start)
        return [(s.loss, s.lr, s.grad_norm) for s in train(
            m, stream, optimizer=optimizer, n_steps=stop, start=start, schedule=warmup_cosine(20, warmup=3),
            micro_batch=2, precision="fp32", seed=5)]

    straight = model(dropout=0.2)
    expected = go_on(straight, make(straight), 0, 20)

    first = model(dropout=0.2)
    optimizer = make(first)
    seen = go_on(first, optimizer, 0, 9)
    save(first, TOKENIZER, tmp_path / "run", state=snapshot(optimizer, 9, Precision("fp32")))
    torch.manual_seed(99)
    torch.rand(17)
    second, _ = load(tmp_path / "run")
    optimizer = make(second)
    start = restore(load_state(tmp_path / "run"), optimizer)
    assert start == 9 and seen + go_on(second, optimizer, start, 20) == expected
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), second.parameters(), strict=True))


def test_strict_loading_names_the_tensor_and_leaves_the_model_alone():
    m = model()
    tensors = {n: t.clone() + 1 for n, t in m.state_dict().items() if n != "unembed.weight"}
    before = m.embed.weight.detach().clone()
    without = {n: t for n, t in tensors.items() if n != "blocks.1.mlp.up_proj.weight"}
    for wrong, named in ((without, "no tensor 'blocks.1.mlp.up_proj.weight'"),
                         ({**tensors, "lm_head.weight": before}, "has a tensor 'lm_head.weight'"),
                         ({**tensors, "norm.weight": torch.ones(3)}, r"'norm.weight' is \(3,\).*\(16,\)")):
        with pytest.raises(ValueError, match=named):
            fill(m, wrong)
        assert torch.equal(m.embed.weight, before)
    fill(m, tensors)
    assert torch.equal(m.embed.weight, before + 1)


@pytest.fixture
def folder(tmp_path) -> Path:
    return save(model(), TOKENIZER, tmp_path / "run", state={"step": 1, "x": torch.ones(4)}, log=[{"step": 0}])


def test_every_single_damaged_file_is_noticed(folder, tmp_path):
    for path in [f.relative_to(folder) for f in folder.rglob("*") if f.is_file()]:
        for damage in (lambda f: f.write_bytes(f.read_bytes()[:-3]), lambda f: f.unlink(),
                       lambda f: f.write_bytes(f.read_bytes() + b"7")):
            copy = tmp_path / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(folder, copy)
            damage(copy / path)
            with pytest.raises((ValueError, FileNotFoundError)) as refusal:
                load(copy)
            assert path.name in str(refusal.value)


def test_an_edited_config_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["model"]["rope_theta"] = 500.0  # the same shapes: only the checksum can tell
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="config.json is not as it was saved"):
        load(folder)


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere holds no checkpoint"):
        load(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ValueError, match="load_pretrained"):
        load(tmp_path)


def test_a_save_that_fails_leaves_the_old_checkpoint_whole(folder, monkeypatch):
    before = {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()}

    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        save(model(1), TOKENIZER, folder)
    assert {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()} == before
    assert [f.name for f in folder.parent.iterdir()] == ["run"]


def test_saving_replaces_a_checkpoint_but_nothing_else(folder, tmp_path):
    save(model(1), None, folder)
    assert not (folder / "tokenizer").exists() and not (folder / "state.json").exists()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").touch()
    with pytest.raises(FileExistsError, match="photos.*choose another folder"):
        save(model(), None, tmp_path / "photos")
    assert (tmp_path / "photos" / "me.jpg").exists()
    (tmp_path / "empty").mkdir()
    save(model(), None, tmp_path / "empty")


def test_batches_go_on_where_they_stopped():
    ids = TOKENIZER.encode(TEXT)
    straight = list(islice(batches(ids, batch_size=2, context_length=8, seed=1), 6))
    resumed = list(islice(batches(ids, batch_size=2, context_length=8, seed=1, start=4), 2))
    assert all(torch.equal(a, b) for x, y in zip(straight[4:], resumed, strict=True) for a, b in zip(x, y, strict=True))


def test_what_could_not_be_opened_again_is_not_saved(tmp_path):
    from minillm.lora import add_lora, merge_lora
    m = add_lora(model())
    for write in (save, export_hf):
        with pytest.raises(ValueError, match="q_proj.*merge_lora"):
            write(m, None, tmp_path / "run")
    assert not list(tmp_path.iterdir())
    assert torch.equal(load(save(merge_lora(m), None, tmp_path / "run"))[0].embed.weight, model().embed.weight)


@pytest.mark.parametrize(("change", "reason"), [
    (lambda m: setattr(m.unembed, "weight", nn.Parameter(m.unembed.weight.detach().clone())),
     r"'unembed.weight' is \(\d+, 16\) in the model, but absent by its configuration"),
    (lambda m: setattr(m.blocks[0].mlp, "down_proj", nn.Linear(7, 16, bias=False)),
     r"down_proj.weight' is \(16, 7\) in the model, but \(16, \d+\) by its configuration"),
    (lambda m: setattr(m, "norm", nn.Identity()), r"'norm.weight' is absent in the model, but \(16,\) by")])
def test_a_model_that_its_configuration_no_longer_describes_is_not_saved(change, reason, tmp_path):
    m = model()
    change(m)
    for write in (save, export_hf):
        with pytest.raises(ValueError, match=reason):
            write(m, None, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_compiled_model_is_saved_as_the_model_that_it_is(tmp_path):
    compiled = torch.compile(model(), backend="eager")
    assert torch.equal(load(save(compiled, None, tmp_path / "run"))[0].embed.weight, model().embed.weight)


def test_a_disk_that_fills_up_is_one_sentence_and_the_old_checkpoint_stays(folder, monkeypatch):
    def full_disk(*args):
        raise SafetensorError("Error while serializing: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoints, "save_file", full_disk)
    with pytest.raises(OSError, match="run could not be written.*No space left.*untouched; make room"):
        save(model(1), TOKENIZER, folder)
    assert torch.equal(load(folder)[0].embed.weight, model().embed.weight)


def test_a_model_and_its_tokenizer_are_found_in_one_folder(folder):
    assert load_tokenizer(folder).encode(TEXT) == TOKENIZER.encode(TEXT)


@pytest.mark.parametrize(("name", "content", "reason"), [
    ("config.json", "[1]", "config.json holds a list"), ("checksums.json", "[]", "checksums.json holds a list"),
    ("checksums.json", "{}", "config.json is not as it was saved"), ("checksums.json", "{", "is not JSON"),
])
def test_a_checkpoint_that_vouches_for_nothing_is_refused(folder, name, content, reason):
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=reason):
        load(folder)


def test_the_first_save_loads_no_compiler(tmp_path):
    script = ("import sys, torch; from minillm import ModelConfig, Transformer, save; import minillm.checkpoints\n"
              "m = Transformer(ModelConfig(vocab_size=9, d_model=16, n_heads=2)); before = set(sys.modules)\n"
              "save(m, None, sys.argv[1]); print(len(set(sys.modules) - before), 'sympy' in sys.modules)")
    out = subprocess.run([sys.executable, "-c", script, tmp_path / "run"], capture_output=True, text=True)
    new, sympy = out.stdout.split()
    assert int(new) < 40 and sympy == "False", out.stderr
