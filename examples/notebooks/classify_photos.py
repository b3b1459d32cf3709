# %% [markdown]
# # Classify your photos
#
# Trains a classifier on a folder of photos, looks at its mistakes, and classifies new photos. Takes about two minutes
# on two CPU cores.
#
# The guide [Your own photos](https://github.com/keras-cct/keras_cct/blob/main/docs/guides/photos.md) explains what is
# read, how the photos are split and how the recipe is chosen.

# %%
from pathlib import Path

import keras_cct  # before keras, so that TensorFlow uses oneDNN as in the commands

# isort: split
import matplotlib.pyplot as plt
from PIL import Image

# %% [markdown]
# ## The folder
#
# Each class has a folder, named after it. Here, 2,000 images of the bundled Fashion-MNIST sample are written as PNG
# files. For your own photos, skip the next cell and put them into a folder `photos` next to this notebook.

# %%
sample = keras_cct.load_sample("train")
for index, label in enumerate(sample.labels[:2000]):
    folder = Path("photos", sample.class_names[label])
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sample.images[index, ..., 0]).save(folder / f"{index:04}.png")

# %%
folders = sorted(Path("photos").iterdir())
figure, axes = plt.subplots(1, len(folders), figsize=(12, 1.6))
for axis, folder in zip(axes, folders, strict=True):
    photos = sorted(folder.iterdir())
    axis.imshow(Image.open(photos[0]), cmap="gray")
    axis.set_title(f"{folder.name}\n{len(photos)}", fontsize=9)
    axis.axis("off")

# %% [markdown]
# ## Train
#
# `keras_cct train FOLDER` holds out a fifth of the photos, chooses a recipe, trains, and writes everything to a run
# folder. Every flag overrides a part of the choice; `--epochs` keeps this example short. Leave it out for your own
# photos.

# %%
# !keras_cct train photos --epochs 30 --output runs/photos

# %%
Image.open("runs/photos/curves.png")

# %% [markdown]
# `runs/photos/report.html` contains more: the recall of each class, the confusion matrix, the most confident mistakes.
# The same numbers in Python:

# %%
recipe = keras_cct.load_recipe("runs/photos/recipe.yml")
_, held_out = keras_cct.open_data(recipe)
predictor = keras_cct.load_predictor("runs/photos")
evaluation = keras_cct.evaluate(predictor, held_out)
print(f"{evaluation.top1:.1f} % of {len(held_out)} photos, macro F1 {evaluation.macro_f1:.1f} %")

# %% [markdown]
# ## The most confident mistakes

# %%
names = held_out.class_names
figure, axes = plt.subplots(1, 6, figsize=(12, 2.4))
for axis, mistake in zip(axes, evaluation.mistakes, strict=False):
    axis.imshow(mistake.pixels, cmap="gray")
    axis.set_title(
        f"{names[mistake.label]},\npredicted {names[mistake.prediction]}\n({100 * mistake.confidence:.0f} %)",
        fontsize=8,
    )
    axis.axis("off")

# %% [markdown]
# ## Classify new photos
#
# `predict` takes files of any size, folders, bytes and arrays. Three images of the sample's test set, which were not
# part of the folder:

# %%
new = Path("new")
new.mkdir(exist_ok=True)
for index, image in enumerate(keras_cct.load_sample("test").images[:3]):
    Image.fromarray(image[..., 0]).resize((112, 112)).save(new / f"{index}.jpg")
for prediction in keras_cct.predict(predictor, new, top=3):
    print(prediction.path, *(f"{name} {100 * probability:.1f} %" for name, probability in prediction.classes), sep="  ")

# %% [markdown]
# On the command line, `keras_cct predict runs/photos new` does the same. To use the model without Keras, export it:
# [serve_onnx_openvino.ipynb](serve_onnx_openvino.ipynb). For few photos, start from weights:
# [fine_tune_and_explain.ipynb](fine_tune_and_explain.ipynb).
