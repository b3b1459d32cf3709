import pytest

from keras_cct.files import PARTIAL, remove_partial, replacing


def test_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert (temporary.suffix, path.read_text()) == (".txt", "old")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


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
