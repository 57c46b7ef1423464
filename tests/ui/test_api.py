"""The endpoint for programs: clients that leave, and errors of the engine."""

from __future__ import annotations

import threading
import time

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from pal.engines.base import Cancel, Delta, Done
from pal.errors import EngineError
from tests.fakes import FakeEngine

NURSE = ["I am a nurse.", "I have a cat."]


class EndlessEngine(FakeEngine):
    """Writes one word after the other until nobody listens, or it is closed."""

    def __init__(self):
        super().__init__()
        self.closed = threading.Event()

    def stream(self, requests, cancel: Cancel):
        try:
            while not cancel.is_set and not self.closed.wait(0.05):
                self.waiting.set()
                for request in requests:
                    yield Delta(request.variant, " on")
        finally:
            self.cancelled.set()
        for request in requests:
            yield Done(request.variant, "on", 1, 1, 0.0)

    def close(self) -> None:
        self.closed.set()


class FailingEngine(FakeEngine):
    """Raises an error when it should reply."""

    def __init__(self, error: Exception):
        super().__init__()
        self.error = error

    def stream(self, requests, cancel: Cancel):
        raise self.error


@pytest.fixture
def endless():
    engine = EndlessEngine()
    yield engine
    engine.close()


def test_results_grow_until_the_last_one_is_whole(serve):
    job = Client(serve(FakeEngine(replies=["one two three"])), verbose=False).submit(
        NURSE, "Hi", api_name="/chat_turn"
    )
    assert job.result(60)["reply"] == "aligned: one two three"
    texts = [result["replies"]["aligned"]["reply"] for result in job.outputs()]
    assert "aligned: one" in texts and len(texts) > 3 and job.outputs()[0]["reply"] is None


def test_a_client_that_cancels_frees_the_engine(serve, endless):
    job = Client(serve(endless), verbose=False).submit(NURSE, "Hi", api_name="/chat_turn")
    while not job.outputs():  # before that, the client does not know what to cancel
        time.sleep(0.05)
    job.cancel()
    assert endless.cancelled.wait(60)


def test_a_client_that_hangs_up_frees_the_engine(serve, endless):
    call = serve(endless) + "gradio_api/call/chat_turn"
    event = httpx.post(call, json={"data": [NURSE, "Hi", None, 1, 0.7, 0.9, 1, 40]}, timeout=60).json()[
        "event_id"
    ]
    with httpx.stream("GET", f"{call}/{event}", timeout=60) as stream:
        next(stream.iter_lines())
        assert endless.waiting.wait(60)
    assert endless.cancelled.wait(60)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EngineError("The engine has no memory left."), "no memory left"),
        (ValueError("secret"), "went wrong here"),
    ],
)
def test_an_error_of_the_engine_is_told(serve, error, words):
    client = Client(serve(FailingEngine(error)), verbose=False)
    with pytest.raises(AppError, match=words) as caught:
        client.predict(NURSE, "Hi", api_name="/chat_turn")
    assert "secret" not in str(caught.value)
