"""What notebook 06 says behind its laboratory is so: broken runs, Muon, widths, laws, students, few bits."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from minillm.lessons import training
from minillm.lessons.training import breaking, contest, spectra
from minillm.lessons.training.points import shipped
from minillm.optim import hidden_matrices, muon, orthogonalize

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
