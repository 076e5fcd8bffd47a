"""Files that mean harm: small, and said to be large, deep, elsewhere or endless.  Each is refused in a sentence."""
from __future__ import annotations

import hashlib
import json
import os
import struct
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minillm import reading, weights
from minillm.checkpoints import load, load_config, load_log, load_state, save
from minillm.config import ModelConfig
from minillm.data import TokenFile
from minillm.model import Transformer
from minillm.tokenizers import BPETokenizer, ByteTokenizer, load_tokenizer
from minillm.tokenizers.protocol import SETTINGS_FILE
from minillm.tokenizers.splitting import compiled, cut

CONFIG = ModelConfig(vocab_size=257, d_model=16, n_layers=1, n_heads=2, context_length=16)
posix = pytest.mark.skipif(os.name != "posix", reason="pipes and links are made as POSIX makes them")


@pytest.fixture
def folder(tmp_path):
    return save(Transformer(CONFIG), ByteTokenizer(special=("<|endoftext|>",)), tmp_path / "run", state={"step": 1},
                log=[{"step": 0, "loss": 1.5}])


def vouched(folder, **more):
    """Checksums that fit what is in the folder now."""
    sums = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file() and path.name != "checksums.json"}
    (folder / "checksums.json").write_text(json.dumps(sums | more))


@pytest.mark.parametrize("change", [
    {"n_layers": 10**6}, {"n_layers": 10**12}, {"vocab_size": 10**9}, {"vocab_size": 10**18}, {"vocab_size": 10**30},
    {"context_length": 10**9}, {"context_length": 10**7, "position": "learned"}, {"d_head": 10**10},
    {"context_length": 10**7, "position": "sinusoidal"}, {"n_experts": 10**7}, {"d_ff": 10**12},
    {"n_experts": 2, "n_shared_experts": 10**7}, {"n_heads": 2**24, "d_head": 1, "position": "alibi"}])
def test_no_size_is_believed_that_the_weights_do_not_bear_out(change, folder):
    told = json.loads((folder / "config.json").read_text())
    told["model"] |= change
    (folder / "config.json").write_text(json.dumps(told))
    vouched(folder)
    with pytest.raises(ValueError, match=r"\d"):
        load(folder)


def test_what_is_refused_on_paper_names_both_numbers():
    held = {"w": ((3, 4), "F32", Path("w"))}
    with pytest.raises(ValueError, match="vocab_size=257.* 12 numbers"):
        weights.borne_out(CONFIG, held, "config.json")
    with pytest.raises(ValueError, match="5 layers.* 1 tensors"):
        weights.borne_out(replace(CONFIG, n_layers=5), {"w": ((900, 900), "F32", Path("w"))}, "config.json")


@pytest.mark.parametrize("name", ["/etc/hostname", "../secret", "a/../../b", "C:x", "..\\b", "", ".", "a\0b", 3, None])
def test_a_name_in_a_file_leads_nowhere_else(name, folder):
    with pytest.raises(ValueError, match="names .*which is no file in that folder"):
        reading.inside(folder, name)
    if isinstance(name, str):
        vouched(folder, **{name: "0" * 64})
        with pytest.raises(ValueError):
            load(folder)


@posix
@pytest.mark.parametrize("name", ["config.json", "checksums.json", "model.safetensors", "log.jsonl",
                                  "tokenizer/minillm_tokenizer.json"])
@pytest.mark.parametrize("what", ["pipe", "zero", "outside", "folder"])
def test_what_is_no_file_of_the_folder_is_neither_waited_for_nor_read(name, what, folder, tmp_path):
    (folder / name).unlink()
    (tmp_path / "secret").write_text("{}")
    {"pipe": lambda: os.mkfifo(folder / name), "zero": lambda: (folder / name).symlink_to("/dev/zero"),
     "outside": lambda: (folder / name).symlink_to(tmp_path / "secret"), "folder": (folder / name).mkdir}[what]()
    with pytest.raises((ValueError, OSError)):
        load(folder)


@posix
def test_the_hub_s_own_links_are_followed(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshots" / "abc").mkdir(parents=True)
    (tmp_path / "blobs" / "b").write_text("{}")
    (tmp_path / "snapshots" / "abc" / "config.json").symlink_to("../../blobs/b")
    home = tmp_path / "snapshots" / "abc"
    assert reading.read_json(home / "config.json", within=home) == {}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, "[" * 300 + "]" * 300, "1" * 5000,
                                  '"\\ud800"', "{", "[" + "[]," * 3_000_000 + "0]", "\ufeff\ufeff{}", ""])
