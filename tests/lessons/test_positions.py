"""Notebook 02's pictures, widgets and claims: what is said about positions is what the library computes."""
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minillm.inspection import capture
from minillm.layers.position import ALiBi, RoPE, Sinusoidal
from minillm.lessons.positions import dials, measures, pictures, race, widgets

# -- drawings --------------------------------------------------------------------------------------------------------

def test_each_id_picks_its_row():
    table = torch.arange(12.0).view(4, 3)
    picture = pictures.one_hot_drawing(torch.tensor([2, 0]), table)
    words = [text.get_text() for text in picture.axes[0].texts]
    assert words.count("1") == 2 + 2                   # two of the one-hot rows; row 0 holds one, and is picked
    assert "id 2 picks row 2, id 0 picks row 0" in picture.alt


@pytest.mark.parametrize("layout", ["halves", "neighbours"])
def test_the_arcs_join_those_that_the_library_turns_together(layout):
    rope = RoPE(8, pairs=layout)
    for first, second in pictures.partners(8, layout):
        turned = rope(F.one_hot(torch.tensor([first]), 8).float(), torch.tensor([1]))[0]
        assert set(turned.nonzero().flatten().tolist()) == {first, second}


def test_the_slopes_are_the_library_s():
    lines = pictures.slopes_picture(4, 32).axes[0].lines
    for head, line in enumerate(lines):
        expected = ALiBi(4)(torch.tensor([32]), torch.tensor([32 - 10]))[head, 0, 0]
        assert line.get_ydata()[10] == pytest.approx(float(expected))


def test_the_places_and_the_cache_are_said_in_words():
    assert "nothing acts on the values" in pictures.three_places().alt
    assert "stands at position 7, though only 4 rows" in pictures.cache_drawing(kept=4, gone=3).alt


# -- dials -----------------------------------------------------------------------------------------------------------

def test_rows_of_waves_fit_by_distance_alone_in_either_layout():
    live = dials.waves()
    for position in (10, 40):
        live["position"].value = position
        curve = live.redraw()[0].axes[1].lines[0].get_ydata()
        for away in (1, 4, 9):
            assert curve[position - away] == pytest.approx(curve[position + away], abs=1e-4)
            assert curve[position - away] == pytest.approx(
                sum(math.cos(away * 10_000 ** (-2 * i / 32)) for i in range(16)), abs=1e-3)
    before = np.array(curve)
    live["layout"].value = "halves"
    assert live.redraw()[0].axes[1].lines[0].get_ydata() == pytest.approx(before, abs=1e-4)
    live["theta"].value = 10.0
    assert live.redraw()[0].axes[1].lines[0].get_ydata()[30] < before[30]


