"""What notebook 06 says behind its laboratory is so: broken runs, Muon, widths, laws, students, few bits."""
from __future__ import annotations

import copy
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from minillm.costs import parameters, state_bytes
from minillm.data import batches
from minillm.lessons import training
from minillm.lessons.training import (
    breaking,
    contest,
    distilling,
    drawings,
    laws,
    memory,
    pupils,
    rounding,
    scaling,
    spectra,
    widths,
)
from minillm.lessons.training.experiment import known
from minillm.lessons.training.points import shipped
from minillm.optim import adamw, constant, hidden_matrices, muon, orthogonalize
from minillm.presets import PRESETS
from minillm.training import evaluate, train

# -- broken, and diagnosed -------------------------------------------------------------------------------------------


def curves(case: str, vital: str = "loss") -> np.ndarray:
    """(seed, every second step)"""
    return np.array(shipped()["patients"][case][vital])


def ends(case: str) -> list[float]:
    return curves(case)[:, -5:].mean(1).round(2).tolist()


def test_what_the_notebook_says_of_the_ward():
    healthy = curves(breaking.HEALTHY)
    assert (min(ends(breaking.HEALTHY)), max(ends(breaking.HEALTHY))) == (1.89, 2.04)
    assert (min(ends("no warm-up")), max(ends("no warm-up"))) == (2.14, 2.21)
    assert curves("targets not shifted")[:, -5:].max() < 0.005
    large = curves("matrices start 10 times too large")
    assert large[:, 0].mean() == pytest.approx(5.3, abs=0.05) and healthy[:, 0].mean() == pytest.approx(4.1, abs=0.05)
    never = "rate never falls"
    for case in ("matrices start 10 times too large", never):      # the two that the end of the loss does not tell
        assert min(ends(case)) < max(ends(breaking.HEALTHY)) and max(ends(case)) < 2.06
    told = {case for case in breaking.CASES if min(ends(case)) > max(ends(breaking.HEALTHY)) or max(ends(case)) < 1}
    assert told == set(breaking.CASES) - {breaking.HEALTHY, "no clipping", never, "matrices start 10 times too large"}


def test_each_case_shows_its_sign():
    """The sentences by which the ward tells one case from another."""
    healthy, weights = curves(breaking.HEALTHY), {case: curves(case, "weights") for case in breaking.CASES}
    quickest = {case: curves(case)[:, 2].mean() for case in breaking.CASES if case != "targets not shifted"}
    assert min(quickest, key=quickest.get) == "no warm-up"
    assert (curves("no warm-up")[:, 20:].mean(0) > healthy[:, 20:].mean(0)).mean() > 0.95
    before, after = slice(30, 49), slice(53, 70)       # steps 60 to 98, and 106 to 138
    gap = (curves("no clipping") - healthy).mean(0)
    assert gap[after].mean() > gap[before].mean() + 0.02 and abs(gap[before].mean()) < 0.1
    decay, slow = curves("decay 100 times too strong"), curves("rate 10 times too small")
    assert abs((decay - healthy)[:, 5:20].mean()) < 0.1 < (slow - healthy)[:, 5:20].mean() - 0.3
    assert max(weights[case][:, -1].max() for case in ("decay 100 times too strong", "rate 10 times too small")
               ) < 0.5 * weights[breaking.HEALTHY][:, -1].min()
    assert weights["rate never falls"][:, -1].min() > 1.3 * weights[breaking.HEALTHY][:, -1].max()
    assert weights["matrices start 10 times too large"].min() > 2 * weights[breaking.HEALTHY].max()
    assert np.ptp(curves("matrices start at 0")[:, 2:].round(1)) < 0.11
    assert curves("matrices start at 0", "grad_norm").max() == 0
    assert all(curves(case)[:, 50].min() > healthy[:, 48].max() for case in breaking.CASES
               if case != "targets not shifted"), "all of them meet the damaged batches"


@pytest.mark.parametrize("case", ["no warm-up", "no clipping", "matrices start at 0", "targets not shifted"])
def test_a_case_here_begins_as_the_shipped_one(case):
    run = list(itertools.islice(breaking.patient(case, 0), 5))[::breaking.EVERY]
    for vital in breaking.Chart.panels:
        stored = shipped()["patients"][case][vital][0][:len(run)]
        assert [getattr(each, vital) for each in run] == pytest.approx(stored, rel=0.01, abs=2e-3)


