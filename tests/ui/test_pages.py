"""Limits of attempts: for each, for all, and only for a while."""

from __future__ import annotations

import gradio as gr
import pytest

from pal.ui.pages import Attempts, TooManyAttempts, address


def test_attempts_are_limited_for_each_and_for_all_and_forgotten_with_time():
    time = [0.0]
    tries = Attempts(each=2, together=3, seconds=60, clock=lambda: time[0])
    for _ in range(2):
        tries.check("anna")
        tries.count("anna")
    with pytest.raises(TooManyAttempts, match="in 1 min"):
        tries.check("anna")
    tries.check("ben")
    tries.count("ben")
    with pytest.raises(TooManyAttempts):
        tries.check("eve")
    time[0] = 61
    tries.check("anna")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "10.0.0.1"),
        ({"x-forwarded-for": "1.1.1.1, 2.2.2.2"}, "2.2.2.2"),
        ({"x-forwarded-for": " "}, "10.0.0.1"),
    ],
)
def test_the_address_is_what_the_last_proxy_saw(headers, expected):
    request = gr.Request(headers=headers, client=type("Client", (), {"host": "10.0.0.1"})())
    assert address(request) == expected
