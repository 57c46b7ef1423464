"""The registry: the shipped variants, and what a host adds without code."""

import json
from pathlib import Path

import pytest

from pal.chat.responder import TurnRequest
from pal.chat.variants import read_variants, shipped
from pal.dialogue.persona import Persona
from pal.engines.base import Cancel, Decoding, Done
from pal.errors import DataError
from pal.settings import Settings
from tests.fakes import FakeEngine, fake_responder


def write(folder: Path, *entries: dict) -> Settings:
    path = folder / "variants.json"
    path.write_text(json.dumps(list(entries)))
    return Settings.from_env({"PAL_VARIANTS": str(path)})


def test_three_are_shipped_in_the_order_of_the_columns(tmp_path):
    variants = read_variants(Settings.from_env({"PAL_ADAPTERS": str(tmp_path)}))
    assert variants.names == ("baseline", "stage1", "aligned")
    assert variants.selecting == ("stage1", "aligned")
    assert [variant.title for variant in variants] == ["Baseline", "Stage 1", "Aligned"]
    assert variants.adapters["aligned"] == tmp_path / "aligned"
    assert variants.title("aligned") == "Aligned" and variants.title("of an old record") == "of an old record"


def test_a_host_adds_a_column_without_code(tmp_path):
    settings = write(
        tmp_path,
        {"name": "mine", "title": "My own", "adapter": "run/adapter"},
        {"name": "raw", "strategy": "plain"},
    )
    variants = read_variants(settings)
    assert variants.names == ("baseline", "stage1", "aligned", "mine", "raw")
    assert variants["mine"].adapter == tmp_path / "run" / "adapter" and variants["mine"].selects
    assert variants["raw"].adapter is None and not variants["raw"].selects
    assert variants["raw"].title == "raw"
    request = TurnRequest(
        Persona(("I sail.",)), "Hi", {name: () for name in variants.names}, Decoding(), 1, "session"
    )
    events = list(fake_responder(FakeEngine(), variants=variants).respond(request, Cancel()))
    assert [event.variant for event in events if isinstance(event, Done)] == list(variants.names)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "aligned"}, "“aligned”, which there is already"),
        ({"name": "My Model"}, "name of entry 1"),
        ({"title": "No name"}, "name of entry 1: Field required"),
        ({"name": "mine", "adaptor": "x"}, "adaptor of entry 1"),
        ({"name": "mine", "strategy": "magic"}, "“magic”; there are: plain, select"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path, entry, words):
    with pytest.raises(DataError, match=f"PAL_VARIANTS: .*{words}"):
        read_variants(write(tmp_path, entry))


@pytest.mark.parametrize("text", ["name: mine", "- [", None])
def test_a_file_that_is_no_list_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "variants.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match="PAL_VARIANTS") as refused:
        read_variants(Settings.from_env({"PAL_VARIANTS": str(path)}))
    assert "\n" not in str(refused.value)


def test_unknown_names_are_refused():
    assert shipped().only(["aligned"]).names == ("aligned",)
    with pytest.raises(DataError, match="“nobody”; choose among baseline, stage1, aligned"):
        shipped().only(["aligned", "nobody"])
