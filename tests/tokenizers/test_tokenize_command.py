"""`minillm tokenize`: cut a text, train, save, read a saved tokenizer, stream ids."""
import io

import pytest

from minillm.cli import main
from minillm.tokenizers import load_tokenizer


def test_a_text_is_cut_and_counted(capsys):
    assert main(["tokenize", "a€"]) == 0
    assert capsys.readouterr().out == ("a│⟨E2⟩│⟨82⟩│⟨AC⟩\n4 tokens for 2 characters in 4 bytes: 1.00 bytes per token, "
                                       "of a vocabulary of 257\n")


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram", "sentencepiece-bpe"])
def test_a_trained_tokenizer_is_saved_and_used_again(kind, tmp_path, capsys, monkeypatch):
    (tmp_path / "own.txt").write_text("the cat sat on the mat, the cat sat. " * 20, encoding="utf-8")
    folder = str(tmp_path / "kept")
    assert main(["tokenize", "--tokenizer", kind, "--train", str(tmp_path / "own.txt"), "--vocab-size", "290",
                 "--save", folder]) == 0
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
    ([], "give a text to cut")])
def test_what_is_missing_is_said(arguments, reason, capsys):
    assert main(["tokenize", *arguments]) == 1
    assert reason in capsys.readouterr().err
