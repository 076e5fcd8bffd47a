"""What a published folder holds is accounted for, tensor by tensor and role by role, or refused by what it is."""
from __future__ import annotations

import json
import shutil
import time
import warnings
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from minillm.checkpoints import load, save
from minillm.conversation import Template, chat_template
from minillm.model import Transformer
from minillm.presets import PRESETS, scaled
from minillm.pretrained import export_hf, load_pretrained
from minillm.pretrained.families import ALSO, FAMILIES, MISSING
from minillm.sampling import generate
from minillm.tokenizers import BPETokenizer, SentencePieceTokenizer
from minillm.tokenizers.protocol import Roles, UnreadTokenizer

TEXT = "the cat sat on the mat, and the dog did not. " * 20
TOKENIZER = BPETokenizer.train(TEXT, 300, special=("<|endoftext|>", "<|eot|>", "<|begin|>", "<|pad|>"))
WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    config = scaled(PRESETS["llama-2-7b"], "nano", vocab_size=TOKENIZER.vocab_size)
    return export_hf(Transformer(config), TOKENIZER, tmp_path / "model")


def change(file, **values):
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({k: v for k, v in (content | values).items() if v != "gone"}))


ASKS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\r\n{% endfor %}{# ünïcode #}"
MESSAGES = [{"role": "user", "content": "Where is Peru?"}, {"role": "assistant", "content": "South America."}]


@pytest.mark.parametrize("written", ["chat_template.jinja", "chat_template.json", "tokenizer_config.json", "by name"])
def test_a_chat_template_is_handed_on(folder, tmp_path, written):
    from transformers import AutoTokenizer
    if written.endswith("jinja"):
        (folder / written).write_bytes(ASKS.encode())
    elif written == "by name":
        change(folder / "tokenizer_config.json", chat_template=[{"name": "default", "template": ASKS}])
    else:
        change(folder / written, chat_template=ASKS)
    again = export_hf(*load_pretrained(folder), tmp_path / "again")
    assert (again / "chat_template.jinja").read_bytes() == ASKS.encode()
    theirs = AutoTokenizer.from_pretrained(again)
    assert theirs.apply_chat_template(MESSAGES, tokenize=False).replace("\r", "") == (
        "<user>Where is Peru?\n<assistant>South America.\n")
    twice = export_hf(*load_pretrained(again), tmp_path / "twice")
    assert (twice / "chat_template.jinja").read_bytes() == ASKS.encode()


def test_a_template_of_ours_takes_the_place_of_a_published_one_and_none_is_made_up(folder, tmp_path):
    assert not (export_hf(*load_pretrained(folder), tmp_path / "none") / "chat_template.jinja").exists()
    (folder / "chat_template.jinja").write_text(ASKS)
    ours = export_hf(*load_pretrained(folder), tmp_path / "ours", template=Template())
    assert (ours / "chat_template.jinja").read_text(encoding="utf-8") == chat_template(Template())
    change(folder / "config.json")                       # the tokenizer of one folder says nothing of another's
    assert not TOKENIZER.chat and not load("storyteller")[1].chat


def test_other_chat_templates_are_told_to_be_left_out(folder, tmp_path):
    change(folder / "tokenizer_config.json", chat_template=[
        {"name": "default", "template": ASKS}, {"name": "tool_use", "template": "{{ tools }}"}])
    with pytest.warns(UserWarning, match="by the names tool_use; only “default” is kept"):
        _, tokenizer = load_pretrained(folder)
    assert tokenizer.chat == ASKS


def test_several_ends_of_text_are_read_used_and_written(folder, tmp_path):
    (folder / "minillm_tokenizer.json").unlink()
    end, eot, begin, pad = (TOKENIZER.special[name] for name in TOKENIZER.special)
    change(folder / "config.json", eos_token_id=end, bos_token_id=begin)
    change(folder / "generation_config.json", eos_token_id=[end, eot], bos_token_id=None, pad_token_id=pad)
    model, tokenizer = load_pretrained(folder)
    assert tokenizer.roles == Roles(begin, (end, eot), pad) and tokenizer.ends == (end, eot)
    with torch.no_grad():
        model.unembed.weight.zero_()[eot] = 1e3 * torch.ones(model.config.d_model)
    written = list(generate(model, [1, 2], n_tokens=50, stop=tokenizer.ends))
    assert eot not in written and len(written) < 50
    for place, again in (("ours", lambda at: load(save(model, tokenizer, at))),
                         ("theirs", lambda at: load_pretrained(export_hf(model, tokenizer, at)))):
        assert again(tmp_path / place)[1].roles == tokenizer.roles
    theirs = json.loads((tmp_path / "theirs" / "config.json").read_text())
    assert (theirs["eos_token_id"], theirs["bos_token_id"], theirs["pad_token_id"]) == ([end, eot], begin, pad)


@pytest.mark.parametrize("told", ["<|eot|>", {"content": "<|eot|>", "lstrip": False}])
def test_an_end_that_only_the_tokenizer_names_is_read(told, folder):
    (folder / "minillm_tokenizer.json").unlink()
    for name in ("config.json", "generation_config.json"):
        change(folder / name, eos_token_id=None)
    change(folder / "tokenizer_config.json", eos_token=told)
    assert load_pretrained(folder)[1].end_of_text == TOKENIZER.special["<|eot|>"]


def test_what_is_said_to_be_missing_is_of_families_that_transformers_has_and_minillm_has_not():
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    assert not set(MISSING) & {*FAMILIES, *ALSO} and set(MISSING) <= set(CONFIG_MAPPING_NAMES)


BEFORE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}},
                                                   {"Sequence": {"id": "A", "type_id": 0}}],
          "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
          "special_tokens": {"<|begin|>": {"id": "<|begin|>", "ids": [TOKENIZER.special["<|begin|>"]],
                                           "tokens": ["<|begin|>"]}}}
