"""Making pairs: what is rejected, by which prompt, and resumable."""

import dataclasses
import json

import numpy as np
import pytest

from pal.commands.main import main
from pal.dialogue.turns import Exchange
from pal.engines.base import Decoding, Delta, Done, Failed
from pal.errors import DataError, EngineError
from pal.training.examples import Example
from pal.training.pairs import Pair, of_kinds, read_pairs, write_pair
from pal.training.recipe import Recipe
from pal.training.rejected import (
    AnswerJudge,
    Sampler,
    finished_pairs,
    generic_pair,
    history_only,
    parroting_pair,
    prompts,
    prompts_of,
    untrue_pair,
    whole_prompt,
    write_pairs,
)
from tests.support.tiny import tiny_renderer

HISTORY = (Exchange("Hi!", "Hello!", None),)
PAIR = Pair(
    "d#1", "d", ("I am a nurse.", "I have two cats."), HISTORY, "Tell me a story.", 1, "No, sorry.", ""
)
ASKED = dataclasses.replace(PAIR, user="Do you have any pets?", chosen="I have two cats.")


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


def sampler(*texts):
    return Sampler(Scripted(*texts), "stage1", tiny_renderer(), 1)


def test_a_generic_reply_comes_from_the_history_alone():
    draws = sampler("So-so.")
    assert generic_pair(PAIR, draws) == dataclasses.replace(PAIR, rejected="So-so.")
    assert draws.engine.prompts == [history_only(draws.renderer, PAIR)]
    text = "".join(chr(token - 3) for token in draws.engine.prompts[0] if token > 3)
    assert "nurse" not in text and "[1]" not in text and PAIR.user in text


@pytest.mark.parametrize("reply", ["", PAIR.chosen])
def test_an_empty_reply_and_a_copy_of_the_chosen_one_make_no_pair(reply):
    assert generic_pair(PAIR, sampler(reply)) is None


def test_replies_are_drawn_until_one_recites():
    pair = dataclasses.replace(PAIR, kind="parroting")
    texts = ("Fine.", "Well. I have two cats.", "So?")
    draws = sampler(*texts)
    assert parroting_pair(pair, draws, 3) == dataclasses.replace(pair, rejected=texts[1])
    assert draws.engine.prompts == [whole_prompt(draws.renderer, pair)] * 2
    assert len(set(draws.engine.seeds)) == 2
    assert parroting_pair(pair, sampler("Fine.", "So?", "Good."), 3) is None
    again = sampler(*texts)
    parroting_pair(pair, again, 3)
    assert again.engine.seeds == draws.engine.seeds


def test_reciting_is_not_rejected_where_it_was_asked_for():
    pair = dataclasses.replace(ASKED, kind="parroting", chosen="Sure!")
    assert parroting_pair(pair, sampler("I have two cats."), 1) is None
    assert parroting_pair(pair, sampler("I am a nurse."), 1).rejected == "I am a nurse."
    example = Example("e", PAIR.persona, (Exchange("Pets?", "Two cats.", 1),), ((1,),), asked=frozenset({0}))
    assert prompts(example, 1, "parroting") == [] and len(prompts(example, 1, "corrupted")) == 1


def two_cats(reply, pair):
    """Right: two cats; wrong: another number of cats."""
    return ("two cats" in reply) if "cats" in reply else None


def test_a_right_sample_is_chosen_over_a_wrong_one():
    pair = dataclasses.replace(ASKED, kind="untrue")
    texts = ("I like tea.", "Yes, I have three cats.", "", "Yes, I've two cats.")
    made = untrue_pair(pair, sampler(*texts), two_cats, 4)
    assert (made.chosen, made.rejected) == (texts[3], texts[1])
    only_wrong = untrue_pair(pair, sampler("I have three cats.", "I have no cats."), two_cats, 2)
    assert (only_wrong.chosen, only_wrong.rejected) == (ASKED.chosen, "I have three cats.")
    assert untrue_pair(pair, sampler("I like tea.", "I have two cats."), two_cats, 2) is None


class Neutral:
    """A consistency model that finds every pair neutral."""

    def probabilities(self, pairs):
        return np.tile([0.0, 1.0, 0.0], (len(pairs), 1))


