import html.parser
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from fixtures.run_folders import CLASS_NAMES, make_run, tiny_images

import keras_cct
from keras_cct.report import run_metrics, run_report
from keras_cct.report.pictures import MAX_SIDE, enlarge, to_data_uri
from keras_cct.report.run_record import RunRecord
from keras_cct.training.environment import describe_environment, write_environment


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "first", seed=7)
    write_environment(folder / "environment.json", describe_environment("1 CPU"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_metrics, "open_data", tiny_images)
        keras_cct.write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(run):
    return (run / "report.html").read_text()


class Links(html.parser.HTMLParser):
    """Collects everything that a page refers to."""

    def __init__(self, text: str):
        super().__init__()
        self.targets = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.targets += [value for name, value in attrs if name in ("src", "href", "xlink:href")]


def test_report_refers_to_nothing_outside_itself(page):
    targets = Links(page).targets
    assert len(targets) > 10
    assert [target for target in targets if not target.startswith(("data:", "#"))] == []
    assert not re.search(r"@import|url\((?!#)", page)
    assert len(page) < 3e6


def test_the_confusion_matrix_of_many_classes_is_left_out(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "run")
    monkeypatch.setattr(run_metrics, "open_data", tiny_images)
    monkeypatch.setattr(run_report, "MAX_CONFUSION_CLASSES", 2)
    monkeypatch.setattr(run_report.Evaluation, "confusion", property(lambda self: pytest.fail("is computed")))
    text = keras_cct.write_report(folder).read_text()
    assert "Confusion matrix" not in text
    assert "Metrics per class" in text


def test_report_holds_every_part(run, page):
    for part in (
        "cvt_2_4_32 on pets",
        "best epoch 3 of 3",
        "Confusion matrix",
        "Most confident mistakes",
        "Calibration",
        "keras_cct train -c recipe.yml",
        "<td>CPU</td>",
        "best.keras",
    ):
        assert part in page, part
    metrics = json.loads((run / "metrics.json").read_text())
    assert f"{metrics['numbers']['top1']:.2f} %" in page
    assert page.count('class="name" data-value=') == len(CLASS_NAMES)
    assert page.count("with the pooling map") == page.count("<figcaption>") > 5
    assert page.count("<svg") == 6
    assert "top-5" not in page  # of three classes


def test_names_of_classes_are_escaped(page):
    assert "<b>cat" not in page
    assert "&lt;b&gt;cat&lt;/b&gt;" in page


def test_contained_recipe_is_that_of_the_run(run, page, tmp_path):
    import base64

    (encoded,) = re.findall(r'href="data:application/yaml;base64,([^"]+)"', page)
    (tmp_path / "recipe.yml").write_bytes(base64.b64decode(encoded))
    assert keras_cct.load_recipe(tmp_path / "recipe.yml") == keras_cct.load_recipe(run / "recipe.yml")


def test_a_run_of_version_0_1_0_counts_its_epochs_from_1(tmp_path, monkeypatch):
    monkeypatch.setattr(run_metrics, "open_data", tiny_images)
    folder = make_run(tmp_path / "old", first_epoch=0)
    assert [row["epoch"] for row in RunRecord.read(folder).rows] == [1, 2, 3]
    page = keras_cct.write_report(folder, tmp_path / "old.html").read_text()
    assert "best epoch 3 of 3" in page
    assert "The environment is unknown" in page
    assert not (folder / "report.html").exists()


def test_an_environment_without_a_time_is_reported(tmp_path):
    folder = make_run(tmp_path / "run", data_dir=str(tmp_path / "gone"))
    (folder / "environment.json").write_text('{"CPU": "a processor", "backend": "jax; reboot"}')
    page = keras_cct.write_report(folder).read_text()
    assert "KERAS_BACKEND=&#39;jax; reboot&#39; keras_cct train" in page
    assert "a processor" in page
    assert "started" not in page


def test_a_run_without_its_images_is_reported_without_an_evaluation(tmp_path, caplog):
    folder = make_run(tmp_path / "run", data_dir=str(tmp_path / "gone"))
    page = keras_cct.write_report(folder).read_text()
    assert "The model was not evaluated: data_dir=" in page
    assert "50.00 %" in page
    assert "Confusion matrix" not in page
    assert "the report has no evaluation" in caplog.text


def test_a_model_that_predicts_nan_is_reported_without_an_evaluation(tmp_path, monkeypatch):
    monkeypatch.setattr(run_metrics, "open_data", tiny_images)
    folder = make_run(tmp_path / "run")
    model = keras_cct.create_model("cvt_2_4_32", input_shape=(8, 8, 3), num_classes=3, class_names=CLASS_NAMES)
    model.get_layer("head").bias.assign(np.full(3, np.nan))
    model.save(folder / "best.keras")
    assert "the model predicts NaN or infinity" in keras_cct.write_report(folder).read_text()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("recipe.yml", None, "is not a run folder"),
        ("summary.csv", None, "has no summary.csv"),
        ("best.keras", None, "has no best.keras"),
        ("summary.csv", "epoch,train_loss,eval_loss,eval_top1\n", "contains no epochs"),
        ("summary.csv", "epoch,train_loss\n1,x\n", "summary of a run"),
        ("environment.json", "[", "environment of a run"),
    ],
)
def test_an_incomplete_run_is_refused(tmp_path, run, name, text, expected):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "report.html").unlink()
    (folder / name).unlink(missing_ok=True)
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(keras_cct.InputError, match=expected):
        keras_cct.write_report(folder)
    assert not (folder / "report.html").exists()


def test_images_become_data_uris():
    small, large = np.zeros((8, 6, 1), "uint8"), np.zeros((300, 200, 3), "uint8")
    assert to_data_uri(small).startswith("data:image/png;base64,")
    assert to_data_uri(large).startswith("data:image/webp;base64,")
    assert enlarge(small).shape == (MAX_SIDE, MAX_SIDE * 6 // 8, 1)
    assert enlarge(large) is not large
    assert enlarge(large).shape == large.shape


PROBE = """<body><script>
(async () => {
  const found = [];
  for (const width of [1280, 390]) {
    const frame = document.createElement("iframe");
    Object.assign(frame.style, { width: width + "px", height: "900px", border: 0 });
    frame.src = "report.html";
    document.body.append(frame);
    await new Promise((resolve) => (frame.onload = resolve));
    const page = frame.contentDocument;
    page.querySelectorAll("table.sortable th button")[2].click();
    const rows = [...page.querySelector("table.sortable").tBodies[0].rows];
    const recalls = rows.map((row) => Number(row.cells[2].dataset.value));
    found.push([width, page.documentElement.scrollWidth, recalls]);
  }
  document.body.textContent = JSON.stringify(found);
})();
</script></body>"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_report_opens_in_a_browser_without_messages_or_overflow(run, tmp_path):
    shutil.copy(run / "report.html", tmp_path)
    (tmp_path / "probe.html").write_text(PROBE)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--enable-logging=stderr"]
    budget = ["--virtual-time-budget=5000", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        ["chromium", *flags, *budget, Path(tmp_path, "probe.html").as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    assert "CONSOLE" not in done.stderr
    found = json.loads(re.search(r"\[\[.*\]\]", done.stdout)[0])
    for width, scroll_width, recalls in found:
        assert scroll_width <= width
        assert recalls == sorted(recalls, reverse=True)
        assert len(recalls) == len(CLASS_NAMES)
