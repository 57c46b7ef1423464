"""The identity of an engine, and the factory."""

from dataclasses import replace

import pytest

from pal import engines
from pal.engines.base import Identity
from pal.errors import EngineError
from pal.settings import Settings

IDENTITY = Identity("llama.cpp", "1.0", "ab" * 32, "Q4_1", {"stage1": "cd" * 32, "aligned": "ef" * 32}, 1)


def test_the_fingerprint_is_stable_and_does_not_depend_on_the_order_of_the_variants():
    assert IDENTITY.fingerprint == replace(IDENTITY).fingerprint
    turned = replace(IDENTITY, adapters=dict(reversed(IDENTITY.adapters.items())))
    assert turned.fingerprint == IDENTITY.fingerprint
    assert len(IDENTITY.fingerprint) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "transformers"},
        {"version": "1.1"},
        {"base": "00" * 32},
        {"quantisation": "Q8_0"},
        {"adapters": {"stage1": "cd" * 32, "aligned": "00" * 32}},
        {"adapters": {"stage1": "cd" * 32}},
        {"prompt": 2},
    ],
)
def test_whatever_changes_the_answers_changes_the_fingerprint(change):
    assert replace(IDENTITY, **change).fingerprint != IDENTITY.fingerprint


def test_the_setting_names_the_engine(monkeypatch):
    opened = []

    def from_adapters(adapters, **options):
        opened.append(adapters)
        return "an engine"

    monkeypatch.setattr("pal.engines.llamacpp.LlamaCppEngine.from_adapters", from_adapters)
    for name in ("auto", "llamacpp"):
        assert engines.open(Settings(engine=name), {"stage1": None}) == "an engine"
    assert opened == [{"stage1": None}] * 2
    another = Settings()
    object.__setattr__(another, "engine", "steam")  # a name that settings.py knows and this factory does not
    with pytest.raises(EngineError, match="“steam”"):
        engines.open(another, {"stage1": None})