def test_json_is_bounded(text):
    with pytest.raises(ValueError, match="x.json"):
        reading.parse(text, "x.json")


@pytest.mark.parametrize(("name", "read"), [("state.json", load_state), ("log.jsonl", load_log)])
@pytest.mark.parametrize("text", [
    '{"items":' * 100_000, "3", '{"tensor": "gone"}', '{"items": [[1]]}', '"x"', '[3]', "{"])
def test_a_state_and_a_log_are_what_was_written_or_refused(name, read, text, folder):
    (folder / name).write_text(text)
    vouched(folder)
    try:
        read(folder)
    except ValueError as error:
        assert type(error) is ValueError and len(str(error)) > 40


@pytest.mark.parametrize("head", [
    '{"a":' * 40_000, "{}", "[]", '{"a": 3}', '{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}',
    '{"a": {"dtype": "X", "shape": [], "data_offsets": [0, 0]}}'])
def test_a_header_of_weights_that_tells_no_tensors_is_refused(head, folder):
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head.encode())
    vouched(folder)
    with pytest.raises(ValueError, match="model.safetensors|has no tensor|numbers"):
        load(folder)


@pytest.mark.parametrize("settings", [
    {"kind": "sentencepiece", "model": "/dev/zero"}, {"kind": "bpe", "vocabulary": "../x"}, {"kind": "bpe"},
    {"kind": 3},
    {"kind": "char", "characters": 3, "special": []}, {"kind": "byte", "special": [1]}, {"kind": "byte"}, [], "x",
    {"kind": "byte", "special": [], "roles": {"begin": 10**9, "ends": []}},
    {"kind": "byte", "special": [], "roles": {"begin": 300, "ends": [], "padding": None}},
    {"kind": "byte", "special": [], "roles": []}])
def test_a_tokenizer_s_settings_have_their_form(settings, tmp_path):
    (tmp_path / "minillm_tokenizer.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"\w+ \w+ \w+"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("change", [
    {"vocab": []}, {"vocab": {"a": "b"}}, {"vocab": {"a": 10**9}}, {"vocab": {"a": -1}}, {"merges": [["a"]]},
    {"merges": ["€ a"]}, {"merges": [3]}, {"merges": None}, {"vocab": {"a": 1.0}}])
def test_a_published_vocabulary_has_its_form(change, tmp_path):
    BPETokenizer.train("the cat sat on the mat " * 9, 270).save(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    for name, value in change.items():
        content["model"][name] = content["model"][name] | value if isinstance(value, dict) else value
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="tokenizer.json"):
        load_tokenizer(tmp_path)


def test_a_pattern_of_a_file_ends_or_is_ended():
    with pytest.raises(ValueError, match="has not cut 61 characters"):
        cut("a" * 60 + "b", compiled(r"(?:a|aa)+$|\s|\S"))
    for pattern in ("(((", "a" * 20_000, "(?:a{1000}){1000}{1000}"):
        with pytest.raises(ValueError, match="pattern="):
            compiled(pattern)


def test_forms_say_what_fits_and_name_the_place_of_what_does_not():
    form = {"a": int, "b?": [str], "c?": {str: (range(3), None)}}
    for good in ({"a": 1}, {"a": 1, "b": None}, {"a": 0, "b": ["x"], "c": {"y": 2, "z": None}, "other": 3}):
        reading.check(good, form, "file")
    for bad, said in (({}, "has no a"), ({"a": True}, "True as a"), ({"a": 1, "b": [2]}, r"2 as b\[0\]"),
                      ([], "a list"),
                      ({"a": 1, "c": {"y": 3}}, r"3 as c\['y'\], where a whole number from 0 to 2 or null belongs")):
        with pytest.raises(ValueError, match=said):
            reading.check(bad, form, "file")


def test_evaluation_asks_for_no_more_logits_than_it_may_hold(monkeypatch):
    from minillm import training
    model, ids = Transformer(CONFIG), list(range(257)) * 3
    usual, asked = training.evaluate(model, ids), []
    monkeypatch.setattr(training, "MOST_LOGITS", 2000)
    model.register_forward_hook(lambda part, given, logits: asked.append(logits.numel()))
    assert training.evaluate(model, ids) == pytest.approx(usual, rel=1e-6)
    assert max(asked) <= max(2000, 16 * 257)


