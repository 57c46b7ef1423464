"""The mirror: one new file a start, nothing lost, restored as it was, deletions respected."""

import json
import threading

import pytest
from huggingface_hub import HfApi

from pal.errors import BackupError, StoreError
from pal.ratings import backup
from pal.ratings.backup import Backup, open_backup
from pal.ratings.records import Deletion, now
from pal.ratings.restore import Restored, mirrored_until, restore, scrub
from pal.ratings.store import RatingStore
from pal.settings import Settings
from tests.ratings import scene
from tests.support import hub

REPO = "me/pal-ratings"
HOURS = 600  # no push but those that a test asks for


@pytest.fixture
def standin():
    with hub.running() as running:
        yield running


@pytest.fixture
def api(standin):
    return HfApi(endpoint=standin.url, token=hub.TOKEN)


@pytest.fixture
def desk(tmp_path):
    desk = scene.desk(f"sqlite:///{tmp_path / 'ratings.sqlite3'}", [scene.item(1), scene.item(2)])
    yield desk
    desk.close()


def mirrored(standin):
    """The records on the stand-in, by file."""
    return {
        path: [json.loads(line) for line in data.splitlines()]
        for path, data in standin.files[REPO].items()
        if path.endswith(".jsonl")
    }


def rate(desk, who=None):
    who = who or scene.annotator(desk)
    turn_id = scene.shown(desk, who).turn_id
    desk.submit(who, scene.vote(turn_id, comment="secret words"))
    return who


def empty_store(tmp_path):
    return RatingStore(f"sqlite:///{tmp_path / 'restored.sqlite3'}")


def records(store):
    with store.read() as connection:
        return {record.id: record for _, record in backup.all_records(connection)}


def test_each_start_writes_one_new_private_file_with_what_is_new(standin, api, desk):
    first = Backup(desk.store, REPO, HOURS, api)
    who = rate(desk)
    first.push()
    [file] = mirrored(standin)
    kinds = [line["kind"] for line in mirrored(standin)[file]]
    assert standin.private[REPO] and kinds == ["consent", "turn", "rating"]
    rate(desk, who)
    first.push()
    assert [line["kind"] for line in mirrored(standin)[file]] == [*kinds, "turn", "rating"]
    first.close()
    second = Backup(desk.store, REPO, HOURS, api)
    rate(desk)
    second.close()
    assert len(mirrored(standin)) == 2
    [other] = set(mirrored(standin)) - {file}
    assert [line["kind"] for line in mirrored(standin)[other]] == ["consent", "rating"]


def test_nothing_new_makes_no_commit_but_counts_as_backed_up(standin, api, desk):
    mirror = Backup(desk.store, REPO, HOURS, api)
    rate(desk)
    mirror.push()
    commits = len(standin.commits)
    mirror.push()
    assert len(standin.commits) == commits and mirror.status(now()) == "backed up just now"
    mirror.close()


def test_the_status_tells_the_time_and_a_failure(standin, api, desk):
    clock = scene.Clock()
    mirror = Backup(desk.store, REPO, HOURS, api)
    mirror.push()
    mirror.file.backed_up_at = clock()
    for minutes, words in ((0, "just now"), (3, "3 min ago"), (125, "2 h ago")):
        clock.time = mirror.file.backed_up_at + backup.timedelta(minutes=minutes)
        assert mirror.status(clock()) == f"backed up {words}"
    standin.refusing = True
    rate(desk)
    with pytest.raises(BackupError, match="failed"):
        mirror.push()
    assert mirror.status(clock()).endswith("(the last try failed)")
    mirror.close()  # does not raise


def test_what_could_not_be_pushed_is_pushed_by_the_next_start(standin, api, desk, tmp_path):
    standin.refusing = True
    offline = Backup(desk.store, REPO, HOURS, api)
    rate(desk)
    with pytest.raises(BackupError, match="could not be started"):
        offline.push()
    assert offline.status(now()) == "not backed up yet (the last try failed)"
    offline.close()
    standin.refusing = False
    online = Backup(desk.store, REPO, HOURS, api)
    online.close()
    store = empty_store(tmp_path)
    assert restore(store, REPO, api).restored == 3
    assert records(store) == records(desk.store)


def test_a_vote_that_comes_while_the_desk_closes_is_refused_or_backed_up(standin, api, tmp_path):
    desk = scene.desk(f"sqlite:///{tmp_path / 'ratings.sqlite3'}", [scene.item(1)], backup=(REPO, HOURS, api))
    who = scene.annotator(desk)
    turn_id = scene.shown(desk, who).turn_id
    standin.gate.clear()  # the last push takes its time
    closing = threading.Thread(target=desk.close)
    acknowledged = [desk.submit(who, scene.vote(turn_id)).submission]
    closing.start()
    with pytest.raises(StoreError, match="being stopped, so this was not saved"):
        while True:
            acknowledged.append(desk.submit(who, scene.vote(turn_id)).submission)
    standin.gate.set()
    closing.join(60)
    [lines] = mirrored(standin).values()
    assert [line["submission"] for line in lines if line["kind"] == "rating"] == acknowledged


def test_a_hub_that_does_not_answer_holds_nobody_up(standin, api, desk, caplog):
    mirror = Backup(desk.store, REPO, HOURS, api)
    mirror.push(60)
    rate(desk)
    standin.gate.clear()
    mirror.close(0.05)
    assert "did not answer within 0.05 s" in caplog.text and "pushed at the next start" in caplog.text
    standin.gate.set()


