"""Exports: harmless in a spreadsheet, complete, and pairs that alignment accepts."""

import csv
import dataclasses

import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import HfApi

from pal.errors import BackupError, DataError
from pal.ratings.dataset import SCHEMA
from pal.ratings.export import harmless, push, vote_pairs, write
from pal.ratings.records import loads
from pal.training.pairs import read_pairs
from tests.ratings import scene
from tests.ratings.votes import campaign, ranks, rating
from tests.support import hub


@pytest.fixture
def votes():
    """Two rated turns, the first one answered anew, and a skipped one."""
    records = campaign(ranks(3, 2, 1), ranks(1, 1, 2), {})
    again = rating(
        records[1], "ann", ranks(3, 1, 1), supersedes=records[2].id, flags={"aligned": ("broken", "parrots")},
        comment='=HYPERLINK("http://x")', correction=True,
    )  # fmt: skip
    return [*records, again]


def test_every_format_is_written_and_unknown_ones_are_refused(votes, tmp_path):
    names = {str(path.relative_to(tmp_path)) for path in write(votes, tmp_path)}
    assert names == {
        "votes.csv", "records.jsonl", "votes.parquet", "pairs.jsonl",
        "dataset/README.md", "dataset/data/votes.parquet", "dataset/data/pairs.jsonl",
    }  # fmt: skip
    with pytest.raises(DataError, match="no format “xlsx”"):
        write(votes, tmp_path, ["xlsx"])
    with pytest.raises(DataError, match="no campaign “x”; there are: c0ffee"):
        write(votes, tmp_path, campaign="x")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write(votes, tmp_path / "file")


def test_csv_and_parquet_hold_one_row_per_rating_and_reply(votes, tmp_path):
    write(votes, tmp_path, ["csv", "parquet"])
    with (tmp_path / "votes.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    found = pq.read_table(tmp_path / "votes.parquet").to_pylist()
    assert len(table) == len(found) == 12
    assert [row["variant"] for row in table] == [row["variant"] for row in found]
    last = {row["variant"]: row for row in found[-3:]}
    assert (last["aligned"]["rank"], last["aligned"]["flags"]) == (1, ["broken", "parrots"])
    assert last["aligned"]["selected"] == "I am a nurse." and last["baseline"]["selected"] is None
    assert last["stage1"]["verdicts"] == ["entailment", "neutral", "contradiction"]
    assert last["aligned"]["correction"] and last["aligned"]["active"]
    assert not any(row["active"] for row in found[:3]) and all(row["active"] for row in found[3:])
    assert {row["rank"] for row in found if row["skipped"]} == {None}
    columns = [rating.order for rating in votes if hasattr(rating, "order")]
    assert [row["variant"] for row in found] == [variant for order in columns for variant in order]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start):
    assert harmless(f"{start}1+1") == f"'{start}1+1"
    assert harmless(f"1{start}1") == f"1{start}1"


def test_what_people_typed_is_neutralised_in_csv_and_verbatim_elsewhere(tmp_path):
    records = campaign(ranks(3, 2, 1))
    turn = dataclasses.replace(records[1], user="@SUM(A1)", id="a" * 32)
    bad = dataclasses.replace(turn.replies[0], text="-2+3")
    turn = dataclasses.replace(turn, replies=(bad, *turn.replies[1:]))
    records += [turn, rating(turn, "ann", ranks(1, 2, 3), comment='\ud800 \x00 –\nsecond line, "quoted"')]
    write(records, tmp_path)
    with (tmp_path / "votes.csv").open(encoding="utf-8", newline="") as file:
        table = [row for row in csv.DictReader(file) if row["turn"] == turn.id]
    assert {row["user"] for row in table} == {"'@SUM(A1)"}
    assert "'-2+3" in {row["reply"] for row in table}
    assert {row["comment"] for row in table} == {'?  –\nsecond line, "quoted"'}
    found = pq.read_table(tmp_path / "votes.parquet").to_pylist()
    assert {row["user"] for row in found} == {turn.user, records[1].user}


