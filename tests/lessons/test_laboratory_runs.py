"""A run that was started on the page leaves its folder, and goes on as if it had never stopped."""
import hashlib
import json

import pytest
import torch

from minillm.checkpoints import load
from minillm.corpora import Corpus
from minillm.lessons.training import experiment, laboratory, plots, runs
from minillm.lessons.training.experiment import OWN, Run, configure, prepare

TEXT = "the cat sat on the mat, and the dog ate the cake.\n" * 60
CATS = Corpus(name="cats", title="Cats", documents=(TEXT,))


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = laboratory.training_lab(CATS, against=laboratory.NOBODY, first=1)
    yield made
    made.close()


def weights(run: Run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


@pytest.mark.parametrize("optimizer", experiment.OPTIMIZERS)
def test_a_run_that_was_kept_goes_on_to_the_last_bit(tmp_path, optimizer):
    material = prepare(CATS)
    config = configure(OWN, "nano", material.tokenizer.vocab_size)

    def fresh() -> Run:
        return Run(material, config, n_steps=22, seed=1, optimizer=optimizer, batch_size=6, floor=0.0)

    straight = fresh()
    whole = list(straight.steps())
    stopped, steps = fresh(), []
    for moment in stopped.steps():
        steps.append(moment)
        if stopped.done == 11:
            break
    runs.keep(stopped, steps, tmp_path / "a", choices={"lr": 3e-3})
    again, log, said = runs.take_up(tmp_path / "a")
    assert again.done == 11 and said == {"lr": 3e-3}
    rest = list(again.steps())
    assert torch.equal(weights(again), weights(straight))
    together = [*log, *rest]
    assert [m.step.loss for m in together] == [m.step.loss for m in whole]
    assert [m.step.lr for m in together] == [m.step.lr for m in whole]        # the schedule does not begin anew
    assert [m.validation for m in together] == [m.validation for m in whole]


def test_a_folder_holds_configuration_seed_log_samples_and_checkpoint(tmp_path, lab):
    lab.advance(30)
    folder = lab.keep()
    assert folder.resolve() == (tmp_path / "runs" / "cats-001").resolve()
    about = json.loads((folder / "run.json").read_text())
    assert about["seed"] == 0 and about["steps"] == 30 and about["choices"]["preset"] == OWN
    assert "after 10 steps" in (folder / "samples.txt").read_text()
    assert len((folder / "log.jsonl").read_text().splitlines()) == 30
    model, tokenizer = load(folder)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), lab.run.model.parameters(), strict=True))
    assert tokenizer.encode("the") == lab.material.tokenizer.encode("the")


def test_a_kernel_that_ended_loses_nothing(lab):
    """Another laboratory, which knows nothing but the folder, makes the steps that this one would have made."""
    with lab._silent():
        lab["lr"].value, lab["against"].value, lab["seed"].value = 1e-2, "LayerNorm", 3
    lab.advance(7)
    folder = lab.keep()
    lab.advance(4)
    other = laboratory.training_lab(CATS, first=1)
    assert str(folder) in [value for _, value in other["kept"].options]
    other.take_up(folder)
    assert other["lr"].value == 1e-2 and other["against"].value == "LayerNorm" and other["seed"].value == 3
    assert len(other.history) == 7 and other.folder == folder
    other.advance(4)
    for runner in (0, 1):
        assert [m[runner].step.loss for m in other.history] == [m[runner].step.loss for m in lab.history]
    other.close()


def test_the_button_goes_on_with_the_chosen_run_and_does_not_wait_for_itself(lab, monkeypatch):
    lab.advance(3)
    folder, goals = lab.keep(), []
    other = laboratory.training_lab(CATS, first=1)
    monkeypatch.setattr(other, "_run_to", goals.append)
    other["kept"].value = str(folder)
    other["go_on"].click()
    assert other.error is None and other.run.done == 3 and goals == [500] and len(other.parts) == 3
    assert not other._tick.locked()
    other.close()


def test_a_text_of_one_s_own_is_kept_with_its_run(lab, tmp_path):
    place = tmp_path / "mine.txt"
    place.write_text("Πάντα ῥεῖ καὶ οὐδὲν μένει.\n" * 40, encoding="utf-8")
    lab["path"].value = str(place)
    assert lab.error is None and lab["text"].value == laboratory.MINE
    lab.advance(3)
    folder = lab.keep()
    place.unlink()
    other = laboratory.training_lab(CATS, first=1)
    other.take_up(folder)
    other.advance(2)
    assert other.material.corpus.title == "mine.txt" and "Π" in other.material.tokenizer.characters
    assert other["text"].value == laboratory.MINE and other.redraw() and other.run.done == 6
    other.close()


def test_a_run_whose_text_has_changed_is_refused(lab):
    lab.advance(3)
    folder = lab.keep()
    kept = json.loads((folder / "text.json").read_text())
    kept["documents"][0] += "!"
    (folder / "text.json").write_text(json.dumps(kept))
    with pytest.raises(ValueError, match="another version of 'cats'"):
        runs.take_up(folder)


def test_runs_are_listed_the_last_first_and_nothing_else_is(lab, tmp_path):
    lab.advance(2)
    lab.keep()
    lab.reset()
    lab.advance(4)
    lab.keep()
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "notes" / "run.json").write_text("no JSON")
    found = runs.listed()
    assert [kept.folder.name for kept in found] == ["cats-002", "cats-001"]
    assert "stopped at step 4 of 500" in found[0].label


