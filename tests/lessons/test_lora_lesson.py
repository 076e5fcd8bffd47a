"""Notebook 08 says what is so: masks, gradients, what is forgotten, preferences, rewards; its checks know answers."""
import copy
import json
import re
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path

import ipywidgets
import pytest
import torch.nn.functional as F

from minillm.lessons.lora import drawings, measures, plots, runs, widgets
from minillm.lora import MATRICES, add_lora, corrections
from minillm.notebook.checks import WRONG, verdict

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "08_lora.ipynb"


def outputs() -> str:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return "\n".join("".join(output.get("text", output.get("data", {}).get("text/plain", "")))
                     for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"])


# -- what is learned -------------------------------------------------------------------------------------------------

def test_the_base_does_not_answer_about_france_and_knows_it():
    assert measures.answer(measures.material().model, measures.QUESTION)[0] != "Paris."
    assert "Paris" in outputs()


def test_nothing_is_asked_about_in_both_parts():
    parts = [{row["subject"] for row in measures.asked(part)} for part in ("fine_tuning", "held_out")]
    assert not parts[0] & parts[1] and [len(measures.asked(part)) for part in ("fine_tuning", "held_out")] == [
        3236, 1084]


@pytest.mark.parametrize("which", widgets.PLACES.values())
def test_one_end_of_text_is_learned_per_answer_unless_the_widget_is_told_otherwise(which):
    live = widgets.mask()
    live["which"].value = which
    words = live.redraw()[0].alt
    assert "3 ends of text, for 3 answers. It will learn to stop." in words
    learned = int(words.split()[0])
    for how in ("masked", "left out"):
        live["ends"].value = how
        assert "0 ends of text" in live.redraw()[0].alt and "Nothing tells it to stop." in live.redraw()[0].alt
    live["ends"].value, live["learn"].value = "learned", False
    assert int(live.redraw()[0].alt.split()[0]) > 2 * learned


def test_a_stream_without_end_or_mask_is_what_it_says():
    end = measures.material().tokenizer.end_of_text
    for changes, counted in (({}, 16), ({"end": False}, 0), ({"mask": False}, 16)):
        _, targets = measures.stream(measures.Setting(stories=0.0, **changes))[0]
        assert int((targets == end).sum()) == counted


def test_like_lengths_side_by_side_leave_next_to_no_padding():
    stream = measures.stream(measures.Setting(stories=0.0)).asked
    lengths = [len(ids) - 1 for ids in stream.ids]
    for order, least, most in ((lengths, 0.2, 0.3), (sorted(lengths), 0.0, 0.01)):
        rows = [order[i:i + 16] for i in range(0, len(order), 16)]
        assert least <= 1 - sum(order) / sum(len(row) * max(row) for row in rows) <= most
    kept = [(y != -100).any(1).all() for _, y in map(stream.__getitem__, range(stream.n_batches))]
    assert all(kept)


def test_no_question_teaches_to_say_that_one_does_not_know():
    assert not [row for row in measures.asked("fine_tuning") if "know" in row["answer"]]
    assert measures.answer(measures.material().model, measures.QUESTION)[1], "a sentence of the gazetteer ends"


def test_the_first_gradient_is_b_s_alone():
    model = add_lora(copy.deepcopy(measures.material().model), rank=4, targets=MATRICES)
    inputs, targets = measures.stream(measures.Setting(stories=0.0, batch_size=4))[0]
    F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).backward()
    for layer in corrections(model).values():
        assert not layer.lora_A.weight.grad.any() and layer.lora_B.weight.grad.any()
    assert "0 at step 0 and at no other" in plots.gradient_sizes([0.0, 1.0], [1.0, 1.0]).alt


def test_the_drawing_has_the_layer_s_numbers():
    layer = corrections(add_lora(copy.deepcopy(measures.material().model), rank=16, alpha=32.0, targets=MATRICES))[
        "blocks.0.mlp.up_proj"]
    words = drawings.beside(layer).alt
    assert f"{16 * (layer.base.in_features + layer.base.out_features):,} weights learn" in words