def test_jsonl_holds_every_record_as_it_is(votes, tmp_path):
    [path] = write(votes, tmp_path, ["jsonl"])
    assert [loads(line) for line in path.read_text().splitlines()] == votes


def test_every_strict_preference_is_a_pair_that_alignment_accepts(votes, tmp_path):
    [path] = write(votes, tmp_path, ["pairs"])
    pairs = read_pairs(path)
    assert [pair.id.split(":")[1] for pair in pairs] == [
        "stage1>baseline", "aligned>baseline", "baseline>aligned", "stage1>aligned",
    ]  # fmt: skip
    pair = pairs[2]
    assert (pair.dialogue, pair.persona, pair.user) == (votes[3].id, scene.PERSONA.sentences, votes[3].user)
    assert pair.chosen == votes[3].reply("baseline").text and pair.rejected == votes[3].reply("aligned").text


def test_a_pair_has_the_selections_of_the_reply_that_selects():
    records = campaign(ranks(1, 2, 2), ranks(2, 1, 2))
    for place, variant in ((1, 1), (3, 1)):  # Stage 1 selected sentence 3, earlier sentence 2
        turn = records[place]
        changed = dataclasses.replace(turn.replies[variant], selected=2, earlier=(1,))
        replies = list(turn.replies)
        replies[variant] = changed
        records[place] = dataclasses.replace(turn, replies=tuple(replies))
    found = {pair.id.split(":")[1]: pair for pair in vote_pairs(records, scene.CAMPAIGN)}
    assert [(name, pair.selected, pair.history[0].selected) for name, pair in found.items()] == [
        ("baseline>stage1", 2, 1),
        ("baseline>aligned", 0, None),
        ("stage1>baseline", 2, 1),
        ("stage1>aligned", 2, 1),
    ]


def test_ties_empty_and_equal_replies_make_no_pair():
    records = campaign(ranks(1, 1, 1), ranks(1, 2, 3))
    same = dataclasses.replace(records[3].replies[1], text=f" {records[3].replies[0].text} ")
    empty = dataclasses.replace(records[3].replies[2], text=" ")
    records[3] = dataclasses.replace(records[3], replies=(records[3].replies[0], same, empty))
    assert list(vote_pairs(records, scene.CAMPAIGN)) == []


def test_the_votes_before_the_reveal_can_be_asked_for(votes, tmp_path):
    [path] = write(votes, tmp_path, ["pairs"], blind_only=True)
    assert "aligned>stage1" in {pair.id.split(":")[1] for pair in read_pairs(path)}


def test_the_data_set_has_a_card_that_names_its_files_and_columns(votes, tmp_path):
    write(votes, tmp_path, ["dataset"])
    text = (tmp_path / "dataset" / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---")[1])
    for config in front["configs"]:
        assert (tmp_path / "dataset" / config["data_files"]).is_file()
    assert all(f"| `{name}` |" in text for name in SCHEMA.names)
    assert "2 rankings of\n2 turns by 1 annotators; 1 turns were skipped, 1 rankings" in text


def test_a_data_set_is_pushed_private_unless_told_otherwise(votes, tmp_path):
    write(votes, tmp_path, ["dataset"])
    with hub.running() as standin:
        api = HfApi(endpoint=standin.url, token=hub.TOKEN)
        assert push(tmp_path / "dataset", "me/votes", api).endswith("/datasets/me/votes")
        assert standin.private["me/votes"]
        assert set(standin.files["me/votes"]) == {"README.md", "data/votes.parquet", "data/pairs.jsonl"}
        push(tmp_path / "dataset", "me/open", api, public=True)
        assert not standin.private["me/open"]
        standin.refusing = True
        with pytest.raises(BackupError, match="did not take"):
            push(tmp_path / "dataset", "me/votes", api)


def test_nothing_stored_gives_empty_files(tmp_path):
    write([], tmp_path)
    assert (tmp_path / "records.jsonl").read_text() == ""
    assert pq.read_table(tmp_path / "votes.parquet").num_rows == 0
    assert list(vote_pairs([], "")) == []
