"""From a terminal: teach, ask, merge, export; what cannot be done is said in one sentence."""
from __future__ import annotations

import json

import pytest
import torch

from minillm import load
from minillm.cli import main
from minillm.conversation import Template
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
