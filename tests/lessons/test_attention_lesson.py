"""Notebook 03's claims hold, its widgets show what attention does, and its races come out as it says."""
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from minillm.config import ModelConfig
from minillm.costs import cache_bytes
from minillm.layers import Attention, RMSNorm, visible
from minillm.lessons.attention import drawings, measures, races, recall, remembering, widgets
from minillm.notebook.looking import GalleryOfHeads

# -- how sharp --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("width", [4, 64, 1024])
def test_scores_spread_by_the_root_of_the_width(width):
    queries, keys = measures.random_vectors(width)
    assert (queries @ keys.T).std() == pytest.approx(width ** 0.5, rel=0.2)


def test_the_pattern_s_derivative_is_what_autograd_finds():
    scores = torch.tensor([0.3, -1.0, 2.0, 0.0])
    found = torch.autograd.functional.jacobian(lambda s: s.softmax(-1), scores)
    assert float(measures.responsiveness(scores.softmax(-1))) == pytest.approx(float(found.norm()), abs=1e-6)
    assert float(measures.responsiveness(torch.tensor([0.5, 0.5]))) == pytest.approx(0.5)
    assert float(measures.responsiveness(torch.tensor([1.0, 0.0]))) == 0


def test_entropy_counts_the_keys_that_share():
    assert float(measures.entropy(torch.full((8,), 1 / 8)).exp()) == pytest.approx(8)
    assert float(measures.entropy(torch.tensor([1.0, 0.0]))) == 0


def test_undivided_scores_of_wide_heads_no_longer_move_and_the_root_keeps_every_width_alike():
    live = widgets.width_dial()
    lines = {line.get_label(): line.get_ydata() for line in live.redraw()[0].axes[2].lines}
    nothing, root, width = (lines[f"divided by {name}"] for name in ("nothing", "√E", "E"))
    assert nothing[-1] < 0.1 < nothing[0] and nothing[-1] < nothing[-2] < nothing[-3]
    assert max(root) - min(root) < 0.05
    assert max(width[-3:]) - min(width[-3:]) < 0.02
    live["divide"].value = 1.0
    live["width"].value = 1024
    assert "spread by 0.0" in live.parts[0].alt and "like 16.0 of 16 keys" in live.parts[0].alt
    live["divide"].value = 0.5
    live["temperature"].value = 0.25
    assert "spread by 4" in live.parts[0].alt


# -- masks ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mask, rows, leaks, broken", [
    ("none", 4, True, 0), ("−∞ before the softmax", 4, False, 0), ("0 before the softmax", 4, True, 0),
    ("+∞ before the softmax", 1, False, 3), ("0 after the softmax", 1, False, 0), ("inverted", 3, True, 1),
    ("the diagonal hidden, too", 3, False, 1)])
def test_each_mask_does_what_the_page_says(mask, rows, leaks, broken):
    _, pattern = measures.masked_pattern(widgets.SCORES, mask)
    assert int(((pattern.sum(-1) - 1).abs() < 1e-5).sum()) == rows
    assert bool((pattern.triu(1).nan_to_num() > 0).any()) is leaks
    assert int(pattern.isnan().any(-1).sum()) == broken


def test_the_masks_are_shown_with_their_sums():
    live = widgets.mask_stages()
    assert "Every row sums to one; nothing goes to later tokens" in live.redraw()[0].alt
    live["mask"].value = "0 after the softmax"
    assert "3 of 4 rows do not sum to one" in live.parts[0].alt
    live["mask"].value = "the diagonal hidden, too"
    assert "1 of 4 rows is NaN; of the rest, nothing goes to later tokens" in live.parts[0].alt
    shown = [text.get_text() for text in live.parts[0].axes[2].texts]
    assert shown.count("NaN") >= 4 and "−∞" in [text.get_text() for text in live.parts[0].axes[1].texts]
    live["mask"].value = "−∞ before the softmax"
    live["over"].value = -2
    assert "softmax over the queries" in live.parts[0].alt and "do not sum to one" in live.parts[0].alt


# -- heads ------------------------------------------------------------------------------------------------------------