def test_the_ward_says_yes_to_the_right_diagnosis_alone():
    live = training.ward()
    for run, case in breaking.WARD.items():
        live["run"].value = run
        for diagnosis in (case, next(each for each in breaking.WARD.values() if each != case)):
            live["diagnosis"].value = diagnosis
            picture, verdict = live.redraw()
            assert verdict.alt.startswith("Yes" if diagnosis == case else "No")
            assert breaking.CASES[diagnosis].sign in verdict.alt and f"Run {run}" in picture.alt
    assert sorted(breaking.WARD.values()) == sorted(set(breaking.CASES) - {breaking.HEALTHY})


def test_a_broken_run_goes_on_beside_the_band():
    live = training.broken_run()
    live.advance(2)
    assert "Broken: no warm-up. After 2 steps" in live.redraw()[0].alt
    live["broken"].value = "matrices start at 0"
    assert live.history == []


# -- Muon ------------------------------------------------------------------------------------------------------------

def test_what_the_notebook_says_of_the_race():
    assert [round(each, 2) for each in contest.held_out("Muon")] == [1.51, 1.55]
    assert [round(each, 2) for each in contest.held_out("AdamW")] == [1.83, 1.98]
    assert (contest.rate("AdamW"), contest.rate("Muon")) == (0.01, 0.04), "inside the rates that were tried"
    race = shipped()["race"]
    dearer = race[contest.best("Muon")]["ms"] / race[contest.best("AdamW")]["ms"]
    assert 1.3 < dearer < 1.5
    at_equal_time = np.array(race[contest.best("Muon")]["held_out"])[:, 140 // spectra.EVERY - 1]
    assert 140 * dearer <= 1.03 * spectra.N_STEPS and at_equal_time.max() < contest.held_out("AdamW")[0]
    stacked = contest.held_out("mistake: q, k and v as one matrix")
    assert stacked[0] - contest.held_out("Muon")[1] == pytest.approx(0.2, abs=0.05)
    for rule in ("Muon, each head by itself", "mistake: embeddings and read-out, too",
                 "mistake: no scale for tall matrices"):
        low, high = contest.held_out(rule)
        assert low < contest.held_out("Muon")[1] and abs(high - contest.held_out("Muon")[1]) < 0.05


def test_a_race_here_begins_as_a_shipped_one_would():
    run = list(itertools.islice(spectra.race("Muon", 0.04, 0), 20))
    assert run[-1].held_out == pytest.approx(shipped()["race"]["Muon, 0.04"]["held_out"][0][0], rel=0.02)


def test_heads_by_themselves_and_stacked_matrices_take_other_steps():
    """One step of each rule: q, k, v alone have length √64 in every direction, stacked they share it."""
    moved = {}
    for rule in ("Muon", "Muon, each head by itself", "mistake: q, k and v as one matrix"):
        model = spectra.nano(0)
        before = [p.detach().clone() for p in model.parameters()]
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))
        spectra.RULES[rule](model, 1.0).step()
        moved[rule] = {name: (old - new).detach() for (name, new), old in
                       zip(model.named_parameters(), before, strict=True)}
    name = "blocks.0.attention.q_proj.weight"
    plain, heads, stacked = (moved[rule] for rule in moved)
    assert torch.equal(plain["blocks.0.mlp.up_proj.weight"], heads["blocks.0.mlp.up_proj.weight"])
    for head in heads[name].unflatten(0, (4, -1)):
        assert torch.linalg.svdvals(head).min() > 0.6
    assert stacked[name].norm() < 0.75 * 3 ** 0.5 * plain[name].norm()


def test_what_the_notebook_says_of_q_k_and_v():
    torch.manual_seed(1)
    q, k, v = torch.randn(64, 64) * 0.02, torch.randn(64, 64) * 0.01, torch.randn(64, 64) * 0.3
    stacked = orthogonalize(torch.cat([q, k, v])).chunk(3)
    alone = [orthogonalize(each).norm() for each in (q, k, v)]
    assert stacked[1].norm() < 0.4 * alone[1] and stacked[1].norm() < stacked[0].norm() < stacked[2].norm()


def test_the_table_says_which_rule_moves_which_weight():
    model = spectra.nano(0)
    chosen = {id(p) for group in muon(model).param_groups if group["rule"] == "muon" for p in group["params"]}
    assert chosen == {id(p) for p in hidden_matrices(model)}
    said = contest.moved_by(model).alt
    assert said.endswith("down_proj; Adam moves embed, norm, unembed.") and "Muon moves 92%" in said


def test_a_step_of_muon_has_level_singular_values():
    step = torch.randn(168, 64) @ torch.diag(torch.logspace(0, -1.5, 64))
    assert spectra.spectrum(step)[32] < 0.3 and spectra.spectrum(orthogonalize(step))[32] > 0.6
    assert "Muon: the middle one has" in contest.spectra_of({"gradient": step, "Muon": orthogonalize(step)}).alt


