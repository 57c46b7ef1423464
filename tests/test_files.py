"""Files are written whole or not at all."""

import pytest

from pal.errors import DataError
from pal.files import write_text


def test_text_replaces_a_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_text(path, "été\n")
    write_text(path, "two\n")
    assert path.read_text(encoding="utf-8") == "two\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(DataError, match="file.txt"):
        write_text(path / "below", "x")