def test_an_empty_store_is_restored_as_it_was_and_again_changes_nothing(standin, api, desk, tmp_path):
    mirror = Backup(desk.store, REPO, HOURS, api)
    who = rate(desk)
    turn_id = desk.votes(who)[0].turn_id
    for ranks in ((2, 1, 3), (3, 2, 1)):
        desk.submit(who, scene.vote(turn_id, ranks))
    desk.reveal(who, turn_id)
    desk.submit(who, scene.vote(turn_id, (1, 1, 2), correction=True))
    mirror.close()
    store = empty_store(tmp_path)
    assert restore(store, REPO, api) == Restored(restored=7, present=0, refused=0, deleted=0)
    assert records(store) == records(desk.store)
    assert restore(store, REPO, api) == Restored(restored=0, present=7, refused=0, deleted=0)
    with store.read() as connection:
        assert mirrored_until(connection, REPO) == 7  # nothing of it is mirrored a second time


def test_annotators_go_on_after_a_restore(standin, api, tmp_path):
    settings = Settings(
        data=tmp_path / "first", backup_repo=REPO, backup_minutes=1000, salt="the host's own secret salt"
    )

    def started(folder):
        store = RatingStore(f"sqlite:///{tmp_path / folder}.sqlite3", salt=settings.salt)
        mirror = open_backup(store, settings, api)
        queue = scene.Queue([scene.item(1), scene.item(2)], scene.CAMPAIGN)
        return scene.RatingDesk(store, queue, mirror, clock=scene.Clock())

    desk = started("first")
    code = desk.new_annotator()
    who = desk.enrol(code, "1")
    rate(desk, who)
    assert desk.status().startswith("saved · ")
    desk.close()
    again = started("second")  # a Space's disk is gone
    assert again.resume(code) == who and again.progress(who).done == 1
    turn_id = again.votes(who)[0].turn_id
    again.submit(who, scene.vote(turn_id, (3, 3, 1)))
    assert len(again.trail(who, turn_id)) == 2
    again.close()


def test_an_empty_store_does_not_start_without_its_mirror(standin, api, tmp_path):
    settings = Settings(data=tmp_path, backup_repo=REPO, salt="x" * 16)
    store = empty_store(tmp_path)
    standin.refusing = True
    with pytest.raises(BackupError, match="would begin anew"):
        open_backup(store, settings, api)
    assert open_backup(store, Settings(data=tmp_path)) is None


def test_a_missing_mirror_is_named(api, tmp_path):
    with pytest.raises(BackupError, match="no data set me/pal-ratings"):
        restore(empty_store(tmp_path), REPO, api)


def test_a_deletion_reaches_the_mirror_and_every_restore(standin, api, desk, tmp_path):
    earlier = Backup(desk.store, REPO, HOURS, api)
    code = desk.new_annotator()
    who = desk.enrol(code, "1")
    rate(desk, who)
    earlier.close()
    mirror = Backup(desk.store, REPO, HOURS, api)
    rate(desk, who)
    other = rate(desk)
    mirror.push()
    before = empty_store(tmp_path)
    restore(before, REPO, api)
    desk.delete_my_data(code)
    mirror.push()
    mirror.close()
    store = RatingStore(f"sqlite:///{tmp_path / 'after.sqlite3'}")
    found = restore(store, REPO, api)
    assert found.deleted == 2  # consent and rating, in the file of the earlier start
    assert records(store) == records(desk.store)
    assert {record.annotator for record in records(store).values() if hasattr(record, "annotator")} == {
        who,
        other,
    }
    assert [
        type(record) for record in records(store).values() if getattr(record, "annotator", "") == who
    ] == [Deletion]
    restore(before, REPO, api)
    assert records(before) == records(desk.store)


def test_scrubbing_takes_deleted_lines_out_of_the_mirror(standin, api, desk):
    mirror = Backup(desk.store, REPO, HOURS, api)
    code = desk.new_annotator()
    rate(desk, desk.enrol(code, "1"))
    mirror.close()
    mirror = Backup(desk.store, REPO, HOURS, api)
    desk.delete_my_data(code)
    mirror.close()
    assert any(b"secret words" in data for data in standin.files[REPO].values())
    assert scrub(REPO, api) == 1
    assert not any(b"secret words" in data for data in standin.files[REPO].values())
    assert standin.squashed == [REPO]
    assert scrub(REPO, api) == 0


def test_a_damaged_mirror_names_file_and_line(standin, api, desk, tmp_path):
    mirror = Backup(desk.store, REPO, HOURS, api)
    rate(desk)
    mirror.close()
    [path] = standin.files[REPO]
    standin.files[REPO][path] += b"nonsense\n"
    store = empty_store(tmp_path)
    with pytest.raises(BackupError, match="jsonl, line 4"):
        restore(store, REPO, api)
    assert records(store) == {}


def test_records_that_contradict_the_store_are_refused_and_counted(standin, api, desk, tmp_path):
    mirror = Backup(desk.store, REPO, HOURS, api)
    rate(desk)
    mirror.close()
    other = scene.desk(f"sqlite:///{tmp_path / 'other.sqlite3'}", [scene.item(1), scene.item(2)])
    who = scene.annotator(other)
    item = next(record.item for record in desk.records() if record.kind == "turn")
    shown = other.add_turn(who, scene.turn(other.queue.items[item]))
    other.submit(who, scene.vote(shown.turn_id))
    found = restore(other.store, REPO, api)
    assert (found.restored, found.refused) == (1, 2)  # the consent; not the item's other turn, nor its rating
    assert len(other.votes(who)) == 1
    other.close()