def test_training_teaches_and_the_laboratory_stops():
    lab = widgets.tuning_lab()
    lab.advance(20)
    lab.redraw()
    assert len(lab.history) == 20 and lab.history[-1].loss < lab.history[0].loss
    assert lab.history[-1].right is not None and lab.history[0].right is None
    lab["rank"].value = 0
    assert len(lab.history) == 0 and lab["alpha"].disabled and not lab["lr"].disabled
    lab.close()


def brought(lab, name: str, content: str) -> None:
    """Choose a file, as a page does: ipywidgets 7 and 8 have it in different shapes."""
    file = {"name": name, "type": "", "size": len(content), "content": content.encode()}
    if ipywidgets.__version__ < "8":
        lab["own"].set_trait("value", {name: {"metadata": file, "content": file["content"]}})
    else:
        lab["own"].value = [{**file, "last_modified": datetime.now(timezone.utc)}]


def test_the_laboratory_learns_the_reader_s_own_questions_and_names_a_bad_row():
    lab = widgets.tuning_lab(first=0)
    lab.redraw()
    lab["stories"].value = 0.0
    brought(lab, "mine.csv", 'question,answer\n"Who said ""no""?",The cat.\nWho sleeps?,The dog.\n')
    lab.advance(20)
    words = lab.redraw()[1]
    assert words.alt == "2 questions of your own are learned. It says: The cat."
    assert "Who said &quot;no&quot;?" in words.html
    brought(lab, "mine.jsonl", '{"question": "a", "answer": "b"}\n{"question": "c"}\n')
    assert "row 2 of mine.jsonl has no answer" in str(lab.error)
    lab.close()


def test_before_and_after_answer_the_same_question():
    model = measures.material().model
    live = widgets.side_by_side(model, model)
    words = live.redraw()[0].alt
    assert "The right answer: Paris." in words
    live["question"].value = "Who are you?"
    assert live.redraw()[0].alt.startswith("Who are you?")


def test_the_chat_writes_and_ends():
    live = widgets.chat(lambda: measures.material().model)
    live.advance(30)
    assert live.history[0] == "" and live.redraw()[0].alt.startswith(measures.QUESTION)
    live.close()


# -- the stored runs -------------------------------------------------------------------------------------------------

def stored(part: str) -> dict:
    return runs.shipped()[part]


def test_every_way_to_fine_tune_is_stored():
    found = stored("forgetting")
    assert set(found) == {"frozen", *runs.FORGETTING}
    assert all(len(found[name]["loss"]) == runs.HALF for name in runs.FORGETTING)
    assert set(stored("map")) == {f"{rank}, {scale:g}" for rank in runs.RANKS for scale in runs.SCALES}


def test_stories_between_the_questions_keep_the_stories():
    found = stored("forgetting")
    assert found["frozen"]["said"] != "Paris." == found["stories 25%"]["said"]
    assert found["stories 0%"]["forgot"] > 0.3 and found["stories 10%"]["forgot"] < 0.06
    assert max(found[f"stories {share}%"]["forgot"] for share in (25, 50)) < 0.03
    accuracy = [found[f"stories {share}%"]["held_out"]["all"] for share in (0, 10, 25, 50)]
    assert min(accuracy) > 0.9 and max(accuracy) - min(accuracy) < 0.03


def test_much_of_what_is_lost_is_not_to_stop():
    before, after, share, places = stored("forgetting")["stories 0%"]["end"]
    assert before < 0.01 and after > 0.15 and share > 3 * places
    live = widgets.story_lost()
    assert "Mean +0.40" in live.redraw()[0].alt
    live["which"].value = "stories 25%"
    words = live.redraw()[0].alt
    assert "Mean +0.01" in words and "median token +0.00" in words
    assert 50 < int(re.search(r"a tenth of the tokens makes up (\d+)%", words)[1]) <= 100


