# %% [markdown]
# # Serve with ONNX and OpenVINO
#
# Exports a classifier to two runtimes, runs the artifacts without Keras, measures their speed, and serves one over
# HTTP. Takes about a minute on two CPU cores. Needs `pip install '.[onnx,openvino]'` in the clone.
#
# The guides [Export](https://github.com/keras-cct/keras_cct/blob/main/docs/guides/export.md) and
# [Serving](https://github.com/keras-cct/keras_cct/blob/main/docs/guides/serving.md) cover more formats, int8,
# TensorFlow Serving, Triton, KServe, browsers and phones.

# %%
import keras_cct  # before keras, so that TensorFlow uses oneDNN as in the commands

# isort: split
import io
import json
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import onnxruntime
import openvino
from PIL import Image

# %% [markdown]
# ## Export
#
# The model is the shipped one; a run folder or a `.keras` file works as well. Each artifact is compared with Keras in
# its own runtime before it is kept.

# %%
model = keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist")
for report in keras_cct.export_model(model, "deploy", ["onnx", "openvino"]):
    print(report.path, f"{report.num_bytes / 1e6:.1f} MB, largest difference {report.largest_difference:.0e}")

# %% [markdown]
# ## Run them without Keras
#
# The artifacts take float32 pixels in [0, 255] of shape (batch, height, width, channels) and return probabilities. The
# class names are in their metadata.

# %%
test = keras_cct.load_sample("test")
images = test.images[:256].astype("float32")

session = onnxruntime.InferenceSession("deploy/model.onnx", providers=["CPUExecutionProvider"])
metadata = json.loads(session.get_modelmeta().custom_metadata_map["keras_cct"])
(probabilities,) = session.run(["probabilities"], {"images": images})
print(metadata["class_names"][probabilities[0].argmax()], f"{100 * probabilities[0].max():.1f} %")

# %%
# Without the hint, OpenVINO computes in bfloat16 on CPUs that support it.
compiled = openvino.Core().compile_model("deploy/openvino/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
same = compiled(images)["probabilities"]
print("largest difference between both runtimes:", f"{np.abs(probabilities - same).max():.0e}")

# %% [markdown]
# ## Compare their speed
#
# Images per second of each runtime with one image and with batches of 64, next to Keras. The numbers hold for the
# machine that ran this notebook; `keras_cct benchmark` measures more carefully.


# %%
def images_per_second(predict, batch_size, seconds=1.0):
    """Calls `predict` with a batch for some seconds."""
    batch = images[:batch_size]
    for _ in range(3):
        predict(batch)
    num_calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        predict(batch)
        num_calls += 1
    return batch_size * num_calls / (time.perf_counter() - start)


runtimes = {
    "Keras": model.predict_on_batch,
    "ONNX Runtime": lambda batch: session.run(None, {"images": batch}),
    "OpenVINO": compiled,
}
print(f"{'':14}{'batch 1':>9}{'batch 64':>10}")
for name, predict in runtimes.items():
    print(f"{name:14}{images_per_second(predict, 1):9.0f}{images_per_second(predict, 64):10.0f}")

# %% [markdown]
# ## Serve over HTTP
#
# A server of a few lines: it takes an image file and returns its classes. `load_predictor` opens every format and
# imports only the runtime that the artifact needs; `predict` decodes, resizes and crops. For production, use a server
# from the guide.

# %%
predictor = keras_cct.load_predictor("deploy/openvino")


class Classifier(BaseHTTPRequestHandler):
    """Returns the classes of an image as JSON."""

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            (prediction,) = keras_cct.predict(predictor, content, top=3)
            status, body = 200, dict(prediction.classes)
        except keras_cct.InputError as error:
            status, body = 400, {"error": str(error)}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Classifier)
threading.Thread(target=server.serve_forever, daemon=True).start()

# %% [markdown]
# A client sends a PNG file:

# %%
file = io.BytesIO()
Image.fromarray(test.images[0, ..., 0]).save(file, "PNG")
url = f"http://127.0.0.1:{server.server_port}"
with urllib.request.urlopen(urllib.request.Request(url, data=file.getvalue())) as response:
    print(json.load(response))
print("label:", test.class_names[test.labels[0]])

# %%
server.shutdown()
