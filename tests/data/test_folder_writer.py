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


def test_written_folder_is_read_back_with_the_same_labels(tmp_path):
    train, evaluation = random_images(12), random_images(5)
    class_map = write_folder(train, evaluation, tmp_path / "new" / "folder")
    source = Source("mine", str(tmp_path / "new" / "folder"), class_map=str(class_map))
    for data, same in zip((train, evaluation), open_source(source), strict=True):
        assert same.class_names == data.class_names
        pairs, same_pairs = (
            {(image.tobytes(), int(label)) for image, label in zip(split.images, split.labels, strict=True)}
            for split in (data, same)
        )
        assert pairs == same_pairs


def test_files_have_the_layout_of_cifar2png(tmp_path):
    write_folder(random_images(12), random_images(4), tmp_path / "folder")
    names = sorted(str(path.relative_to(tmp_path / "folder")) for path in (tmp_path / "folder").rglob("*.*"))
    assert names[:3] == ["class_map.txt", "train/10/03.png", "train/10/07.png"]
    assert len(names) == 17


def test_nothing_is_overwritten(tmp_path):
    with pytest.raises(InputError, match="already exists"):
        write_folder(random_images(4), random_images(4), tmp_path)


@pytest.mark.parametrize("names", [("a/b", "c"), ("..", "c"), ("", "c"), (" a", "c"), ("a\nb", "c"), ("Cat", "cat")])
def test_invalid_folder_names_are_rejected(names, tmp_path):
    data = random_images(4, names)
    with pytest.raises(InputError, match=r"is not a valid folder name|two classes are named 'cat'"):
        write_folder(data, data, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("offset", [9, -1])
def test_failure_leaves_no_folder(offset, tmp_path):
    data = random_images(4)
    broken = LabeledImages(data.images, data.labels + offset, data.class_names)
    with pytest.raises(InputError, match=r"is not in \[0, 3\]"):
        write_folder(data, broken, tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
