"""Hold the questions to a fair test: told in the texts, asked of others when held out, never given away."""
import json
from collections import Counter
from pathlib import Path

from data.making.stories import events as e
from data.making.stories.chance import Dice
from data.making.stories.plots import happen
from data.making.stories.world import PEOPLE

DATA = Path(__file__).parents[2] / "data"
ROWS = [json.loads(line) for part in ("fine_tuning", "held_out")
        for line in (DATA / "questions" / f"{part}.jsonl").read_text("utf-8").splitlines()]
TUNE = [row for row in ROWS if row["split"] == "fine_tuning"]
HELD = [row for row in ROWS if row["split"] == "held_out"]


def test_held_out_subjects_are_never_tuned_on():
    assert not {row["subject"] for row in TUNE} & {row["subject"] for row in HELD}
    assert not {row["prompt"] for row in TUNE} & {row["prompt"] for row in HELD}


def test_some_phrasings_are_new():
    def shape(row):
        return row["prompt"].replace(row["subject"], "*").replace("*'s", "*'")
    seen = {shape(row) for row in TUNE}
    assert all((shape(row) in seen) != row["new_phrasing"] for row in HELD)
    assert 0.4 < sum(row["new_phrasing"] for row in HELD) / len(HELD) < 0.6


def test_every_question_has_one_answer():
    answers = {}
    for row in ROWS:
        assert answers.setdefault((row["subject"], row["kind"]), row["answer"]) == row["answer"]
        assert row["answer"].endswith(".") and row["prompt"].endswith(("?", "."))
    assert len({row["prompt"] for row in ROWS}) == len(ROWS)


def test_texts_answer_no_such_question():
    text = (DATA / "stories" / "en.txt").read_text("utf-8") + (DATA / "stories" / "gazetteer.txt").read_text("utf-8")
    assert not [row["prompt"] for row in ROWS if row["prompt"] in text]


def test_every_fact_that_is_asked_is_told_often():
    stories = (DATA / "stories" / "en.txt").read_text("utf-8").split("\n\n")
    told, text = Counter(), "\n".join(stories)
    for seed in range(len(stories)):
        for event in happen(Dice(f"world {seed}"), facts=True):
            if isinstance(event, e.Intro):
                told.update((event.who.name, fact) for fact in event.facts)
    for one in PEOPLE:
        if one.is_child:
            assert all(told[one.name, fact] >= 3 for fact in ("town", "pet", "food", "colour", "hobby", "job")), one
        else:
            assert text.count(f"{one.name} the {one.job}") >= 10
