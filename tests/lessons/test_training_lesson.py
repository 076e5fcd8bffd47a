"""The laboratory trains what was chosen, races fairly, and its looking glasses leave the model as it was."""
import math
from datetime import datetime, timezone

import ipywidgets
import numpy as np
import pytest
import torch

from minillm import corpora
from minillm.corpora import Corpus
from minillm.lessons.training import choosing, experiment, laboratory, plots, telling, verdict, widgets
from minillm.lessons.training.experiment import OWN, Run, configure, prepare, rival_of
from minillm.notebook.controls import uploaded

TEXT = "the cat sat on the mat, and the dog ate the cake.\n" * 60


def corpus(text: str = TEXT, name: str = "cats") -> Corpus:
    return Corpus(name=name, title=name.title(), documents=(text,))


@pytest.fixture
def lab():
    made = laboratory.training_lab(corpus(), against=laboratory.NOBODY, first=1)
    yield made
    made.close()


def upload(lab, content: bytes) -> None:
    """What choosing a file in the browser does, in the shape of the ipywidgets at hand."""
    file = {"name": "mine.txt", "type": "text/plain", "size": len(content), "content": content}
    if ipywidgets.__version__ < "8":
        lab["upload"].set_trait("value", {"mine.txt": {"metadata": file, "content": content}})
    else:
        lab["upload"].value = [{**file, "last_modified": datetime.now(timezone.utc)}]


