"""From a terminal: teach, ask, merge, export; what cannot be done is said in one sentence."""
from __future__ import annotations

import json
import os
import signal

import pytest
import torch

from minillm import load, save
from minillm.cli import main
from minillm.config import ModelConfig
from minillm.conversation import Template
from minillm.lora import add_lora
from minillm.model import Transformer
from minillm.pretrained import adapters
from minillm.pretrained.adapters import CONFIG, WEIGHTS

QUESTION, ANSWER = "What is my name?", "Zora."


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    file = tmp_path_factory.mktemp("pairs") / "mine.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": question, "answer": ANSWER})
                              for question in (QUESTION, "Who am I?", "What am I called?")), "utf-8")
    return file


@pytest.fixture(scope="module")
def adapter(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tuned"
    assert main(["finetune", "storyteller", str(pairs), "--steps", "25", "--batch", "3", "--rank", "4", "--lr", "0.01",
                 "--out", str(folder)]) == 0
    return folder


def test_finetune_writes_an_adapter_that_generate_asks(adapter, capsys):
    assert {path.name for path in adapter.iterdir()} == {CONFIG, WEIGHTS}
    assert main(["generate", "storyteller", "--adapter", str(adapter), "--ask", QUESTION, "--temperature", "0",
                 "--tokens", "12"]) == 0
    said = capsys.readouterr()
    assert said.out == f"Question: {QUESTION}\nAnswer: {ANSWER}\n" and "84 tensors found" in said.err


def test_merge_and_export_keep_what_was_learned(adapter, tmp_path, capsys):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    assert main(["merge", "storyteller", str(adapter), "--out", str(tmp_path / "merged")]) == 0
    assert main(["export", str(tmp_path / "merged"), "--chat", "--out", str(tmp_path / "hf")]) == 0
    model, tokenizer = load(tmp_path / "merged")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    ids = torch.tensor([Template().ask(QUESTION, tokenizer)])
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, model(ids), atol=1e-4, rtol=1e-4)
    assert AutoTokenizer.from_pretrained(tmp_path / "hf").chat_template


@pytest.mark.parametrize("method", ["dora", "full"])
def test_other_methods_write_what_they_say(method, pairs, tmp_path, capsys):
    out = tmp_path / "out"
    small = ["--rank", "2", "--targets", "q_proj,v_proj"] if method == "dora" else []
    assert main(["finetune", "storyteller", str(pairs), "--method", method, "--steps", "2", "--batch", "3", *small,
                 "--text", "stories", "--share", "0.5", "--out", str(out)]) == 0
    if method == "dora":
        assert json.loads((out / CONFIG).read_text())["use_dora"] is True
    else:
        assert load(out)[1].end_of_text is not None
    assert "3 pairs" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "words"), [
    (["generate", "storyteller", "--ask", "a", "--prompt", "b"], "give one of them"),
    (["generate", "storyteller", "--adapter", "nowhere", "--ask", "a"], "holds no adapter_config.json"),
    (["finetune", "storyteller", "nowhere.jsonl"], "nowhere.jsonl"),
    (["finetune", "storyteller", "PAIRS", "--share", "0.5"], "name one with --text"),
    (["finetune", "storyteller", "PAIRS", "--method", "full", "--rank", "2"], "leave one out"),
    (["finetune", "storyteller", "PAIRS", "--targets", "query"], "target 'query' names no linear layer")])
def test_what_cannot_be_done_is_said(arguments, words, pairs, capsys):
    assert main([str(pairs) if each == "PAIRS" else each for each in arguments]) == 1
    assert words in capsys.readouterr().err


def test_an_interrupted_run_keeps_what_it_learned_and_nothing_is_written_over(pairs, tmp_path, capsys, monkeypatch):
    from minillm import training
    whole, out = training.train, tmp_path / "out"

    def interrupted(*given, **options):
        for step in whole(*given, **options):
            yield step
            if step.step == 2:
                raise KeyboardInterrupt
    monkeypatch.setattr(training, "train", interrupted)
    command = ["finetune", "storyteller", str(pairs), "--steps", "9", "--batch", "3", "--rank", "2", "--out", str(out)]
    assert main(command) == 130
    assert "stopped after step 3" in capsys.readouterr().out and (out / WEIGHTS).exists()
    before = (out / WEIGHTS).read_bytes()
    assert main(command) == 1 and "exists already; choose another --out" in capsys.readouterr().err
    assert (out / WEIGHTS).read_bytes() == before


