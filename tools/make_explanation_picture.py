"""Writes docs/images/explanations.png: maps of the bundled CCT-2/3x2 on images of the bundled sample.

python tools/make_explanation_picture.py
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import keras_cct

TARGET = Path(__file__).parents[1] / "docs" / "images" / "explanations.png"
CLASSES = ("sneaker", "trouser", "bag", "pullover")
SCALE = 8
"""Factor by which the images of 28x28 pixels are enlarged."""


def main() -> None:
    data = keras_cct.load_sample("test")
    chosen = [int(np.flatnonzero(data.labels == data.class_names.index(name))[0]) for name in CLASSES]
    images = data.images[chosen]
    model = keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist")
    explanation = keras_cct.explain(model, images)
    heads = explanation.head_maps()  # (batch, blocks, heads, rows, columns)
    maps = {"pooling": explanation.pooling, "rollout": explanation.rollout}
    maps |= {f"block {block}, head {head}": heads[:, block, head] for block in range(2) for head in range(2)}
    figure = Figure(figsize=(2 * (1 + len(maps)), 8.6), dpi=60, layout="constrained")
    axes = figure.subplots(len(CLASSES), 1 + len(maps))
    for row, (name, image) in enumerate(zip(CLASSES, images, strict=True)):
        enlarged = image.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
        pictures = [enlarged.repeat(3, axis=2)]
        pictures += [keras_cct.overlay(enlarged, values[row], alpha=0.6) for values in maps.values()]
        for column, (title, picture) in enumerate(zip([name, *maps], pictures, strict=True)):
            axes[row, column].imshow(picture)
            axes[row, column].set_axis_off()
            if row == 0 or column == 0:
                axes[row, column].set_title(title)
    figure.savefig(TARGET)
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
