"""What is seen is what flowed, and looking changes nothing."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from minillm.inspection import (
    ablate,
    attribution_patching,
    capture,
    intervene,
    logit_lens,
    logit_shares,
    patch_grid,
    token_losses,
    written,
)
from minillm.model import Transformer
from tests.variants import SMALL

TOKENS = torch.randint(31, (2, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(SMALL).eval()


def test_looking_changes_nothing_and_leaves_nothing(model):
    model.fuse()
    before = model(TOKENS)
    with capture(model, "blocks.*.attention.pattern", "blocks.*"):
        torch.testing.assert_close(model(TOKENS), before)
    assert all(not m._forward_hooks for m in model.modules())
    assert all(b.attention.fused for b in model.blocks)


def test_a_star_is_one_part_of_a_name(model):
    with capture(model, "blocks.*") as seen:
        model(TOKENS)
    assert list(seen) == ["blocks.0", "blocks.1"]


def test_what_is_captured_carries_gradients(model):
    with capture(model, "blocks.0.mlp") as seen:
        loss = model(TOKENS).square().mean()
    grad, = torch.autograd.grad(loss, seen["blocks.0.mlp"])
    assert grad.abs().sum() > 0


def test_an_unknown_name_is_answered_with_near_ones(model):
    with pytest.raises(ValueError, match=r"no submodule is called 'blocks.0.atention'; near it: .*blocks.0.attention"):
        with capture(model, "blocks.0.atention"):
            pass


def test_hooks_go_even_when_the_block_fails(model):
    with pytest.raises(ZeroDivisionError), intervene(model, {"blocks.*.mlp": lambda y: 1 / 0}):
        model(TOKENS)
    model(TOKENS)


@torch.no_grad()
def test_interventions_reach_what_comes_after(model):
    with intervene(model, {"blocks.0": torch.zeros_like}), capture(model, "blocks.*") as seen:
        model(TOKENS)
    torch.testing.assert_close(seen["blocks.1"], torch.zeros_like(seen["blocks.1"]), atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("change", [{}, {"norm_order": "post"}, {"logit_softcap": 2.0}])
def test_the_last_row_of_the_lens_is_the_model(change):
    model = Transformer(replace(SMALL, **change)).eval()
    lens = logit_lens(model, TOKENS)
    assert lens.shape == (2, 2, 12, 31)
    torch.testing.assert_close(lens[-1], model(TOKENS))


@torch.no_grad()
def test_token_losses_average_to_the_cross_entropy(model):
    losses = token_losses(model, TOKENS)
    assert losses.shape == (2, 11)
    mean = F.cross_entropy(model(TOKENS[:, :-1]).flatten(0, 1), TOKENS[:, 1:].flatten())
    torch.testing.assert_close(losses.mean(), mean)


def test_a_look_within_an_intervention_sees_what_it_makes(model):
    name, kept = "blocks.0.attention.pattern", torch.tensor([1.0, 1.0, 0.0, 1.0])[:, None, None]
    with intervene(model, {name: lambda a: a * kept}), capture(model, name) as seen:
        model(TOKENS)
    assert (seen[name][:, 2] == 0).all() and (seen[name][:, :2].sum(-1) > 0.99).all()


def test_a_change_keeps_the_shape_or_is_refused_by_name(model):
    with pytest.raises(ValueError, match=r"'blocks.0.attention.pattern' gives shape \(2, 12\)"):
        with intervene(model, {"blocks.0.attention.pattern": lambda a: a[:, 0, 0]}):
            model(TOKENS)
    assert all(not m._forward_hooks for m in model.modules())


# -- shares, ablation, patching --------------------------------------------------------------------------------------

TEXT, OTHER = TOKENS[:1], (TOKENS[:1] + torch.tensor([0] * 5 + [7] + [0] * 6)) % 31
ADDED = {"plain": {}, "biases and LayerNorm": {"norm": "layernorm", "bias": "all", "mlp": "gelu", "unembed_bias": True},
         "side by side": {"norm_order": "parallel"}, "output norms": {"norm_order": "output"},
         "sandwich": {"norm_order": "sandwich"}, "shared keys, gated": {"n_kv_heads": 2, "attention_gate": True},
         "learned positions": {"position": "learned", "tie_embeddings": False},
         "a mixture": {"n_experts": 4}, "latent": {"attention": "latent"}, "linear": {"linear_attention": "delta"}}


def shaken(**change) -> Transformer:
    """A random model whose gains and biases all do something."""
    torch.manual_seed(0)
    model = Transformer(replace(SMALL, **change)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return model


@torch.no_grad()
@pytest.mark.parametrize("change", ADDED.values(), ids=ADDED)
def test_what_the_parts_wrote_is_the_stream_and_their_shares_end_at_the_logit(change):
    model = shaken(**change)
    parts = written(model, TEXT)
    with capture(model, f"blocks.{SMALL.n_layers - 1}") as seen:
        logits = model(TEXT)[0]
    torch.testing.assert_close(sum(parts.values()), seen[f"blocks.{SMALL.n_layers - 1}"], atol=1e-4, rtol=1e-4)
    for position, token, other in ((-1, 3, None), (4, 7, 2)):
        found = logit_shares(model, TEXT, token, other, position=position)
        wanted = logits[position, token] - (0 if other is None else logits[position, other])
        assert len(found.names) == len(found.values)
        torch.testing.assert_close(found.values.sum(), wanted, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_each_part_by_its_own_size_does_not_end_at_the_logit():
    """The mistake: a norm for each part.  So the test above can fail."""
    model = shaken()
    parts = torch.stack([part[0, -1] for part in written(model, TEXT).values()])
    wrong = (model.norm(parts) @ model.unembed.weight[3]).sum()
    assert abs(wrong - model(TEXT)[0, -1, 3]) > 0.1


@pytest.mark.parametrize("change", [{"norm_order": "post"}, {"residual": "x0"}])
def test_a_stream_that_is_no_sum_is_refused(change):
    with pytest.raises(ValueError, match="this stream is not the sum of"):
        written(shaken(**change), TEXT)


@torch.no_grad()
def test_a_head_that_is_ablated_writes_what_is_put_in_its_place():
    model, others = shaken(), TOKENS.flip(1)
    whole, elsewhere = written(model, TOKENS), written(model, others)
    for instead, given, wanted in (("zero", None, 0.0), ("mean", others, elsewhere["layer 1 head 2"].mean((0, 1))),
                                   ("resampled", others, elsewhere["layer 1 head 2"])):
        with ablate(model, [(0, 1)], instead=instead, others=given):
            parts = written(model, TOKENS)
        torch.testing.assert_close(parts["layer 1 head 2"], wanted + 0 * parts["layer 1 head 2"], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(parts["layer 1 head 1"], whole["layer 1 head 1"])
        if given is not None:                              # the same from what was captured there
            with capture(model, "blocks.0.attention.gate") as seen:
                model(given)
            with ablate(model, [(0, 1)], instead=instead, others=seen):
                assert written(model, TOKENS)["layer 1 head 2"].equal(parts["layer 1 head 2"])
    with ablate(model, [(1, "mlp"), (1, 3)]):
        parts = written(model, TOKENS)
    assert not parts["layer 2 mlp"].any() and not parts["layer 2 head 4"].any() and parts["layer 2 head 3"].any()
    torch.testing.assert_close(written(model, TOKENS), whole)          # nothing is left behind


def test_a_head_without_output_is_a_head_without_a_pattern():
    """Taking away what it writes and letting it see nothing are the same."""
    model = shaken()
    kept = torch.ones(4, 1, 1)
    kept[2] = 0.0
    with ablate(model, [(0, 2)]):
        one = model(TOKENS)
    with intervene(model, {"blocks.0.attention.pattern": lambda pattern: pattern * kept}):
        torch.testing.assert_close(model(TOKENS), one)


@torch.no_grad()
@pytest.mark.parametrize("change", [{}, {"norm_order": "sandwich"}, {"bias": "all"}])
def test_whole_attentions_mlps_and_layers_are_taken_away(change):
    model, others = shaken(**change), TOKENS.flip(1)
    ends = ("attention_out_norm", "mlp_out_norm") if change.get("norm_order") else ("attention", "mlp")
    streams = ("dropout", "blocks.0", "blocks.1")

    def seen(parts, **options):
        names = [f"blocks.{i}.{end}" for i in (0, 1) for end in ("attention", "mlp")]
        with ablate(model, parts, **options), capture(model, *names, *streams) as found:
            model(TOKENS)
        return found
    plain = seen([])
    for part, gone in (("attention", {ends[0]}), ("mlp", {ends[1]}), ("layer", set(ends))):
        found = seen([(1, part)])
        for end in ("attention", "mlp"):
            if {"attention": ends[0], "mlp": ends[1]}[end] in gone:
                assert not found[f"blocks.1.{end}"].any(), (part, end)
            assert found[f"blocks.0.{end}"].equal(plain[f"blocks.0.{end}"])
    torch.testing.assert_close(seen([(1, "layer")])["blocks.1"], plain["blocks.0"])     # nothing is added to the stream
    with capture(model, "blocks.1.attention", "blocks.1.mlp") as elsewhere:
        model(others)
    found = seen([(1, "layer")], instead="resampled", others=others)
    assert all(found[name].equal(elsewhere[name]) for name in ("blocks.1.attention", "blocks.1.mlp"))
    found = seen([(1, "attention")], instead="mean", others=others)["blocks.1.attention"]
    torch.testing.assert_close(found[0, 3], elsewhere["blocks.1.attention"].mean((0, 1)), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_all_heads_together_are_an_attention():
    model = shaken()
    with ablate(model, [(0, head) for head in range(4)]):
        heads = model(TOKENS)
    with ablate(model, [(0, "attention")]):
        torch.testing.assert_close(model(TOKENS), heads)


def test_ways_to_ablate_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="instead='mean' with others=None"):
        with ablate(shaken(), [(0, 0)], instead="mean"):
            pass
    with pytest.raises(ValueError, match="part 'head 1' of layer 0 is not known"):
        with ablate(shaken(), [(0, "head 1")]):
            pass


def measure(logits):
    return logits[:, -1, 3] - logits[:, -1, 5]


@torch.no_grad()
def test_the_grid_runs_from_corrupt_to_clean_and_a_cell_is_what_a_pass_of_its_own_gives():
    model = shaken()
    grid = patch_grid(model, TEXT, OTHER, measure)
    assert grid.shape == (2, 12)
    torch.testing.assert_close(grid[:, :5], torch.zeros(2, 5), atol=1e-5, rtol=0)      # there both texts agree
    torch.testing.assert_close(grid[-1], torch.eye(12)[-1], atol=1e-5, rtol=0)         # the last layer, the last place
    with capture(model, "blocks.0") as seen:
        best = measure(model(TEXT))
    worst = measure(model(OTHER))
    with intervene(model, {"blocks.0": lambda x: torch.cat([x[:, :5], seen["blocks.0"][:, 5:6], x[:, 6:]], 1)}):
        alone = (measure(model(OTHER)) - worst) / (best - worst)
    torch.testing.assert_close(grid[0, 5:6], alone, atol=1e-5, rtol=1e-4)


def test_the_linear_grid_is_the_slope_of_the_exact_one():
    """For a clean reading that differs by very little, both grids are one; a reversed direction would not be."""
    model = shaken()
    near = model.embed.weight.detach()[TEXT[0, 5]] + 1e-3 * torch.randn(SMALL.d_model)
    with torch.no_grad():
        model.embed.weight[30] = near
    clean = TEXT.clone()
    clean[0, 5] = 30
    exact, linear = (grid(model.double(), clean, TEXT, measure) for grid in (patch_grid, attribution_patching))
    assert exact.abs().max() > 0.1
    torch.testing.assert_close(linear, exact, atol=1e-2, rtol=1e-2)


def test_attribution_patching_takes_one_backward_pass_and_leaves_no_gradient():
    model = shaken()
    attribution_patching(model, TEXT, OTHER, measure, name="blocks.*.mlp")
    assert all(weight.grad is None for weight in model.parameters())


def test_slopes_on_the_whole_way_add_up_to_the_whole_difference():
    """The integral of a slope is the difference of its ends: with many slopes the first cells sum to 1."""
    model = shaken()
    sums = [float(attribution_patching(model, TEXT, OTHER, measure, name="dropout", slopes=n).sum()) for n in (1, 64)]
    assert sums[1] == pytest.approx(1, abs=0.02) and abs(sums[0] - 1) > 0.05
    with pytest.raises(ValueError, match="slopes=0 must be at least 1"):
        attribution_patching(model, TEXT, OTHER, measure, slopes=0)


def test_more_slopes_come_closer_to_the_exact_grid():
    model = shaken()
    with torch.no_grad():
        exact = patch_grid(model, TEXT, OTHER, measure)
    off = [float((attribution_patching(model, TEXT, OTHER, measure, slopes=n) - exact).square().mean()) for n in (1, 8)]
    assert off[1] < 0.5 * off[0]


def test_texts_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"clean has shape \(1, 12\), corrupt \(1, 9\)"):
        patch_grid(shaken(), TEXT, OTHER[:, :9], measure)