def test_the_drawing_follows_the_numbers_through_right_and_wrong_reshapes():
    live = drawings.reshape_flow()
    assert live.redraw()[0].alt == ("Each head holds its own two numbers of every token. "
                                    "Joined again, each row is its token's.")
    live["split"].value = False
    assert "head 0 holds 6 of token 0 and 2 of token 1, and none of the others" in live.parts[0].alt
    assert "Joined, the row of token 1 holds numbers of" in live.parts[0].alt
    live["join"].value = False
    assert "Joined again, each row is its token's" in live.parts[0].alt      # two wrongs hide each other


@pytest.fixture(scope="module")
def anyway():
    return races.trains_anyway()


def test_the_easy_task_hides_scrambled_heads_and_the_hard_one_shows_them(anyway):
    easy, hard = anyway.values()
    ends = {name: np.array(points[-1][2]) for name, points in easy.items()}
    assert abs(ends["cut and swapped"].mean() - ends["cut by one view"].mean()) < 0.05
    assert min(each.min() for each in ends.values()) > 0.75
    assert min(hard["cut and swapped"][-1][2]) > 0.95
    assert max(hard["cut by one view"][-1][2]) < 0.25
    words = races.race_picture(anyway, title="Would you have noticed?").alt
    assert "said again, cut and swapped: all above 95%" in words
    assert "said again, cut by one view: all below 25%" in words


def test_a_seed_goes_in_a_stack_as_it_goes_alone():
    def run(seeds):
        return list(races.race(lambda: races.one_layer(Attention), races.say_again, seeds=seeds, n_steps=8, every=4))
    together, alone = run((0, 1)), run((1,))
    for (_, losses, right), (_, lonely, own) in zip(together, alone, strict=True):
        assert losses[1] == pytest.approx(lonely[0], rel=1e-4) and right[1] == pytest.approx(own[0], abs=0.01)
    assert together[0][1][0] != together[0][1][1]


def test_scrambled_heads_look_at_no_later_token_and_miss_most_earlier_ones():
    torch.manual_seed(0)
    layer = races.one_layer(races.ScrambledAttention).blocks[0].attention
    x = torch.randn(1, 16, 32)
    changed = x.clone()
    changed[:, 0] += 1
    assert int(((layer(changed) - layer(x)).abs().amax(-1) > 1e-6).sum()) == 4        # a quarter of the text
    changed = x.clone()
    changed[:, -1] += 1
    assert int(((layer(changed) - layer(x)).abs().amax(-1) > 1e-6).sum()) == 1


def test_tasks_ask_for_what_they_say():
    draw = torch.Generator().manual_seed(0)
    tokens, targets = races.say_again(draw)
    assert (targets[:, :races.HALF - 1] == -100).all()
    assert torch.equal(targets[:, races.HALF - 1:], tokens[:, :races.HALF])
    tokens, targets = races.usual_successor(draw, batch=400)
    assert torch.equal(tokens[:, 1:], targets[:, :-1])
    assert ((tokens * 3 + 1) % races.SYMBOLS == targets).float().mean() == pytest.approx(0.9 + 0.1 / 8, abs=0.02)


# -- without a softmax ------------------------------------------------------------------------------------------------

