"""Settings from the environment."""

from pathlib import Path

import pytest

from pal.settings import Settings, SettingsError


def test_defaults_listen_only_on_this_machine_except_on_a_space():
    assert Settings.from_env({}) == Settings()
    assert Settings().host == "127.0.0.1"
    assert Settings.from_env({"SPACE_ID": "a/b"}).host == "0.0.0.0"
    assert Settings.from_env({"SPACE_ID": "a/b", "PAL_HOST": "::1"}).host == "::1"


def test_values_are_read_and_blank_ones_ignored():
    settings = Settings.from_env(
        {"PAL_PORT": "8000", "PAL_ADAPTERS": "/x/y", "PAL_ENGINE": " ", "HOME": "/root"}
    )
    assert settings.port == 8000
    assert settings.adapters == Path("/x/y")
    assert settings.engine == "auto" and settings.consistency
    assert not Settings.from_env({"PAL_CONSISTENCY": "Off"}).consistency


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"PAL_PROT": "1"}, "PAL_PROT"),
        ({"PAL_PORT": "http"}, "PAL_PORT is “http”"),
        ({"PAL_PORT": "70000"}, "70000"),
        ({"PAL_ENGINE": "magic"}, "auto, llamacpp"),
        ({"PAL_CONSISTENCY": "maybe"}, "must be on or off"),
        ({"PAL_QUEUE_SIZE": "0"}, "PAL_QUEUE_SIZE"),
        ({"PAL_SALT": "short"}, "at least 16"),
        ({"PAL_BACKUP_REPO": "ratings", "PAL_SALT": "x" * 16}, "me/pal-ratings"),
        ({"PAL_BACKUP_REPO": "me/ratings"}, "needs PAL_SALT"),
        ({"DATABASE_URL": "mysql://host/db"}, "DATABASE_URL must be a PostgreSQL address"),
    ],
)
def test_unknown_names_and_impossible_values_are_refused_by_name(environ, words):
    with pytest.raises(SettingsError, match=words):
        Settings.from_env(environ)


def test_variables_read_elsewhere_are_known():
    assert Settings.from_env({"PAL_CACHE": "/tmp/x", "PAL_REQUIRE_BROWSER": "1"}) == Settings()


def test_postgresql_is_reached_with_psycopg_and_no_secret_is_shown():
    secrets = {"PAL_SALT": "hidden" * 3, "PAL_ADMIN_PASSWORD": "hidden12"}
    settings = Settings.from_env({"DATABASE_URL": "postgres://u:hidden@host/db", **secrets})
    assert settings.database_url == "postgresql+psycopg://u:hidden@host/db"
    assert "hidden" not in repr(settings)


def test_ratings_are_kept_outside_the_working_folder():
    assert not Settings().data.is_relative_to(Path.cwd())
