import pytest
from fixtures.images import image_folder, photos_in

from keras_cct.data.sources.class_folders import natural_key, order_classes, scan_images
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