CHAIN = {"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False,
                                             "use_regex": True}, BEFORE]}


@pytest.mark.parametrize("after", [None, BEFORE, CHAIN], ids=["nothing", "a token", "a chain"])
def test_a_prompt_begins_as_transformers_begins_it_and_so_does_the_export(after, folder, tmp_path):
    from transformers import AutoTokenizer
    (folder / "minillm_tokenizer.json").unlink()
    change(folder / "tokenizer.json", post_processor=after)
    change(folder / "config.json", bos_token_id=TOKENIZER.special["<|begin|>"])
    model, tokenizer = load_pretrained(folder)
    right = AutoTokenizer.from_pretrained(folder)("the cat").input_ids
    assert tokenizer.prompt("the cat") == right and (right[0] == TOKENIZER.special["<|begin|>"]) == bool(after)
    assert tokenizer.encode("the cat") == right[bool(after):]
    template = Template()
    again = export_hf(model, tokenizer, tmp_path / "again", template=template)
    theirs = AutoTokenizer.from_pretrained(again)
    assert theirs("the cat").input_ids == right == load_pretrained(again)[1].prompt("the cat")
    asked = theirs.apply_chat_template([{"role": "user", "content": "Why?"}], tokenize=True, return_dict=False)
    assert asked == template.ask("Why?", tokenizer)
    assert load(save(model, tokenizer, tmp_path / "ours"))[1].prompt("the cat") == right


@pytest.mark.parametrize(("told", "begins"), [
    ({}, True), ({"add_bos_token": True}, True), ({"add_bos_token": False}, False)])
def test_a_tokenizer_model_alone_begins_every_text_unless_it_is_told_not_to(told, begins, folder):
    """Llama's and Gemma's way: `add_bos_token` is true where nothing is said."""
    for name in ("minillm_tokenizer.json", "tokenizer.json"):
        (folder / name).unlink()
    words = SentencePieceTokenizer.train(TEXT, 290, special=("<s>",))
    words.save(folder)
    (folder / "minillm_tokenizer.json").unlink()
    change(folder / "config.json", bos_token_id=words.special["<s>"], vocab_size=TOKENIZER.vocab_size)
    change(folder / "tokenizer_config.json", **told)
    tokenizer = load_pretrained(folder)[1]
    assert tokenizer.prompt("the cat") == [words.special["<s>"]] * begins + words.encode("the cat")


def test_what_stands_before_every_text_must_be_a_token(folder):
    (folder / "minillm_tokenizer.json").unlink()
    change(folder / "config.json", bos_token_id=TOKENIZER.special["<|begin|>"])
    for harm in ({"special_tokens": {}}, {"single": []}, {"single": 3}):
        change(folder / "tokenizer.json", post_processor=BEFORE | harm)
        with pytest.raises(ValueError, match="puts something before every text"):
            load_pretrained(folder)


def test_a_row_without_a_token_is_never_drawn(tmp_path):
    config = scaled(PRESETS["pythia-70m"], "nano", vocab_size=TOKENIZER.vocab_size + 40)
    model = Transformer(config)
    with torch.no_grad():
        model.unembed.weight[TOKENIZER.vocab_size:] *= 0
        model.unembed.weight[:TOKENIZER.vocab_size] *= 0
    export_hf(model, TOKENIZER, tmp_path / "theirs"), save(model, TOKENIZER, tmp_path / "ours")
    for opened, tokenizer in (load_pretrained(tmp_path / "theirs"), load(tmp_path / "ours")):
        ids = list(generate(opened, [1], n_tokens=80, seed=1))
        assert max(ids) < TOKENIZER.vocab_size and len(ids) == 80
        tokenizer.decode(ids)


