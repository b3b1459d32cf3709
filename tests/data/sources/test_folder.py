import numpy as np
import pytest
from fixtures.images import encoded, image_folder, photo, photos_in

from keras_cct.data.images import EncodedImages, LabeledImages
from keras_cct.data.sources.folder import natural_key, order_classes, scan_images
from keras_cct.data.sources.open import open_source
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError


def test_names_sort_by_the_value_of_their_numbers_without_regard_to_case():
    names = ["10", "2", "1", "Img10", "img2", "b", "A", "a", "1²"]
    assert sorted(names, key=natural_key) == ["1", "1²", "2", "10", "A", "a", "b", "img2", "Img10"]


def test_102_numbered_folders_keep_their_order(tmp_path):
    names = [str(number) for number in range(1, 103)]
    assert order_classes(reversed(names), "") == tuple(names)


def test_images_are_found_at_any_depth_by_their_names_in_natural_order(tmp_path):
    wanted = ["animals/cat/2.png", "animals/cat/10.JPG", "dog/a.jpeg", "dog/B.PNG"]
    photos_in(tmp_path, wanted)
    for other in ("dog/notes.txt", "dog/.hidden.png", ".git/x.png", "dog/a.bmp"):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text("no image")
    assert scan_images(tmp_path) == [(str(tmp_path / name), name.split("/")[-2]) for name in wanted]


def test_links_are_followed_but_not_in_circles(tmp_path):
    image_folder(tmp_path / "elsewhere", {"cat": 2})
    image_folder(tmp_path / "root", {"dog": 1})
    (tmp_path / "root" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    (tmp_path / "root" / "dog" / "up").symlink_to(tmp_path / "root")
    assert [name for _, name in scan_images(tmp_path / "root")] == ["cat", "cat", "dog"]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "{folder}' has no images (.png, .jpg, .jpeg). Give a folder with a folder per class."),
        (lambda folder: (folder / "cat").mkdir(), "{folder}/cat' is a class without images"),
        (lambda folder: photos_in(folder, ["cat/1.png", "2.png"]), "{folder}/2.png' is in no class folder."),
    ],
)
def test_folders_that_hold_no_classes_are_refused(prepare, message, tmp_path):
    prepare(tmp_path)
    with pytest.raises(InputError) as error:
        scan_images(tmp_path)
    assert message.format(folder=tmp_path) in str(error.value)


def test_class_map_decides_the_order(tmp_path):
    (tmp_path / "map.txt").write_text("zebra\n\n ant \n")
    assert order_classes(["ant", "bee", "zebra"], str(tmp_path / "map.txt")) == ("zebra", "ant")


@pytest.mark.parametrize(("text", "fault"), [("", "has no lines"), ("a\nb\na", "names 'a' twice")])
def test_class_maps_without_sense_are_refused(text, fault, tmp_path):
    (tmp_path / "map.txt").write_text(text)
    with pytest.raises(InputError, match=f"map.txt' {fault}. Give each class a line."):
        order_classes(["a"], str(tmp_path / "map.txt"))
    with pytest.raises(InputError, match="class_map='nowhere.txt' cannot be read"):
        order_classes(["a"], "nowhere.txt")


def open_pets(folder, **keys):
    return open_source(Source("pets", str(folder), **keys))


def test_the_layout_of_cifar2png_works_as_it_is(tmp_path):
    image_folder(tmp_path, {"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/dog": 2}, (32, 32))
    train, evaluation = open_pets(tmp_path)
    assert isinstance(train, LabeledImages)
    assert train.image_shape == (32, 32, 3)
    assert train.class_names == evaluation.class_names == ("cat", "dog")
    assert (train.labels.tolist(), evaluation.labels.tolist()) == ([0, 0, 0, 1, 1], [0, 1, 1])
    np.testing.assert_array_equal(train.images[1], photo(32, 32, phase=1))


@pytest.mark.parametrize("val", ["val", "valid", "validation", "eval", "evaluation", "test"])
@pytest.mark.parametrize("train", ["train", "training"])
def test_splits_have_many_names(train, val, tmp_path):
    image_folder(tmp_path, {f"{train}/cat": 2, f"{val}/cat": 1})
    assert [len(data) for data in open_pets(tmp_path)] == [2, 1]


def test_the_split_named_goes_before_its_synonyms(tmp_path):
    image_folder(tmp_path, {"train/cat": 1, "val/cat": 2, "test/cat": 3, "odd/cat": 4, "deep/er/cat": 5})
    for val_split, count in (("validation", 2), ("test", 3), ("odd", 4), ("deep/er", 5)):
        assert len(open_pets(tmp_path, val_split=val_split)[1]) == count


