"""An ejected file is the model: alone, short, and equal to the library's to the last choice."""
from __future__ import annotations

import ast
import builtins
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from minillm import PRESETS, RopeScaling, Transformer, eject, scaled
from minillm.cli import main
from tests.variants import SMALL, name_of, variants

ALONE = {"torch", "torch.nn.functional"}
LAYERED = replace(SMALL, n_layers=7)
CONFIGS = variants(85) + [  # each value of each choice, and combinations that one draw seldom makes
    replace(LAYERED, window=5, global_every=3, rope_theta_local=500.0),
    replace(LAYERED, window=5, global_every=2, n_experts=4, n_dense_layers=2),
    replace(LAYERED, window=5, global_every=3, global_first=True),
    replace(LAYERED, nope_every=4), replace(LAYERED, attention="latent", nope_every=2, window=5, global_every=3),
    replace(SMALL, n_experts=4, n_shared_experts=1, d_expert=20, n_dense_layers=1, bias="all"),
    replace(SMALL, position="alibi", n_heads=6, d_head=8), replace(SMALL, qk_norm="full", norm_weight=False),
    replace(SMALL, qk_norm="full", norm="layernorm"), replace(SMALL, window=5, global_every=1),
    replace(SMALL, attention="latent", norm_weight=False), replace(SMALL, attention="latent", norm="layernorm"),
    replace(LAYERED, attention="latent", window=5, global_every=3, rope_theta_local=500.0, bias="all",
            rope_scaling=RopeScaling("yarn", 8.0, 0.2, 1.0, 12, sharpen=0.1)),
]
NANO = {name: scaled(config, "nano", vocab_size=97) for name, config in PRESETS.items()}


def opened(source: str) -> dict:
    """Run a file's text where nothing but torch can be imported by it."""
    def only_torch(name, scope=None, *rest):
        if (scope or {}).get("__name__") == "ejected":
            assert name in ALONE, f"it imports {name}"
        return builtins.__import__(name, scope, *rest)

    scope = {"__name__": "ejected", "__builtins__": {**vars(builtins), "__import__": only_torch}}
    exec(compile(source, "ejected.py", "exec"), scope)
    return scope


def disturbed(config) -> Transformer:
    """A model whose every parameter matters: no gain is 1, no bias 0."""
    torch.manual_seed(1)
    model = Transformer(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.1))
    return model


def difference(config) -> float:
    model = disturbed(config)
    copy = opened(eject(config))["Transformer"]().eval()
    copy.load_state_dict(model.state_dict())
    tokens = torch.randint(config.vocab_size, (2, min(20, config.context_length)))
    with torch.no_grad():
        return (copy(tokens) - model(tokens)).abs().max().item() / model(tokens).abs().max().item()


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_it_has_the_librarys_weights_and_logits(config):
    assert difference(config) < 2e-5


@pytest.mark.parametrize("name", NANO)
def test_every_preset_leaves_as_itself(name):
    assert difference(NANO[name]) < 2e-5


def test_the_comparison_sees_a_mistake(monkeypatch):
    for right, wrong in (("distance < 0", "distance < 1"), ("a * sin + b * cos", "b * cos - a * sin"),
                         ("D_HEAD ** -0.5", "D_HEAD ** -0.4"), ("F.silu", "F.gelu"),
                         ("NORM_EPS = 1e-05", "NORM_EPS = 1e-2")):
        assert right in eject(SMALL)
        with monkeypatch.context() as patch:
            patch.setitem(globals(), "eject", lambda config, a=right, b=wrong: eject_(config).replace(a, b))
            assert not difference(SMALL) < 2e-5, wrong


eject_ = eject


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_nothing_in_it_is_dead_or_branches(config):
    tree = ast.parse(eject(config))
    defined = {n.name for n in tree.body if isinstance(n, (ast.ClassDef, ast.FunctionDef))}
    defined |= {n.targets[0].id for n in tree.body if isinstance(n, ast.Assign)}
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    assert defined <= read
    branching = (ast.If, ast.IfExp, ast.BoolOp, ast.Match)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name != "initialize":
            assert not [n for n in ast.walk(function) if isinstance(n, branching)], function.name
    stored = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    loaded = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}
    assert stored <= loaded


def test_ruff_finds_nothing_and_no_line_is_long(tmp_path):
    for i, config in enumerate([*CONFIGS, *PRESETS.values()]):
        (tmp_path / f"model_{i}.py").write_text(eject(config), encoding="utf-8")
    found = subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F,E,W,B,I",
                            "--ignore", "B905", "--line-length", "120", str(tmp_path)], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout[-2000:]


