import re
import runpy
import sys
from pathlib import Path

import pytest
from fixtures.small_run import first_images

import keras_cct

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_nearest_neighbors_beat_chance_even_with_random_features(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["nearest_neighbors.py"])
    monkeypatch.setattr(keras_cct, "load_sample", lambda split: first_images(split, 200))
    runpy.run_path(str(EXAMPLES / "nearest_neighbors.py"), run_name="__main__")
    (accuracy,) = re.findall(r"([\d.]+) % of 1000 images", capsys.readouterr().out)
    # Chance is 10 %; pixels alone separate most clothing.
    assert float(accuracy) > 50


@pytest.mark.slow
@pytest.mark.tensorflow
def test_fine_tuning_beats_training_from_scratch_in_every_way(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["fine_tuning.py", str(tmp_path)])
    runpy.run_path(str(EXAMPLES / "fine_tuning.py"), run_name="__main__")
    rows = re.findall(r"^(\w[\w -]+?) +([\d.]+) %$", capsys.readouterr().out, flags=re.MULTILINE)
    accuracies = {name: float(top1) for name, top1 in rows}
    scratch = accuracies.pop("from scratch")
    assert set(accuracies) == {"all weights", "linear probe", "layer-wise decay"}
    assert min(accuracies.values()) > scratch