def test_a_tokenizer_that_cannot_be_read_leaves_the_model(folder):
    (folder / "minillm_tokenizer.json").unlink()
    change(folder / "tokenizer.json", model={"type": "WordPiece", "vocab": {}})
    model, tokenizer = load_pretrained(folder)
    assert isinstance(tokenizer, UnreadTokenizer) and model(torch.tensor([[1, 2]])).isfinite().all()
    for use in (lambda: tokenizer.encode("a"), lambda: tokenizer.decode([1]),
                lambda: export_hf(model, tokenizer, folder.parent / "again")):
        with pytest.raises(ValueError, match="holds WordPiece, not byte-level BPE"):
            use()


def held(change_state):
    def rewrite(folder):
        state = load_file(folder / WEIGHTS)
        save_file(change_state(state) or state, folder / WEIGHTS)
    return rewrite


def split(folder, names, state=None):
    """The weights in parts, as an index tells."""
    state = state or load_file(folder / WEIGHTS)
    save_file(state, folder / "part.safetensors")
    (folder / WEIGHTS).unlink()
    names = dict.fromkeys(state, "part.safetensors") | names
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


@pytest.mark.parametrize(("harm", "words"), [
    (held(lambda s: s.update({"model.norm.weight": s["model.norm.weight"].to(torch.int8)})),
     "'model.norm.weight' holds numbers of kind I8"),
    (held(lambda s: s.update({"model.norm.weight": s["model.norm.weight"] > 0})), "kind BOOL"),
    (held(lambda s: s.update({"norm.weight": s["model.norm.weight"] * 2})), "are one tensor by their names"),
    (held(lambda s: s.update({"model.embed_tokens.weight": s["model.embed_tokens.weight"][:5].clone()})),
     r"shape \(5, 64\), but the configuration needs \(283, 64\)"),
    (lambda f: change(f / "config.json", tie_word_embeddings=True),
     "'lm_head.weight' differs from 'model.embed_tokens.weight'"),
    (lambda f: split(f, {"x": "../part.safetensors"}), "names '../part.safetensors', which is no safetensors file"),
    (lambda f: split(f, {"x": "/etc/passwd"}), "names '/etc/passwd'"),
    (lambda f: split(f, {"x": "part.bin"}), "names 'part.bin'"),
    (lambda f: (split(f, {"x": "more.safetensors"}), shutil.copy(f / "part.safetensors", f / "more.safetensors")),
     "is both in more.safetensors and in part.safetensors"),
    (lambda f: (split(f, {}), (f / "model.safetensors.index.json").write_text("{}")), "has no weight_map"),
    (lambda f: (f / "config.json").write_text("[1]"), "holds a list, where an object belongs"),
    (lambda f: (f / "config.json").write_text("[" * 100_000), "is not JSON that can be read"),
    (lambda f: (f / WEIGHTS).write_bytes(b"\xff" * 64), "is damaged or cut short"),
    (lambda f: change(f / "config.json", num_hidden_layers=10 ** 5), "tells of 100000 layers .* but the weights are"),
    (lambda f: change(f / "config.json", vocab_size=10 ** 12), "vocab_size=1000000000000, but all its"),
    (lambda f: change(f / "config.json", vocab_size=290), r"shape \(283, 64\), but the configuration needs"),
    (lambda f: change(f / "config.json", intermediate_size=2 ** 62), "d_ff=4611686018427387904, but all its weights"),
    (lambda f: change(f / "config.json", intermediate_size=10 ** 30), "d_ff is a number of 100 bits"),
    (lambda f: change(f / "config.json", quantization_config={"bits": 4}), "holds quantized weights"),
    (lambda f: change(f / "config.json", text_config={}), "a model of several senses"),
    (lambda f: change(f / "config.json", model_type="gpt_neo_x"), "the nearest is gpt_neox"),
    (lambda f: change(f / "config.json", model_type=["llama"]), "is not a family known here"),
    (lambda f: change(f / "config.json", model_type="llama4_text"), "needs what minillm has not: attention in chunks"),
    (lambda f: change(f / "config.json", hidden_act=["silu"]), "hidden_act="),
    (lambda f: change(f / "config.json", eos_token_id="2"), "eos_token_id=.* is no id"),
])
def test_what_does_not_fit_is_refused_in_a_sentence_and_at_once(harm, words, folder):
    harm(folder)
    if "eos" in words:
        (folder / "generation_config.json").unlink()
    started = time.monotonic()
    with pytest.raises(ValueError, match=words):
        load_pretrained(folder)
    assert time.monotonic() - started < 120            # built at its size it would take the machine


