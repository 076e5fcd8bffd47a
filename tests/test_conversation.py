"""Batches of questions and answers teach the answers, and to stop."""
import csv
import json

import pytest
import torch

from minillm.conversation import Mixed, PromptBatches, Template, pairs_from, prompt_batches
from minillm.data import IGNORED, Endless, batches
from minillm.tokenizers import END_OF_TEXT, ByteTokenizer, CharTokenizer

PAIRS = [(f"What is {i}?", "n" * (1 + i % 7) + ".") for i in range(23)]


def bytes_with_end() -> ByteTokenizer:
    return ByteTokenizer(special=[END_OF_TEXT])


def conversations(**options):
    tokenizer = bytes_with_end()
    options = {"batch_size": 4, "context_length": 64, "seed": 0} | options
    return tokenizer, prompt_batches(PAIRS, tokenizer, **options)


def test_only_answers_and_their_end_are_learned():
    tokenizer, stream = conversations()
    seen = []
    for _ in range(stream.n_batches):
        for row, learned in zip(*next(stream), strict=True):
            where = (learned != IGNORED).nonzero().flatten()
            read = tokenizer.decode(row[:where[0] + 1].tolist())
            answer = learned[where].tolist()
            assert where.diff().eq(1).all()
            assert torch.equal(row[where[1:]], learned[where[:-1]])  # what is learned is what is read next
            assert answer[-1] == tokenizer.end_of_text and (row[where[-1] + 1:] == tokenizer.end_of_text).all()
            question = read.removeprefix("Question: ").removesuffix("\nAnswer:")
            seen.append((question, tokenizer.decode(answer[:-1]).removeprefix(" ")))
    assert set(seen) == set(PAIRS)
    assert len(seen) == 24  # 23 pairs in batches of 4: one is shown twice


def test_conversations_of_like_length_sit_together():
    _, stream = conversations()
    padding = [(x == stream.padding).float().mean() for x, _ in (stream[i] for i in range(stream.n_batches))]
    assert sum(padding) / len(padding) < 0.02  # in the order of PAIRS it would be 0.06


def test_signal_is_the_share_of_targets_that_are_learned():
    _, stream = conversations()
    shown = [stream[i][1] for i in range(stream.n_batches)]
    assert stream.signal == sum((y >= 0).sum() for y in shown) / sum(y.numel() for y in shown)
    assert 0.1 < stream.signal < 0.3


def test_epochs_differ_but_resume_exactly():
    _, stream = conversations()
    whole = [next(stream) for _ in range(12)]
    assert any(not torch.equal(whole[i][0], whole[i + 6][0]) for i in range(6)
               if whole[i][0].shape == whole[i + 6][0].shape)
    _, resumed = conversations(start=9)
    assert torch.equal(next(resumed)[0], whole[9][0])


def test_an_epoch_is_put_in_order_once(monkeypatch):
    _, stream = conversations()
    orders = []
    monkeypatch.setattr(stream, "_epoch", lambda epoch: orders.append(epoch) or PromptBatches._epoch(stream, epoch))
    for _ in range(2 * stream.n_batches):
        next(stream)
    assert orders == [0, 1]


def test_where_nothing_is_asked_all_but_the_first_id_is_learned():
    tokenizer, pairs = bytes_with_end(), [("", "yes"), ("", "no")]
    inputs, targets = prompt_batches(pairs, tokenizer, batch_size=2, context_length=8, seed=0,
                                     template=Template(prompt="{}", reply="{}"))[0]
    for read, learned in zip(inputs.tolist(), targets.tolist(), strict=True):
        ids = tokenizer.encode(dict(y="yes", n="no")[chr(read[0])]) + [tokenizer.end_of_text]
        assert [t for t in learned if t != IGNORED] == ids[1:]


def test_a_pair_that_does_not_fit_is_refused_and_named():
    with pytest.raises(ValueError, match=r"'What is 0\?' takes \d+ tokens, more than context_length=16"):
        conversations(context_length=16)


def test_a_tokenizer_that_cannot_say_stop_is_refused():
    with pytest.raises(ValueError, match="never learn to stop"):
        prompt_batches(PAIRS, CharTokenizer.train("".join(map("".join, PAIRS)) + "QuestionAnswer:\n "),
                       batch_size=1, context_length=64, seed=0)


@pytest.mark.parametrize("rows", [
    [{"prompt": "a", "response": "b"}], [("a", None)], [("a", "b", "c")], [("a", "b"), "ab"], ["ab"], [("a",)],
    [(1, 2)], [b"ab"]], ids=str)
def test_rows_that_are_no_pairs_of_texts_are_refused_by_number(rows):
    with pytest.raises(ValueError, match=r"row \d is .* not a pair of texts; give .question, answer."):
        PromptBatches(rows, ByteTokenizer(special=("<|endoftext|>",)), batch_size=1, context_length=64, seed=0)


def test_pairs_may_come_from_a_generator_and_as_lists():
    words = ByteTokenizer(special=("<|endoftext|>",))
    x, _ = PromptBatches((list(pair) for pair in [("a", "b")]), words, batch_size=1, context_length=64, seed=0)[0]
    assert words.decode(x[0].tolist()) == "Question: a\nAnswer: b"