@pytest.mark.parametrize(("name", "classes", "functions"), [
    ("gpt2", ["LayerNorm", "Learned", "Attention", "GELU", "Block", "Transformer"], []),
    ("llama-7b", ["RMSNorm", "Attention", "SwiGLU", "Block", "Transformer"], ["rope"]),
    ("mixtral-8x7b", ["RMSNorm", "Attention", "SwiGLU", "Mixture", "Block", "Transformer"], ["rope"]),
    ("bloom", ["LayerNorm", "Attention", "GELU", "Block", "Transformer"], ["alibi"]),
    ("gemma-3-1b", ["RMSNorm", "HeadNorm", "Attention", "GeGLU", "Block", "Transformer"], ["rope"]),
    ("deepseek-v2-lite", ["RMSNorm", "LatentAttention", "SwiGLU", "Mixture", "Block", "Transformer"], ["rope"]),
])
def test_a_family_holds_what_it_uses_and_no_more(name, classes, functions):
    source = eject(NANO[name])
    body = ast.parse(source).body
    assert [n.name for n in body if isinstance(n, ast.ClassDef)] == classes
    assert [n.name for n in body if isinstance(n, ast.FunctionDef)] == functions
    assert all("$$" in ast.get_docstring(n) for n in body if isinstance(n, (ast.ClassDef, ast.FunctionDef)))
    assert len(source.splitlines()) < 210


@pytest.mark.parametrize("name", ["gpt2", "llama-3-8b", "gemma-2-2b", "bloom-560m", "phi-1.5", "mixtral-8x7b",
                                  "deepseek-v2-lite"])
def test_it_begins_as_the_library_begins(name):
    config = replace(NANO[name], d_model=96, vocab_size=400)
    ours, its = Transformer(config), opened(eject(config))["Transformer"]()
    for (key, a), (same_key, b) in zip(sorted(ours.named_parameters()), sorted(its.named_parameters())):
        assert key == same_key and a.shape == b.shape
        assert b.std(correction=0).item() == pytest.approx(a.std(correction=0).item(), rel=0.15), key
        assert b.mean().item() == pytest.approx(a.mean().item(), abs=0.01), key


def test_it_learns_as_the_library_learns():
    model, copy = disturbed(SMALL), opened(eject(SMALL))["Transformer"]()
    copy.load_state_dict(model.state_dict())
    tokens = torch.randint(SMALL.vocab_size, (2, 20))
    for one in (model, copy):
        torch.nn.functional.cross_entropy(one(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    theirs = dict(copy.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(theirs[name].grad, parameter.grad, rtol=1e-3, atol=1e-5)


def test_dropout_is_in_it_where_the_model_has_it():
    source = eject(replace(SMALL, dropout=0.1))
    assert "DROPOUT = 0.1" in source and source.count("self.dropout(") == 4
    assert "dropout" not in eject(SMALL).lower()


def test_it_runs_in_bfloat16():
    for config in (SMALL, NANO["bloom"], NANO["mixtral-8x7b"], NANO["gemma-3-1b"],
                   replace(SMALL, position="sinusoidal")):
        model = opened(eject(config))["Transformer"]().bfloat16()
        assert model(torch.randint(config.vocab_size, (1, 9))).isfinite().all()


def test_layers_of_several_kinds_are_written_short():
    assert 'LAYERS = (["local"] * 5 + ["global"]) * 4 + ["local"] * 2' in eject(PRESETS["gemma-3-1b"])
    assert 'LAYERS = ["dense"] + ["mixture"] * 27' in eject(PRESETS["deepseek-moe-16b"])


def test_the_command_writes_it(tmp_path, capsys):
    file = tmp_path / "model.py"
    assert main(["eject", "llama-3-8b", "--size", "nano", "--vocab-size", "97", "--out", str(file)]) == 0
    assert file.read_text(encoding="utf-8") == eject(NANO["llama-3-8b"])
    assert main(["eject", "lama-3-8b"]) == 1 and "llama-3-8b" in capsys.readouterr().err


def test_an_ejected_file_is_not_written_over(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text("mine")
    assert main(["eject", "llama-3-8b", "--size", "nano", "--out", str(file)]) == 1
    assert "exists already, and may have been edited" in capsys.readouterr().err and file.read_text() == "mine"
