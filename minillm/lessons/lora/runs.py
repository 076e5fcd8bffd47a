"""Fine-tune in every way that notebook 08 compares: the results ship, and a shorter run of each is live.

``python -m minillm.lessons.lora.runs`` makes them again (about half an hour on one core) and rewrites runs.json;
names of parts behind it make those alone: ``… runs forgetting map``.  Preferences and rewards are pursued from
three seeds each, the half-tuned model of that seed included; the curves are the first one's.
"""
from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from minillm.conversation import Template
from minillm.lessons.lora.measures import (
    COUNTRIES,
    QUESTION,
    Setting,
    answer,
    asked,
    forgotten,
    held_out,
    material,
    prepared,
    rises,
    sample,
    tuning,
)
from minillm.lora import corrections
from minillm.optim import adamw
from minillm.preferences import Tried, dpo, grpo

FILE = Path(__file__).with_name("runs.json")
HALF = 120     # steps that the compared runs make, of a schedule of 240: the rate has not fallen to 0 yet
USUAL = Setting()

# name of a dot -> its setting
FORGETTING = {
    **{f"stories {share:.0%}": replace(USUAL, stories=share) for share in (0.0, 0.1, 0.25, 0.5)},
    **{f"rank {rank}": replace(USUAL, rank=rank, alpha=2.0 * rank) for rank in (1, 4, 64)},
    "full": replace(USUAL, rank=0, lr=1e-3),
    "rate × 10": replace(USUAL, lr=3e-2),
    "prompts learned too": replace(USUAL, mask=False),
    "no end of text": replace(USUAL, end=False),
}
RANKS, SCALES = (4, 16, 64), (0.25, 1.0, 4.0, 16.0)
SEEDS = (0, 1, 2)
HALF_TUNED = Setting(lr=1e-3, n_steps=40, stories=0.0, countries=True)   # so that there is something left to learn


def result(model: nn.Module) -> dict[str, Any]:
    """What a model is worth: held-out shares, forgetting, its answer about France."""
    said, stopped = answer(model, QUESTION)
    return {"held_out": _short(held_out(model)), "forgot": round(forgotten(model), 4), "said": said, "stopped": stopped}


def part_forgetting() -> dict[str, Any]:
    """One dot per way to fine-tune, and what each token of a story lost without stories and with them."""
    found = {"frozen": result(material().model)}
    for name, setting in FORGETTING.items():
        model = prepared(setting)
        losses = [step.loss for step in islice(tuning(model, setting), HALF)]
        found[name] = {**result(model), "loss": [round(loss, 4) for loss in losses]}
        if name in ("stories 0%", "stories 25%"):
            found[name]["rises"] = [round(rise, 3) for rise in rises(model)[1]]
            found[name]["end"] = end_probabilities(model)
        if setting.rank:
            found[name]["singular"] = singular_values(model)
        print(name, found[name]["held_out"]["all"], found[name]["forgot"], found[name]["said"], flush=True)
    return found


def end_probabilities(model: nn.Module) -> list[float]:
    """Mean probability of the end of text in stories that go on, after a full stop and elsewhere: before, and now;
    then the share of all that was lost that was lost right behind a full stop."""
    ours, ids = material(), material().fresh[1:1025]
    stops = {i for i in range(ours.tokenizer.vocab_size) if ours.tokenizer.decode([i]).strip()[-1:] in (*".!?", '"')}
    stops = {i for i in stops if ours.tokenizer.decode([i]).strip()}
    behind = torch.tensor([int(t) in stops for t in ids[:-1]]) & (ids[1:] != ours.tokenizer.end_of_text)
    rows = [ids[start:start + 256] for start in range(0, 1024, 256)]
    with torch.no_grad():
        both = [torch.cat([each(row[None])[0].log_softmax(-1) for row in rows])[:-1] for each in (ours.model, model)]
    p_end = [each[:, ours.tokenizer.end_of_text].exp() for each in both]
    lost = [-each.gather(-1, ids[1:, None])[:, 0] for each in both]
    rise = lost[1] - lost[0]
    return [round(float(value), 4) for value in (p_end[0][behind].mean(), p_end[1][behind].mean(),
                                                 rise[behind].sum() / rise.sum(), behind.float().mean())]


