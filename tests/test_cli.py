"""Drive the command line as a person does: commands in, files and words out."""
from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from minillm import checkpoints, cli, corpora, recipes
from minillm.__main__ import main
from minillm.environment import ROOT
from minillm.model import Transformer

TEXT = "".join(f"{a} and {b} went up the hill, said {c}.\n" for a in ("Ada", "Ben", "Cleo", "Dan")
               for b in ("Eve", "Fay", "Gus") for c in ("Hal", "Ida", "Jo", "Kim")) * 4
SMALL = ["--size", "nano", "--context", "16", "--batch", "4", "--set", "d_model=32", "--set", "n_layers=1",
         "--precision", "fp32", "--evaluations", "2"]


@pytest.fixture
def text(tmp_path, monkeypatch) -> str:
    """A small text in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    Path("rhyme.txt").write_text(TEXT, encoding="utf-8")
    return "rhyme.txt"


def call(*words: str) -> int:
    return main([str(word) for word in words])


def shell(*words: str, threads: int = 1, **how) -> list[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen([sys.executable, *words], env=variables, text=True, encoding="utf-8",
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def losses(folder: Path | str) -> list[float]:
    return [row["loss"] for row in checkpoints.load_log(folder) if "loss" in row]


def weights(folder: Path | str) -> dict[str, torch.Tensor]:
    return checkpoints.load(folder)[0].state_dict()


def test_help_names_every_command(capsys):
    assert call() == 0 and call("--help") == 0
    said = capsys.readouterr().out
    assert all(re.search(rf"^  {name} +\w", said, re.M) for name in (*cli.SETUP, *cli.COMMANDS))


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_explains_itself_with_examples(name, capsys):
    with pytest.raises(SystemExit) as done:
        call(name, "--help")
    said = capsys.readouterr().out
    assert done.value.code == 0 and "examples:" in said and f"minillm {name}" in said
    assert max(map(len, said.splitlines())) <= 120


def test_the_command_runs_the_recipe_that_the_benchmarks_measure(text):
    """Seed, model, batches, rates: what `minillm train` makes is what `recipes.learn` makes, to the bit."""
    assert call("train", text, "--context", "16", "--precision", "fp32", "--evaluations", "1", "--steps", "4") == 0
    model, tokenizer = checkpoints.load("runs/rhyme")
    assert model.config == recipes.small(tokenizer.vocab_size, context_length=16)
    torch.manual_seed(0)
    other = Transformer(model.config)
    train_part, _ = corpora.read("rhyme.txt").hold_out()
    assert [step.loss for step in recipes.learn(other, train_part.encode(tokenizer), n_steps=4, precision="fp32")] \
        == losses("runs/rhyme")
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in other.state_dict().items())


def test_an_unknown_command_is_told_the_nearest(capsys):
    assert call("trian") == 2
    assert "did you mean train?" in capsys.readouterr().err


def test_a_model_learns_is_saved_and_writes(text, capsys):
    assert call("train", text, *SMALL, "--steps", "60") == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(Path("runs") / "rhyme")
    assert "kept for validation" in err and "tokens/s" in err and "minillm generate" in err
    made = losses("runs/rhyme")
    assert len(made) == 60 and made[-1] < 0.75 * made[0]
    assert call("generate", "runs/rhyme", "--prompt", "Ada and", "--tokens", "40", "--seed", "3") == 0
    first = capsys.readouterr().out
    assert first.startswith("Ada and") and len(first) == len("Ada and") + 40 + 1
    call("generate", "runs/rhyme", "--prompt", "Ada and", "--tokens", "40", "--seed", "3")
    assert capsys.readouterr().out == first
    call("generate", "runs/rhyme", "--prompt", "Ada and", "--tokens", "40", "--seed", "3", "--repetition-penalty", "9")
    assert capsys.readouterr().out != first


@pytest.mark.parametrize("weights", ["fp32", "bf16", "int8", "auto"])
def test_weights_are_rounded_where_that_is_asked_for_and_the_price_is_told(weights, capsys):
    ask = ("generate", "storyteller", "--prompt", "Once there was", "--tokens", "12", "--weights", weights)
    assert call(*ask) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Once there was") and len(out) > 20
    cost = re.search(r"weights in int8 cost (\S+) nats per token", err)
    assert bool(cost) == (weights == "int8") and ("writing with weights in" in err) == (weights == "auto")
    if cost:
        assert 0 < float(cost[1]) < 0.05


def test_the_validation_loss_is_that_of_the_whole_part(text, capsys):
    from minillm import corpora, evaluate
    call("train", text, *SMALL, "--steps", "5", "--set", "dropout=0.1")
    said = float(re.search(r"([\d.]+) nats per token", capsys.readouterr().err).group(1))
    model, tokenizer = checkpoints.load("runs/rhyme")
    held_out = corpora.read(text).hold_out()[1]
    assert said == pytest.approx(evaluate(model, held_out.encode(tokenizer)), abs=6e-4)


def test_two_runs_never_share_a_folder(text):
    for _ in range(2):
        assert call("train", text, *SMALL, "--steps", "2") == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["rhyme", "rhyme-2"]
    assert call("train", text, *SMALL, "--steps", "2", "--out", "runs/rhyme") == 1


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_every_tokenizer_is_saved_with_its_model(text, kind, capsys):
    size = ["--vocab-size", "280"] if kind == "bpe" else []
    call("train", text, *SMALL, "--steps", "2", "--tokenizer", kind, *size, "--out", "run")
    model, tokenizer = checkpoints.load("run")
    assert tokenizer.kind == kind and tokenizer.vocab_size == model.config.vocab_size
    assert tokenizer.decode(tokenizer.encode("Zoë\n")) == "Zoë\n"


def test_any_field_and_preset_can_be_chosen(text):
    chosen = ["position=none", "n_kv_heads=none", "rope_theta=5e4", "tie_embeddings=false"]
    words = [word for field in chosen for word in ("--set", field)]
    call("train", text, *SMALL, "--steps", "1", "--preset", "gpt2", *words, "--out", "run")
    config = checkpoints.load("run")[0].config
    assert (config.norm, config.position, config.n_layers, config.d_model) == ("layernorm", "none", 1, 32)
    assert config.n_kv_heads is None and config.rope_theta == 5e4 and config.tie_embeddings is False


def test_several_texts_are_mixed_and_kept_apart(text):
    Path("other.txt").write_text(TEXT.upper(), encoding="utf-8")
    call("train", text, "other.txt", *SMALL, "--steps", "1")
    _, tokenizer = checkpoints.load("runs/rhyme-other")
    assert tokenizer.end_of_text is not None and set("ADaq") - set("q") <= set(tokenizer.decode(
        [i for i in range(tokenizer.vocab_size) if i != tokenizer.end_of_text]))


@pytest.mark.parametrize(("words", "reason"), [
    ([], "name a text"), (["shakespear"], "did you mean 'shakespeare'"), (["absent.txt"], "absent.txt"),
    (["rhyme.txt", "--preset", "gpt9"], "no preset"), (["rhyme.txt", "--set", "n_layer=2"], "did you mean n_layers"),
    (["rhyme.txt", "--set", "n_layers=two"], "n_layers='two'"), (["rhyme.txt", "--set", "n_layers"], "FIELD=VALUE"),
    (["rhyme.txt", "--context", "99999"], "too few for context_length=99999"), (["rhyme.txt", "--fsdp"], "torchrun"),
    (["rhyme.txt", "--size", "full"], "--preset"), (["--resume", "nowhere"], "nowhere holds no checkpoint"),
    (["rhyme.txt", "--tokenizer", "bpe", "--vocab-size", "9"], "vocab_size=9"),
    (["rhyme.txt", "--max-mb", "0.00001"], "max_bytes"), (["rhyme.txt", "--device", "cuda:99"], "cuda"),
    (["rhyme.txt", "--device", "gpu"], "'gpu' is not one of: auto"), (["rhyme.txt", "--set", "xyz=2"], "d_model"),
    (["rhyme.txt", "--set", "n_layers=1.5"], "n_layers='1.5' is not a whole number"),
    (["rhyme.txt", "--set", "rope_scaling={}x"], "nor none"), (["rhyme.txt", "--set", "tie_embeddings=2"], "true or"),
    (["few.txt", "--context", "4"], "too few to measure"),
])
def test_a_wrong_word_is_refused_in_one_sentence_and_leaves_nothing(text, words, reason, capsys):
    Path("few.txt").write_text("fewer than", encoding="utf-8")
    before = sorted(os.listdir())
    assert call("train", *words) == 1
    said = capsys.readouterr().err.strip()
    assert reason in said and said.startswith("minillm train: ") and "Traceback" not in said
    runs = os.listdir("runs") if Path("runs").exists() else []
    assert not runs and sorted(set(os.listdir()) - {"runs"}) == before


@pytest.mark.parametrize("line", [
    "train rhyme.txt --steps 0", "train rhyme.txt --steps 1e3", "train rhyme.txt --minutes 0",
    "train rhyme.txt --lr nan", "train rhyme.txt --batch -1", "train rhyme.txt --seed -1",
    "generate run --tokens 0", "generate run --top-p 2", "generate run --temperature nan",
    "tokenize x --vocab-size 0", "eject gpt2 --vocab-size 0",
    "assign grade a --with b --out c --jobs 0", "assign grade a --with b --out c --late-share 80", "train --speed 3",
])
def test_a_number_that_makes_no_sense_is_refused_in_one_line(text, line, capsys):
    with pytest.raises(SystemExit) as done:
        call(*line.split())
    said = capsys.readouterr().err
    assert done.value.code == 2 and said.count("\n") == 1 and line.split()[-2] in said and "--help" in said


def test_a_finished_run_says_so_and_goes_on_when_asked_for_more(text, capsys):
    call("train", text, *SMALL, "--steps", "3", "--out", "run")
    before = Path("run/log.jsonl").read_bytes()
    assert call("train", "--resume", "run") == 1
    assert "is finished, after 3 steps" in capsys.readouterr().err and Path("run/log.jsonl").read_bytes() == before
    assert call("train", "--resume", "run", "--steps", "4") == 0 and len(losses("run")) == 4
    assert call("tokenize", "Ada", "--tokenizer", "run") == 0  # the model's own tokenizer
    assert capsys.readouterr().out.splitlines()[-2] == "A│d│a"


def test_a_checkpoint_of_other_hands_is_not_resumed(text, capsys):
    from minillm import ByteTokenizer, ModelConfig, Transformer
    checkpoints.save(Transformer(ModelConfig(d_model=8, n_heads=2)), ByteTokenizer(), "mine", state={"step": 3})
    assert call("train", "--resume", "mine") == 1
    assert "not made by `minillm train`" in capsys.readouterr().err


def test_a_model_of_one_line_can_begin_to_write(text, capsys):
    Path("line.txt").write_text("over and over " * 60, encoding="utf-8")
    call("train", "line.txt", *SMALL, "--steps", "1", "--out", "run")
    capsys.readouterr()
    assert call("generate", "run", "--tokens", "5") == 0 and len(capsys.readouterr().out) == 6


def test_the_shipped_model_writes_by_its_name(capsys):
    assert call("generate", "storyteller", "--prompt", "The capital of France is", "--tokens", "3") == 0
    assert capsys.readouterr().out.startswith("The capital of France is")


@pytest.mark.parametrize(("line", "reason"), [
    ("eject gpt2 --size nano --out run", "run: Is a directory; name a file"),
    ("tokenize x --save rhyme.txt", "rhyme.txt: "),
    ("eject gpt2 --size nano --out full.py", "full.py: No space left on device; make room"),
    ("eject run", "run/config.json is not JSON"),
    ("generate run", "run/config.json is not JSON"), ("tokenize x --train rhyme.txt", "nothing left to learn"),
    ("corpora --language xx", "no text is in 'xx'; there are"),
])
def test_every_door_names_the_way_out(text, line, reason, capsys, monkeypatch):
    Path("run").mkdir()
    Path("run/config.json").write_text("{half", encoding="utf-8")
    real = os.replace

    def replace(path, target):
        if Path(target).name == "full.py":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, target)

    monkeypatch.setattr(os, "replace", replace)
    assert call(*line.split()) == 1
    assert reason in capsys.readouterr().err
    assert sorted(os.listdir()) == ["rhyme.txt", "run"]  # no half file stays


def test_too_little_memory_is_said_in_words():
    said = cli.in_words(RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"))
    assert "not enough memory" in said and "--size" in said
    with pytest.raises(RuntimeError, match="ours"):
        cli.in_words(RuntimeError("a mistake of ours"))


def test_pipes_speak_utf8_whatever_the_system_does(text):
    run = shell("-c", "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'latin-1');"
                "from minillm.cli import main; main(['tokenize', 'ἀβ', '--tokenizer', 'byte'])")
    said, trouble = run.communicate(timeout=60)
    assert "⟨E1⟩│⟨BC⟩" in said, trouble


def test_a_name_that_is_no_text_is_written_all_the_same():
    run = shell("-c", "import sys; from minillm.cli import speak_utf8; speak_utf8();"
                "print('caf\\udce9.txt'); print('caf\\udce9.txt', file=sys.stderr)")
    assert [said.strip() for said in run.communicate(timeout=60)] == ["caf\\udce9.txt"] * 2


def test_a_missing_model_is_said(text, capsys):
    assert call("generate", "runs/none") == 1
    assert "there is no folder runs/none" in capsys.readouterr().err


def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(text, monkeypatch, capsys):
    from minillm.cli import job

    def interrupted(model, stream, **options):  # Ctrl-C during step 7
        for step in real(model, stream, **options):
            if step.step == 7:
                signal.raise_signal(signal.SIGINT)
            yield step

    more = ["--steps", "20", "--set", "dropout=0.1", "--seed", "5"]
    call("train", text, *SMALL, *more, "--out", "whole")
    real = job.train
    monkeypatch.setattr(job, "train", interrupted)
    assert call("train", text, *SMALL, *more, "--out", "parts") == 130
    assert "minillm train --resume parts" in capsys.readouterr().err
    assert len(losses("parts")) < 20
    monkeypatch.setattr(job, "train", real)
    assert call("train", "--resume", "parts") == 0
    assert losses("parts") == losses("whole")
    assert all(torch.equal(a, b) for a, b in zip(weights("parts").values(), weights("whole").values(), strict=True))


def test_a_run_keeps_the_threads_that_it_began_with(text, monkeypatch, capsys):
    from minillm.cli import job
    used, real = [], job.train

    def noted(model, stream, **options):
        used.append(torch.get_num_threads())
        return real(model, stream, **options)

    monkeypatch.setattr(job, "train", noted)
    monkeypatch.setattr(job, "measure_threads", lambda *_, say: 2)
    before = torch.get_num_threads()
    assert call("train", text, *SMALL, "--steps", "2", "--out", "run") == 0
    monkeypatch.setattr(job, "measure_threads", lambda *_, say: pytest.fail("a run that goes on tries nothing"))
    assert call("train", "--resume", "run", "--steps", "3") == 0
    assert "going on with 2 of" in capsys.readouterr().err or before == 2
    assert call("train", "--resume", "run", "--steps", "4", "--threads", "3") == 0
    assert call("train", "--resume", "run", "--steps", "5") == 0
    assert used == [2, 2, 3, 3] and torch.get_num_threads() == before
    assert checkpoints.load_state("run")["threads"] == 3


def test_a_resumed_run_refuses_other_settings_and_texts(text, capsys):
    call("train", text, *SMALL, "--steps", "2", "--out", "run")
    assert call("train", "--resume", "run", "--lr", "1") == 1
    assert "keeps its own --lr" in capsys.readouterr().err
    Path(text).write_text(TEXT.replace("hill", "dale"), encoding="utf-8")
    assert call("train", "--resume", "run", "--steps", "4") == 1
    assert "no longer what run was trained on" in capsys.readouterr().err
    assert len(losses("run")) == 2


def test_minutes_end_a_run(text):
    assert call("train", text, *SMALL, "--minutes", "0.02", "--out", "run") == 0
    rows = [row for row in checkpoints.load_log("run") if "seconds" in row]
    seconds = [row["seconds"] for row in rows]
    assert sum(seconds) >= 1.2 > sum(seconds[:-1])
    assert rows[-1]["lr"] < 0.1 * max(row["lr"] for row in rows)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a program can hear")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_program_that_is_told_to_end_saves_first(text, number, hearing):
    run = shell("-m", "minillm", "train", text, *SMALL, "--minutes", "5", "--evaluations", "10000", "--out", "run")
    deadline = time.time() + 120
    while not (Path("run") / "checksums.json").exists() and time.time() < deadline:
        time.sleep(0.1)
    run.send_signal(getattr(signal, number))
    _, said = run.communicate(timeout=120)
    assert run.returncode == 130 and "minillm train --resume run" in said
    assert len(losses("run")) == json.loads(Path("run/state.json").read_text())["items"][0][1] > 0


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch was built without torch.distributed")
@pytest.mark.parametrize("split", [[], ["--fsdp"]], ids=["DDP", "FSDP2"])
def test_two_processes_learn_as_one_does(text, split):
    more = [*SMALL, "--steps", "6", "--optimizer", "adamw", "--seed", "2"]
    call("train", text, *more, "--out", "one")
    run = shell("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "minillm", "train",
                text, *more, "--out", "two", *split)
    written, said = run.communicate(timeout=240)
    assert run.returncode == 0, said
    assert written == "two\n" and said.count("kept for validation") == 1
    assert losses("two") == pytest.approx(losses("one"), abs=2e-5)  # sums of gradients in another order
    assert set(weights("two")) == set(weights("one"))


def test_one_of_several_processes_ends_before_python_does():
    """Else gloo's threads, which outlive their group, abort the odd finished run."""
    run = shell("-c", "import atexit; atexit.register(print, 'farewell'); print('said', end='')\n"
                      "from minillm.cli.processes import leave; leave(3)")
    assert run.communicate(timeout=120)[0] == "said" and run.returncode == 3