def test_the_clocks_stand_where_the_library_turns_them():
    live = dials.dial()
    live["position"].value = 31
    hands = [line for line in live.redraw()[0].axes[1].lines if len(line.get_xdata()) == 2]
    rope = RoPE(dials.D_HEAD)
    first = torch.zeros(dials.D_HEAD)
    first[:dials.D_HEAD // 2] = 1
    turned = rope(first[None], torch.tensor([31]))[0]
    for i, hand in enumerate(hands):
        x, y = hand.get_xdata()[1] - hand.get_xdata()[0], hand.get_ydata()[1]
        assert (x, y) == pytest.approx((float(turned[i]), float(turned[i + dials.D_HEAD // 2])), abs=1e-5)


def test_backwards_mirrors_the_scores_and_a_share_leaves_clocks_at_rest():
    live = dials.dial()
    curve = np.array(live.redraw()[0].axes[0].lines[0].get_ydata())
    live["backwards"].value = True
    assert live.redraw()[0].axes[0].lines[0].get_ydata() == pytest.approx(curve[::-1], abs=1e-6)
    live["fraction"].value = 0.25
    assert "2 of 8 pairs turn backwards" in live.redraw()[0].alt
    assert [text.get_text() for text in live.parts[0].axes[1].texts].count("rests") == 6


def test_only_under_rope_with_values_at_rest_does_nothing_move():
    live = dials.shift()
    live["start"].value = 40
    assert "change by up to 0.00, what the last word takes in by up to 0.00" in live.redraw()[0].alt
    scores, outputs = dials.one_head("RoPE", 0)
    for start in (1, 40, 100):
        moved, taken = dials.one_head("RoPE", start)
        assert torch.allclose(scores, moved, atol=1e-4) and torch.allclose(outputs, taken, atol=1e-4)
    moved, taken = dials.one_head("RoPE", 40, values_too=True)
    assert torch.allclose(scores, moved, atol=1e-4) and (outputs - taken)[-1].abs().max() > 0.1
    for scheme in ("learned", "sinusoidal"):
        (before, first), (after, then) = (dials.one_head(scheme, start) for start in (0, 40))
        seen = before > -torch.inf
        assert (before - after)[seen].abs().max() > 0.1 and (first - then)[-1].abs().max() > 0.1
    live["values_too"].value = True
    live["scheme"].value = "learned"
    assert live["values_too"].disabled and "values turned too" not in live.redraw()[0].alt


def test_no_bar_of_the_shift_is_cut_off():
    low, high = dials.shift().redraw()[0].axes[2].get_ylim()
    for scheme, values_too in (("RoPE", False), ("RoPE", True), ("learned", False), ("sinusoidal", False)):
        for start in range(101):
            taken = dials.one_head(scheme, start, values_too=values_too)[1][-1]
            assert low < taken.min() and taken.max() < high


@pytest.mark.parametrize("position, n_layers, notices", [
    ("none", 1, False), ("none", 2, True), ("none", 3, True), ("rope", 1, True), ("learned", 1, True)])
def test_one_layer_without_positions_is_blind_to_order_and_two_are_not(position, n_layers, notices):
    change = measures.swapped(n_layers, position)
    assert change[0] == 0 and change[1] > 0.1                      # before them nothing changes, at them much
    assert (change[3:].max() > 0.05) if notices else (change[3:].max() < 1e-5)
    live = dials.depth()
    live["position"].value, live["n_layers"].value = position, n_layers
    assert ("none notices" in live.redraw()[0].alt) is not notices


def test_layers_with_positions_in_every_second_notice():
    live = dials.depth()
    live["position"].value, live["n_layers"].value = "every second", 2
    assert "none notices" not in live.redraw()[0].alt


# -- the shipped model -----------------------------------------------------------------------------------------------

def loss(mistake, start, end):
    return float(measures.symptom(mistake)[0][start:end].mean())


RIGHT = "none: as it was trained"


def test_permuted_rows_read_in_the_other_layout_are_the_same_model():
    assert torch.allclose(measures.symptom("other layout, rows permuted")[0], measures.symptom(RIGHT)[0], atol=1e-3)
    assert measures.symptom("other layout, rows permuted")[1] == measures.symptom(RIGHT)[1]


def test_the_wrong_layout_begins_right_and_then_climbs():
    wrong = "read in the other layout"
    assert loss(wrong, 0, 1) == pytest.approx(loss(RIGHT, 0, 1), abs=1e-3)
    parts = ((0, 4), (16, 32), (64, 128), (128, 256))
    rise = [loss(wrong, start, end) - loss(RIGHT, start, end) for start, end in parts]
    assert rise == sorted(rise) and rise[0] < 0.3 and rise[-1] > 1.5


@pytest.mark.parametrize("mistake", ["pairs counted from 1", "exponent halved", "turned backwards"])
def test_other_speeds_make_these_weights_worse(mistake):
    assert loss(mistake, 32, 256) > loss(RIGHT, 32, 256) + 0.1


def test_values_turned_too_are_the_worst_soon_after_the_start():
    others = [loss(mistake, 16, 32) for mistake in measures.MISTAKES if not mistake.startswith("values")]
    assert loss("values turned too", 16, 32) > max(others) + 0.5


def test_a_table_that_ends_is_flawless_until_there():
    end = measures.SHORT
    mistake = f"table ends at {end}"
    ours, right = measures.symptom(mistake)[0], measures.symptom(RIGHT)[0]
    assert torch.allclose(ours[:end], right[:end], atol=1e-3)
    assert ours[end + 8:].mean() > right[end + 8:].mean() + 2


def test_a_table_that_ends_ruins_what_is_written_behind_it():
    ours, right = (measures.symptom(each)[1] for each in (f"table ends at {measures.SHORT}", RIGHT))
    _, tokenizer = measures.storyteller()
    ids, others = tokenizer.encode(ours), tokenizer.encode(right)
    same = next(i for i, (one, other) in enumerate(zip(ids, others, strict=False)) if one != other)
    assert same >= measures.SHORT                      # the table serves position 31 as it should, and 32 no more


def test_no_curve_of_a_symptom_is_cut_off():
    top = widgets.symptoms().redraw()[0].axes[0].get_ylim()[1]
    assert all(widgets._smooth(measures.symptom(each)[0]).max() < top for each in measures.MISTAKES)


def test_every_symptom_is_shown_beside_the_right_model():
    live = widgets.symptoms()
    for mistake in measures.MISTAKES:
        live["mistake"].value = mistake
        figure, written = live.redraw()
        assert figure.axes[0].lines[1].get_ydata() == pytest.approx(widgets._smooth(measures.symptom(mistake)[0]))
        assert mistake in figure.alt and measures.OPENING in written.html


def test_scores_fall_with_distance_for_equal_vectors_alone():
    same, random = widgets._drawn_scores(128)
    assert same[0, 0] == same.max() and same[0, :8].mean() > same[0, 64:].mean() + 1
    assert (random[:, :8].mean(1) > random[:, 64:].mean(1) + 1).sum() <= 1


def test_trained_heads_fall_on_average_and_yet_look_where_they_learned_to():
    means = measures.mean_scores()
    same, _ = widgets._drawn_scores(means.shape[-1])
    fall = means[..., :8].mean(-1) - means[..., 64:].mean(-1)
    assert fall.median() > 2 * (same[0, :8].mean() - same[0, 64:].mean())
    assert (means.argmax(-1) > 0).sum() > 6 and measures.far_gaze(16).max() > 0.1
    live = widgets.distances()
    live["layer"].value, live["head"].value = 2, 3
    assert live.redraw()[0].axes[2].lines[0].get_ydata() == pytest.approx(means[1, 2].numpy())
    assert f"has it at {int(means[1, 2].argmax())}," in live.parts[0].alt


def test_scores_are_those_that_the_model_s_attention_softmaxes():
    model, _ = measures.storyteller()
    tokens = measures.fresh_rows()[:1, :24]
    with torch.no_grad(), capture(model, "blocks.*.attention.pattern") as seen:
        model(tokens)
        found = list(measures.scores(model, tokens))
    later = torch.ones(24, 24, dtype=torch.bool).triu(1)
    for scores, pattern in zip(found, seen.values(), strict=True):
        assert torch.allclose(scores.masked_fill(later, -torch.inf).softmax(-1), pattern, atol=1e-5)
    means = measures.mean_scores()
    assert means.shape[:2] == (len(found), found[0].shape[1]) and means.mean(-1).abs().max() < 1e-4


# -- the race --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def found():
    """Mean loss of each scheme and task at the trained positions, just beyond, and far beyond, (seed,)."""
    parts = {"trained": slice(8, race.TRAINED), "beyond": slice(race.TRAINED, 2 * race.TRAINED), "far": slice(32, None)}
    return {(task, scheme, name): race.losses(task, runs)[:, part].mean(1)
            for task in race.TASKS for scheme, runs in race.raced(task).items() for name, part in parts.items()}


def test_the_tasks_are_what_they_say():
    tokens = torch.tensor([[7, 2, 9, 9, 1, 8]])
    assert race.three_back(tokens).tolist() == [[-100, -100, -100, 7, 2, 9]]
    assert race.last_vowel(tokens).tolist() == [[-100, -100, 2, 2, -100, 1]]


def test_many_seeds_at_once_are_each_the_library_s_own_model():
    runs = race.train(race.tiny(position="rope"), race.three_back, steps=3)
    tokens, targets = race.questions("three back", rows=4)
    for seed in range(race.SEEDS):
        logits = runs.one(seed)(tokens)
        alone = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(4, -1).mean(0)
        assert runs.losses(tokens, targets)[seed, 3:] == pytest.approx(alone[3:].detach().numpy(), abs=1e-4)


def test_learned_positions_fall_off_a_cliff_at_once(found):
    for task in race.TASKS:
        assert (found[task, "learned", "trained"] < 0.2).all() and (found[task, "learned", "beyond"] > 1.5).all()


def test_rope_holds_a_while_and_then_fails(found):
    assert (found["three back", "RoPE", "trained"] < 0.1).all()
    just = race.losses("three back", race.raced("three back")["RoPE"])[:, race.TRAINED:race.TRAINED + 4].mean(1)
    assert (just < 1.5).all() and (found["three back", "RoPE", "far"] > 1.5).all()
    assert (found["last vowel", "RoPE", "far"] < found["last vowel", "learned", "far"] - 1).all()


def test_alibi_never_looks_exactly_three_back_but_stays_level(found):
    assert (found["three back", "ALiBi", "trained"] > 1.5).all()
    for task in race.TASKS:
        assert (found[task, "ALiBi", "far"] - found[task, "ALiBi", "trained"] < 1.0).all()
    assert (found["three back", "ALiBi", "far"] < math.log(race.SYMBOLS)).all()


def test_sinusoidal_falls_almost_as_fast(found):
    assert found["three back", "sinusoidal", "beyond"].mean() > 3


def test_layers_without_positions_find_the_last_vowel_and_one_layer_does_not(found):
    assert (found["last vowel", "none", "trained"] < 0.45).all()
    alone = race.train(race.tiny(position="none", n_layers=1), race.last_vowel)
    loss = race.losses("last vowel", alone)[:, 8:16].mean(1)
    assert (loss > 0.6).all() and (loss < math.log(race.VOWELS)).all()          # it beats guessing all the same:


def test_one_layer_knows_which_vowels_never_came():
    alone = race.train(race.tiny(position="none", n_layers=1), race.last_vowel)
    tokens, targets = race.questions("last vowel")
    with torch.no_grad():
        given = alone.one(0)(tokens).softmax(-1)[:, 8:16, :race.VOWELS]
    came = F.one_hot(tokens, race.SYMBOLS).cumsum(1)[:, 8:16, :race.VOWELS] > 0
    asked = targets[:, 8:16] >= 0
    assert (given * ~came).sum(-1)[asked].mean() < 0.1 < (~came).float().mean(-1)[asked].mean()


def test_keys_seem_nearer_from_a_position_counted_in_rows():
    rope, query, key = RoPE(2), torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0]]).expand(4, -1)
    cached = rope(key, torch.arange(3, 7))
    right, by_rows = (cached @ rope(query, torch.tensor([at]))[0] for at in (7, 4))
    assert by_rows[0] == pytest.approx(float(right[3]), abs=1e-4)
    assert not torch.isclose(by_rows[1:, None], right, atol=1e-2).any()         # distances 0, -1, -2: met nowhere


def test_added_tables_keep_out_of_each_other_s_way():
    for seed in range(race.SEEDS):
        model = race.raced("three back")["learned"].one(seed)
        tables = model.embed.weight, model.position.weight[:race.TRAINED]
        words, places = (F.normalize(each, dim=1) for each in tables)
        assert (words @ places.T).abs().mean() < 0.12


@pytest.mark.parametrize("kind, turns, saved", [
    ("linear", 2.0, False), ("llama3", 2.0, True), ("yarn", 2.0, True), ("llama3", 4.0, False), ("yarn", 4.0, True)])
def test_only_stretching_that_leaves_the_fast_pair_alone_saves_three_back(found, kind, turns, saved):
    losses = race.losses("three back", race.raced("three back")["RoPE"].stretched(kind, 4.0, turns=turns))
    if saved:
        assert losses[:, -32:].mean() < 1.0 and losses[:, 8:16].mean() < 1.0
    else:
        assert losses[:, -32:].mean() > 5 and losses[:, 8:16].mean() > 5


def test_linear_helps_the_last_vowel_far_out_and_costs_it_near(found):
    losses = race.losses("last vowel", race.raced("last vowel")["RoPE"].stretched("linear", 4.0))
    assert losses[:, -32:].mean() < found["last vowel", "RoPE", "far"].mean() - 0.1
    assert losses[:, 8:16].mean() > found["last vowel", "RoPE", "trained"].mean() + 0.1


def test_a_table_that_ends_ruins_both_tasks(found):
    for task in race.TASKS:
        runs = race.raced(task)["RoPE"]
        losses = race.losses(task, runs.clamped())
        assert np.allclose(losses[:, 4:race.TRAINED], race.losses(task, runs)[:, 4:race.TRAINED], atol=1e-4)
        assert losses[:, 32:].mean() > found[task, "RoPE", "far"].mean() + 1


def test_the_race_is_drawn_as_it_was_run():
    picture = pictures.race_picture("three back")
    lines = {line.get_label(): line for line in picture.axes[0].lines if line.get_label() in race.SCHEMES}
    for name, runs in race.raced("three back").items():
        assert lines[name].get_ydata() == pytest.approx(race.losses("three back", runs).mean(0)[3:])


def test_what_is_changed_is_drawn_beside_what_was_trained():
    live = widgets.beyond()
    live["change"].value = "yarn"
    lines = live.redraw()[0].axes[0].lines
    runs = race.raced("three back")["RoPE"]
    assert lines[0].get_ydata() == pytest.approx(race.losses("three back", runs).mean(0)[3:])
    assert lines[1].get_ydata() == pytest.approx(
        race.losses("three back", runs.stretched("yarn", 4.0, turns=2.0)).mean(0)[3:])
    live["change"].value = "linear"
    assert live["turns"].disabled and not live["factor"].disabled
    live["change"].value = "table ends at 16"
    assert live["factor"].disabled and "nothing is stretched" in live._note.value


def test_waves_on_the_page_are_the_library_s():
    image = dials.waves().redraw()[0].axes[0].images[0]
    assert torch.equal(torch.as_tensor(np.asarray(image.get_array())), Sinusoidal(32, 64).waves)