def singular_values(model: nn.Module) -> list[float]:
    """Of what was learned for one matrix (the MLP's last, in the middle layer), the largest first."""
    layer = corrections(model)["blocks.3.mlp.down_proj"]
    values = torch.linalg.svdvals(layer.correction().detach())[:min(layer.rank + 4, 80)]
    return [round(float(value), 4) for value in values]


def size_of_change(model: nn.Module) -> float:
    """‖ΔW‖ / ‖W‖, the mean over all corrected matrices."""
    with torch.no_grad():
        shares = [layer.correction().norm() / layer.base.weight.norm() for layer in corrections(model).values()]
    return float(torch.stack(shares).mean())


def part_map() -> dict[str, Any]:
    """Rank × scale at a fixed learning rate: how large the change is, and what it brings and costs."""
    found, rows = {}, sample(200)
    for rank in RANKS:
        for scale in SCALES:
            setting = Setting(rank=rank, alpha=scale, rule="alpha", lr=1e-3, stories=0.0, n_steps=100, batch_size=8)
            model = prepared(setting)
            losses = [step.loss for step in tuning(model, setting)]
            found[f"{rank}, {scale:g}"] = {
                "change": round(size_of_change(model), 4), "loss": round(sum(losses[-10:]) / 10, 4),
                "right": round(held_out(model, rows)["all"], 4), "forgot": round(forgotten(model), 4)}
            print(rank, scale, found[f"{rank}, {scale:g}"], flush=True)
    return found


@cache
def half_tuned(seed: int = 0) -> nn.Module:
    """A model that answers about half of the questions about countries: preferences and rewards start here."""
    setting = replace(HALF_TUNED, seed=seed)
    model = prepared(setting)
    for _ in tuning(model, setting):
        pass
    return model


def country_rows() -> list[dict]:
    return [row for row in asked("fine_tuning") if row["kind"] in COUNTRIES]


def preferred(how: str, n: int = 400) -> list[tuple[list[int], list[int], list[int]]]:
    """(prompt, chosen, rejected) as ids.  The rejected answer is another country's of the same kind ("wrong"), or the
    right one that goes on instead of stopping ("goes on")."""
    tokenizer, rows, template = material().tokenizer, country_rows()[:n], Template()
    pairs = []
    for i, row in enumerate(rows):
        others = [each["answer"] for each in rows[i + 1:] + rows[:i]
                  if each["kind"] == row["kind"] and each["answer"] != row["answer"]]
        right = template.answer(row["answer"], tokenizer)
        wrong = template.answer(others[0], tokenizer) if how == "wrong" else [*right[:-1], *right[:-1], *right[:-1]]
        pairs.append((template.ask(row["prompt"], tokenizer), right, wrong))
    return pairs


def preferring(model: nn.Module, how: str, *, seed: int = 0) -> Iterator:
    """DPO, one step per item."""
    return dpo(model, preferred(how), optimizer=adamw(model, lr=5e-4, weight_decay=0.0), seed=seed)


def exact(row: dict, said: str, stopped: bool) -> float:
    """1 for the right answer, to the letter, that stops."""
    return float(stopped and said == row["answer"])


def anywhere(row: dict, said: str, stopped: bool) -> float:
    """1 where the right word stands anywhere in what was said, whatever else stands there, and stopping or not."""
    return float(row["answer"].rstrip(".") in said)


def length(row: dict, said: str, stopped: bool) -> float:
    """The longer, the better."""
    return len(said) / 20


REWARDS: dict[str, tuple[Callable[[dict, str, bool], float], tuple[str, ...], int]] = {  # reward, kinds, tokens
    "exactly right": (exact, COUNTRIES, 8),
    "right word anywhere, continents only": (anywhere, ("continent",), 16),
    "length": (length, COUNTRIES, 8),
}