def test_states_alone_forget_and_one_softmax_layer_in_four_remembers():
    ends = {name: [row[-1] for row in rows] for name, rows in recall.RIGHT.items()}
    assert ends.keys() == recall.VARIANTS.keys() and {len(end) for end in ends.values()} == {len(recall.SEEDS)}
    assert {len(row) for rows in recall.RIGHT.values() for row in rows} == {recall.N_STEPS // recall.EVERY + 1}
    for name in ("four softmax layers", "softmax first, three delta", "three delta, softmax last"):
        assert min(ends[name]) == 100
    assert max(ends["four linear layers"] + ends["four delta layers"]) < 60
    assert min(ends["four delta layers, three pairs"]) >= 85
    assert "three delta, softmax last 100 to 100%" in recall.recall_picture().alt


@pytest.mark.parametrize("variant", ["three delta, softmax last", "four delta layers"])
def test_the_stored_points_are_what_the_race_gives(variant):
    points = recall.percent(list(islice(recall.learn(variant, seeds=(0,)), 4)))[0]
    assert points == pytest.approx(recall.RIGHT[variant][0][:4], abs=8)         # processors round differently


def test_a_race_asks_for_each_key_that_was_told():
    tokens, targets = recall.told_and_asked(torch.Generator().manual_seed(0))
    told, asked = tokens[:, :recall.PAIRS], tokens[:, recall.PAIRS:]
    assert (asked[..., 1] == recall.VALUES).all() and (targets[:, :recall.PAIRS] == -100).all()
    for row, question, answer in zip(told, asked, targets[:, recall.PAIRS:], strict=True):
        known = dict(row.tolist())
        assert [known[key] for key in question[:, 0].tolist()] == answer.tolist() and len(known) == recall.PAIRS


def test_the_variants_differ_in_their_attention_alone():
    configs = {name: recall.config(name).to_dict() for name in recall.VARIANTS}
    fields = {"linear_attention", "full_every", "full_first"}
    assert len({str({k: v for k, v in each.items() if k not in fields}) for each in configs.values()}) == 1


def test_the_stacked_norm_is_the_library_s():
    torch.manual_seed(0)
    plain, x = RMSNorm(6), torch.randn(3, 6)
    stacked = recall.StackedNorm(6)
    torch.testing.assert_close(stacked(x), plain(x))


def test_the_memory_picture_shows_what_the_ledger_counts():
    full = ModelConfig(n_layers=4, context_length=2**17)
    picture = drawings.memory_picture(full=full, flat=replace(full, linear_attention="delta"),
                                      window=replace(full, window=512))
    lines = {line.get_label(): line.get_ydata() for line in picture.axes[0].lines}
    assert lines["full"][-1] == cache_bytes(full, seq=2**17) / 1e6
    assert lines["flat"][0] == lines["flat"][-1] and lines["window"][2] == lines["window"][-1]
    assert lines["full"][1] == 2 * lines["full"][0]


# -- shared keys ------------------------------------------------------------------------------------------------------

def test_both_ways_of_sharing_give_the_same_and_what_the_layer_gives():
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 6, 1, 5), torch.randn(2, 3, 7, 5), torch.randn(2, 3, 7, 5)
    torch.testing.assert_close(measures.decode_by_copying(q, k, v), measures.decode_by_group(q, k, v))
    layer = Attention(ModelConfig(d_model=12, n_heads=6, d_head=5, n_kv_heads=3, position="none"))
    torch.testing.assert_close(layer.share(k), k.repeat_interleave(2, 1))


def test_reading_shared_keys_once_is_faster_than_copying_them():
    times = measures.decoding_times(1, repeats=9)
    assert times["read once"] < times["copied"]


def test_the_sharing_dial_counts_exactly_and_measures_when_asked():
    live = widgets.sharing_dial()
    live["n_kv_heads"].value = 8
    assert "(MHA)" in live.redraw()[0].alt and "4.0 MiB of cache" in live.parts[0].alt
    live["n_kv_heads"].value = 1
    assert "(MQA): 589,824 parameters, 0.5 MiB of cache" in live.parts[0].alt and "ms" not in live.parts[0].alt
    live["measure"].click()
    assert live.error is None and "read once" in live.parts[0].alt
    speed = live.parts[0].axes[2]
    assert [len(line.get_xdata()) for line in speed.lines] == [1, 1]


# -- the cache --------------------------------------------------------------------------------------------------------

def test_the_right_cache_is_right_for_every_split():
    assert remembering.errors("right").max() < 1e-4


@pytest.mark.parametrize("mistake", [name for name in remembering.CACHES if name != "right"])
def test_each_mistake_with_a_cache_shows_from_its_own_place_on(mistake):
    found = remembering.errors(mistake)
    n = remembering.N_TOKENS
    always = mistake == "the last text is still in it"
    for prefill in range(n):
        assert (found[prefill, :0 if always else prefill] < 1e-4).all()
        assert (found[prefill, 0 if always else max(1, prefill):] > 1e-3).all()
    assert always or found[0, 0] < 1e-4


def test_the_mistakes_differ_from_each_other():
    rows = [remembering.errors(name)[1] for name in remembering.CACHES]
    assert all(np.abs(a - b).max() > 1e-3 for i, a in enumerate(rows) for b in rows[:i])


def test_the_split_slider_tells_where_it_goes_wrong():
    live = remembering.cache_split()
    assert "No position differs" in live.redraw()[0].alt
    live["mistake"].value = "it is never used"
    live["prefill"].value = 4
    assert "Wrong at 5 of 9 positions, first at position 4" in live.parts[0].alt