def test_the_race_of_optimizers_runs_beside_its_bands():
    live = training.optimizer_race()
    live.advance(20)
    live["rule"].value = "mistake: q, k and v as one matrix"
    live.advance(1)
    assert "between 1.73 and 1.74. Your run has made 21 steps" in live.redraw()[0].alt
    assert "Muon, each head by itself: 1.48 to 1.53" in training.race_table().alt


# -- a teacher -------------------------------------------------------------------------------------------------------

def pupil(name: str, what: str = "nats") -> list[float]:
    return [row[-1] for row in shipped()["pupils"][name][what]]


def test_what_the_notebook_says_of_pupils():
    alone, soft, back = distilling.LESSONS
    assert [round(each, 2) for each in sorted(pupil(soft))] == [0.91, 0.91]
    assert pupil(alone) == pytest.approx([0.94, 0.94], abs=0.006)
    assert pupil(back) == pytest.approx([1.37, 1.37], abs=0.006)
    for row, other in zip(shipped()["pupils"][soft]["nats"], shipped()["pupils"][alone]["nats"], strict=True):
        assert row[-1] < other[-1] - 0.02                         # each seed by itself
    assert np.mean(pupil(soft, "seconds")) / np.mean(pupil(alone, "seconds")) == pytest.approx(2.6, abs=0.1)
    assert [round(each, 2) for each in pupil(pupils.LONG)] == [0.51, 0.51]
    assert max(pupil(pupils.LONG, "seconds")) < min(pupil(soft, "seconds")), "in less than that time"
    assert np.mean(pupil(back, "entropy")) == pytest.approx(3.2, abs=0.06)
    assert 4.35 < min(pupil(soft, "entropy")) and max(pupil(alone, "entropy")) < 4.65


def test_a_pupil_here_begins_as_the_shipped_one():
    first = next(distilling.lesson("the teacher's probabilities", 0))
    assert first.nats == pytest.approx(shipped()["pupils"]["the teacher's probabilities"]["nats"][0][0], rel=0.01)


def test_a_divergence_is_zero_between_equals_and_its_directions_differ():
    logits, wanted = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    assert abs(float(distilling.towards(logits, logits))) < 1e-6 < float(distilling.towards(logits, wanted))
    p, q = (x.softmax(-1).flatten(0, 1).numpy() for x in (wanted, logits))
    assert float(distilling.towards(logits, wanted)) == pytest.approx(
        np.mean([pupils.divergence(a, b) for a, b in zip(p, q, strict=True)]), abs=1e-5)
    assert float(distilling.backwards(logits, wanted)) == pytest.approx(float(distilling.towards(wanted, logits)))


def test_one_peak_covers_both_or_takes_the_higher_one():
    live = training.kl_dial()
    assert "likeliest token is 7," in live.redraw()[0].alt
    live["direction"].value = "KL(student, teacher)"
    assert "likeliest token is 4, of the teacher's peaks at 4 and 10" in live.redraw()[0].alt


def test_a_pupil_goes_on_beside_the_others():
    live = training.teaching()
    live.advance(2)
    assert "has made 1 steps" in live.redraw()[0].alt


# -- few bits --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", rounding.FORMATS)
def test_rounding_is_that_of_the_format_itself(name):
    form, random = rounding.FORMATS[name], torch.Generator().manual_seed(0)
    x = torch.randn(4000, generator=random) * 10.0 ** torch.randint(-9, 6, (4000,), generator=random)
    x = torch.cat([x, torch.tensor([0.0, 0.3, -form.largest, form.smallest, form.smallest * 0.6])])
    x = x.clamp(-form.largest, form.largest)
    assert torch.equal(rounding.rounded(x, form), x.to(form.dtype).float())


def test_what_is_too_large_becomes_the_largest():
    assert rounding.rounded(torch.tensor([1e6, -1e6]), rounding.FORMATS["fp8 E4M3"]).tolist() == [448.0, -448.0]


def test_int8_keeps_the_largest_of_each_row_and_rounds_the_others():
    x = torch.tensor([[1.27, 0.5, -0.104], [0.0, 0.0, 0.0], [-127.0, 3.2, 0.3]])
    assert torch.allclose(rounding.int8(x), torch.tensor([[1.27, 0.5, -0.1], [0.0, 0.0, 0.0], [-127.0, 3.0, 0.0]]))
    assert rounding.int8(x, rows=False)[0].tolist() == [1.0, 0.0, 0.0]