@pytest.mark.parametrize("prompt", ['{"question": "{}"}', "f() { return {}; }", "}{}", "{{}}", "{0} {}", "%s {}"])
def test_a_template_may_hold_braces(prompt):
    words = ByteTokenizer(special=("<|endoftext|>",))
    template = Template(prompt=prompt, reply="{}}")
    assert words.decode(template.ask("hi {} {0}", words)) == prompt.replace("{}", "hi {} {0}")
    assert words.decode(template.answer("{}", words)[:-1]) == "{}}"


@pytest.mark.parametrize("prompt", ["hello", "", "{", "{} {}", "{0}"])
def test_a_template_without_one_place_for_the_text_is_refused(prompt):
    for name in ("prompt", "reply"):
        with pytest.raises(ValueError, match=f"the template's {name}=.*write it once"):
            Template(**{name: prompt})


@pytest.mark.parametrize("ids", [[2 ** 40, 1], [2 ** 32, 1], torch.tensor([2 ** 33, 1])])
def test_an_id_that_does_not_fit_is_refused_not_wrapped(ids):
    with pytest.raises(ValueError, match="tokens hold .*at most four bytes"):
        batches(ids, batch_size=1, context_length=1, seed=0)


def test_the_old_home_of_conversations_still_answers():
    from minillm import data
    assert data.PromptBatches is PromptBatches and data.Template is Template
    with pytest.raises(AttributeError, match="no 'Prompts'"):
        data.Prompts  # noqa: B018


# -- files, and the template for others ------------------------------------------------------------------------------

def test_pairs_are_read_from_json_lines_and_csv_with_quotes_line_ends_and_any_script(tmp_path):
    pairs = [('Who said "no, thanks"?', "The cat,\nof course."), ("¿Dónde está 日本?", "Asia."), ("مرحبا", "سلام")]
    (tmp_path / "a.jsonl").write_text("\n\n".join(json.dumps({"prompt": p, "answer": a, "more": 1}) for p, a in pairs)
                                      + "\n", "utf-8")
    with (tmp_path / "b.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("question", "response"), *pairs])
    assert pairs_from(tmp_path / "a.jsonl") == pairs_from(tmp_path / "b.csv") == pairs


@pytest.mark.parametrize(("name", "text", "words"), [
    ("a.jsonl", '{"prompt": "a", "answer": "b"}\n{"prompt": "a"}\n', "row 2 of .* has no answer or response"),
    ("a.jsonl", '{"prompt": "a", "answer": "b"}\nnonsense\n', "row 2 of .* is not JSON"),
    ("a.jsonl", '[1, 2]\n', "row 1 of .* not an object"), ("a.jsonl", "\n", "holds no rows"),
    ("a.jsonl", '{"prompt": "a", "answer": 3}\n', "row 1 of .* has no answer"),
    ("a.csv", "prompt,answer\na,b\nc,\n", "row 2 of .* has no answer"), ("a.csv", 'prompt,answer\n"a,b\n', "not CSV"),
    ("a.csv", "one,two\na,b\n", "row 1 of .* has no prompt or question; it has: one, two")])
def test_a_bad_row_is_named_by_its_number(name, text, words, tmp_path):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(ValueError, match=words):
        pairs_from(tmp_path / name)


def test_mixed_steps_are_of_both_kinds_in_their_share():
    class Numbered(Endless):
        def __init__(self, name):
            self.name = name

        def __getitem__(self, step):
            return torch.full((1, 1), step), torch.full((1, 1), self.name)
    found = [Mixed(Numbered(1), Numbered(2), share=0.25, seed=0)[step] for step in range(400)]
    assert [int(step) for step, _ in found] == list(range(400))
    assert 60 < sum(int(name) == 2 for _, name in found) < 140
    for share, only in ((0, 1), (1, 2)):
        assert all(int(Mixed(Numbered(1), Numbered(2), share=share, seed=0)[s][1]) == only for s in range(9))
    with pytest.raises(ValueError, match="share=1.5"):
        Mixed(Numbered(1), Numbered(2), share=1.5, seed=0)


def test_transformers_asks_as_our_template_does(tmp_path):
    from transformers import AutoTokenizer

    from minillm import export_hf, load
    model, tokenizer = load("storyteller")
    template = Template('Q "{}" \\ asked\nA:', " {}!")
    theirs = AutoTokenizer.from_pretrained(export_hf(model, tokenizer, tmp_path / "out", template=template))
    asked = [{"role": "user", "content": "Where is Peru?"}]
    ids = theirs.apply_chat_template(asked, tokenize=True)
    ids = ids["input_ids"] if not isinstance(ids, list) else ids
    assert list(ids) == template.ask("Where is Peru?", tokenizer)
    whole = theirs.apply_chat_template([*asked, {"role": "assistant", "content": "South America."}], tokenize=False)
    assert tokenizer.decode([*template.ask("Where is Peru?", tokenizer),
                             *template.answer("South America.", tokenizer)[:-1]]) + theirs.eos_token == whole
    with pytest.raises(Exception, match="roles are user and assistant"):
        theirs.apply_chat_template([{"role": "system", "content": "x"}], tokenize=False)