@pytest.mark.parametrize(("name", "words"), [("adapter_config.json", "holds an adapter"), ("a.gguf", "llama.cpp"),
                                             ("pytorch_model.bin", "pickled")])
def test_a_folder_of_another_kind_is_told_what_it_is(name, words, folder):
    (folder / WEIGHTS).unlink()
    (folder / name).write_text("{}")
    with pytest.raises(FileNotFoundError, match=words):
        load_pretrained(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=words):
        load_pretrained(folder)


def test_a_twin_that_is_equal_is_no_harm_and_one_file_holds_before_a_stale_index(tmp_path):
    model = Transformer(scaled(PRESETS["gpt2"], "nano", vocab_size=50))
    out = export_hf(model, None, tmp_path / "out")
    state = load_file(out / WEIGHTS)
    save_file(state | {"lm_head.weight": state["transformer.wte.weight"].clone(),
                       "transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4).tril().bool()}, out / WEIGHTS)
    (out / "model.safetensors.index.json").write_text('{"weight_map": {"a": "gone.safetensors"}}')
    opened, _ = load_pretrained(out)
    x = torch.arange(9)[None]
    assert torch.equal(opened(x), model.eval()(x))


@pytest.mark.parametrize("changed", [dict(attention_scale=0.3), dict(attention_scale=1 / 7),
                                     dict(rope_theta_local=None), dict(rope_theta=12345.678)])
@pytest.mark.parametrize("preset", ["gemma-2-2b", "gemma-3-1b"])
def test_numbers_survive_an_export(preset, changed, tmp_path):
    config = replace(scaled(PRESETS[preset], "nano", vocab_size=50), **changed)
    model, x = Transformer(config).eval(), torch.arange(20)[None]
    back, _ = load_pretrained(export_hf(model, None, tmp_path / "out"))
    assert (back(x) - model(x)).abs().max() < 1e-5


def test_an_export_that_transformers_has_no_class_for_says_so(tmp_path):
    with pytest.warns(UserWarning, match="transformers has no class for a mixture with shared experts"):
        export_hf(Transformer(scaled(PRESETS["deepseek-moe-16b"], "nano", vocab_size=50)), None, tmp_path / "out")


def gemma(tmp_path, gains):
    """A small Gemma whose first norm has these gains, exported in 32 bits."""
    torch.manual_seed(0)
    model = Transformer(scaled(PRESETS["gemma-2b"], "nano", vocab_size=64)).eval()
    with torch.no_grad():
        model.norm.weight[:len(gains)] = torch.tensor(gains)
    return model, export_hf(model, None, tmp_path / "gemma")


def test_a_gemma_in_16_bits_is_exported_to_the_bit_or_refused(tmp_path):
    model, _ = gemma(tmp_path, [0.5, 0.75, 1.0078125, 3.0, 17.0])
    half = model.bfloat16()
    again, _ = load_pretrained(export_hf(half, None, tmp_path / "bf16"))
    for (name, ours), theirs in zip(half.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(ours.float(), theirs), name
    with torch.no_grad():
        half.norm.weight[0] = 0.1
    with pytest.raises(ValueError, match=r"'norm.weight' holds the gain 0.1001, .* reads as .*export model.float\(\)"):
        export_hf(half, None, tmp_path / "lost")
    assert not (tmp_path / "lost").exists()
    export_hf(half.float(), None, tmp_path / "whole")


def test_gains_that_opening_in_16_bits_rounds_are_told(tmp_path):
    model, folder = gemma(tmp_path, [1.0])
    state = {name: x.bfloat16() for name, x in load_file(folder / WEIGHTS).items()}
    state["model.norm.weight"][0] = 2.0 ** -12                      # as a file in 16 bits may hold it
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    exact, _ = load_pretrained(folder)
    assert exact.norm.weight[0] == 1 + 2.0 ** -12
    words = "'norm.weight'.*what the file stores.*torch.bfloat16 rounds it.*dtype=torch.float32"
    with pytest.warns(UserWarning, match=words):
        load_pretrained(folder, dtype=torch.bfloat16)
    state["model.norm.weight"][0] = 0.5
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    with warnings.catch_warnings(action="error"):
        load_pretrained(folder, dtype=torch.bfloat16)
