import os

import numpy as np
import pytest
from fixtures.images import encoded, image_folder, photo, photos_in

from keras_cct.data.images import EncodedImages, LabeledImages
from keras_cct.data.sources.folder import order_classes, split_files
from keras_cct.data.sources.open import open_source
from keras_cct.data.sources.scan import natural_sort_key, scan_images
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError


def test_names_sort_by_numeric_value_and_ignore_case():
    names = ["10", "2", "1", "Img10", "img2", "b", "A", "a", "1²"]
    assert sorted(names, key=natural_sort_key) == ["1", "1²", "2", "10", "A", "a", "b", "img2", "Img10"]


def test_numbered_folders_keep_their_numeric_order(tmp_path):
    names = [str(number) for number in range(1, 103)]
    assert order_classes(reversed(names), "") == tuple(names)


def test_images_are_found_at_any_depth_in_natural_order(tmp_path):
    expected = ["animals/cat/2.png", "animals/cat/10.JPG", "dog/a.jpeg", "dog/B.PNG"]
    photos_in(tmp_path, expected)
    for other in ("dog/notes.txt", "dog/.hidden.png", ".git/x.png", "dog/a.pdf"):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text("no image")
    assert scan_images(tmp_path) == [(str(tmp_path / name), name.split("/")[-2]) for name in expected]


def test_links_are_followed_except_in_cycles(tmp_path):
    image_folder(tmp_path / "elsewhere", {"cat": 2})
    image_folder(tmp_path / "root", {"dog": 1})
    (tmp_path / "root" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    (tmp_path / "root" / "dog" / "up").symlink_to(tmp_path / "root")
    assert [name for _, name in scan_images(tmp_path / "root")] == ["cat", "cat", "dog"]


def test_a_folder_with_many_links_to_it_is_read_once(tmp_path, caplog):
    image_folder(tmp_path / "root" / "0", {"cat": 1})
    for level in range(30):  # a billion paths lead to the image
        folder = tmp_path / "root" / str(level + 1)
        folder.mkdir()
        for name in ("a", "b"):
            (folder / name).symlink_to(tmp_path / "root" / str(level))
    assert [name for _, name in scan_images(tmp_path / "root")] == ["cat"]
    assert "left out 60 links to folders that are read already" in caplog.text


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "no images found in '{folder}'"),
        (lambda folder: (folder / "cat").mkdir(), "class folder '{folder}/cat' has no images"),
        (lambda folder: photos_in(folder, ["cat/1.png", "2.png"]), "'{folder}/2.png' is not in a class folder"),
    ],
)
def test_folders_without_classes_are_rejected(prepare, message, tmp_path):
    prepare(tmp_path)
    with pytest.raises(InputError) as error:
        scan_images(tmp_path)
    assert message.format(folder=tmp_path) in str(error.value)


def test_class_map_defines_the_order(tmp_path):
    (tmp_path / "map.txt").write_text("zebra\n\n ant \n")
    assert order_classes(["ant", "bee", "zebra"], str(tmp_path / "map.txt")) == ("zebra", "ant")


@pytest.mark.parametrize(("text", "fault"), [("", "is empty"), ("a\nb\na", "lists 'a' twice")])
def test_invalid_class_maps_are_rejected(text, fault, tmp_path):
    (tmp_path / "map.txt").write_text(text)
    with pytest.raises(InputError, match=f"map.txt' {fault}"):
        order_classes(["a"], str(tmp_path / "map.txt"))
    with pytest.raises(InputError, match="'nowhere.txt' does not exist.*class_map"):
        order_classes(["a"], "nowhere.txt")


def open_pets(folder, **keys):
    return open_source(Source("pets", str(folder), **keys))


def test_layout_of_cifar2png_is_read(tmp_path):
    image_folder(tmp_path, {"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/dog": 2}, (32, 32))
    train, evaluation = open_pets(tmp_path)
    assert isinstance(train, LabeledImages)
    assert train.image_shape == (32, 32, 3)
    assert train.class_names == evaluation.class_names == ("cat", "dog")
    assert (train.labels.tolist(), evaluation.labels.tolist()) == ([0, 0, 0, 1, 1], [0, 1, 1])
    np.testing.assert_array_equal(train.images[1], photo(32, 32, phase=1))


@pytest.mark.parametrize("val", ["val", "valid", "validation", "eval", "evaluation", "test"])
@pytest.mark.parametrize("train", ["train", "training"])
def test_split_folders_are_found_by_synonyms(train, val, tmp_path):
    image_folder(tmp_path, {f"{train}/cat": 2, f"{val}/cat": 1})
    assert [len(files) for files in split_files(Source("pets", str(tmp_path)))] == [2, 1]


def test_exact_split_name_takes_precedence_over_synonyms(tmp_path):
    image_folder(tmp_path, {"train/cat": 1, "val/cat": 2, "test/cat": 3, "odd/cat": 4, "deep/er/cat": 5})
    for val_split, count in (("validation", 2), ("test", 3), ("odd", 4), ("deep/er", 5)):
        assert len(split_files(Source("pets", str(tmp_path), val_split=val_split))[1]) == count