def weights(run: Run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def test_a_run_is_the_same_every_time_and_differs_by_seed():
    material = prepare(corpus())
    config = configure(OWN, "nano", material.tokenizer.vocab_size)

    def losses(seed):
        run = Run(material, config, n_steps=4, seed=seed)
        return [moment.step.loss for moment in run.steps()]

    assert losses(0) == losses(0) != losses(1)
    assert losses(0)[-1] < losses(0)[0]


def test_a_rival_differs_in_one_thing_and_sees_the_same_batches(lab):
    lab["against"].value = "LayerNorm"
    lab.advance(3)
    ours, theirs = lab.run.model.config.to_dict(), lab.rival.model.config.to_dict()
    assert {key for key in ours | theirs if ours.get(key) != theirs.get(key)} == {"norm"}
    assert all(torch.equal(a, b) for a, b in zip(lab.run.next_batch(), lab.rival.next_batch(), strict=True))
    assert lab.run.done == lab.rival.done == lab.history[-1][0].step.step + 1
    assert "with LayerNorm" in lab.redraw()[0].alt


def test_a_rival_that_would_be_the_same_model_is_refused():
    config = configure(OWN, "nano", 30, norm="layernorm")
    with pytest.raises(ValueError, match="LayerNorm already"):
        rival_of(config, "LayerNorm")
    rival, change = rival_of(config, "learning rate × 10")
    assert rival == config and change.factor == 10.0
    assert rival_of(config, "another seed")[1].seed and rival_of(config, "Muon")[1].optimizer == "muon"
    with pytest.raises(ValueError, match="Muon already"):
        rival_of(config, "Muon", "muon")


def test_another_seed_is_a_rival_with_other_weights_and_other_batches(lab):
    lab["against"].value = "another seed"
    lab.advance(2)
    assert lab.run.model.config == lab.rival.model.config and not torch.equal(weights(lab.run), weights(lab.rival))
    assert not torch.equal(lab.run.next_batch()[0], lab.rival.next_batch()[0])


@pytest.mark.parametrize("control, value, field, expected", [
    ("norm", "layernorm", "norm", "layernorm"), ("position", "alibi", "position", "alibi"),
    ("mlp", "gelu", "mlp", "gelu"), ("attention", "mqa", "n_kv_heads", 1), ("attention", "gqa", "n_kv_heads", 2),
    ("preset", "gpt2", "position", "learned"), ("size", "small", "n_layers", 4),
    ("tokenizer", "bytes", "vocab_size", 256)])
def test_each_toggle_starts_a_fresh_run_of_another_model(lab, control, value, field, expected):
    lab.advance(2)
    before = lab.run
    lab[control].value = value
    assert lab.error is None
    assert lab.run is not before and getattr(lab.run.model.config, field) == expected
    assert len(lab.history) == 1


@pytest.mark.parametrize("preset", experiment.ARCHITECTURES)
@pytest.mark.parametrize("fields", [{}, {"norm": "layernorm", "position": "learned", "mlp": "gelu",
                                         "attention": "mqa"}])
def test_every_preset_learns_with_and_without_toggles(preset, fields):
    material = prepare(corpus())
    run = Run(material, configure(preset, "nano", material.tokenizer.vocab_size, **fields), n_steps=2)
    assert [moment.step.step for moment in run.steps()] == [0, 1]


def test_attention_toggles_keep_four_heads_and_mha_undoes_a_preset_s_sharing():
    config = configure("llama-3-8b", "nano", 30, attention="mha")
    assert configure("llama-3-8b", "nano", 30).n_kv_heads == 1 or configure("llama-3-8b", "nano", 30).n_kv_heads == 2
    assert config.n_kv_heads is None and config.n_heads == 4


def test_it_learns_and_says_so_in_words(lab):
    lab["lr"].value = 1e-2
    lab.advance(60 - len(lab.history))
    board, written, _ = lab.redraw()
    first, last = lab.history[0][0].step.loss, lab.history[-1][0].step.loss
    assert last < 0.5 * first
    assert f"loss from {first:.2f} to" in board.alt and "after 60 steps" in board.alt
    assert "It writes:" in written.alt and "after 50 steps" in written.html


def test_one_press_sets_what_writes_sentences_and_starts_it(lab, monkeypatch):
    """Every control is set, the rival goes, the run begins anew; and what it names is there to be chosen."""
    lab.advance(3)
    goals, before = [], lab.run
    monkeypatch.setattr(lab, "_run_to", goals.append)
    lab["norm"].value, lab["against"].value = "layernorm", "another seed"
    lab["sentences"].click()
    assert lab.error is None and goals == [choosing.SENTENCES["n_steps"]] == [lab.total()] and lab.history == []
    assert {name: lab[name].value for name in choosing.SENTENCES} == choosing.SENTENCES
    lab.advance(1)
    assert lab.run is not before and lab.rival is None and lab.material.corpus.name == "stories"
    assert lab.run.rule == "muon" and lab.run.model.config.n_layers == 4 and lab.material.tokenizer.vocab_size == 6144


def test_what_writes_sentences_soon_has_left_guessing_behind_after_twenty_five_steps(lab):
    """A short version of that run: its loss falls, and what it writes is words, which a fresh model's is not."""
    with lab._silent():
        for name, value in (choosing.SENTENCES | {"n_steps": 100, "batch": 8}).items():
            lab[name].value = value
    words = set(corpora.load("stories").text.split())

    def known() -> float:
        told = lab.run.write(n_tokens=60, seed=1).split()[:-1]
        return sum(word in words for word in told) / max(len(told), 1)

    lab.advance(1)
    before = known()
    lab.advance(24)
    first, last = lab.history[0][0].step.loss, [moments[0].step.loss for moments in lab.history[-5:]]
    assert first == pytest.approx(math.log(6144), abs=0.5) and sum(last) / 5 < 0.95 * first
    assert known() > max(0.5, before)


def test_while_it_learns_its_sentences_are_shown_and_judged():
    """Those that the grammar allows on green, others on orange; the last ones are counted; one cut off is not."""
    step = next(Run(prepare(corpus()), configure(OWN, "nano", 30), n_steps=1).steps()).step

    def moment(done: int, text: str) -> experiment.Moment:
        return experiment.Moment(step, sample=text, written_at=done)
    stories, cats = corpora.load("stories"), corpus()
    moments = [moment(10, "xq j"), moment(50, "Maya lived in Foxdale. Maya had a apple. Ravi ha")]
    shown = telling.written(stories, moments)
    assert shown.html.count(verdict.RIGHT) == 1 and shown.html.count(verdict.WRONG) == 1
    assert f'{verdict.RIGHT};border-radius:3px;padding:0 3px">Maya lived' in shown.html and "Ravi ha" in shown.html
    assert "Of its last 2 sentences the grammar allows 1." in shown.alt and "after 10 steps" in shown.html
    assert verdict.RIGHT not in telling.written(cats, moments).html, "no other text has this grammar"
    assert "nothing yet" in telling.written(stories, []).html


def test_a_text_from_right_to_left_is_shown_so():
    lab = laboratory.training_lab(corpus("كان في قديم الزمان ملك عادل.\n" * 60, "arabic"), against=laboratory.NOBODY)
    lab.advance(20)
    assert 'dir="rtl"' in lab.redraw()[1].html
    pen = lab.writer()
    pen.controls["n_tokens"].options = [20]
    assert 'dir="rtl"' in lab.microscope().redraw()[0].html and 'dir="rtl"' in pen.redraw()[0].html


@pytest.mark.needs_corpora
@pytest.mark.parametrize("name", ["shakespeare", "kalila"])
def test_it_trains_on_a_text_of_the_catalogue(lab, name):
    lab["text"].value = name
    assert lab.error is None
    lab.advance(9)
    assert lab.material.corpus.name == name
    assert lab.history[9][0].step.loss < lab.history[0][0].step.loss
    assert corpora.card(name).title in lab.redraw()[2].html


# what both versions of ipywidgets would hand over for one file
UPLOADS = [({"name": "mine.txt", "type": "text/plain", "size": 3, "content": memoryview(b"abc")},),
           {"mine.txt": {"metadata": {"name": "mine.txt", "type": "text/plain", "size": 3}, "content": b"abc"}}]


@pytest.mark.parametrize("value", UPLOADS)
def test_an_upload_has_two_shapes_and_both_are_read(value):
    assert uploaded(value) == [("mine.txt", b"abc")]
    assert uploaded(()) == uploaded({}) == []


def test_it_trains_on_a_file_of_one_s_own(lab):
    upload(lab, ("Πάντα ῥεῖ καὶ οὐδὲν μένει.\n" * 40).encode())
    assert lab.error is None and lab["text"].value == laboratory.MINE
    lab.advance(3)
    assert lab.material.corpus.title == "mine.txt" and "Π" in lab.material.tokenizer.characters
    assert "mine.txt" in lab.redraw()[2].html


def test_no_file_a_bad_file_and_a_short_one_are_told_in_the_widget(lab):
    lab["text"].value = laboratory.MINE
    assert "no file was chosen" in str(lab.error)
    for content, why in (("é" * 300).encode("latin-1"), "not UTF-8"), (b"too short", "longer text"):
        upload(lab, content)
        assert why in str(lab.error)
    lab["text"].value = "cats"
    assert lab.error is None


def test_the_step_shown_is_the_step_that_training_makes(lab):
    lab.advance(5)
    shown = lab.run.after_one_step()
    lab.advance(1)
    assert all(torch.equal(a, b) for a, b in zip(shown.parameters(), lab.run.model.parameters(), strict=True))


def test_one_step_lowers_the_surprise_of_its_own_batch(lab):
    lab.advance(12)
    inputs, targets = lab.run.next_batch()
    before, after = (torch.nn.functional.cross_entropy(m(inputs).flatten(0, 1), targets.flatten()).item()
                     for m in (lab.run.model, lab.run.after_one_step()))
    assert after < before


def test_the_writer_goes_on_from_a_prompt_and_repeats_itself_by_seed(lab):
    lab.advance(20)
    pen = lab.writer()
    pen.controls["n_tokens"].options = [20]
    pen["prompt"].value = "the "
    first = pen.redraw()[0].alt
    assert first.startswith("After 'the ' the model writes:") and pen.redraw()[0].alt == first
    pen["seed"].value = 1
    assert pen.redraw()[0].alt != first
    pen["temperature"].value = 0.0
    greedy = pen.redraw()[0].alt
    assert lab.run.write("the ", n_tokens=20, temperature=0.0).strip() in greedy
    pen["seed"].value = 2
    assert pen.redraw()[0].alt == greedy
    pen["prompt"].value = "ß"
    assert "U+00DF" in str(pen.error)


def test_words_of_the_text_are_escaped(lab):
    evil = "<b>&amp;</b> <script>alert(1)</script>\n"
    page = laboratory.training_lab(corpus(evil * 60, "<evil>"), against=laboratory.NOBODY, first=10)
    pen = page.writer()
    pen.controls["n_tokens"].options = [20]
    shown = "".join(part.html for part in page.redraw()[1:] + page.microscope().redraw()[:2]) + pen.redraw()[0].html
    assert "<script" not in shown and "<evil>" not in shown


def test_the_valley_shows_where_gradient_descent_diverges():
    live = widgets.optimizer_valley()
    live["n_steps"].value = 80
    live["lr"].value = 0.081                     # above 2 / 25, the bound of the steeper direction
    assert "gradient descent" in live.redraw()[0].alt
    high = float(live.parts[0].alt.split("ends at height ")[1].split(";")[0])
    live["lr"].value = 0.06
    low = float(live.parts[0].alt.split("ends at height ")[1].split(";")[0])
    assert high > 5 > 0.1 > low
    live["lr"].value = 0.3
    assert "runs away" in live.parts[0].alt


def test_a_constant_schedule_has_no_floor():
    live = widgets.schedule_dial()
    live["kind"].value = "constant"
    assert live["floor"].disabled and "ends at 1.00" in live.parts[0].alt
    live["kind"].value = "cosine"
    assert not live["floor"].disabled and "ends at 0.10" in live.parts[0].alt


def test_the_finder_sees_the_loss_turn():
    finder = widgets.learning_rate_finder(corpus())
    finder.redraw()
    losses = [step.loss for step in finder.history]
    assert min(losses) < losses[0] - 0.5 and (losses[-1] > min(losses) + 0.5 or len(losses) < 60)
    assert finder.history[10].lr == pytest.approx(1e-4 * 1.2 ** 10)
    finder["norm"].value = "layernorm"               # a fresh run, without a step so far
    assert finder.error is None and "No step is made yet" in finder.parts[0].alt


# --- pictures

def test_smoothing_neither_shifts_nor_starts_at_zero():
    assert np.allclose(plots.smooth([2.0] * 50), 2.0)
    falling = plots.smooth(np.linspace(5, 1, 200))
    assert (np.diff(falling) < 0).all() and falling[0] == 5 and 1 < falling[-1] < 1.3


def test_the_board_draws_every_run_and_forgets_a_rival_that_left():
    board = plots.Board()
    one = plots.Curve("one", [4.0, 3.0], [1e-3, 2e-3], [1.0, 2.0], [(2, 3.1)])
    two = plots.Curve("two", [4.0, 3.5], [1e-3, 2e-3], [1.0, 0.5])
    words = board.draw([one, two], vocab_size=50).alt
    assert "one: loss from 4.00" in words and "3.10 on held-out text" in words and "two:" in words
    assert board.lines[1]["raw"].get_ydata() == [4.0, 3.5]
    assert "two" not in board.draw([one], vocab_size=50).alt
    assert len(board.lines[1]["raw"].get_ydata()) == 0
    assert board.start.get_ydata()[0] == pytest.approx(np.log(50))


def test_each_rule_of_the_valley_is_best_where_the_page_says():
    live = widgets.optimizer_valley()
    for rule, best in (("gradient descent", 0.06), ("AdamW", 1.0)):
        live["rule"].value, heights = rule, {}
        for _, rate in live["lr"].options:
            live["lr"].value = rate
            said = live.parts[0].alt
            heights[rate] = float(said.split("ends at height ")[1].split(";")[0]) if "ends at" in said else math.inf
        assert min(heights, key=heights.get) == best
