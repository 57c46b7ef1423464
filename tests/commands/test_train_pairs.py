"""Writing pairs: from the history alone, and resumable."""

import dataclasses

import pytest

from pal.commands.main import main
from pal.commands.train import _finished
from pal.engines.base import Decoding, Delta, Done, Failed
from pal.errors import DataError, EngineError
from pal.training.pairs import generate_rejected, history_only, of_kind, write_pair
from tests.training.test_training import EXAMPLES, PAIRS


class Scripted:
    """Answers each request with the next text; remembers the prompts."""

    def __init__(self, *texts):
        self.texts, self.prompts, self.seeds = list(texts), [], []

    def stream(self, requests, cancel):
        for request in requests:
            self.prompts.append(list(request.tokens))
            self.seeds.append(request.seed)
            assert request.decoding == Decoding()
            text = self.texts.pop(0)
            if text is None:
                yield Failed(request.variant, "no memory")
            else:
                yield Delta(request.variant, text)
                yield Done(request.variant, text, 1, 1, 0.1)


def test_rejected_replies_come_from_the_history_alone(renderer, tokenizer):
    engine = Scripted("So-so.", "I don't know.")
    asked = [dataclasses.replace(pair, rejected="") for pair in PAIRS[:2]]
    made = list(generate_rejected(asked, "history", engine, "stage1", renderer, 1))
    assert [pair.rejected for pair in made] == ["So-so.", "I don't know."]
    for pair, prompt in zip(asked, engine.prompts, strict=True):
        text = tokenizer.decode(prompt)
        assert prompt == history_only(renderer, pair)
        assert "[1]" not in text and "I sail." not in text
        assert pair.user in text


def test_empty_replies_and_copies_of_the_chosen_one_are_left_out(renderer):
    engine = Scripted("", PAIRS[1].chosen, "Fine.")
    asked = [PAIRS[0], PAIRS[1], PAIRS[2]]
    made = list(generate_rejected(asked, "history", engine, "stage1", renderer, 1))
    assert made == [None, None, dataclasses.replace(PAIRS[2], rejected="Fine.")]


def test_replies_that_recite_a_sentence_are_rejected_too(renderer):
    sentence = PAIRS[0].persona[PAIRS[0].selected]
    engine = Scripted(f"Well. {sentence}", "Let's talk of something else.")
    made = list(generate_rejected([PAIRS[0]] * 2, "parroting", engine, "stage1", renderer, 1))
    assert made == [dataclasses.replace(PAIRS[0], rejected=f"Well. {sentence}"), None]
    for prompt in engine.prompts:
        assert prompt == renderer.reply_prompt(
            PAIRS[0].persona, PAIRS[0].history, PAIRS[0].user, PAIRS[0].selected
        )


def test_replies_are_drawn_until_one_recites(renderer):
    sentence = PAIRS[0].persona[PAIRS[0].selected]
    texts = ("Fine.", f"Well. {sentence}", "So?", "Good.", "Bad.")
    engine = Scripted(*texts)
    made = list(generate_rejected([PAIRS[0], PAIRS[0]], "parroting", engine, "stage1", renderer, 1, draws=3))
    assert made == [dataclasses.replace(PAIRS[0], rejected=texts[1]), None]
    assert engine.seeds[0] == engine.seeds[2] and len(set(engine.seeds)) == 3


def test_pairs_against_reciting_replies_are_told_from_the_others(tmp_path, capsys):
    reciting = dataclasses.replace(PAIRS[0], id=f"{PAIRS[0].id}/parroting")
    pairs = [*PAIRS, reciting]
    assert of_kind(pairs, "parroting") == [reciting] and of_kind(pairs, "history") == list(PAIRS)
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(map(write_pair, PAIRS)))
    folders = ["--aligned", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert main(["train", "realign", "--pairs", str(path), *folders]) == 1
    assert "no pair against a parroting reply" in capsys.readouterr().err


def test_an_engine_failure_names_the_pair(renderer):
    with pytest.raises(EngineError, match="d0#0: no memory"):
        list(generate_rejected(PAIRS[:1], "history", Scripted(None), "stage1", renderer, 1))


def test_a_stopped_run_keeps_its_whole_lines_only(tmp_path):
    path = tmp_path / "pairs.jsonl"
    ids = {pair.id for pair in PAIRS}
    assert _finished(path, ids) == set()
    path.write_text(write_pair(PAIRS[0]) + write_pair(PAIRS[1])[:40])
    assert _finished(path, ids) == {PAIRS[0].id}
    assert path.read_text() == write_pair(PAIRS[0])


def test_pairs_of_other_data_are_not_mixed_in(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(write_pair(PAIRS[0]))
    with pytest.raises(DataError, match="other data"):
        _finished(path, {EXAMPLES[0].id})