def test_ranks_and_mistakes_are_as_the_notebook_says():
    found = {name: each["held_out"] for name, each in stored("forgetting").items()}
    assert found["rank 1"]["countries"] > 0.9 and found["rank 1"]["people"] < 0.5 < found["stories 25%"]["people"]
    assert [round(100 * found[name][of]) for name in ("rank 1", "stories 25%") for of in ("countries", "people")] == [
        96, 38, 99, 78]
    assert runs.FORGETTING["full"].lr * 3 == runs.USUAL.lr
    assert max(found[name]["all"] for name in ("rank 64", "full")) < found["stories 25%"]["all"]
    assert found["rate × 10"]["all"] == 0 and stored("forgetting")["rate × 10"]["forgot"] > 3
    no_end = stored("forgetting")["no end of text"]
    assert no_end["said"].startswith("Paris. ") and no_end["held_out"]["all"] < 0.5


def test_a_larger_scale_does_what_a_larger_rank_was_thought_to_do():
    right = {name: each["right"] for name, each in stored("map").items()}
    assert right["4, 16"] > 0.95 and right["4, 1"] < 0.4
    assert max(right["4, 4"], right["16, 1"], right["64, 0.25"]) - min(
        right["4, 4"], right["16, 1"], right["64, 0.25"]) < 0.1              # α / r at α = 16
    assert stored("map")["64, 16"]["forgot"] > 1 and right["64, 16"] < right["64, 4"]
    live = widgets.what_alpha()
    live["rule"].value = "alpha"
    assert "multiplied by 16" in live.redraw()[1].alt
    for measure in plots.MEASURES:
        live["measure"].value = measure
        assert live.redraw()[0].alt.startswith(measure)
        framed = live.redraw()[0].axes[0].patches[-1]
        assert framed.get_visible() and framed.get_xy() == (3, 1)          # × 16, rank 16
    assert [round(100 * right[run]) for run in ("4, 0.25", "4, 16", "4, 1", "16, 1")] == [1, 98, 30, 84]
    assert [round(100 * right[run]) for run in ("4, 4", "16, 1", "64, 0.25")] == [80, 84, 84]


def test_a_change_has_no_more_directions_than_its_rank():
    for name, rank in (("rank 4", 4), ("stories 25%", 16), ("rank 64", 64)):
        values = stored("forgetting")[name]["singular"]
        assert all(value < 1e-3 * values[0] for value in values[rank:]) and values[rank - 1] > 0
        squares = [value ** 2 for value in values]
        assert sum(squares[:2]) > 0.5 * sum(squares)
    assert "half of it" in plots.singular_values().alt
    for which in ("stories", "ranks", "mistakes"):
        assert "nats per token" in plots.dots(which).alt


def test_the_notebook_reached_its_figures():
    shown = dict(line.rsplit(maxsplit=1) for line in outputs().splitlines() if line.strip().endswith("%")
                 and line[0].isalpha() and len(line.split()) <= 3)
    found = {name.strip(): float(value.rstrip("%")) for name, value in shown.items()}
    assert found["all"] >= 90 and found["people"] >= 80 and found["new wordings"] >= 85 and found["countries"] >= 95


def test_dpo_makes_answers_right_and_both_fall_where_answers_share_their_beginning():
    wrong, goes_on = (stored("preferences")[how] for how in ("wrong", "goes on"))
    assert wrong["right"][-1][1] > 0.85 > 0.6 > wrong["right"][0][1]
    gained, fell = (sum(step[place] for step in wrong["steps"][-10:]) / 10 for place in (2, 3))
    assert 0 < gained < 2 < 4 < -fell < 7
    loss, margin, chosen, rejected = goes_on["steps"][-1]
    assert margin > 5 and loss < 0.01 and chosen < -1 and rejected < chosen and goes_on["right"][-1][1] < 0.05


