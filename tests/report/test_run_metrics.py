"""Metrics per class: stored in the run, and listed at the end of a training on imbalanced classes."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from fixtures.run_folders import CLASS_NAMES, make_run, tiny_images

import keras_cct
from keras_cct.data.fingerprint import DataFingerprint
from keras_cct.report import run_metrics
from keras_cct.report.run_metrics import list_low_recalls, measure_run
from keras_cct.report.run_record import RunRecord


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_metrics, "open_data", tiny_images)
        keras_cct.write_report(folder)
    return folder


@pytest.fixture
def run(reported, tmp_path):
    return shutil.copytree(reported, tmp_path / "run")


def write_counts(run, *counts: int) -> None:
    """Writes the fingerprint of training images with these numbers per class."""
    data, _ = tiny_images()
    labels = np.repeat(np.arange(3), counts)
    train = dataclasses.replace(data, images=np.zeros((len(labels), 8, 8, 3), "uint8"), labels=labels)
    DataFingerprint.of(train, data).write(run / "data.npz")


def test_metrics_of_the_classes_are_stored(run):
    rows = json.loads((run / "metrics.json").read_text())["per_class"]
    assert [row["name"] for row in rows] == list(CLASS_NAMES)
    assert all(row["images"] == 10 and 0 <= row["recall"] <= 100 for row in rows)


def test_recalls_of_imbalanced_classes_are_listed_from_the_lowest(run):
    write_counts(run, 21, 10, 15)
    header, *lines = list_low_recalls(RunRecord.read(run))
    assert "10 to 21 training images" in header
    recalls = [float(line.split("%")[0].split()[-1]) for line in lines]
    assert recalls == sorted(recalls)
    assert len(recalls) == 3
    assert any("dog" in line and "(10 training images)" in line for line in lines)


def test_equal_classes_and_unknown_ones_are_not_listed(run):
    assert list_low_recalls(RunRecord.read(run)) == []
    write_counts(run, 20, 10, 15)
    assert list_low_recalls(RunRecord.read(run)) == []


def test_at_most_ten_classes_are_listed(run):
    write_counts(run, 30, 10, 10)
    values = json.loads((run / "metrics.json").read_text())
    values["per_class"] = 10 * values["per_class"]
    (run / "metrics.json").write_text(json.dumps(values))
    assert len(list_low_recalls(RunRecord.read(run))) == 11


def test_metrics_of_earlier_versions_have_no_classes(run):
    write_counts(run, 30, 10, 10)
    values = json.loads((run / "metrics.json").read_text())
    del values["per_class"]
    (run / "metrics.json").write_text(json.dumps(values))
    assert list_low_recalls(RunRecord.read(run)) == []


@pytest.mark.parametrize(
    "change",
    [{"numbers": {}}, {"numbers": {"num_images": 0}}, {"numbers": {"num_images": "1"}}, {"class_names": [1, 2]}],
)
def test_damaged_metrics_are_one_line(run, change):
    values = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(values | change))
    with pytest.raises(keras_cct.InputError, match=r"metrics.json' is not the metrics of a run.*Remove the file"):
        measure_run(RunRecord.read(run))
