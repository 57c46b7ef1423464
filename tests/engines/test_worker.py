"""The line before a model: turns in the order in which they began, those nobody waits for last."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pal.engines.base import Cancel, Delta, Done, Failed, ReplyRequest
from pal.engines.llamacpp import LlamaCppEngine, Worker
from pal.engines.llamacpp_server import Generation
from pal.errors import EngineError


@pytest.fixture
def busy():
    """A worker with a job that runs until the event is set, and what ran after it."""
    worker, gate, ran = Worker(), threading.Event(), []
    started = threading.Event()
    worker.submit(Cancel(), lambda: (started.set(), gate.wait(10)))
    started.wait(10)
    yield worker, gate, ran
    gate.set()
    worker.close()


def test_all_requests_of_the_turn_that_began_first_go_first(busy):
    worker, gate, ran = busy
    first, second = Cancel(), Cancel()
    worker.submit(second, lambda: ran.append("second selects"))
    worker.submit(first, lambda: ran.append("first selects"))
    worker.submit(second, lambda: ran.append("second replies"))
    worker.submit(first, lambda: ran.append("first replies"))
    gate.set()
    worker.close()
    assert ran == ["first selects", "first replies", "second selects", "second replies"]


def test_a_visitor_goes_before_what_nobody_waits_for_yet(busy):
    worker, gate, ran = busy
    ahead, visitor = Cancel(background=True), Cancel()
    worker.submit(ahead, lambda: ran.append("ahead"))
    worker.submit(visitor, lambda: ran.append("visitor"))
    gate.set()
    worker.close()
    assert ran == ["visitor", "ahead"]


def test_a_closed_worker_takes_no_jobs():
    worker = Worker()
    worker.close()
    worker.close()
    with pytest.raises(EngineError, match="closed"):
        worker.submit(Cancel(), lambda: None)


class Server:
    """Writes until it is stopped; ``writing`` once it has begun."""

    def __init__(self, model, lora, **options):
        self.model, self.lora, self.options = model, lora, options
        self.writing, self.closed, self.running = threading.Event(), False, 0

    def generate(self, tokens, decoding, seed, session, stopped, on_text):
        self.running += 1
        on_text("word")
        self.writing.set()
        while not stopped():
            threading.Event().wait(0.005)
        self.running -= 1
        return Generation("word", 1, 1)

    def close(self):
        assert not self.running
        self.closed = True


@pytest.fixture
def engine(monkeypatch, tmp_path):
    monkeypatch.setattr("pal.engines.llamacpp.VariantServer", Server)
    engine = LlamaCppEngine(tmp_path / "base.Q4_1.gguf", {"baseline": None, "stage1": None})
    yield engine
    engine.close()


def requests(session=""):
    return [ReplyRequest(variant, [1], None, 1, session) for variant in ("baseline", "stage1")]


def test_closing_ends_every_turn_that_runs_or_waits_and_then_frees_the_models(engine):
    servers = list(engine._servers.values())
    running, waiting = engine.stream(requests(), Cancel()), engine.stream(requests(), Cancel())
    assert next(running) == Delta("baseline", "word")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, waiting)
        assert not first.done()
        while engine._workers["baseline"].waiting < 2:  # of the turn that waits, and stage1 of the other
            threading.Event().wait(0.005)
        engine.close()
        events = [first.result(10), *waiting]
    assert [type(event) for event in running] == [Done, Failed]
    assert [type(event) for event in events] == [Failed, Failed]
    assert all(server.closed for server in servers)


def test_who_leaves_frees_the_engine_for_the_next(engine):
    events = engine.stream(requests(), Cancel())
    assert isinstance(next(events), Delta)
    events.close()
    cancel = Cancel()
    following = engine.stream(requests(), cancel)
    assert next(following) == Delta("baseline", "word")
    cancel.set()
    assert len(list(following)) == 2


def test_a_merged_file_is_served_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr("pal.engines.llamacpp.VariantServer", Server)
    base, merged = tmp_path / "base.Q4_1.gguf", {"aligned": tmp_path / "0a1b-2c3d-Q8_0-1.gguf"}
    base.write_bytes(b"base")
    engine = LlamaCppEngine(base, {"aligned": None}, merged=merged, hashes={"aligned": "ab"})
    [server] = engine._servers.values()
    assert (server.model, server.lora) == (merged["aligned"], None)
    apart = LlamaCppEngine(base, {"aligned": tmp_path / "lora.gguf"}, hashes={"aligned": "ab"})
    assert (engine.identity.quantisation, apart.identity.quantisation) == ("Q8_0", "Q4_1")
    assert engine.identity.fingerprint != apart.identity.fingerprint
    engine.close()
    apart.close()
