"""Files are written whole or not at all."""

import pytest

from pal.errors import DataError
from pal.files import new_file, new_folder, sha256, write_text


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


def test_a_file_or_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), new_file(tmp_path / "file") as partial:
        partial.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), new_folder(tmp_path / "folder") as partial:
        (partial / "file").write_text("half")
        assert not (tmp_path / "folder").exists()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "folder") as partial:
        (partial / "file").write_text("whole")
    assert (tmp_path / "folder" / "file").read_text() == "whole"
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o755


def test_bytes_are_named_by_their_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(DataError, match="none"):
        sha256(tmp_path / "none")
