"""PersonaChat's tokenised lower case as ordinary English."""

import pytest

from pal.dialogue.english import naturalise


@pytest.mark.parametrize(
    ("raw", "natural"),
    [
        ("hi ! how are you doing today ?", "Hi! How are you doing today?"),
        ("i'm a nurse . i work at night .", "I'm a nurse. I work at night."),
        ("i like pizza , pasta and i 'm italian .", "I like pizza, pasta and I'm Italian."),
        ("i do n't know . . . maybe", "I don't know... Maybe."),
        ("i live in new york", "I live in New York."),
        ("what do you do for a living", "What do you do for a living?"),
        ("im fine , dont worry", "I'm fine, don't worry."),
        ("i m allergic to nuts", "I'm allergic to nuts."),
        ("i ve two cats , they re cute", "I've two cats, they're cute."),
        ("we moved in july", "We moved in July."),
        ("", ""),
    ],
)
def test_examples(raw, natural):
    assert naturalise(raw) == natural


@pytest.mark.parametrize(
    "text",
    ["I own a Jeep.", "Oh, that's true! Do you have some good gyms near you?", "Wow 🙂", "He paid $5.50."],
)
def test_ordinary_english_passes_unchanged(text):
    assert naturalise(text) == text


def test_it_is_idempotent():
    for raw in ("hi ! i'm bob . and you ?", "i m 30 years old", "so what do you like", "ok ... bye"):
        assert naturalise(naturalise(raw)) == naturalise(raw)