def test_the_texts_are_listed(capsys):
    assert call("corpora") == 0
    said = capsys.readouterr().out
    assert "shakespeare" in said and "kalila" in said
    call("corpora", "--language", "ar")
    assert "kalila" in (said := capsys.readouterr().out) and "shakespeare" not in said
    assert call("corpora", "get") == 1


@pytest.mark.needs_corpora
def test_a_text_is_fetched_and_shown(capsys):
    assert call("corpora", "show", "kalila") == 0
    said = capsys.readouterr().out
    assert "characters, ready" in said and "language  ar" in said


def commands_of(readme: str) -> list[str]:
    """Every line of a shell block, without its comment."""
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.S)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


README = commands_of((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("line", README)
def test_every_command_of_the_readme_is_understood(line):
    """Its options exist; what is cheap is run by the tests above, and CI runs the test command itself."""
    words = line.split()
    if "minillm" in words and words[0] in ("python", "minillm", "torchrun"):
        name, *rest = words[words.index("minillm") + 1:]
        if name in cli.COMMANDS:
            cli.parser_of(name).parse_args([word.strip('"') for word in rest])
        else:
            assert name in cli.SETUP and set(rest) <= {"--fresh", "--no-browser"} or name == "test"
    elif "-e" in words or words[:1] == ["pip"]:
        extras = re.search(r"\[(.+?)\]", line)
        assert extras is None or set(extras.group(1).split(",")) <= {"lab", "hub", "test"}
    else:
        assert words[0] in ("git", "cd", "conda", "ruff", "python", "source", ".venv/bin/python"), line
    for word in words:
        if re.fullmatch(r"[\w./-]+\.(txt|yml|py|toml)", word) and "mine" not in word:
            assert (ROOT / word).exists(), f"{word} does not exist"


def test_the_readme_has_commands():
    assert {"python -m minillm lab", "python -m minillm test"} <= set(README)


def test_a_resumed_run_refuses_also_what_is_usual_and_takes_what_it_has(text, capsys):
    assert call("train", text, *SMALL, "--steps", "2", "--seed", "5", "--optimizer", "adamw", "--out", "run") == 0
    for words in (["--seed", "0"], ["--optimizer", "muon"], ["--tokenizer", "bpe"], ["--size", "small"],
                  ["--precision", "auto"], ["--max-mb", "7"]):
        assert call("train", "--resume", "run", "--steps", "3", *words) == 1
        assert f"keeps its own {words[0]}" in capsys.readouterr().err
    assert call("train", "--resume", "run", "--steps", "3", "--seed", "5", "--optimizer=adamw", "--prec", "fp32") == 0


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_a_size_that_nothing_learns_is_refused(text, kind, capsys):
    assert call("train", text, *SMALL, "--tokenizer", kind, "--vocab-size", "1024") == 1
    assert f"--vocab-size is learned by bpe, unigram, sentencepiece-bpe; {kind} has" in capsys.readouterr().err


def test_a_readers_own_files_survive_in_the_runs_folder_and_a_link_stays_one(text):
    call("train", text, *SMALL, "--steps", "2", "--out", "run")
    Path("run/notes.txt").write_text("two hours of work")
    Path("link").symlink_to("run")
    assert call("train", "--resume", "link", "--steps", "3") == 0
    assert Path("run/notes.txt").read_text() == "two hours of work" and Path("link").is_symlink()
    os.chdir("run")
    assert call("train", "--resume", ".", "--steps", "4") == 0 and call("generate", ".", "--tokens", "2") == 0
    assert len(losses(".")) == 4


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such names")
@pytest.mark.parametrize("name", ["ع" * 123 + ".txt", "x" * 250 + ".txt", "caf\udce9.txt", "…\n.txt"])
def test_a_text_of_any_name_is_learned(text, name, capsys):
    os.rename(text, name)
    assert call("train", name, *SMALL, "--steps", "2") == 0
    assert call("train", "--resume", capsys.readouterr().out.splitlines()[0], "--steps", "3") == 0


def test_what_cannot_be_written_is_found_out_before_the_first_step(text, monkeypatch, capsys):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoints, "save_file", full)
    assert call("train", text, *SMALL, "--steps", "2", "--out", "run") == 1
    said = capsys.readouterr().err
    assert "run could not be written" in said and "learn from" not in said and not Path("run").exists()


def test_a_disk_that_is_full_for_a_while_does_not_end_the_run(text, monkeypatch, capsys):
    from minillm.cli import job
    real, calls = job.save, []

    def save(*args, **options):
        calls.append(options)
        if len(calls) == 1:
            raise OSError("run could not be written (No space left on device); make room")
        return real(*args, **options)

    monkeypatch.setattr(job, "save", save)
    assert call("train", text, *SMALL, "--steps", "6", "--evaluations", "3", "--out", "run") == 0
    assert "No space left on device); make room.  The run goes on" in capsys.readouterr().err
    assert len(losses("run")) == 6 and len(calls) > 2


def test_two_cannot_go_on_with_one_run(text, capsys):
    call("train", text, *SMALL, "--steps", "2", "--out", "run")
    program = "import sys; from minillm import disk\nwith disk.alone('run'):\n print(1, flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    other.stdout.readline()
    assert call("train", "--resume", "run", "--steps", "3") == 1
    assert "another process is writing into run; wait until it has ended" in capsys.readouterr().err
    other.communicate()
    assert call("train", "--resume", "run", "--steps", "3") == 0


def test_a_run_that_has_run_away_keeps_what_was_saved(text, capsys):
    call("train", text, *SMALL, "--steps", "2", "--out", "run")
    before = weights("run")
    assert call("train", text, *SMALL, "--precision", "fp16", "--steps", "40", "--lr", "1e30", "--out", "other") == 1
    assert "loss=" in (said := capsys.readouterr().err) or "no longer finite" in said
    assert all(torch.equal(a, b) for a, b in zip(before.values(), weights("run").values(), strict=True))
    assert not Path("other").exists()


def test_a_file_named_as_a_text_of_the_catalogue_is_not_passed_over_without_a_word(text, capsys):
    name = corpora.names(shipped=True)[0]
    os.rename(text, name)
    for typed, said in ((name, True), (f"./{name}", False)):
        assert call("tokenize", "a", "--tokenizer", "char", "--train", typed) == 0
        assert (f"{name} is read from the catalogue; for your own" in capsys.readouterr().err) == said


def edited(folder: str, *where: str, value: object) -> None:
    """Change what a run kept of itself, and its checksum with it."""
    path = Path(folder, "state.json")
    kept = json.loads(path.read_text())
    rows = kept["items"]
    for name in where[:-1]:
        rows = next(row for row in rows if row[0] == name)[1]["items"]
    next(row for row in rows if row[0] == where[-1])[1] = value
    path.write_text(json.dumps(kept))
    sums = json.loads(Path(folder, "checksums.json").read_text())
    sums["state.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
    Path(folder, "checksums.json").write_text(json.dumps(sums))


@pytest.mark.parametrize(("where", "value"), [
    (("options",), 3), (("options", "texts"), 3), (("options", "texts"), [3]), (("options", "optimizer"), "x"),
    (("options", "batch"), [1]), (("options", "batch"), 2 ** 40), (("options", "seed"), -1), (("options", "lr"), "1"),
    (("options", "max_mb"), 1e308), (("options", "tokenizer"), None), (("options", "fields"), [[]]),
    (("seconds",), "x"), (("text",), None), (("threads",), 0), (("precision",), {"items": []}), (("scaler",), 3),
    (("scaler",), {"items": [["scale", 1]]}), (("optimizer",), {"tuple": []}), (("step",), 0.5)])
def test_what_a_run_never_kept_of_itself_is_refused_in_a_sentence(text, where, value, capsys):
    assert call("train", text, "--steps", "1", "--out", "run", *SMALL) == 0
    edited("run", *where, value=value)
    capsys.readouterr()
    assert call("train", "--resume", "run", "--steps", "2") == 1
    said = capsys.readouterr().err
    assert said.startswith("minillm train: ") and "Traceback" not in said and len(said) > 50
