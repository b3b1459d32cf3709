"""Classifies the bundled sample with a k-nearest-neighbors vote on the pooled features of a model.

    python examples/nearest_neighbors.py runs/.../best.keras

Each test image gets the most frequent class among its 20 nearest training images, by cosine similarity. Without an
argument the model has random weights, which gives the baseline.
"""

import sys

import keras
import numpy as np

import keras_cct

NUM_NEIGHBORS = 20


def unit_features(backbone: keras.Model, images: np.ndarray) -> np.ndarray:
    """Returns pooled features with unit L2 norm, of shape (images, dim)."""
    pooled = backbone.predict(images, batch_size=250, verbose=0)["pooled"]
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


def main() -> None:
    """Prints the accuracy on the test images."""
    train, test = keras_cct.load_sample("train"), keras_cct.load_sample("test")
    if len(sys.argv) > 1:
        model = keras.models.load_model(sys.argv[1])
    else:
        model = keras_cct.create_model("cct_2_3x2_32", input_shape=train.image_shape)
    backbone = keras_cct.features(model)
    similarity = unit_features(backbone, test.images) @ unit_features(backbone, train.images).T  # (test, train)
    nearest = np.argpartition(-similarity, NUM_NEIGHBORS, axis=1)[:, :NUM_NEIGHBORS]
    votes = np.eye(len(train.class_names))[train.labels[nearest]].sum(axis=1)  # (test, classes)
    accuracy = np.mean(votes.argmax(axis=1) == test.labels)
    print(f"{NUM_NEIGHBORS} nearest neighbors: {100 * accuracy:.1f} % of {len(test)} images")


if __name__ == "__main__":
    main()