@pytest.mark.parametrize("batch", [None, (torch.zeros(1, 2),) * 2, (torch.zeros(1, 0, dtype=torch.long),) * 2,
                                   ([[1]], [[2]]), (torch.zeros(1, 2, dtype=torch.long),)])
def test_a_batch_is_two_tensors_of_ids_or_refused(batch):
    from minillm import optim, training
    model = Transformer(CONFIG)
    with pytest.raises(ValueError, match="a batch of"):
        next(training.train(model, iter([batch]), optimizer=optim.adamw(model), precision="fp32"))


def test_ids_of_any_width_are_learned_from_alike():
    from minillm import optim, training
    losses = []
    for kind in (torch.uint8, torch.int32, torch.int64):
        torch.manual_seed(0)
        model, ids = Transformer(CONFIG), torch.arange(16, dtype=kind)[None]
        losses += [step.loss for step in training.train(model, [(ids, ids)], optimizer=optim.adamw(model),
                                                        precision="fp32")]
    assert len(set(losses)) == 1


def test_weights_that_a_step_has_spoiled_are_not_said_to_be_kept():
    from minillm import optim, training
    model, ids = Transformer(CONFIG), torch.arange(16)[None]
    with pytest.raises(FloatingPointError, match="that before has spoiled the weights"):
        model.embed.weight.data.fill_(torch.nan)
        next(training.train(model, [(ids, ids)], optimizer=optim.adamw(model), precision="fp32"))


def test_a_server_that_drips_is_not_waited_for(tmp_path):
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from minillm.corpora.download import DownloadError, fetch
    left = threading.Event()

    class Dripping(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            try:
                while not left.wait(0.05):
                    self.wfile.write(b"x")
            except OSError:
                pass

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Dripping)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(DownloadError, match="it brought .* too few"):
            fetch(f"http://127.0.0.1:{server.server_port}/x", tmp_path / "x", size=100_000, sha256="0", tries=1,
                  timeout=0.5)
    finally:
        left.set()
        server.shutdown()
        server.server_close()
    assert not (tmp_path / "x").exists()


def test_tables_with_the_line_ends_of_old_macs_are_read(tmp_path):
    from minillm.assignments.collect import read_table
    from minillm.conversation import pairs_in
    assert pairs_in("x.csv", b"prompt,answer\rWhy?,So\rHow?,Thus\r") == [("Why?", "So"), ("How?", "Thus")]
    (tmp_path / "r.csv").write_bytes(b"student;file\rann;a.ipynb\r")
    assert read_table(tmp_path / "r.csv", ("student",), example="student,file") == [{"student": "ann",
                                                                                     "file": "a.ipynb"}]


@posix
@pytest.mark.parametrize("change", ["deep", "pipe", "outside", "layers", "sizes", "form"])
def test_eject_and_generate_believe_a_folder_no_more_than_load_does(change, folder, tmp_path):
    from minillm.cli.eject import read_config
    from minillm.cli.generate import open_model
    path, told = folder / "config.json", json.loads((folder / "config.json").read_text())
    path.unlink()
    (tmp_path / "secret").write_text("{}")
    {"deep": lambda: path.write_text("[" * 100_000), "pipe": lambda: os.mkfifo(path),
     "outside": lambda: path.symlink_to(tmp_path / "secret"), "form": lambda: path.write_text("[3]"),
     "layers": lambda: path.write_text(json.dumps(told | {"model": told["model"] | {"n_layers": 10**12}})),
     "sizes": lambda: path.write_text(json.dumps(told | {"model": told["model"] | {"d_head": 10**10}}))}[change]()
    vouched(folder)
    for read in (lambda: read_config(Namespace(model=str(folder), given=set())), lambda: open_model(str(folder))):
        with pytest.raises((ValueError, OSError), match=r"\w+ \w+ \w+"):
            read()


def test_eject_reads_the_configuration_that_the_weights_bear_out(folder):
    assert load_config(folder) == CONFIG
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"d_model": 16', '"d_model": 32'))
    with pytest.raises(ValueError, match=r"\(257, 16\) .*\(257, 32\)"):
        load_config(folder)


@posix
@pytest.mark.parametrize("name", ["x.jsonl", "x.csv"])
def test_questions_are_read_from_a_file_of_bounded_depth_and_size(name, tmp_path, monkeypatch):
    from minillm.conversation import pairs_from, pairs_in
    with pytest.raises(ValueError, match=f"{name} (is not|holds)|row 1 of {name}"):
        pairs_in(name, b"[" * 100_000)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match="a pipe or a device"):
        pairs_from(tmp_path / name)