@pytest.mark.parametrize("command", [["merge", "storyteller", "ADAPTER"], ["export", "storyteller"]])
def test_merge_and_export_write_over_nothing_and_leave_nothing_behind(command, adapter, tmp_path, capsys):
    command = [str(adapter) if each == "ADAPTER" else each for each in command]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert main([*command, "--out", str(tmp_path / "mine")]) == 1
    assert "exists already; choose another --out" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert main([command[0], "nowhere/at/all", *command[2:], "--out", str(tmp_path / "new")]) == 1
    assert not (tmp_path / "new").exists()
    assert main([*command, "--out", ""]) == 1 and "names no folder" in capsys.readouterr().err


def test_an_adapter_of_another_model_is_not_merged_without_a_word(adapter, tmp_path, capsys):
    model, tokenizer = load("storyteller")
    save(model, tokenizer, tmp_path / "other")
    assert main(["merge", str(tmp_path / "other"), str(adapter), "--out", str(tmp_path / "merged")]) == 0
    assert "was learned beside storyteller" in capsys.readouterr().err
    assert main(["merge", "storyteller", str(adapter), "--out", str(tmp_path / "again")]) == 0
    assert "note" not in capsys.readouterr().err


def test_a_template_without_a_tokenizer_is_not_passed_over(tmp_path, capsys):
    save(load("storyteller")[0], None, tmp_path / "mute")
    assert main(["export", str(tmp_path / "mute"), "--chat", "--out", str(tmp_path / "hf")]) == 1
    assert "there is none; export without it" in capsys.readouterr().err and not (tmp_path / "hf").exists()


def test_a_correction_that_no_file_could_hold_is_found_before_the_first_step(pairs, tmp_path, capsys):
    tokenizer = load("storyteller")[1]
    model = Transformer(ModelConfig(tokenizer.vocab_size, d_model=16, n_heads=2, n_layers=1, norm="layernorm",
                                    position="learned", mlp="gelu", bias="all", context_length=64))
    save(model, tokenizer, tmp_path / "gpt2")
    command = ["finetune", str(tmp_path / "gpt2"), str(pairs), "--steps", "2", "--rank", "2", "--targets", "q_proj"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "inside a larger or turned matrix" in said.err and "step" not in said.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("method", "number"), [("lora", "SIGINT"), ("lora", "SIGHUP"), ("full", "SIGTERM")])
def test_a_fine_tuning_that_is_told_to_end_saves_first(method, number, pairs, tmp_path, monkeypatch, capsys):
    from minillm import training
    whole, out = training.train, tmp_path / "out"

    def disturbed(*given, **options):
        for step in whole(*given, **options):
            if step.step == 2:
                os.kill(os.getpid(), getattr(signal, number))
            yield step
    monkeypatch.setattr(training, "train", disturbed)
    assert main(["finetune", "storyteller", str(pairs), "--steps", "9", "--batch", "3", "--method", method,
                 "--out", str(out)]) == 130
    assert "stopped after step 3" in capsys.readouterr().out
    assert (out / ("model.safetensors" if method == "full" else WEIGHTS)).exists()


def test_a_full_disk_is_a_sentence_for_an_adapter_too(adapter, tmp_path, monkeypatch):
    from safetensors import SafetensorError
    model = add_lora(load("storyteller")[0], rank=2)

    def full(*given, **options):
        raise SafetensorError("I/O error: No space left on device (os error 28)")
    monkeypatch.setattr(adapters, "save_file", full)
    with pytest.raises(OSError, match="could not be written .*No space left.*make room"):
        adapters.save_adapter(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_damaged_adapter_is_a_sentence(adapter, tmp_path):
    (tmp_path / CONFIG).write_text("{")
    (tmp_path / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes())
    with pytest.raises(ValueError, match="adapter_config.json is not JSON"):
        adapters.load_adapter(load("storyteller")[0], tmp_path)
