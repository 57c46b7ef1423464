"""The chat as data: histories, continuing, undo, clear, edited personas."""

from dataclasses import replace

import pytest

from pal.chat.conversation import MAX_TURNS, Chat, ChatTurn, parse_decoding, parse_seed
from pal.chat.selection import choose
from pal.chat.strategies import Selected
from pal.chat.variants import shipped
from pal.dialogue.persona import Persona
from pal.engines.base import Decoding, Delta, Done, Failed
from pal.errors import PalError

ALL = shipped()
NURSE = Persona(("I am a nurse.", "I have a cat.", "I hate rain."))


def finished(
    user: str = "Hi", picks: dict[str, int] | None = None, persona: Persona = NURSE, **texts: str
) -> ChatTurn:
    """A finished turn that picked options ``picks``; replies read "<variant> to
    <user>" unless ``texts`` has others."""
    turn = ChatTurn(user, persona, Decoding(), 1, ALL)
    for variant, pick in (picks or {}).items():
        weights = [0.1] * (len(persona) + 1)
        weights[pick] = 1 - 0.1 * len(persona)
        turn = turn.after(Selected(variant, choose(weights), tuple(weights), 1))
    for variant in ALL.names:
        turn = turn.after(Done(variant, texts.get(variant, f"{variant} to {user}"), 1, 1, 0.1))
    return turn


def test_a_turn_grows_by_events_and_ends_with_the_whole_text():
    turn = ChatTurn("Hi", NURSE, Decoding(), 1, ALL)
    turn = turn.after(Delta("stage1", "Hel")).after(Delta("stage1", "lo"))
    assert turn.reply("stage1").text == "Hello" and not turn.reply("stage1").done
    turn = turn.after(Done("stage1", "Hello.", 1, 2, 0.1))
    assert turn.reply("stage1").text == "Hello." and turn.reply("stage1").done
    assert not turn.done
    assert turn.reply("baseline").text == ""


def test_every_variant_remembers_the_shared_reply_and_its_own_selection():
    chat = Chat().with_turn(finished("Job?", {"stage1": 1, "aligned": 3}))
    histories = chat.histories(NURSE, ALL)
    assert {variant: history[0].reply for variant, history in histories.items()} == dict.fromkeys(
        ALL.names, "aligned to Job?"
    )
    assert histories["baseline"][0].selected is None
    assert histories["stage1"][0].selected == 0
    assert histories["aligned"][0].selected == 2


def test_continuing_with_another_reply_changes_what_all_remember_from_that_turn_on():
    chat = Chat().with_turn(finished("One")).with_turn(finished("Two")).continue_with("baseline")
    replies = [exchange.reply for exchange in chat.histories(NURSE, ALL)["stage1"]]
    assert replies == ["aligned to One", "baseline to Two"]


def test_a_failed_reply_cannot_continue_the_chat():
    turn = finished().after(Failed("stage1", "no memory"))
    chat = Chat().with_turn(turn)
    with pytest.raises(PalError, match="gave no reply"):
        chat.continue_with("stage1")
    with pytest.raises(PalError, match="no model “other”"):
        chat.continue_with("other")


def test_when_the_chosen_variant_failed_another_reply_continues():
    turn = finished("Hi").after(Failed("aligned", "broken"))
    assert turn.continuing.variant == "stage1"
    assert Chat().with_turn(turn).histories(NURSE, ALL)["aligned"][0].reply == "stage1 to Hi"


def test_a_turn_without_any_reply_is_not_remembered_but_stays_visible():
    turn = ChatTurn("Hi", NURSE, Decoding(), 1, ALL).ended(stopped=True)
    chat = Chat().with_turn(turn)
    assert chat.histories(NURSE, ALL) == {variant: () for variant in ALL.names}
    assert chat.turns == (turn,)
    assert turn.done and turn.continuing is None


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        (("I have a cat.", "I am a nurse.", "I hate rain."), 1),
        (("I am a nurse.",), 0),
        (("I am a doctor.", "I have a cat."), None),
    ],
)
def test_earlier_selections_follow_their_sentence_when_the_persona_is_edited(sentences, expected):
    chat = Chat().with_turn(finished(picks={"stage1": 1}))
    assert chat.histories(Persona(sentences), ALL)["stage1"][0].selected == expected


def test_undo_gives_the_message_back_and_clear_can_be_undone():
    chat = Chat().with_turn(finished("One")).with_turn(finished("Two"))
    before, message = chat.undo()
    assert message == "Two" and [turn.user for turn in before.turns] == ["One"]
    cleared = chat.clear()
    assert cleared.turns == ()
    assert cleared.undo()[0].turns == chat.turns
    assert cleared.clear().undo()[0].turns == chat.turns
    with pytest.raises(PalError, match="nothing to undo"):
        cleared.with_turn(finished("New")).undo()[0].undo()


def test_a_session_name_is_random_and_kept():
    first, second = Chat().named(), Chat().named()
    assert first.session and first.session != second.session
    assert first.named().session == first.session
    assert first.with_turn(finished()).clear().session == first.session


def test_a_chat_has_a_longest_length():
    chat = replace(Chat(), turns=(finished(),) * MAX_TURNS)
    with pytest.raises(PalError, match=str(MAX_TURNS)):
        chat.with_turn(finished())


def test_seed_and_decoding_are_checked_by_name():
    assert parse_seed(7.0) == 7
    assert parse_decoding([0.0, 1.0, 1.0, 40.0]) == Decoding(0.0, 1.0, 1.0, 40)
    for bad, message in [(None, "empty"), (-1, "-1"), (1.5, "1.5"), (float("nan"), "nan"), (2**40, "seed")]:
        with pytest.raises(PalError, match=message):
            parse_seed(bad)
    with pytest.raises(PalError, match="Temperature is 9"):
        parse_decoding([9, 0.9, 1.1, 40])
    with pytest.raises(PalError, match="Longest reply .* is empty"):
        parse_decoding([0.7, 0.9, 1.1, None])
