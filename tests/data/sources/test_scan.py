"""The order of the images of a folder, and the memory that finding them takes."""

import random
import tracemalloc

import pytest

from keras_cct.data.sources.scan import natural_sort_key, scan_images
from keras_cct.data.sources.split import hold_out


def touch_all(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    "names",
    [
        ["a/1.png", "a/c.png", "a/b/1.png", "a/b.png", "a/b-1/2.png"],  # images beside folders of images
        ["A/1.png", "A/3.png", "a/2.png", "a/10.png"],
        ["img01/2.png", "img1/1.png", "img1/3.png", "img10/1.png", "img2/1.png"],
        ["a/1.png", "a-1/1.png", "a 1/1.png", "a1/1.png", "a_/1.png", "a/10/1.png"],
    ],
    ids=["nested", "case", "leading zeros", "prefixes"],
)
def test_images_of_several_folders_are_in_natural_order_of_their_paths(names, tmp_path):
    touch_all(tmp_path, names)
    paths = [str(tmp_path / name) for name in names]
    assert [path for path, _ in scan_images(tmp_path)] == sorted(paths, key=natural_sort_key)


def test_images_of_random_names_are_in_natural_order_of_their_paths(tmp_path):
    draw = random.Random(0)
    names = {"/".join("".join(draw.choices("aA10-", k=2)) for _ in range(draw.randint(1, 3))) for _ in range(300)}
    touch_all(tmp_path, [f"{name}/x{number}.png" for name in names for number in (2, 10)])
    found = [path for path, _ in scan_images(tmp_path)]
    assert found == sorted(map(str, tmp_path.rglob("*.png")), key=natural_sort_key)


def test_finding_images_takes_little_memory_beyond_their_paths(tmp_path):
    count, num_classes = 20_000, 100
    touch_all(tmp_path, [f"{number % num_classes}/{number}.png" for number in range(count)])
    tracemalloc.start()
    files = scan_images(tmp_path)
    _, scan_bytes = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    splits = hold_out(files, tmp_path, 0.2, seed=0)
    _, split_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    path_bytes = 60 + len(files[0][0])
    assert sum(map(len, splits)) == count
    assert scan_bytes / count < path_bytes + 150  # a pair, and its references in two lists
    assert (split_bytes - before) / count < 80
