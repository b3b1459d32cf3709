"""The example page, in headless Chromium; `make examples` fetches onnxruntime-web."""

import http.server
import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

import keras_cct

BROWSER = Path(__file__).parents[2] / "examples" / "browser"
SNEAKER = BROWSER.parent / "images" / "sneaker.png"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(CHROMIUM is None, reason="requires Chromium"),
    pytest.mark.skipif(not (BROWSER / "node_modules").exists(), reason="run `make examples`"),
]

# Drops files on the page in a frame, one after the other, and posts what the page then shows.
DRIVER = """
<iframe id="frame" src="index.html"></iframe>
<script type="module">
  const frame = document.getElementById("frame");
  const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));
  await new Promise((resolve) => (frame.onload = resolve));
  const page = frame.contentDocument;
  const shown = () => [...page.querySelectorAll("#classes li")].map((item) => item.innerText);
  const results = [];
  for (const name of ["sneaker.png", "notes.txt"]) {
    const transfer = new DataTransfer();
    transfer.items.add(new File([await (await fetch(name)).blob()], name));
    const event = new frame.contentWindow.DragEvent("drop", { dataTransfer: transfer, bubbles: true });
    page.getElementById("drop").dispatchEvent(event);
    while (!shown().length && !page.querySelector("#status.error")) await sleep(20);
    results.push({ status: page.getElementById("status").innerText, classes: shown() });
  }
  await fetch("results", { method: "POST", body: JSON.stringify(results) });
</script>
"""


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder, and keeps the JSON that a page posts."""

    def __init__(self, folder: Path) -> None:
        self.results, self.has_results = None, threading.Event()
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments) -> None:
                super().__init__(*arguments, directory=str(folder))

            def do_POST(self) -> None:
                server.results = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.has_results.set()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_arguments) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def site(tmp_path):
    """Returns the folder of the page with a model."""
    for package in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(package, reason="the runtimes are extras")
    folder = tmp_path / "site"
    shutil.copytree(BROWSER, folder, ignore=shutil.ignore_patterns("node_modules", "model.onnx"))
    (folder / "node_modules").symlink_to((BROWSER / "node_modules").resolve())
    model = keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist")
    keras_cct.export_model(model, folder / "model.onnx", "onnx")
    shutil.copy(SNEAKER, folder)
    (folder / "notes.txt").write_text("no picture")
    (folder / "driver.html").write_text(DRIVER)
    return folder


def test_a_dropped_picture_is_classified_as_by_predict(site, tmp_path):
    with Server(site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/driver.html"
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--remote-debugging-port=0", url]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert server.has_results.wait(120)
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
    picture, text = server.results
    (expected,) = keras_cct.predict(keras_cct.load_predictor(site / "model.onnx"), SNEAKER)
    assert [item.split("\n") for item in picture["classes"]] == [
        [name, f"{100 * probability:.2f} %"] for name, probability in expected.classes
    ]
    assert picture["status"].startswith("cct_2_3x2_32, ")
    assert text == {"status": "notes.txt is not a picture that this browser can read.", "classes": []}
