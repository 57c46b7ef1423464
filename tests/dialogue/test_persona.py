"""Persona and message limits: what is refused, and how it is said."""

import pytest

from pal.dialogue.persona import MAX_SENTENCE_CHARS, Persona
from pal.dialogue.turns import MAX_MESSAGE_CHARS, check_message
from pal.errors import MessageError, PersonaError


def test_blank_rows_go_and_spaces_collapse():
    assert Persona.parse(["  I am   a nurse. ", "", None, " \n"]).sentences == ("I am a nurse.",)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ([], "empty"),
        (["", "  "], "empty"),
        ([f"I own {n} cats." for n in range(50)], "50 sentences"),
        (["I am a nurse.", "x" * (MAX_SENTENCE_CHARS + 1)], "sentence 2 has 201 characters"),
        (["I am a nurse.", "i am a  NURSE."], "sentence 2 is there twice"),
    ],
)
def test_bad_personas_are_refused_with_the_reason(texts, says):
    with pytest.raises(PersonaError, match=says):
        Persona.parse(texts)


def test_hash_depends_on_order_and_text():
    hashes = {Persona.parse(texts).hash for texts in (["A.", "B."], ["B.", "A."], ["A. B."])}
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("text", "says"), [("", "empty"), (" \n ", "empty"), (None, "empty"), ("x" * 10_000, "10,000")]
)
def test_bad_messages_are_refused_with_the_reason(text, says):
    with pytest.raises(MessageError, match=says):
        check_message(text)


def test_a_message_of_the_limit_passes():
    assert check_message(" " + "x" * MAX_MESSAGE_CHARS + " ") == "x" * MAX_MESSAGE_CHARS
