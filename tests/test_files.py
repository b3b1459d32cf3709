import os

import pytest

from keras_cct.errors import InputError
from keras_cct.files import PARTIAL, check_is_file, reading, remove_partial, replacing


def test_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert (temporary.suffix, path.read_text()) == (".txt", "old")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_ino))
    flushed: list[int] = []
    with replacing(tmp_path / "file.txt") as temporary:
        temporary.write_text("new")
    assert flushed == [(tmp_path / "file.txt").stat().st_ino]


@pytest.mark.parametrize("is_folder", [False, True])
def test_failed_block_leaves_nothing(is_folder, tmp_path):
    def write(path):
        with replacing(path) as temporary:
            if is_folder:
                temporary.mkdir()
                (temporary / "file").write_text("partial")
            else:
                temporary.write_text("partial")
            raise KeyError("interrupted")

    with pytest.raises(KeyError, match="interrupted"):
        write(tmp_path / "result")
    assert list(tmp_path.iterdir()) == []


def test_error_names_the_requested_path(tmp_path):
    path = tmp_path / "missing" / "file.txt"
    with pytest.raises(FileNotFoundError) as error, replacing(path) as temporary:
        temporary.write_text("new")
    assert error.value.filename == str(path)


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    (tmp_path / f"{PARTIAL}1-file").write_text("partial")
    (tmp_path / f"{PARTIAL}2-folder").mkdir()
    (tmp_path / "file").write_text("complete")
    remove_partial(tmp_path)
    remove_partial(tmp_path / "missing")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_full_disk_is_an_error_that_names_the_requested_path(tmp_path):
    path = tmp_path / "file.txt"

    def write():
        with replacing(path) as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_text("new")

    with pytest.raises(OSError, match="No space left on device: .*/file.txt'"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_only_regular_files_are_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        assert check_is_file(tmp_path / name) == tmp_path / name
    for name, problem in (
        ("pipe", "is not a regular file"),
        ("device", "is not a regular file"),
        ("", "is a folder"),
        ("none", "does not exist. Check the path."),
        ("file/below", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("null\0", "null"),
    ):
        with pytest.raises(InputError, match=problem):
            check_is_file(tmp_path / name)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RecursionError("maximum depth.\nmore"),
            "'f' is not a list, or it is corrupted: maximum depth. Check the file.",
        ),
        (KeyError(), "'f' is not a list, or it is corrupted: KeyError. Check the file."),
        (PermissionError(13, "Permission denied"), "cannot read 'f': Permission denied. Check the file."),
        (InputError("'f' is empty."), "'f' is empty."),
        (InputError("it is empty."), "'f': it is empty."),
    ],
)
def test_any_error_of_a_parser_becomes_one_that_names_the_file(error, message):
    with pytest.raises(InputError) as raised, reading("f", "a list"):
        raise error
    assert str(raised.value) == message


def test_interruption_is_not_an_error_of_a_parser():
    with pytest.raises(KeyboardInterrupt), reading("f", "a list"):
        raise KeyboardInterrupt
