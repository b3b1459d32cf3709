import numpy as np
import pytest

from keras_cct.data.folder_writer import write_folder
from keras_cct.data.images import LabeledImages
from keras_cct.data.sources.open import open_source
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError


def random_images(count: int, class_names=("zebra", "ant", "2", "10")) -> LabeledImages:
    images = np.random.default_rng(count).integers(0, 256, (count, 6, 5, 3), dtype="uint8")
    return LabeledImages(images, np.arange(count) % len(class_names), class_names)


def test_a_written_folder_reads_back_with_the_same_labels(tmp_path):
    train, evaluation = random_images(12), random_images(5)
    class_map = write_folder(train, evaluation, tmp_path / "new" / "folder")
    source = Source("mine", str(tmp_path / "new" / "folder"), class_map=str(class_map))
    for data, same in zip((train, evaluation), open_source(source), strict=True):
        assert same.class_names == data.class_names
        pairs, same_pairs = (
            {(image.tobytes(), int(label)) for image, label in zip(kind.images, kind.labels, strict=True)}
            for kind in (data, same)
        )
        assert pairs == same_pairs


def test_files_lie_as_cifar2png_lays_them(tmp_path):
    write_folder(random_images(12), random_images(4), tmp_path / "folder")
    names = sorted(str(path.relative_to(tmp_path / "folder")) for path in (tmp_path / "folder").rglob("*.*"))
    assert names[:3] == ["class_map.txt", "train/10/03.png", "train/10/07.png"]
    assert len(names) == 17


def test_nothing_is_overwritten(tmp_path):
    with pytest.raises(InputError, match="exists already. Give a new folder; nothing is overwritten."):
        write_folder(random_images(4), random_images(4), tmp_path)


@pytest.mark.parametrize("names", [("a/b", "c"), ("..", "c"), ("", "c"), (" a", "c"), ("a\nb", "c"), ("Cat", "cat")])
def test_classes_that_cannot_be_folders_are_named(names, tmp_path):
    data = random_images(4, names)
    with pytest.raises(
        InputError, match=r"cannot be the name of a folder. Rename it|two classes are called 'cat', and"
    ):
        write_folder(data, data, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    data = random_images(4)
    broken = LabeledImages(data.images, data.labels + 9, data.class_names)
    with pytest.raises(IndexError):
        write_folder(data, broken, tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
