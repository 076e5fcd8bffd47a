"""One element of one batch, and every part of the model, looked at without changing anything."""
import numpy as np
import pytest
import torch
from torch import nn

from minillm import corpora
from minillm.corpora import Corpus
from minillm.inspection import capture
from minillm.lessons.training import experiment, health, laboratory, microscope
from minillm.notebook import clock
from minillm.notebook import widgets as live
from minillm.notebook.chips import TokenRow

TEXT = "the cat sat on the mat, and the dog ate the cake.\n" * 60
SHIPPED = "the storyteller, which ships"


@pytest.fixture
def lab():
    made = laboratory.training_lab(Corpus(name="cats", title="Cats", documents=(TEXT,)), against=laboratory.NOBODY,
                                   first=1)
    yield made
    made.close()


def weights(run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def test_it_sees_the_next_batch_and_leaves_the_run_alone(lab):
    lab.advance(15)
    before, state = weights(lab.run), lab.run.optimizer.state_dict()["state"][0]["step"].item()
    glass = lab.microscope()
    _, story, element = glass.redraw()
    inputs, targets = lab.run.next_batch()
    with torch.no_grad():
        p = lab.run.model.eval()(inputs).softmax(-1)[0]
    target = targets[0, 20]
    rank = 1 + int((p[20] > p[20, target]).sum())
    assert f"came: rank {rank} and probability {microscope.percent(p[20, target])}" in story.alt
    mean = -p.gather(-1, targets[0][:, None]).log().mean().item()
    assert f"{mean:.2f} nats a token before the step" in element.alt
    assert torch.equal(weights(lab.run), before) and lab.run.done == 15
    assert lab.run.optimizer.state_dict()["state"][0]["step"].item() == state


def test_a_click_on_a_token_tells_of_that_place(lab):
    lab.advance(3)
    glass = lab.microscope()
    glass.redraw()
    targets = lab.run.next_batch()[1][0].tolist()
    labels = [label for label, _ in glass["place"].options]
    assert labels == [microscope.visible(piece) for piece in lab.run.material.tokenizer.pieces(targets)]
    glass["place"].value = 41
    assert glass.error is None and "place 41:" in glass.parts[1].alt
    assert glass.parts[0].html.count("outline:2px") == 1
    assert "button:nth-child(42) {outline" in glass._tokens.sheet.value


def test_a_click_while_it_trains_tells_of_the_token_that_was_clicked(lab):
    lab.advance(4)
    glass = lab.microscope()
    glass.redraw()
    labels = [label for label, _ in glass["place"].options]
    lab.advance(3)
    glass["place"].value = 12
    assert [label for label, _ in glass["place"].options] == labels
    assert "Batch 4, window 0, place 12" in glass.parts[1].alt
    assert "seen after 4 steps" in glass.parts[0].html
    glass["head"].value = 2
    assert "of batch 4" in glass.parts[2].alt
    glass["refresh"].click()
    assert "Batch 7, window 0, place 12" in glass.parts[1].alt and "seen after" not in glass.parts[0].html
    lab.advance(1)
    assert "Batch 8" in glass.redraw()[1].alt                   # as when it follows


def test_what_stays_is_the_model_of_that_moment_whole(lab):
    lab.advance(4)
    glass = lab.microscope()
    glass.redraw()
    before, inputs = lab.run.near(), lab.run.next_batch()[0]
    lab.advance(5)
    glass["row"].value = 3                                      # another window, of the same look
    both, patterns = glass._seen["rows"][3]
    with torch.no_grad(), capture(before.eval(), "blocks.1.attention.pattern") as seen:
        assert torch.allclose(both["before"], before(inputs)[3].softmax(-1), atol=1e-5)
    assert torch.allclose(patterns[1], seen["blocks.1.attention.pattern"][3], atol=1e-5)


def test_any_batch_and_any_window_can_be_looked_at_and_keep_the_place(lab):
    lab.advance(4)
    glass = lab.microscope()
    glass["place"].value = 7
    glass["batch"].value, glass["row"].value = 2, 5
    inputs, _ = lab.run.stream[2]
    assert "Batch 2, window 5, place 7:" in glass.parts[1].alt
    assert torch.equal(glass.look(glass["model"].value, 2, 5)[0]["batch"][0], inputs)
    lab.advance(3)
    glass["batch"].value = microscope.NEXT
    assert "Batch 7, window 5" in glass.parts[1].alt            # 3 + 4 steps were made


def test_a_step_on_its_batch_lowers_its_loss_and_another_batch_s_less(lab):
    lab.advance(12)
    glass = lab.microscope()

    def gain(number: int, seen: dict) -> float:
        inputs, targets = lab.run.stream[number]
        losses = [nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).item()
                  for model in (lab.run.model, seen["after"])]
        return losses[0] - losses[1]

    seen = glass.step(glass["model"].value, 3)
    assert gain(3, seen) > 0
    assert gain(3, seen) > gain(700, seen) - 0.01               # one text, so the others gain, too