def test_the_answer_checker_judges():
    judge = AnswerJudge(Neutral())
    assert judge("I have three cats.", ASKED) is False
    assert judge("I like tea.", ASKED) is False and judge("I like tea.", PAIR) is None
    made = untrue_pair(ASKED, sampler("I have three cats.", "I like tea."), judge, 2)
    assert (made.chosen, made.rejected) == (ASKED.chosen, "I have three cats.")


def test_prompts_hold_the_gold_sentence():
    example = Example(
        "e",
        ("I am a nurse.", "I have two cats."),
        (Exchange("Hi!", "Hello!", None), Exchange("Job?", "Nurse.", 0), Exchange("Pets?", "Two cats.", 1)),
        ((), (0,), (1,)),
    )
    made = prompts(example, 1, "history")
    assert [pair.id for pair in made] == ["e#1", "e#2"] and {pair.kind for pair in made} == {"history"}
    assert [pair.persona[pair.selected] for pair in made] == list(example.sentences)
    assert len(prompts(example, 1, "history", persona_bearing_only=False)) == 3
    untrained = dataclasses.replace(example, untrained=frozenset({1}))
    assert [pair.id for pair in prompts(untrained, 1, "untrue")] == ["e#2"]
    with pytest.raises(DataError, match="“vote” are not made from data"):
        prompts_of([example], ["vote"], 1)


def test_pairs_of_some_kinds_are_chosen_by_their_field(tmp_path, capsys):
    pairs = [dataclasses.replace(PAIR, rejected="So?", kind=kind) for kind in ("history", "parroting")]
    assert of_kinds(pairs, ["parroting"]) == pairs[1:] and of_kinds(pairs, ["history", "vote"]) == pairs[:1]
    path = tmp_path / "pairs.jsonl"
    path.write_text(write_pair(pairs[0]))
    folders = ["--aligned", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert main(["train", "realign", "--pairs", str(path), *folders]) == 1
    assert "no pair of the kind parroting" in capsys.readouterr().err
    assert main(["train", "realign", "--pairs", str(path), *folders, "--kinds", "historic"]) == 1
    assert "no kind of pair “historic”; choose from history, parroting" in capsys.readouterr().err


def test_files_written_when_the_kind_was_a_suffix_still_read(tmp_path):
    row = json.loads(write_pair(dataclasses.replace(PAIR, rejected="So?")))
    del row["kind"], row["detail"]
    path = tmp_path / "pairs.jsonl"
    ids = ["d#1", "d#1/parroting", "3f2c:aligned>stage1"]
    path.write_text("".join(json.dumps({**row, "id": name}) + "\n" for name in ids))
    assert [(pair.id, pair.kind) for pair in read_pairs(path)] == [
        ("d#1", "history"), ("d#1", "parroting"), ("3f2c:aligned>stage1", "vote"),
    ]  # fmt: skip


def test_an_engine_failure_names_the_pair():
    with pytest.raises(EngineError, match="d#1: no memory"):
        generic_pair(PAIR, sampler(None))


def test_a_stopped_run_goes_on_after_its_last_whole_line(tmp_path):
    path = tmp_path / "pairs.jsonl"
    recipe = Recipe(task="align", parroting_draws=1)
    prompted = [PAIR, dataclasses.replace(ASKED, kind="corrupted"), dataclasses.replace(PAIR, id="d#2")]
    write_pairs(prompted, path, sampler("So-so.", "Well."), recipe, two_cats, lambda number: None)
    whole = path.read_text()
    assert [pair.kind for pair in read_pairs(path)] == ["history", *["corrupted"] * 3, "history"]
    path.write_text(whole[:-20])
    steps = []
    write_pairs(prompted, path, sampler("Well."), recipe, two_cats, steps.append)
    assert path.read_text() == whole and steps == [2, 1]


def test_pairs_of_other_data_are_not_mixed_in(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(write_pair(dataclasses.replace(PAIR, rejected="So?")))
    assert finished_pairs(path, [PAIR]) == {("d#1", "history")}
    with pytest.raises(DataError, match="other data"):
        finished_pairs(path, [dataclasses.replace(PAIR, kind="parroting")])