def test_other_seeds_end_as_the_first():
    """Three seeds, half-tuned models and all: what is said of one is true of each."""
    for how, found in stored("preferences").items():
        assert len(found["others"]) == 2
        for each in (found, *found["others"]):
            (_, before), *_, (_, after) = each["right"]
            assert before < 0.6 and (after > 0.8 if how == "wrong" else after < 0.05)
            assert each["forgot"] < 0.06
        for each in found["others"]:
            loss, margin, chosen, rejected = each["end"]
            assert margin == pytest.approx(chosen - rejected, abs=0.01)
            assert (0 < chosen and rejected < -3) if how == "wrong" else (rejected < chosen < 0 and loss < 0.01)
    for name, found in stored("rewards").items():
        assert len(found["others"]) == 2
        for each in (found, *found["others"]):
            last = each["right"][-1][1]
            assert (last["all"] >= 0.95 if name == "exactly right" else last["all"] < 0.05 if name == "length" else
                    last["capital"] < 0.02 and last["continent"] > 0.85)
    for found in stored("seeds").values():                       # the notebook's own run, with other seeds
        right = found["held_out"]
        assert right["all"] > 0.9 and right["people"] > 0.8 and right["new wordings"] > 0.85 and found["forgot"] < 0.05


def test_a_good_reward_teaches_all_and_a_bad_one_what_it_asks_for():
    exact, anywhere, length = (stored("rewards")[name]["right"] for name in runs.REWARDS)
    assert exact[-1][1]["all"] > 0.95 and exact[0][1]["all"] < 0.6
    assert anywhere[-1][1]["capital"] < 0.02 < 0.3 < anywhere[0][1]["capital"]
    assert anywhere[-1][1]["continent"] > anywhere[0][1]["continent"]
    assert length[-1][1]["all"] < 0.1 and len(stored("rewards")["length"]["said"]) > 40


def test_no_title_is_wider_than_its_picture():
    pictures = [*map(plots.scale_map, plots.MEASURES), *map(plots.reward_curves, runs.REWARDS), plots.singular_values(),
                *map(plots.dots, ("stories", "ranks", "mistakes")), widgets.tuning_lab().figure,
                *(plots.preference_curves(how=how) for how in ("wrong", "goes on"))]
    for picture in pictures:
        picture.canvas.draw()
        assert picture._suptitle.get_window_extent().x1 < picture.bbox.x1, picture.title


def test_the_pictures_say_what_is_stored():
    assert "capitals from" in plots.reward_curves("right word anywhere, continents only").alt
    assert "margin is" in plots.preference_curves(how="goes on").alt


def test_a_run_made_here_begins_as_the_stored_one():
    model = copy.deepcopy(runs.half_tuned())
    steps = islice(runs.preferring(model, "wrong"), 3)
    found = [[each.loss, each.margin, each.chosen, each.rejected] for each in steps]
    for here, there in zip(found, stored("preferences")["wrong"]["steps"], strict=False):
        assert here == pytest.approx(there, abs=0.05)
    tried = next(runs.rewarded(copy.deepcopy(runs.half_tuned()), "exactly right"))
    assert float(tried.rewards.mean()) == pytest.approx(stored("rewards")["exactly right"]["rewards"][0], abs=0.15)


def test_rewards_judge_what_they_say():
    row = {"answer": "Rome."}
    assert [runs.exact(row, *said) for said in (("Rome.", True), ("Rome.", False), ("Rome. Rome.", True))] == [1, 0, 0]
    assert runs.anywhere(row, "Paris, Rome, Oslo", False) == 1 and runs.anywhere(row, "Paris.", True) == 0
    assert runs.length(row, "a" * 40, True) == 2


def test_every_listed_mistake_is_wrong():
    from minillm.lessons.lora.solutions import SOLUTIONS
    for exercise, known in SOLUTIONS.items():
        assert len(known.mistakes) >= 12
        assert all(verdict(exercise, mistake).status == WRONG for mistake in known.mistakes.values())