def test_steps_that_a_cell_makes_leave_no_folder_and_those_of_the_page_do(lab, tmp_path):
    lab.redraw()
    lab._keep()
    assert not (tmp_path / "runs").exists()
    lab.advance(5)
    lab._views = [None]
    lab._keep()
    lab._views = []
    assert [kept.about["steps"] for kept in runs.listed()] == [6]
    assert "saved" in lab._told.value and "cats-001" in lab._told.value


def test_on_colab_runs_go_to_the_drive_if_it_is_mounted_and_the_page_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "on_colab", lambda: True)
    monkeypatch.setattr(runs, "DRIVE", tmp_path / "MyDrive")
    assert runs.home() == runs.Path("runs") and runs.age(None).startswith("Drive mounted: no")
    (tmp_path / "MyDrive").mkdir()
    assert runs.home() == tmp_path / "MyDrive" / "minillm" / "runs"
    monkeypatch.setattr(runs.time, "time", lambda: 100.0)
    assert runs.age(60.0) == "Drive mounted: yes · saved 40 s ago"


def test_a_run_from_before_there_was_dropout_is_one_without(tmp_path, lab):
    lab.advance(3)
    folder = lab.keep()
    about = json.loads((folder / "run.json").read_text())
    del about["choices"]["dropout"]
    (folder / "run.json").write_text(json.dumps(about))
    other = laboratory.training_lab(CATS, against=laboratory.NOBODY, first=1)
    other["dropout"].value = 0.2
    other.take_up(folder)
    assert other["dropout"].value == 0.0 == other.run.model.config.dropout
    other.close()


def test_a_missing_run_is_told_in_the_widget(lab):
    lab._safely(lab._pressed, "go_on")
    assert "no run is kept" in str(lab.error)


def test_a_sample_is_written_a_few_tokens_a_step_by_the_model_that_began_it():
    material = prepare(CATS)
    run = Run(material, configure(OWN, "nano", material.tokenizer.vocab_size), n_steps=70)
    seen = {}
    for moment in run.steps():
        if run.done == 10:
            expected = run.write()
        if moment.sample is not None:
            seen[moment.written_at] = (run.done, moment.sample)
    assert seen[10] == (18, expected)                  # 80 tokens, 10 a step
    assert max(seen) == 62 and seen[62][0] == 70       # the last one is complete when the run is


def test_one_batch_is_learned_by_heart_and_the_held_out_text_is_not(lab):
    with lab._silent():
        lab["amount"].value, lab["lr"].value = "one", 1e-2
    lab.advance(110)
    losses = [moments[0].step.loss for moments in lab.history]
    assert torch.equal(lab.run.stream[0][0], lab.run.stream[99][0])
    assert losses[-1] < 0.1


def test_a_changed_setting_is_measured_before_the_run_begins(lab):
    lab.redraw()
    lab._handles = [None, None]                        # as on a page
    lab["lr"].value = 1e-2
    assert lab.error is None and len(lab.history) == 1 and not lab.playing
    assert "to its end on this machine" in lab._told.value


def test_a_cell_that_is_run_again_goes_on_with_its_run_and_its_folder(lab):
    lab.redraw()
    lab.advance(3)
    folder = lab.keep()
    again = laboratory.training_lab(CATS, against=laboratory.NOBODY, first=1)
    again._take_over(lab)
    assert again.run is lab.run and again.folder == folder and "step 4 of 500" in again._told.value
    assert "cats-001" in again._told.value
    again.close()


def test_the_gap_is_that_of_the_step_at_which_held_out_text_was_read(lab):
    lab.advance(17)
    row = lab.redraw()[2].html
    held = lab.history[9][0].validation
    trained = plots.smooth([moments[0].step.loss for moments in lab.history[:10]])[-1]
    assert f">{held - trained:.2f}<" in row


@pytest.mark.parametrize(("file", "change"), [
    ("state.json", ["rule", "sgd"]), ("state.json", ["amount", 3]), ("state.json", ["lr", "x"]),
    ("state.json", ["n_steps", None]), ("log.jsonl", {"step": 0}), ("text.json", {"name": "cats"}), ("text.json", [3])])
def test_a_folder_that_no_run_left_is_refused_in_a_sentence(tmp_path, file, change):
    material = prepare(CATS)
    run = Run(material, configure(OWN, "nano", material.tokenizer.vocab_size), n_steps=2)
    folder = runs.keep(run, run.steps(), tmp_path / "a", choices={})
    if file == "state.json":
        told = json.loads((folder / file).read_text())
        next(row for row in told["items"] if row[0] == change[0])[1] = change[1]
        change = told
    (folder / file).write_text(json.dumps(change))
    sums = json.loads((folder / "checksums.json").read_text())
    sums |= {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sums}
    (folder / "checksums.json").write_text(json.dumps(sums))
    with pytest.raises(ValueError, match=r"\w+ \w+ \w+"):
        runs.take_up(folder)


def test_the_list_of_runs_passes_over_what_tells_of_none(tmp_path):
    for i, text in enumerate(["3", "[" * 100_000, '{"kept": 3}', '{"kept": "2026", "steps": {}}']):
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / runs.ABOUT).write_text(text)
    assert runs.listed(tmp_path) == []