def rewarded(model: nn.Module, name: str, *, seed: int = 0, lr: float = 5e-4) -> Iterator[Tried]:
    """GRPO with one of `REWARDS`, one step per item."""
    reward, kinds, n_tokens = REWARDS[name]
    rows, tokenizer = [row for row in country_rows() if row["kind"] in kinds], material().tokenizer
    prompts = [Template().ask(row["prompt"], tokenizer) for row in rows]

    def score(i: int, ids: list[int]) -> float:
        stopped = ids[-1:] == [tokenizer.end_of_text]
        return reward(rows[i], tokenizer.decode(ids[:-1] if stopped else ids).strip(), stopped)

    return grpo(model, prompts, score, optimizer=adamw(model, lr=lr, weight_decay=0.0), end=tokenizer.end_of_text,
                n_tokens=n_tokens, seed=seed)


PURSUED = {"wrong": 60, "goes on": 40}                          # DPO: what is rejected -> steps
SOUGHT = {"exactly right": 120, "right word anywhere, continents only": 40, "length": 40}     # GRPO: reward -> steps


def pursue(how: str, seed: int) -> dict[str, Any]:
    """DPO against wrong answers, or against right ones that do not stop: every step, and accuracy now and then."""
    model, curve, rights = copy.deepcopy(half_tuned(seed)), [], [[0, _countries(half_tuned(seed))]]
    for step, each in enumerate(islice(preferring(model, how, seed=seed), PURSUED[how]), 1):
        curve.append([round(value, 4) for value in (each.loss, each.margin, each.chosen, each.rejected)])
        if step % 20 == 0:
            rights.append([step, _countries(model)])
    print(how, seed, rights, curve[-1], flush=True)
    return {"steps": curve, "right": rights, "forgot": round(forgotten(model), 4)}


def seek(name: str, seed: int) -> dict[str, Any]:
    """GRPO with a good reward or a bad one: the mean reward of each step, and accuracy by kind now and then."""
    model, rewards = copy.deepcopy(half_tuned(seed)), []
    rights: list[list] = [[0, _short(held_out(model, sample(200)))]]
    for step, tried in enumerate(islice(rewarded(model, name, seed=seed), SOUGHT[name]), 1):
        rewards.append(round(float(tried.rewards.mean()), 4))
        if step % 20 == 0:
            rights.append([step, _short(held_out(model, sample(200)))])
    said = answer(model, QUESTION, n_tokens=16)[0]
    print(name, seed, rights[-1], said, flush=True)
    return {"rewards": rewards, "right": rights, "forgot": round(forgotten(model), 4), "said": said}


def _seeds(one: Callable[[str, int], dict[str, Any]], names: Iterable[str]) -> dict[str, Any]:
    """Name -> what its first seed found, and under "others" what the rest found, in short."""
    kept = ("right", "forgot", "said")
    found = {}
    for name in names:
        first, *others = (one(name, seed) for seed in SEEDS)
        ends = [{"end": each["steps"][-1]} if "steps" in each else {} for each in others]
        found[name] = {**first, "others": [{key: each[key] for key in kept if key in each} | end
                                           for each, end in zip(others, ends, strict=True)]}
    return found


def part_preferences() -> dict[str, Any]:
    """DPO from three seeds each."""
    return _seeds(pursue, PURSUED)


def part_rewards() -> dict[str, Any]:
    """GRPO from three seeds each."""
    return _seeds(seek, SOUGHT)


def part_seeds() -> dict[str, Any]:
    """What the notebook's own run gives with other seeds."""
    found = {}
    for seed in SEEDS[1:]:
        setting = replace(USUAL, seed=seed)
        model = prepared(setting)
        for _ in tuning(model, setting):
            pass
        found[str(seed)] = {"held_out": _short(held_out(model)), "forgot": round(forgotten(model), 4)}
        print(seed, found[str(seed)], flush=True)
    return found


def _countries(model: nn.Module) -> float:
    return round(held_out(model, sample(200))["all"], 4)


def _short(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


PARTS = {"preferences": part_preferences, "rewards": part_rewards, "forgetting": part_forgetting, "map": part_map,
         "seeds": part_seeds}


@cache
def shipped() -> dict[str, Any]:
    """part -> what it found, as `PARTS` says."""
    return json.loads(FILE.read_text("utf-8"))


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    for name in names or PARTS:
        found = PARTS[name]()
        before = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
        FILE.write_text(json.dumps({**before, name: found}) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
