"""A damaged store stops nothing: it is kept as it is, said in words, and replaced from the mirror."""

import random
import shutil

import pytest
from huggingface_hub import HfApi

from pal.errors import PalError, StoreError
from pal.ratings.backup import Backup
from pal.ratings.damage import find_damage
from pal.ratings.desk import open_desk
from pal.ratings.records import dumps
from pal.ratings.store import RatingStore, all_records
from pal.settings import Settings
from pal.ui.rate_maker import open_host
from tests.fakes import fake_responder
from tests.ratings import scene
from tests.support import hub

REPO = "me/pal-ratings"
SALT = "the host's own secret salt"
NAME = "ratings.sqlite3"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with a few votes, closed."""
    path = tmp_path_factory.mktemp("whole") / NAME
    desk = scene.desk(f"sqlite:///{path}", [scene.item(number) for number in range(4)], salt=SALT)
    for _ in range(3):
        who = scene.annotator(desk)
        while (shown := scene.shown(desk, who)) is not None:
            desk.submit(who, scene.vote(shown.turn_id, comment="a comment " * 20))
    desk.close()
    return path


@pytest.fixture
def settings(store, tmp_path):
    """Settings with a copy of that store."""
    shutil.copy(store, tmp_path / NAME)
    return Settings(data=tmp_path, salt=SALT)


def damage(path, seed, count=100):
    """Change ``count`` bytes at random places."""
    chance, data = random.Random(seed), bytearray(path.read_bytes())
    for _ in range(count):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data)
    return bytes(data)


def test_a_whole_store_is_left_alone_also_with_its_log(store, settings):
    path = settings.data / NAME
    before = path.read_bytes()
    assert find_damage(path) is None and path.read_bytes() == before
    desk = scene.desk(f"sqlite:///{path}", [scene.item(9)], salt=SALT)
    who = scene.annotator(desk)
    desk.submit(who, scene.vote(scene.shown(desk, who).turn_id))
    assert path.with_name(f"{NAME}-wal").stat().st_size
    assert find_damage(path) is None
    assert len(desk.votes(who)) == 1
    desk.close()
    assert find_damage(path.with_name("none.sqlite3")) is None


@pytest.mark.parametrize("seed", range(40))
def test_changed_bytes_close_the_page_at_most_and_change_nothing_more(settings, seed):
    path = settings.data / NAME
    damaged = damage(path, seed)
    rating = open_host(settings, fake_responder())
    if rating.desk is None:
        assert "damaged" in rating.closed or "cannot be" in rating.closed or "another salt" in rating.closed
        assert path.read_bytes() == damaged
        return
    try:
        rating.desk.records()
        rating.desk.admin_progress()
    except PalError:
        pass
    rating.close()


def test_a_damaged_name_in_the_table_of_contents_is_said_in_words(settings):
    path = settings.data / NAME
    path.write_bytes(path.read_bytes().replace(b"one_turn_per_item", b"one_turn_\xffer_item", 1))
    rating = open_host(settings, fake_responder())
    assert rating.desk is None and "damaged" in rating.closed and "ratings restore" in rating.closed


def test_a_changed_byte_in_a_record_or_in_the_journal_is_found(settings):
    path = settings.data / NAME
    whole = path.read_bytes()
    for old, new in ((b'{"kind":"rating"', b'{"kind"\xffrating"'), (b"consent", b"c\xfensent")):
        path.write_bytes(whole.replace(old, new))
        assert find_damage(path)


@pytest.mark.parametrize("gone", [False, True])
def test_an_empty_file_beside_a_log_with_votes_is_not_a_new_store(settings, gone):
    path = settings.data / NAME
    log = path.with_name(f"{NAME}-wal")
    path.write_bytes(b"")
    log.write_bytes(b"the last votes")
    if gone:
        path.unlink()
    with pytest.raises(StoreError, match="its log is not"):
        open_desk(settings, scene.CAMPAIGN)
    assert log.read_bytes() == b"the last votes"


def test_a_damaged_store_is_set_aside_whole_and_restored_from_the_mirror(settings):
    path = settings.data / NAME
    with hub.running() as standin:
        api = HfApi(endpoint=standin.url, token=hub.TOKEN)
        original = RatingStore(f"sqlite:///{path}", SALT)
        Backup(original, REPO, 1000, api).close()
        with original.read() as connection:
            before = [record for _, record in all_records(connection)]
        original.close()
        damaged = path.read_bytes().replace(b"one_turn_per_item", b"one_turn_\xffer_item", 1)
        path.write_bytes(damaged)
        mirrored = Settings(data=settings.data, salt=SALT, backup_repo=REPO)
        desk = open_desk(mirrored, scene.CAMPAIGN, api)
        [folder] = settings.data.glob("damaged-*")
        assert (folder / NAME).read_bytes() == damaged
        assert desk.status().endswith("the store was damaged and is restored from the backup")
        assert sorted(map(dumps, desk.records())) == sorted(map(dumps, before))
        desk.close()
        again = open_desk(mirrored, scene.CAMPAIGN, api)
        assert "damaged" not in again.status()
        again.close()
