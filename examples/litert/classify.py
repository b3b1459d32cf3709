"""Classifies an image with a LiteRT file as an app on a phone does: with the interpreter and NumPy alone.

    pip install ai-edge-litert numpy pillow
    python examples/litert/classify.py model.tflite examples/images/sneaker.png

Everything the app needs to know is in the file: the metadata and the labels are a ZIP archive at its end.
"""

import argparse
import json
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps


def main() -> None:
    """Prints the five most probable classes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="file written by `keras_cct export --format litert`")
    parser.add_argument("image", help="image of any size")
    options = parser.parse_args()
    with zipfile.ZipFile(options.model) as archive:
        metadata = json.loads(archive.read("metadata.json"))
    probabilities = classify(options.model, read_pixels(options.image, metadata), metadata["batch_size"])
    names = metadata["class_names"] or [str(index) for index in range(len(probabilities))]
    for index in np.argsort(-probabilities)[:5]:
        print(f"{100 * probabilities[index]:6.2f} %  {names[index]}")


def read_pixels(path: str, metadata: dict) -> np.ndarray:
    """Returns the pixels of an image, float32 in [0, 255], of shape (height, width, channels)."""
    height, width, channels = metadata["image_shape"]
    image = Image.open(path).convert("L" if channels == 1 else "RGB")
    image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)  # resizes and crops the center
    return np.asarray(image, "float32").reshape(height, width, channels)


def classify(model: str, pixels: np.ndarray, batch_size: int) -> np.ndarray:
    """Returns the probability of each class. The first image of the fixed batch is the image; the others are black."""
    interpreter = Interpreter(model, num_threads=4)
    runner = interpreter.get_signature_runner("serving_default")
    images = np.zeros((batch_size, *pixels.shape), "float32")
    images[0] = pixels
    return runner(images=images)["probabilities"][0]


if __name__ == "__main__":
    main()
