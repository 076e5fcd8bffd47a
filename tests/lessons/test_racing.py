"""A race is fair: one text, one seed, and what is said to be equal is equal; a winner is one by more than a seed."""
import pytest
import torch

from minillm.corpora import Corpus
from minillm.costs import parameters
from minillm.lessons.training import racing
from minillm.lessons.training.experiment import OWN, configure, prepare

TEXT = "the cat sat on the mat, and the dog ate the cake.\n" * 200
CATS = Corpus(name="cats", title="Cats", documents=(TEXT,))


def contest(what: str, who=None, **options) -> racing.Contest:
    options = {"equal": "batches", "n_seeds": 1, "n_steps": 6, "seconds": 1.0} | options
    return racing.Contest(prepare(CATS), what, who or racing.names(what)[:2], **options)


@pytest.mark.parametrize("what", racing.WHAT)
def test_racers_differ_in_what_is_said_and_see_the_same_batches(what):
    made = contest(what, n_steps=2)
    turns = list(made.turns())
    assert [turn.step for turn in turns] == [1, 1, 2, 2] and len({turn.name for turn in turns}) == 2
    one, two = made.runs.values()
    if what not in ("tokenizer", racing.WHAT[-1]):
        assert all(torch.equal(a, b) for a, b in zip(one.stream[5], two.stream[5], strict=True))
    if what in racing.FIELDS:
        ours, theirs = one.model.config.to_dict(), two.model.config.to_dict()
        differing = {name for name in ours | theirs if ours.get(name) != theirs.get(name)}
        assert differing and differing <= {field for fields in racing.FIELDS[what].values() for field in fields}
    assert (one.rule != two.rule) == (what == "optimizer") and (one.seed != two.seed) == (what == racing.WHAT[-1])
    assert all(turn.bits is not None for turn in turns[-2:])


@pytest.mark.parametrize("what, who", [("MLP", ["GELU", "SwiGLU"]), ("attention", list(racing.FIELDS["attention"])[:3]),
                                       ("tokenizer", ["characters", "bytes"])])
def test_parameters_are_made_equal_by_the_width_of_the_mlp(what, who):
    made = contest(what, who, equal="parameters")
    counts = [run.n_parameters for run in made.runs.values()]
    assert max(counts) - min(counts) < 0.01 * counts[0]


def test_parameters_that_cannot_be_equal_are_refused_with_the_number():
    config = configure(OWN, "nano", 60)
    with pytest.raises(ValueError, match="d_ff=-"):
        racing.evened(config, sum(parameters(config).values()) // 3)


def test_in_equal_time_whoever_has_had_least_of_it_is_next():
    made = contest("tokenizer", ["characters", "BPE, 1,024 tokens"], equal="time", seconds=1.5)
    spent = {"characters": 0.0, "BPE, 1,024 tokens": 0.0}
    for turn in made.turns():
        assert spent[turn.name] == min(spent.values())
        spent[turn.name] = turn.seconds
    assert min(spent.values()) >= 1.5
    assert made.runs["characters", 0].schedule(10 ** 5) == pytest.approx(0.1, abs=0.01)    # the rate has fallen


def test_all_tokenizers_are_measured_on_the_same_bytes():
    found = {kind: racing.measured_on(prepare(CATS, kind)) for kind in ("characters", "bytes", "BPE, 512 tokens")}
    assert len({n_bytes for _, n_bytes in found.values()}) == 1
    assert len(found["BPE, 512 tokens"][0]) < len(found["characters"][0]) == len(found["bytes"][0])


def test_a_model_that_knows_nothing_costs_as_many_bits_as_its_vocabulary_has():
    made = contest("norm")
    run = next(iter(made.runs.values()))
    with torch.no_grad():
        run.model.embed.weight.zero_()                  # and with it the read-out: every token is as likely
    ids, n_bytes = racing.measured_on(run.material)
    expected = torch.log2(torch.tensor(float(run.material.tokenizer.vocab_size))) * (len(ids) - 1) / n_bytes
    assert made.bits(run) == pytest.approx(expected.item(), rel=1e-4)


def test_one_is_no_race_and_six_are_too_many():
    for who in (["RMSNorm"], ["x"] * 6):
        with pytest.raises(ValueError, match="choose"):
            contest("norm", who)


def test_the_verdict_knows_what_a_seed_changes():
    assert "with one seed each" in racing.verdict({"a": [1.0], "b": [1.1]})
    assert racing.verdict({"a": [1.0, 1.2], "b": [1.1, 1.3]}).startswith("no winner: a is ahead of b by 0.100")
    assert racing.verdict({"b": [1.5, 1.6], "a": [1.0, 1.2]}).startswith("a is ahead of b by 0.450")
    assert "up to 0.200" in racing.verdict({"b": [1.5, 1.6], "a": [1.0, 1.2]})


def test_the_widget_races_says_who_leads_and_offers_others_when_something_else_differs():
    live = racing.race(CATS)
    live.advance(12)
    drawn, table = live.redraw()
    assert "is ahead of" in table.alt and "Bits per byte" in drawn.alt
    live["n_seeds"].value = 2
    assert live.error is None and live.history == []
    live.advance(24)
    assert live.redraw()[1].alt.startswith(("no winner", live["who"].value)) and live.total() == 2 * 2 * 200
    live["what"].value = "position"
    assert live.error is None and live["who"].value == tuple(racing.names("position")[:2])
    live["who"].value = racing.names("position")[:1]
    live._safely(live.advance, 1)
    assert "no race" in str(live.error)
    live["equal"].value = "time"
    assert live["n_steps"].disabled and not live["seconds"].disabled
    live.close()