def test_ten_alternatives_and_the_target_are_told(lab):
    glass = lab.microscope()
    story = glass.redraw()[1]
    assert story.html.count("(came)") == 1
    assert story.html.count("<small>") in (2 * microscope.TOP, 2 * microscope.TOP + 2)


def test_the_model_that_ships_is_seen_alike_and_knows_most_places(lab):
    glass = lab.microscope()
    glass["model"].value = SHIPPED
    assert glass.error is None and glass["follow"].disabled
    before = weights(experiment.shipped())
    targets = glass.step(SHIPPED, 40)["batch"][1]
    before_it, after_it = (torch.stack([glass.look(SHIPPED, 40, row)[1][when].gather(-1, each[:, None])
                                        for row, each in enumerate(targets)]) for when in ("before", "after"))
    assert before_it.log().mean() > -0.8 and (before_it > 0.5).float().mean() > 0.75      # what the page says of it
    assert after_it.log().mean() > before_it.log().mean()
    assert torch.equal(weights(experiment.shipped()), before)


def test_the_attention_is_the_chosen_head_s_and_too_high_a_number_is_the_last(lab):
    glass = lab.microscope()
    one = glass.redraw()[2].alt
    glass["head"].value = 3
    assert "head 3 of 4" in glass.parts[2].alt and "head 1 of 4" in one
    glass["layer"].value = 4                                    # this model has two layers
    assert "layer 2 of 2" in glass.parts[2].alt


def test_a_glass_is_due_only_while_it_follows_what_trains(lab):
    glass = lab.microscope()
    glass.redraw()
    assert not glass.due
    glass._views, glass._looked = [object()], -10.0
    assert not glass.due
    with glass._silent():
        glass["follow"].value = True
    assert glass.due
    glass._views = []


@pytest.fixture
def page(monkeypatch):
    """Where widgets are shown and none is seen: outputs go nowhere, and are there to be taken the place of."""
    class Page:
        def display(self, data, *, raw, metadata=None, display_id=None):
            return self if display_id else None

        def update(self, *_, **__):
            pass
    monkeypatch.setattr(live, "display", Page().display)


def test_when_the_laboratory_s_cell_is_run_again_they_look_at_the_new_one(page, lab):
    lab._ipython_display_()
    lab.advance(4)
    glass, health_of = lab.microscope(), lab.health()
    again = laboratory.training_lab(Corpus(name="dogs", title="Dogs", documents=(TEXT.replace("cat", "dog"),)),
                                    against=laboratory.NOBODY, first=1)       # another text: nothing is taken over
    again._ipython_display_()
    assert lab.closed and again.run is not lab.run
    first = glass["model"].value
    assert glass.step(first)["run"] is again.run is health_of.step(first)["run"]
    again.advance(2)
    assert glass.step(first)["number"] == again.run.done and lab.verdict() is not None
    again.close()


def test_a_glass_that_follows_has_every_other_picture_and_the_board_the_rest(page, lab):
    lab._ipython_display_()
    glass, drawn = lab.microscope(), []
    glass._ipython_display_()
    with glass._silent():
        glass["follow"].value = True
    glass.redraw = lambda: drawn.append("glass")
    before = lab._show
    lab._draw = lambda **values: drawn.append("board") or before(**values)
    setattr(lab._play, clock.playing(lab._play), True)
    for _ in range(4):
        glass._looked = -1e9                                     # it is due again at once
        lab.redraw()
    assert drawn == ["glass", "board"] * 2
    lab.close()
    glass.close()