def test_a_table_that_is_none_is_refused_in_a_sentence(tmp_path):
    from minillm.assignments.collect import read_table
    for data in (b'student\n"' + b"x" * 200_000 + b'"\n', b"\xff\xfe"):
        (tmp_path / "r.csv").write_bytes(data)
        with pytest.raises(ValueError, match="r.csv is not"):
            read_table(tmp_path / "r.csv", ("student",), example="student,file")


@pytest.mark.parametrize("width", [0, 1, 3, 8, 2**31])
def test_a_file_of_tokens_has_two_or_four_bytes_an_id(width, tmp_path):
    (tmp_path / "x").write_bytes(struct.pack("<16sIIQ", TokenFile.name, width, 10, 0))
    with pytest.raises(ValueError, match="where 2 or 4 belong"):
        TokenFile(tmp_path / "x")


@posix
@pytest.mark.parametrize(("name", "content", "kept"), [
    ("chat_template.jinja", "{% for x in range(10**12) %}x{% endfor %}", "{% for x in range(10**12) %}x{% endfor %}"),
    ("chat_template.jinja", b"\xff", None), ("chat_template.json", '{"chat_template": [{"name": ["x"]}, 3, null]}', ""),
    ("chat_template.json", '{"chat_template": [{"name": "default", "template": "{{ x }}"}]}', "{{ x }}"),
    ("tokenizer_config.json", '{"chat_template": {"a": 1}}', ""), ("chat_template.json", "[" * 100_000, None)])
def test_a_chat_template_is_kept_as_it_stands_and_never_run(name, content, kept, tmp_path):
    from minillm.pretrained.roles import take_chat
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    tokenizer = ByteTokenizer()
    if kept is None:
        with pytest.raises(ValueError, match=name):
            take_chat(tokenizer, tmp_path)
    else:
        take_chat(tokenizer, tmp_path)
        assert tokenizer.chat == kept


@posix
def test_a_chat_template_out_of_the_folder_is_not_read(tmp_path):
    from minillm.pretrained.roles import take_chat
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "chat_template.jinja").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="a link that leads out"):
        take_chat(ByteTokenizer(), tmp_path / "model")


@posix
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer"])
def test_a_tokenizer_out_of_the_folder_is_not_read(name, tmp_path):
    ByteTokenizer().save(tmp_path / "secret")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / name).symlink_to(tmp_path / "secret" / ("" if name == "tokenizer" else SETTINGS_FILE))
    with pytest.raises(ValueError, match="a link that leads out"):
        load_tokenizer(tmp_path / "model")


def test_room_is_made_for_what_a_file_holds_and_not_for_what_may_be_read_of_it(tmp_path):
    from minillm import corpora
    (tmp_path / "x.txt").write_text("the cat sat\n")
    assert reading.contents(tmp_path / "x.txt", most=2**60) == b"the cat sat\n"
    assert corpora.read(tmp_path / "x.txt", max_bytes=2**60).text == "the cat sat\n"


def test_a_batch_is_of_bounded_size():
    from minillm.data import Batches
    with pytest.raises(ValueError, match="batch_size=1,048,576 rows of context_length=64 ids"):
        Batches(range(100), batch_size=2**20, context_length=64, seed=0)


@pytest.mark.parametrize(("name", "change"), [
    ("mistral", {"layer_types": [{}, {}]}), ("mistral", {"layer_types": [["x"], []]}),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": "x"}),
    ("gemma3", {"layer_types": None, "sliding_window_pattern": "LLG"}), ("llama", {"num_hidden_layers": "2"}),
    ("smollm3", {"no_rope_layers": 5}), ("smollm3", {"layer_types": [[], []]}),
    ("hy_v3", {"mlp_layer_types": [{}, {}]}), ("gpt_neox", {"hidden_size": "32"}),
    ("minimax", {"rotary_dim": 4, "num_attention_heads": "x"})])
def test_a_published_setting_of_another_form_is_refused_in_a_sentence(name, change):
    from minillm.pretrained.families import family_of
    known = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
             "max_position_embeddings": 64, "vocab_size": 96, "sliding_window": 8}
    theirs = {"model_type": {"gemma3": "gemma3_text"}.get(name, name), **known, **change}
    with pytest.raises(ValueError, match=r"\w+ \w+ \w+") as told:
        family_of(theirs).read(theirs)
    assert type(told.value) is ValueError
