"""The terminal chat over a fake engine."""

from __future__ import annotations

import argparse
import io
import os
import signal

import pytest
from rich.console import Console

from pal.commands import chat as command
from pal.dialogue.persona import load_examples
from pal.engines.base import Decoding
from pal.errors import DataError, PalError
from pal.terminal.chat import TerminalChat
from tests.fakes import FakeConsistency, FakeEngine, fake_responder


def talk(
    *lines: str,
    engine: FakeEngine | None = None,
    consistency: FakeConsistency | None = None,
    width: int = 120,
) -> tuple[str, TerminalChat]:
    """What a terminal shows after ``lines`` were typed, and the chat."""
    shown = io.StringIO()
    console = Console(file=shown, width=width, force_terminal=False, color_system=None)
    examples = load_examples()
    terminal = TerminalChat(
        fake_responder(engine, consistency), console, examples, examples[0].persona, Decoding(), seed=1
    )
    typed = iter(lines)

    def read(prompt: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    terminal.loop(read)
    return shown.getvalue(), terminal


@pytest.mark.parametrize("width", [120, 60])
def test_a_message_is_answered_by_all_three_with_selections(width):
    shown, _ = talk("What do you do?", engine=FakeEngine(replies=["hello you"], picks=[2, 0]), width=width)
    for text in ("baseline: hello you", "stage1: hello you", "aligned: hello you", "Selected: none · 80 %"):
        assert text in shown
    assert "● 80 %" in shown and "seed 1 ·" in shown and "continues" in shown
    assert all(len(line) <= width for line in shown.splitlines())


@pytest.mark.parametrize("width", [120, 60])
def test_what_replies_say_about_the_persona_is_shown(width):
    first, second = load_examples()[0].persona.sentences[:2]
    says = {first: "entailment", second: "contradiction"}
    model = FakeConsistency(lambda sentence, reply: says.get(sentence, "neutral"))
    shown, _ = talk("Hi", consistency=model, width=width)
    words = " ".join(shown.replace("│", " ").split())
    assert words.count("✓ entails:") == words.count("✕ contradicts:") == 3 and "· neutral to" in words
    model.error = ValueError("x")
    shown, _ = talk("Hi", consistency=model, width=width)
    assert "No badges" in shown and "aligned: reply 1" in shown


def test_retry_draws_a_new_seed_and_undo_takes_back():
    engine = FakeEngine()
    shown, terminal = talk("One", "/retry", "Two", "/undo", "/clear", "/undo", engine=engine)
    assert [turn.user for turn in terminal.chat.turns] == ["One"]
    assert engine.reply_requests[3].seed == terminal.seed != 1
    assert "Took back: Two" in shown and "The chat is back." in shown


def test_a_retry_without_any_reply_brings_the_earlier_replies_back():
    engine = FakeEngine()
    _, terminal = talk("One", engine=engine)
    engine.failing = {"baseline", "stage1", "aligned"}
    with pytest.raises(PalError, match="no reply .* out of order.* The earlier replies are back"):
        terminal.answer("/retry")
    assert terminal.chat.turns[-1].continuing.text == "aligned: reply 1"


def test_the_chosen_reply_continues():
    engine = FakeEngine()
    _, terminal = talk("One", "/continue Stage 1", "Two", engine=engine)
    assert [turn.continued for turn in terminal.chat.turns] == ["stage1", "stage1"]
    assert all(
        "stage1: reply 1" in "".join(map(chr, request.tokens)) for request in engine.reply_requests[3:]
    )


def test_personas_are_shown_chosen_and_typed():
    shown, terminal = talk("/persona", "/persona mateo", "/persona edit", "I am a baker.", "I sing.", "")
    assert terminal.persona.sentences == ("I am a baker.", "I sing.")
    assert "Examples: Nora" in shown and "retired from the sea" in shown


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/nonsense", "no command /nonsense"),
        ("/seed x", "seed is “x”"),
        ("/persona Nobody", "no example persona “Nobody”"),
        ("/retry", "nothing to retry"),
        ("/undo", "nothing to undo"),
        ("/continue Bob", "no model “bob”"),
        ("y" * 2000, "2,000 characters"),
    ],
)
def test_mistakes_are_explained_and_the_chat_goes_on(line, words):
    shown, terminal = talk(line, "Hello")
    assert words in " ".join(shown.split())
    assert len(terminal.chat.turns) == 1


def test_ctrl_c_stops_a_reply_and_a_second_one_quits():
    class Interrupting(FakeEngine):
        presses = 1

        def _wait(self, cancel):
            for _ in range(self.presses):
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    engine = Interrupting(replies=["a b c"], gate=object())
    shown, terminal = talk("One", engine=engine)
    assert terminal.chat.turns[0].stopped and "aligned: a b" not in shown
    engine = Interrupting(replies=["a b c"], gate=object())
    engine.presses = 2
    shown, terminal = talk("One", "never read", engine=engine)
    assert terminal.chat.turns == ()
    assert signal.getsignal(signal.SIGINT) is before


def test_control_characters_of_a_reply_never_reach_the_terminal():
    shown, _ = talk("Hi\x1b[2J", engine=FakeEngine(replies=["\x1b]0;owned\x07 [red]plain[/red]"]))
    assert "\x1b" not in shown and "\x07" not in shown
    assert "[red]plain[/red]" in shown


def test_arguments_are_checked_before_anything_is_loaded(tmp_path, monkeypatch):
    def fail(settings):
        raise AssertionError("loaded the models")

    monkeypatch.setattr("pal.chat.session.build_responder", fail)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    for arguments, error, words in [
        (["--temperature", "9"], PalError, "Temperature is 9"),
        (["--seed", "-4"], PalError, "seed is -4"),
        (["--example", "Nobody"], PalError, "Nobody"),
        (["--persona", str(tmp_path / "none.txt")], DataError, "none.txt"),
    ]:
        with pytest.raises(error, match=words):
            command.run(parser.parse_args(arguments))