def test_small_probabilities_keep_a_digit():
    assert [microscope.percent(p) for p in (1.0, 0.128, 0.01, 0.0042, 0.0)] == ["100%", "13%", "1%", "0.4%", "0.0%"]


def test_shades_grow_with_surprise():
    shades = [-float(microscope.shade(p).rstrip(")").split(",")[-1]) for p in (1.0, 0.5, 0.1, 0.01)]     # alpha
    assert shades == sorted(shades, reverse=True) and len(set(shades)) == 4


def test_a_row_of_tokens_keeps_the_choice_when_other_tokens_stand_there():
    row = TokenRow(5, chosen=3)
    row.fill(["a", "a", "·", "b", "a"], ["#fff"] * 5)
    assert row.control.value == 3 and [label for label, _ in row.control.options] == ["a", "a", "·", "b", "a"]
    row.fill(["x", "y"], ["#fff"] * 2, rtl=True)
    assert row.control.value == 1 and "direction:rtl" in row.sheet.value and "nth-child(2) {outline" in row.sheet.value


# --- every part of the model

def test_every_part_is_measured_by_the_step_that_is_made(lab):
    lab.advance(5)
    after = lab.run.after_one_step()
    found = {part.name: part for part in health.parts(lab.run.model, after)}
    assert list(found) == ["embed", "1 attention", "1 mlp", "2 attention", "2 mlp"]
    old, new = lab.run.model.embed.weight, after.embed.weight
    assert found["embed"].moved == pytest.approx(((new - old).norm() / old.norm()).item(), rel=1e-4)
    assert found["embed"].gradient == pytest.approx(new.grad.norm().item(), rel=1e-4)


def test_a_part_that_is_frozen_is_seen_to_stand_still(lab):
    lab.advance(2)
    for weight in lab.run.model.blocks[1].mlp.parameters():
        weight.requires_grad_(False)
    lab.run.optimizer = experiment.OPTIMIZERS["adamw"](lab.run.model, 3e-3)
    names = [part.name for part in health.parts(lab.run.model, lab.run.after_one_step())]
    assert "2 mlp" not in names and "1 mlp" in names


def test_dead_units_are_counted_and_living_ones_are_not():
    material = experiment.prepare(Corpus(name="cats", documents=(TEXT,)))
    config = experiment.configure(experiment.OWN, "nano", material.tokenizer.vocab_size, mlp="relu")
    run = experiment.Run(material, config)
    inputs = run.next_batch()[0]
    assert max(health.dead_units(run.model, inputs)) < 0.05
    with torch.no_grad():
        run.model.blocks[0].mlp.up_proj.weight[:64] = 0.0        # relu(0) = 0, whatever is read
    n = run.model.blocks[0].mlp.up_proj.weight.shape[0]
    assert health.dead_units(run.model, inputs)[0] == pytest.approx(64 / n, abs=0.03)


def test_the_chart_names_what_moves_most_and_least(lab):
    lab.advance(5)
    said = lab.health().redraw()[0].alt
    found = health.parts(lab.run.model, lab.run.after_one_step())
    most, least = (pick(found, key=lambda part: part.moved).name for pick in (max, min))
    assert f"moves {most} most" in said and f"and {least} least" in said
    assert all(np.isfinite([part.moved for part in found]))


def test_late_in_training_a_step_moves_about_a_thousandth():
    run = experiment.shipped()
    moved = [part.moved for part in health.parts(run.model, run.after_one_step())]
    assert 2e-4 < min(moved) and max(moved) < 1e-2


def test_at_the_start_a_step_moves_some_hundredths(lab):
    made = laboratory.training_lab(corpora.load("stories"), against=laboratory.NOBODY, first=20)
    made.advance(20)
    moved = [part.moved for part in health.parts(made.run.model, made.run.after_one_step())]
    assert 0.01 < min(moved) and max(moved) < 0.1