def test_images_of_different_sizes_stay_encoded(tmp_path):
    image_folder(tmp_path, {"train/cat": 2, "val/cat": 1})
    photos_in(tmp_path, ["train/cat/wide.jpg"], (20, 30))
    train, evaluation = open_pets(tmp_path)
    assert isinstance(train, EncodedImages)
    assert isinstance(evaluation, LabeledImages)
    image, label = train.read(np.int32(2))
    assert (image.shape, int(label)) == ((20, 30, 3), 0)


def test_all_image_modes_become_rgb(tmp_path):
    image_folder(tmp_path, {"val/cat": 1})
    (tmp_path / "train/cat").mkdir(parents=True)
    formats = {"L": "PNG", "CMYK": "JPEG", "P": "PNG", "LA": "PNG", "1": "PNG"}
    for mode, file_format in formats.items():
        suffix = {"PNG": "png", "JPEG": "jpg"}[file_format]
        (tmp_path / f"train/cat/{mode}.{suffix}").write_bytes(encoded(photo(mode=mode), file_format))
    assert open_pets(tmp_path)[0].image_shape == (37, 53, 3)


def test_class_map_leaves_out_unlisted_classes_with_a_warning(tmp_path, caplog):
    image_folder(tmp_path, {"train/ant": 1, "train/bee": 2, "train/zebra": 3, "val/zebra": 1, "val/fly": 1})
    (tmp_path / "map.txt").write_text("zebra\nant\n")
    train, evaluation = open_pets(tmp_path, class_map=str(tmp_path / "map.txt"))
    assert train.class_names == ("zebra", "ant")
    assert (train.labels.tolist(), evaluation.labels.tolist()) == ([1, 0, 0, 0], [0])
    dropped = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [message.split(" in ")[0] for message in dropped] == ["left out 2 images", "left out 1 images"]


def test_class_map_keeps_classes_without_training_images_with_a_warning(tmp_path, caplog):
    image_folder(tmp_path, {"train/ant": 1, "train/zebra": 1, "val/ant": 1})
    (tmp_path / "map.txt").write_text("zebra\nbee\nant\n")
    train, evaluation = open_pets(tmp_path, class_map=str(tmp_path / "map.txt"))
    assert train.class_names == ("zebra", "bee", "ant")
    assert (train.labels.tolist(), evaluation.labels.tolist()) == ([2, 0], [2])
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [f"1 of 3 classes have no training images in {tmp_path}, the first is 'bee'"]


@pytest.mark.parametrize(
    ("counts", "keys", "message"),
    [
        ({"train/cat": 1, "val/dog": 1}, {}, "class 'dog' of '{folder}/val/dog/0.png' has no training images"),
        (
            {"val/cat": 1, "dog": 1},
            {},
            "{folder}' has no folder 'train|training' for the split 'train'; its folders are: dog, val.",
        ),
        ({"train/cat": 1}, {"val_split": "odd"}, "has no folder 'odd' for the split 'odd'; its folders are: train."),
        (
            {"train/cat": 1},
            {"val_split": "train"},
            "the training folder '{folder}/train' and the evaluation folder '{folder}/train' share images",
        ),
        ({"train/cat": 1}, {"val_split": "."}, "they are the same folder, or one contains the other"),
        ({"train/cat": 1, "val/cat": 0}, {}, "class folder '{folder}/val/cat' has no images"),
        (
            {"train/cat": 1, "val/cat": 1},
            {"class_map": "{folder}/map"},
            "map' lists none of the classes in '{folder}'",
        ),
    ],
)
def test_folders_without_two_valid_splits_are_rejected(counts, keys, message, tmp_path):
    for folder, count in counts.items():
        (tmp_path / folder).mkdir(parents=True)
        image_folder(tmp_path, {folder: count})
    (tmp_path / "map").write_text("zebra")
    with pytest.raises(InputError) as error:
        open_pets(tmp_path, **{key: value.format(folder=tmp_path) for key, value in keys.items()})
    assert message.format(folder=tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_link_from_one_split_to_the_other_is_rejected(tmp_path):
    image_folder(tmp_path, {"train/cat": 1})
    (tmp_path / "val").symlink_to(tmp_path / "train")
    with pytest.raises(InputError, match="share images"):
        open_pets(tmp_path)


def test_pipes_and_devices_among_images_are_refused(tmp_path):
    photos_in(tmp_path, ["cat/1.png"])
    os.mkfifo(tmp_path / "cat" / "x.png")
    with pytest.raises(InputError, match="x.png' is not a regular file"):
        scan_images(tmp_path)
    (tmp_path / "cat" / "x.png").unlink()
    (tmp_path / "cat" / "x.png").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="x.png' is not a regular file"):
        scan_images(tmp_path)


def test_file_name_that_is_not_utf_8_is_named_in_one_printable_line(tmp_path):
    photos_in(tmp_path, ["cat/1.png"])
    (tmp_path / "cat" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    with pytest.raises(InputError, match="is not valid UTF-8. Rename it") as error:
        scan_images(tmp_path)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("content", "message"), [(b"\xff\xfe", "is not a text file in UTF-8"), (b"a" * 2**21, "more than 1,048,576 bytes")]
)
def test_class_map_that_is_not_a_short_text_file_is_refused(content, message, tmp_path):
    (tmp_path / "map.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        order_classes(["a"], str(tmp_path / "map.txt"))
    with pytest.raises(InputError, match="/dev/zero' is not a regular file"):
        order_classes(["a"], "/dev/zero")
