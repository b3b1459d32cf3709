"""The example server, started for real and called by KServe's own clients; `make examples` creates its environment."""

import base64
import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import keras_cct

ROOT = Path(__file__).parents[2]
SERVING, IMAGE = ROOT / "examples" / "serving", ROOT / "examples" / "images" / "sneaker.png"
PYTHON = Path(os.environ.get("KERAS_CCT_SERVING_PYTHON", ROOT / ".venv-serving" / "bin" / "python"))

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(not PYTHON.exists(), reason="the environment of the server; run `make examples`"),
]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Returns the HTTP address and the gRPC address of a server of the Fashion-MNIST model."""
    pytest.importorskip("openvino", reason="the runtimes are extras")
    folder = tmp_path_factory.mktemp("server")
    keras_cct.export_model(keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist"), folder / "ov", "openvino")
    http, grpc = free_port(), free_port()
    command = [PYTHON, SERVING / "server.py", folder / "ov", "--model_name=clothes", f"--http_port={http}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*map(str, command), f"--grpc_port={grpc}"], stdout=log, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{http}"
        deadline = time.monotonic() + 120
        while send(f"{url}/v2/models/clothes/ready")[0] != 200:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield url, f"127.0.0.1:{grpc}"
    finally:
        process.kill()
        process.wait()


def send(url: str, content: object = None) -> tuple[int, dict]:
    """Returns the status and the JSON of a response; status 0 without a server."""
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


def test_the_client_gets_the_same_class_through_every_protocol(server):
    url, grpc_url = server
    command = [PYTHON, SERVING / "client.py", IMAGE, "--model_name=clothes", f"--url={url}", f"--grpc_url={grpc_url}"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name}: sneaker, 91.15 %" for name in ("REST v1", "REST v2", "gRPC")]


def test_pixels_are_predicted_in_batches(server):
    url, _ = server
    sample = keras_cct.load_sample("test")
    images = sample.images[:3]
    status, answer = send(f"{url}/v1/models/clothes:predict", {"instances": images.tolist()})
    assert status == 200
    best = [max(classes, key=classes.get) for classes in answer["predictions"]]
    tensor = {"name": "images", "datatype": "UINT8", "shape": images.shape, "data": images.ravel().tolist()}
    status, answer = send(f"{url}/v2/models/clothes/infer", {"inputs": [tensor]})
    assert status == 200, answer
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["class"]["data"] == best
    assert outputs["probabilities"]["shape"] == [3, len(sample.class_names)]


def v2(name: str, datatype: str, shape: list[int], data: list) -> dict:
    return {"inputs": [{"name": name, "datatype": datatype, "shape": shape, "data": data}]}


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("v1/models/clothes:predict", {"instances": []}, "at least one image"),
        ("v1/models/clothes:predict", [1], "at least one image"),
        ("v1/models/clothes:predict", {"instances": [{"b64": "%%"}]}, "not base64"),
        ("v1/models/clothes:predict", {"instances": [{"b64": base64.b64encode(b"text").decode()}]}, "not an image"),
        ("v1/models/clothes:predict", {"instances": [[[1, 2], [3, 4]]]}, r"shape \(1, 2, 2\)|shape \(2, 2\)"),
        ("v2/models/clothes/infer", v2("pixels", "FP32", [1], [1]), "named images or image_bytes"),
        ("v2/models/clothes/infer", v2("images", "FP32", [1, 28, 28, 1], [1]), "cannot reshape"),
        ("v2/models/clothes/infer", v2("images", "FP32", [1, 2, 2, 1], [1, 2, 3, 4]), r"\(batch, 28, 28, 1\)"),
        ("v2/models/clothes/infer", v2("image_bytes", "BYTES", [1], ["/etc/passwd"]), "not an image|not base64"),
        ("v2/models/clothes/infer", v2("image_bytes", "BYTES", [1], [3]), "not base64"),
    ],
)
def test_bad_requests_are_status_400_with_the_reason(path, content, message, server):
    status, answer = send(f"{server[0]}/{path}", content)
    assert status == 400, answer
    assert re.search(message, answer["error"])