def test_images_of_different_sizes_stay_encoded(tmp_path):
    image_folder(tmp_path, {"train/cat": 2, "val/cat": 1})
    photos_in(tmp_path, ["train/cat/wide.jpg"], (20, 30))
    train, evaluation = open_pets(tmp_path)
    assert isinstance(train, EncodedImages)
    assert isinstance(evaluation, LabeledImages)
    image, label = train.read(np.int32(2))
    assert (image.shape, int(label)) == ((20, 30, 3), 0)


def test_a_broken_file_among_others_is_a_warning_with_its_name(tmp_path, caplog):
    image_folder(tmp_path, {"train/cat": 3, "val/cat": 1})
    broken = tmp_path / "train/cat/1.png"
    broken.write_bytes(broken.read_bytes()[:50])
    train, _ = open_pets(tmp_path)
    np.testing.assert_array_equal(train.images[1], train.images[2])
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"{str(broken)!r} cannot be read; the next image takes its place (1 of at most 10)"
    ]


def test_too_many_broken_files_are_an_error_with_a_name(tmp_path):
    image_folder(tmp_path, {"train/cat": 1, "val/cat": 1})
    for number in range(11):
        (tmp_path / f"train/cat/broken{number}.png").write_text("no image")
    with pytest.raises(InputError, match=r"11 of 12 images cannot be read, the last is '.*/broken.*.png'. Mend or"):
        open_pets(tmp_path)


def test_all_kinds_of_images_become_rgb(tmp_path):
    image_folder(tmp_path, {"val/cat": 1})
    (tmp_path / "train/cat").mkdir(parents=True)
    kinds = {"L": "PNG", "CMYK": "JPEG", "P": "PNG", "LA": "PNG", "1": "PNG"}
    for mode, kind in kinds.items():
        ending = {"PNG": "png", "JPEG": "jpg"}[kind]
        (tmp_path / f"train/cat/{mode}.{ending}").write_bytes(encoded(photo(mode=mode), kind))
    assert open_pets(tmp_path)[0].image_shape == (37, 53, 3)


def test_class_map_drops_the_classes_it_does_not_list(tmp_path, caplog):
    image_folder(tmp_path, {"train/ant": 1, "train/bee": 2, "train/zebra": 3, "val/zebra": 1, "val/fly": 1})
    (tmp_path / "map.txt").write_text("zebra\nant\n")
    train, evaluation = open_pets(tmp_path, class_map=str(tmp_path / "map.txt"))
    assert train.class_names == ("zebra", "ant")
    assert (train.labels.tolist(), evaluation.labels.tolist()) == ([1, 0, 0, 0], [0])
    dropped = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [message.split(" in ")[0] for message in dropped] == ["left out 2 images", "left out 1 images"]


@pytest.mark.parametrize(
    ("counts", "keys", "message"),
    [
        ({"train/cat": 1, "val/dog": 1}, {}, "class 'dog' of '{folder}/val/dog/0.png' is not among the classes of"),
        ({"cat": 1, "dog": 1}, {}, "{folder}' has no folder 'train|training' for the split 'train', only: cat, dog."),
        ({"train/cat": 1}, {}, "has no folder 'val|valid|validation|eval|evaluation|test' for the split 'validation'"),
        ({"train/cat": 1}, {"val_split": "odd"}, "has no folder 'odd' for the split 'odd', only: train."),
        ({"train/cat": 1}, {"val_split": "train"}, "training and evaluation would share images: '{folder}/train' and"),
        ({"train/cat": 1}, {"val_split": "."}, "are one folder, or one is in the other. Give two folders apart"),
        ({"train/cat": 1, "val/cat": 0}, {}, "{folder}/val/cat' is a class without images"),
        ({"train/cat": 1, "val/cat": 1}, {"class_map": "{folder}/map"}, "map' names no class of '{folder}/train'"),
    ],
)
def test_folders_that_make_no_two_splits_are_refused(counts, keys, message, tmp_path):
    for place, count in counts.items():
        (tmp_path / place).mkdir(parents=True)
        image_folder(tmp_path, {place: count})
    (tmp_path / "map").write_text("zebra")
    with pytest.raises(InputError) as error:
        open_pets(tmp_path, **{key: value.format(folder=tmp_path) for key, value in keys.items()})
    assert message.format(folder=tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_link_from_one_split_to_the_other_is_refused(tmp_path):
    image_folder(tmp_path, {"train/cat": 1})
    (tmp_path / "val").symlink_to(tmp_path / "train")
    with pytest.raises(InputError, match="training and evaluation would share images"):
        open_pets(tmp_path)
