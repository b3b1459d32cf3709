import dataclasses
import json
import re
import shutil

import pytest
from fixtures.run_folders import make_run, tiny_images

import keras_cct
from keras_cct.report import run_metrics
from keras_cct.report.comparison import summarize_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Returns the folder of two seeds of one recipe and of a run with another learning rate."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "seed-1", top1=50, seed=1)
    for name, keys in (("seed-2", {"top1": 60, "seed": 2}), ("faster", {"top1": 40, "lr": 0.5})):
        make_run(folder / name, **keys)
        shutil.copy(folder / "seed-1" / "best.keras", folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_metrics, "open_data", tiny_images)
        keras_cct.write_comparison([folder], folder / "comparison.html")
    for name, top1 in (("seed-1", 50), ("seed-2", 60), ("faster", 40)):
        path = folder / name / "metrics.json"
        values = json.loads(path.read_text())
        values["numbers"]["top1"] = top1
        path.write_text(json.dumps(values))
    return folder


def cells_of(page: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL)
    return [[re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<t[dh].*?</t[dh]>", row)] for row in rows]


def test_seeds_are_grouped_with_mean_and_standard_deviation(runs):
    keras_cct.write_comparison([runs], runs / "comparison.html")  # reads the stored metrics
    rows = {row[0]: row for row in cells_of((runs / "comparison.html").read_text())}
    assert rows["recipe"][1:3] == ["top-1, %", "top-5, %"]
    assert rows["cvt_2_4_32, seeds 1, 2"][1] == "55.00 ± 7.07"
    assert rows["faster"][1] == "40.00"
    assert rows["seed-2"][1] == "60.00"
    assert rows["key"] == ["key", "faster", "seed-1", "seed-2"]
    assert rows["lr"] == ["lr", "0.5", "0.01", "0.01"]
    assert rows["seed"] == ["seed", "42", "1", "2"]
    assert "epochs" not in rows


def test_curves_of_all_runs_are_overlaid(runs):
    page = (runs / "comparison.html").read_text()
    assert page.count("<svg") == 2
    for name in ("faster", "seed-1", "seed-2"):
        assert page.count(f">{name}</text>") == 2


def test_runs_on_different_data_are_refused(runs, tmp_path):
    other = make_run(tmp_path / "other")
    (other / "recipe.yml").write_text((other / "recipe.yml").read_text().replace("pets", "cars"))
    with pytest.raises(keras_cct.InputError, match="on different data, pets and cars"):
        keras_cct.write_comparison([runs / "seed-1", other], tmp_path / "comparison.html")
    shutil.copytree(runs / "seed-1", tmp_path / "more")
    path = tmp_path / "more" / "metrics.json"
    values = json.loads(path.read_text())
    values["numbers"]["num_images"] = 31
    path.write_text(json.dumps(values))
    with pytest.raises(keras_cct.InputError, match="30 images of 3 classes .* and 31 images"):
        keras_cct.write_comparison([runs / "seed-1", tmp_path / "more"], tmp_path / "comparison.html")
    assert not (tmp_path / "comparison.html").exists()


def test_a_comparison_needs_two_runs(runs, tmp_path):
    with pytest.raises(keras_cct.InputError, match="at least two runs"):
        keras_cct.write_comparison([runs / "seed-1", runs / "seed-1"], tmp_path / "comparison.html")


def test_a_run_without_its_images_keeps_the_accuracy_of_its_training(runs, tmp_path, caplog):
    gone = make_run(tmp_path / "gone", top1=30, data_dir=str(tmp_path / "missing"))
    page = keras_cct.write_comparison([runs / "seed-1", gone], tmp_path / "comparison.html").read_text()
    rows = {row[0]: row for row in cells_of(page)}
    assert rows["gone"][1] == "30.00"
    assert rows["gone"][-1] == "—"
    assert "gone was not evaluated" in caplog.text


def test_stored_metrics_are_those_of_an_evaluation(runs):
    values = json.loads((runs / "seed-1" / "metrics.json").read_text())
    names = {field.name for field in dataclasses.fields(run_metrics.RunMetrics)}
    assert set(values) == names
    assert values["numbers"]["num_images"] == 30


def test_folds_of_unequal_size_are_compared(runs, tmp_path):
    for fold in (1, 2):
        folder = tmp_path / f"fold-{fold}"
        make_run(folder, folds=2, fold=fold)
        values = json.loads((runs / "seed-1" / "metrics.json").read_text())
        values["numbers"] |= {"num_images": 10 + fold, "top1": 50 + 10 * fold, "macro_f1": 50, "loss": fold}
        (folder / "metrics.json").write_text(json.dumps(values))
    keras_cct.write_comparison([tmp_path], tmp_path / "comparison.html")
    assert "folds 1, 2" in (tmp_path / "comparison.html").read_text()
    expected = (
        "top-1 65.00 ± 7.07 %, macro F1 50.00 ± 0.00 %, loss 1.5000 ± 0.7071 (mean and standard deviation of 2 runs)"
    )
    assert summarize_runs([tmp_path / "fold-1", tmp_path / "fold-2"]) == expected