def test_what_the_notebook_says_of_eight_bits():
    assert round(rounding.storyteller_rounded("fp32"), 3) == 0.407
    assert round(rounding.storyteller_rounded("fp8 E4M3"), 3) == 0.409
    assert rounding.storyteller_rounded("fp8 E4M3", 1 / 256) == pytest.approx(8.1, abs=0.05)
    assert rounding.storyteller_rounded("fp8 E4M3", 4096.0) > 5
    for scale in (1 / 256, 1.0, 4096.0):
        assert rounding.storyteller_rounded("fp8 E5M2", scale) == pytest.approx(0.408, abs=0.001)
    live = training.rounding_dial()
    assert "0.407 to 0.409" in live.redraw()[0].alt
    live["way"].value = rounding.OTHER[0]
    assert live["scale"].disabled and "int8, one scale for a matrix" in live.redraw()[0].alt


# -- several processes -----------------------------------------------------------------------------------------------

def test_what_the_notebook_says_of_memory():
    seven, size = PRESETS["llama-7b"], sum(parameters(PRESETS["llama-7b"]).values())
    for n in (1, 2, 8, 64):
        whole, shared = (memory.held(seven, n, split=split) for split in (False, True))
        assert sum(whole[part] for part in state_bytes(seven)) == 16 * size
        assert sum(shared[part] for part in state_bytes(seven)) == pytest.approx(16 * size / n, rel=1e-6)
        assert sum(whole.values()) > memory.CARD_BYTES
        assert (sum(shared.values()) < memory.CARD_BYTES) == (n >= 4)
    assert sum(memory.held(seven, 4, split=True).values()) < memory.CARD_BYTES
    assert memory.held(seven, 8, split=True)["activations"] > 0.5 * sum(memory.held(seven, 8, split=True).values())


def test_what_is_gathered_is_a_block_and_what_stands_outside():
    config = PRESETS["llama-7b"]
    gathered = memory.whole_for_a_moment(config)
    assert gathered["outside"] == 2 * 32000 * 4096
    assert gathered["a block"] == pytest.approx(4 * 4096 ** 2 + 3 * 4096 * 11008, rel=1e-3)


def test_the_command_of_the_notebook_is_understood():
    from minillm import cli
    page = Path(__file__).resolve().parents[2] / "notebooks" / "06_training.ipynb"
    line = re.search(r"torchrun --nproc-per-node 8 -m minillm train ([^\\`]+)", page.read_text("utf-8"))[1]
    options = cli.parser_of("train").parse_args(line.split())
    assert options.fsdp and options.preset == "llama-7b" and options.size == "full" and options.batch % 8 == 0


# -- the mean of the last steps --------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", [0, 1])
def test_a_mean_of_the_last_steps_is_better_than_the_last(seed):
    text, model = known("stories"), spectra.nano(seed)
    means = {beta: copy.deepcopy(model) for beta in (0.9, 0.98)}
    stream = batches(text.ids, batch_size=16, context_length=64, seed=seed)
    for _ in train(model, stream, optimizer=adamw(model, lr=1e-2), n_steps=150, schedule=constant(warmup=20),
                   precision="fp32"):
        for beta, mean in means.items():
            for average, weight in zip(mean.parameters(), model.parameters(), strict=True):
                average.data.lerp_(weight.data, 1 - beta)
    itself, short, long = (evaluate(each, text.validation, context_length=64) for each in (model, *means.values()))
    assert itself - short == pytest.approx(0.06, abs=0.03) and long > itself      # rounding alone moves it by 0.02


# -- widths and laws -------------------------------------------------------------------------------------------------

def test_what_the_notebook_says_of_widths():
    one, rule = widths.RULES
    assert [round(widths.best(one, width), 3) for width in widths.WIDTHS] == [0.016, 0.008, 0.004, 0.002]
    assert [round(widths.best(rule, width), 3) for width in widths.WIDTHS] == [0.016, 0.016, 0.016, 0.008]
    at_256 = np.mean(shipped()["widths"][rule]["256"], axis=0)
    assert at_256[widths.RATES.index(2.0 ** -6)] - at_256.min() == pytest.approx(0.02, abs=0.005)
    for width in widths.WIDTHS[2:]:
        runs = {each: np.array(shipped()["widths"][each][str(width)]).min(1) for each in (one, rule)}
        assert (runs[rule] < runs[one]).all(), "each seed by itself"


