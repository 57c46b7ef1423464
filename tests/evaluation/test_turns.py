"""The deterministic choice of turns."""

import pytest

from pal.dialogue.turns import Dialogue, Utterance
from pal.errors import DataError
from pal.evaluation.turns import choose_turns, gold_turns, part_of

PERSONA = ("i sail at weekends .", "i have a parrot .")


def dialogue(name: str, labels=((0,), (), None), persona=PERSONA) -> Dialogue:
    turns = []
    for number, label in enumerate(labels):
        turns += [Utterance("A", f"question {number} ?"), Utterance("B", f"answer {number} .", label)]
    return Dialogue(name, "test", {"A": ("i read .",), "B": persona}, tuple(turns))


MANY = [dialogue(f"d{number}") for number in range(40)]


def measured(choice) -> list[tuple[str, int]]:
    return [(item.id, item.turns[place].turn) for item in choice.dialogues for place in item.measured]


def test_only_labelled_turns_of_b_are_measured_and_nothing_after_the_last_one():
    (only,) = choose_turns([dialogue("d")]).dialogues
    assert [only.turns[place].turn for place in only.measured] == [1, 3]
    assert [turn.labels for turn in only.turns] == [(0,), ()]
    assert only.persona.sentences == ("I sail at weekends.", "I have a parrot.")
    assert only.turns[0].exchange.user == "Question 0?"
    assert only.turns[0].exchange.reply == "Answer 0."
    assert only.turns[0].gold == "answer 0 ."


def test_limit_is_exact_and_a_longer_choice_starts_with_the_shorter():
    short, long = choose_turns(MANY, 7, seed=4), choose_turns(MANY, 31, seed=4)
    assert (short.turns, long.turns) == (7, 31)
    assert measured(long)[:7] == measured(short)


def test_choice_depends_on_the_seed_and_not_on_the_order_of_the_file():
    assert measured(choose_turns(MANY, 20, seed=1)) == measured(choose_turns(MANY[::-1], 20, seed=1))
    assert measured(choose_turns(MANY, 20, seed=1)) != measured(choose_turns(MANY, 20, seed=2))


def test_a_file_without_labels_is_measured_on_every_turn_of_b():
    choice = choose_turns([dialogue("d", (None, None, None))])
    assert not choice.labelled
    assert choice.turns == 3


def test_unlabelled_turns_before_a_labelled_one_stay_in_the_history():
    (only,) = choose_turns([dialogue("d", (None, (1,)))]).dialogues
    assert len(only.turns) == 2
    assert only.measured == (1,)


def test_parts_split_the_dialogues_one_in_five():
    tune, report, everything = (choose_turns(MANY, part=part) for part in ("tune", "report", "all"))
    names = [{item.id for item in choice.dialogues} for choice in (tune, report, everything)]
    assert names[0] and names[1]
    assert not names[0] & names[1]
    assert names[0] | names[1] == names[2]
    assert {part_of(name) for name in names[0]} == {"tune"}
    # fixed here: a split that drifts would mix tuning with reporting
    assert [part_of(f"pc_valid_{number}") for number in range(6)] == ["report", "tune", "tune"] + [
        "report"
    ] * 3


def test_consecutive_turns_of_one_speaker_are_one():
    turns = (
        Utterance("A", "hi !"),
        Utterance("A", "how are you ?"),
        Utterance("B", "i am fine .", (1,)),
        Utterance("B", "i sail .", (0, 1)),
    )
    (found,) = gold_turns(Dialogue("d", "test", {"A": (), "B": PERSONA}, turns))
    assert found.exchange.user == "Hi! How are you?"
    assert found.exchange.reply == "I am fine. I sail."
    assert (found.turn, found.labels) == (2, (1, 0))


def test_b_may_open_the_dialogue():
    (found,) = gold_turns(Dialogue("d", "test", {"A": (), "B": PERSONA}, (Utterance("B", "hello !", ()),)))
    assert found.exchange.user is None


def test_labels_beyond_nine_sentences_do_not_count():
    persona = tuple(f"i own {number} boats ." for number in range(12))
    (only,) = choose_turns([dialogue("d", ((10,), (10, 2), ()), persona)]).dialogues
    assert len(only.persona) == 9
    assert [turn.labels for turn in only.turns] == [None, (2,), ()]
    assert only.measured == (1, 2)


def test_dialogues_without_a_persona_are_skipped_and_counted():
    choice = choose_turns([dialogue("d"), dialogue("e", persona=())])
    assert choice.skipped == 1
    assert [item.id for item in choice.dialogues] == ["d"]


@pytest.mark.parametrize(("dialogues", "part"), [([], "all"), (MANY, "half")])
def test_nothing_to_measure_is_said(dialogues, part):
    with pytest.raises(DataError, match=part):
        choose_turns(dialogues, part=part)