def test_the_window_shows_how_many_keys_each_query_sees():
    live = widgets.window_dial()
    live.redraw()
    live["window"].value = 3
    figure = live.parts[0]
    assert [text.get_text() for text in figure.axes[0].texts[:12]] == ["1", "2"] + ["3"] * 10
    assert "the cache keeps at most 3 positions" in figure.alt
    live["window"].value = 0                                     # none
    assert "sees 12 keys" in live.parts[0].alt


def test_with_a_window_of_four_the_first_of_twelve_tokens_is_known_after_four_layers():
    one = visible(torch.arange(12), torch.arange(12), 4).float()
    known = [float(torch.linalg.matrix_power(one, n_layers)[11, 0]) for n_layers in (1, 2, 3, 4)]
    assert known[:3] == [0, 0, 0] and known[3] > 0


# -- memory and the model that ships ----------------------------------------------------------------------------------

def test_the_largest_tensor_is_counted():
    assert measures.largest_tensor(lambda x: (x[:, None] * x).sum(), torch.ones(7)) == 49


def test_the_shipped_model_has_no_sink_and_looks_where_the_page_says():
    where = measures.attended(measures.fresh_patterns())
    assert where["the first token"].mean() < measures.even_share(64)
    itself, before = where["itself"].mean(1), where["the token before"]
    assert itself.argmax() == 0 and itself[0] > 2 * itself[1:].max()
    assert divmod(int(before.argmax()), before.shape[1])[0] in (1, 2)
    assert before.max() < 0.9 and where["how many keys (e to the entropy)"].min() < 1.6


def test_an_even_share_is_that_of_a_model_that_looks_everywhere_alike():
    even = torch.ones(5, 5).tril()
    even = (even / even.sum(-1, keepdim=True))[None, None, None]
    assert float(measures.attended(even)["the first token"]) == pytest.approx(measures.even_share(5))
    assert f"{measures.even_share(64):.0%}" == "6%" and measures.even_share(2) == 1 / 2


def test_the_reader_says_who_looks_at_whom():
    live = widgets.reader("Nora has a hamster.")
    heads, words = live.redraw()
    model, tokenizer = measures.storyteller()
    pieces = tokenizer.pieces(tokenizer.encode("Nora has a hamster."))
    pattern = measures.patterns(model, torch.tensor([tokenizer.encode("Nora has a hamster.")]))
    live["layer"].value, live["head"].value, live["query"].value = 2, 5, 3
    row = pattern[1, 0, 4, 3]
    best = pieces[int(row.argmax())].replace(" ", "·")
    assert f"'·hamster' reads {float(row.max()):.0%} from '{best}'" in live.parts[1].alt
    live["query"].value = 39                                     # past the end: the last token
    assert live.error is None and "'.' reads" in live.parts[1].alt
    assert "(there is no token 39; this is the last)" in live.parts[1].html
    live["text"].value = ""
    assert live.error is None and "type something" in live.parts[1].html
    live["text"].value = "Nora " * 60
    assert live.error is None and "the first 40 of" in live.parts[1].html
    live["text"].value = "<b>bold</b>"
    assert "<b>bold" not in live.parts[1].html.replace("<b>'", "")


def test_the_gallery_stretches_each_row_and_frames_the_chosen_head():
    gallery = GalleryOfHeads(2)
    pattern = np.array([[[1.0, 0.0], [0.2, 0.8]], [[1.0, 0.0], [0.5, 0.5]]])
    words = gallery.draw(pattern, chosen=2, query=1).alt
    assert np.allclose(gallery.images[0].get_array(), [[1, 0], [0.25, 1]])
    assert [line.get_visible() for line in gallery.lines] == [False, True] and "0.1, 0.2 positions back" in words


def test_the_atlas_shows_each_measure():
    live = widgets.head_atlas()
    for place in measures.attended(measures.fresh_patterns()):
        live["place"].value = place
        assert live.error is None
        values = measures.attended(measures.fresh_patterns())[place]
        first = live.parts[0].axes[0].texts[0].get_text()
        assert first == (f"{float(values[0, 0]):.0%}" if values.max() <= 1 else f"{float(values[0, 0]):.1f}")