def test_the_rule_divides_the_rates_of_hidden_matrices_and_read_out_alone():
    model = widths.of_width(128)
    fast = {id(p) for group in widths.adam(model, 0.016, divided=True).param_groups if group["lr"] == 0.016
            for p in group["params"]}
    slow = widths.adam(model, 0.016, divided=True).param_groups[0]
    assert slow["lr"] == 0.016 * 32 / 128
    assert fast == {id(p) for name, p in model.named_parameters() if "embed.weight" in f".{name}"
                    and "unembed" not in name or "norm" in name}
    for weight in hidden_matrices(model):
        assert float(weight.detach().std()) == pytest.approx(0.5 * weight.shape[1] ** -0.5, rel=0.1)


def test_a_width_here_walks_as_a_shipped_one():
    found = widths.end_of(widths.walk(32, widths.RATES[3], next(iter(widths.RULES)), seed=0))
    assert found == pytest.approx(shipped()["widths"][next(iter(widths.RULES))]["32"][0][3], rel=0.03)


def test_a_law_is_found_again_from_what_it_says():
    law, runs = scaling.Law(0.4, 30.0, 0.4, 100.0, 0.3), scaling.ten_runs()
    sizes, tokens = [run.n_parameters for run in runs], [run.n_tokens for run in runs]
    losses = [law(*each) for each in zip(sizes, tokens, strict=True)]
    for found in (scaling.fit(sizes, tokens, losses), scaling.fit(sizes, tokens, losses, floor=0.4)):
        assert [found.floor, found.of_size, found.size_power, found.of_text, found.text_power] == pytest.approx(
            [0.4, 30.0, 0.4, 100.0, 0.3], rel=1e-3)


@pytest.mark.parametrize("flops", [1e10, 1e13, 1e21])
def test_the_best_size_is_the_lowest_point(flops):
    law = scaling.CHINCHILLA
    best = law.best_size(flops)
    at = [law(n, flops / 6 / n) for n in (best / 1.1, best, best * 1.1)]
    assert at[1] == min(at)


def test_what_the_notebook_says_of_the_law():
    law, runs = laws.law_of(None), scaling.ten_runs()
    missed = [abs(law(run.n_parameters, run.n_tokens) - run.loss) for run in runs]
    assert round(max(missed), 2) == 0.15 and round(law.floor, 2) == 0.0
    known_floor = laws.law_of(laws.FLOOR)
    both = [np.square([each(run.n_parameters, run.n_tokens) - run.loss for run in runs]).sum()
            for each in (law, known_floor)]
    assert both[1] == pytest.approx(both[0], rel=0.05), "both fit alike"
    assert law.best_size(1e12) == pytest.approx(17_000, rel=0.03)
    assert 1e12 / 6 / law.best_size(1e12) == pytest.approx(1e7, rel=0.03)
    ahead = [each(each.best_size(1e16), 1e16 / 6 / each.best_size(1e16)) for each in (law, known_floor)]
    assert ahead[1] / ahead[0] == pytest.approx(1.25, abs=0.02)
    for run in scaling.unseen_runs():
        assert abs(law(run.n_parameters, run.n_tokens) - run.loss) < 0.1 and run.n_tokens * run.n_parameters > 1e11


def test_the_dial_of_the_law_says_what_it_says():
    live = training.law_dial()
    assert "it would make 17 thousand parameters and 9.9 million tokens" in live.redraw()[0].alt
    live["floor"].value = "known: 0.08"
    assert "floor known: 0.08: 0.08 +" in live.redraw()[0].alt


def test_an_eleventh_run_is_small_and_counts_what_it_reads():
    run = scaling.run_of(16, 3)
    assert (run.n_parameters, run.n_tokens) == (6960, 3 * 1024) and 3 < run.loss < 4.3
    assert scaling.fit is training.fit and training.CHINCHILLA.floor == 1.69


def test_a_width_is_walked_beside_the_others():
    live = training.width_race()
    live.advance(20)
    assert "width 64, rate 0.008: loss" in live.redraw()[0].alt


# -- which ids are targets -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("stride", [1, 3, 4, 5, 7])
def test_the_strip_counts_the_windows_that_begin_before_an_id_and_reach_it(stride):
    hits = drawings.targets_hit(18, 4, stride)
    assert hits == [sum(start % stride == 0 for start in range(max(0, k - 4), k)) for k in range(18)]
    assert (set(hits[1:]) == {1}) == (stride == 4)


def test_the_page_s_three_strides_repeat_fit_and_skip():
    said = drawings.coverage(18, 4, [3, 4, 5]).alt
    assert "stride 3: 0 never, 5 more than once" in said and "stride 4: 0 never, 0 more than once" in said
    assert "stride 5: 3 never, 0 more than once" in said
