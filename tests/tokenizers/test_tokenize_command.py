"""`minillm tokenize`: cut a text, train, save, read a saved tokenizer, stream ids."""
import io

import pytest

from minillm.checkpoints import save
from minillm.cli import main
from minillm.config import ModelConfig
from minillm.model import Transformer
from minillm.tokenizers import load_tokenizer


def test_a_text_is_cut_and_counted(capsys):
    assert main(["tokenize", "a€"]) == 0
    assert capsys.readouterr().out == ("a│⟨E2⟩│⟨82⟩│⟨AC⟩\n4 tokens for 2 characters in 4 bytes: 1.00 bytes per token, "
                                       "of a vocabulary of 257\n")


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram", "sentencepiece-bpe"])
def test_a_trained_tokenizer_is_saved_and_used_again(kind, tmp_path, capsys, monkeypatch):
    (tmp_path / "own.txt").write_text("the cat sat on the mat, the cat sat. " * 20, encoding="utf-8")
    folder = str(tmp_path / "kept")
    size = [] if kind == "char" else ["--vocab-size", "290"]
    assert main(["tokenize", "--tokenizer", kind, "--train", str(tmp_path / "own.txt"), *size, "--save", folder]) == 0
    capsys.readouterr()
    text = "the cat<|endoftext|>the mat"
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["tokenize", "-", "--tokenizer", folder, "--ids", "--special"]) == 0
    ids = [int(line) for line in capsys.readouterr().out.split()]
    assert ids == load_tokenizer(folder).encode(text, special=True)
    assert load_tokenizer(folder).end_of_text in ids


@pytest.mark.parametrize("arguments, reason", [
    (["x", "--tokenizer", "morse"], "neither a folder nor one of char, byte"),
    (["x", "--tokenizer", "bpe"], "add --train shakespeare"),
    ([], "give a text to cut"),
    (["x", "--vocab-size", "1024"], "--vocab-size is learned by bpe, unigram"),  # the usual value, but typed
    (["x", "--tokenizer", "bpe", "--vocab-size", "300"], "without --train passes it over"),
    (["x", "--tokenizer", "char", "--train", "shakespeare", "--vocab-size", "300"], "--tokenizer char passes it over"),
    (["x", "--tokenizer", "unigram", "--train", "shakespeare", "--pattern", "gpt2"], "--pattern is where bpe cuts"),
    (["x", "--pattern", "gpt4"], "--pattern is where bpe cuts"),
    (["x", "--max-mb", "3"], "--max-mb limits what --train"),
    (["--save", "t", "--ids"], "--ids says how to cut a text"),
    (["--save", "t", "--special"], "--special says how to cut a text")])
def test_what_is_missing_is_said(arguments, reason, capsys):
    assert main(["tokenize", *arguments]) == 1
    assert reason in capsys.readouterr().err


def test_a_folder_that_is_called_as_a_kind_is_told_apart(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.txt").write_text("the cat sat on the mat. " * 20, encoding="utf-8")
    assert main(["tokenize", "--tokenizer", "bpe", "--train", "own.txt", "--vocab-size", "280", "--save", "byte"]) == 0
    assert "your own folder" not in capsys.readouterr().err
    assert main(["tokenize", "the cat", "--tokenizer", "byte"]) == 0
    said = capsys.readouterr()
    assert "vocabulary of 257" in said.out and "for your own folder of that name, write ./byte" in said.err
    assert main(["tokenize", "the cat", "--tokenizer", "./byte"]) == 0
    assert "vocabulary of 269" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, reason", [
    (["eject", "storyteller", "--size", "nano"], "neither a checkpoint nor a preset"),
    (["eject", "run", "--size", "full"], "--size chooses how large a preset is; run is a checkpoint"),
    (["eject", "run", "--vocab-size", "9"], "--vocab-size chooses how large a preset is"),
    (["corpora", "get", "kalila", "--language", "ar"], "--language ar chooses from the whole list; beside names"),
    (["corpora", "list", "kalila", "--language", "ar"], "--language ar chooses from the whole list"),
    (["corpora", "show", "--language", "ar"], "beside show it has no meaning")])
def test_an_option_that_would_be_passed_over_is_refused(arguments, reason, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Transformer(ModelConfig(vocab_size=9, d_model=16, n_layers=1, n_heads=2, context_length=8)), None, "run")
    assert main(["eject", "run"]) == 0
    assert main(arguments) == 1
    assert reason in capsys.readouterr().err


def test_a_saved_tokenizer_is_not_written_over(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["tokenize", "--tokenizer", "byte", "--save", "t"]) == 0
    assert main(["tokenize", "--tokenizer", "byte", "--save", "t"]) == 1
    assert "t holds a tokenizer already" in capsys.readouterr().err
