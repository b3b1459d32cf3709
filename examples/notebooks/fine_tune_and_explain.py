# %% [markdown]
# # Fine-tune and explain
#
# Takes a model that was trained on clothing, fine-tunes it on few handwritten digits in two ways, compares both with
# training from scratch, and draws where the fine-tuned model looks. Takes about two minutes on two CPU cores.
#
# Needs `pip install scikit-learn` for the digits: 1,797 images of 8x8 pixels, scanned from handwriting.

# %%
import keras_cct  # before keras, so that TensorFlow uses oneDNN as in the commands

# isort: split
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

# %% [markdown]
# ## Few images of new classes
#
# Twenty images of each digit for training, the others for evaluation. The weights were trained on 28x28 pixels. Other
# sizes work as well, but the tokens of small images would see too little of them.

# %%
digits = load_digits()
images = keras.ops.image.resize(digits.images[..., None] * (255 / 16), (28, 28), interpolation="bicubic")
images = np.clip(keras.ops.convert_to_numpy(images), 0, 255).astype("uint8")
labels = digits.target
training = np.concatenate([np.flatnonzero(labels == digit)[:20] for digit in range(10)])
evaluation = np.setdiff1d(np.arange(len(labels)), training)
np.savez(
    "digits.npz",
    x_train=images[training],
    y_train=labels[training],
    x_test=images[evaluation],
    y_test=labels[evaluation],
    class_names=[str(digit) for digit in range(10)],
)

# %%
figure, axes = plt.subplots(1, 10, figsize=(12, 1.4))
for axis, index in zip(axes, training[::20], strict=True):
    axis.imshow(images[index], cmap="gray")
    axis.axis("off")

# %% [markdown]
# ## Three trainings
#
# All have the same 240 steps. `initial_checkpoint` loads weights, also those of the head, because the number of classes
# is the same; for another number the head would be new.
# `freeze` trains the head only, with a higher learning rate. On the command line these keys are flags:
# `keras_cct train digits.npz -c sample --initial-checkpoint fashion_mnist --freeze --lr 1e-2`.

# %%
budget = {"epochs": 30, "warmup_epochs": 2, "batch_size": 25, "hflip": 0.0, "mean": (0.3,), "std": (0.35,)}
methods = {
    "from scratch": {"lr": 1e-3},
    "all weights": {"lr": 1e-3, "initial_checkpoint": "fashion_mnist"},
    "head only": {"lr": 1e-2, "initial_checkpoint": "fashion_mnist", "freeze": True},
}
runs, accuracies = {}, {}
for name, keys in methods.items():
    recipe = keras_cct.load_recipe("sample", dataset="digits", data_dir="digits.npz", **budget, **keys)
    runs[name] = keras_cct.train(recipe, f"runs/{name.replace(' ', '-')}")
    _, held_out = keras_cct.open_data(recipe)
    accuracies[name] = keras_cct.evaluate(keras_cct.load_predictor(runs[name].last_model), held_out).top1

# %%
for name, top1 in accuracies.items():
    print(f"{name:13} {top1:5.1f} % of {len(held_out)} images")

# %% [markdown]
# ## Where the model looks
#
# `explain` returns the weight of each patch in the feature vector (pooling), attention rollout, and the attention of
# each head, as arrays. `overlay` draws a map over its image. The guide
# [Explanations](https://github.com/keras-cct/keras_cct/blob/main/docs/guides/explanations.md) says what the maps mean.

# %%
model = keras.models.load_model(runs["all weights"].last_model)
shown = images[evaluation[:8]]
explanation = keras_cct.explain(model, shown)
predicted = model.predict(shown, verbose=0).argmax(axis=1)
figure, axes = plt.subplots(3, 8, figsize=(12, 4.8))
for column, image in enumerate(shown):
    axes[0, column].imshow(image, cmap="gray")
    axes[0, column].set_title(f"predicted {predicted[column]}", fontsize=9)
    axes[1, column].imshow(keras_cct.overlay(image, explanation.pooling[column]))
    axes[2, column].imshow(keras_cct.overlay(image, explanation.rollout[column]))
for axis in axes.ravel():
    axis.axis("off")
axes[1, 0].set_title("pooling", fontsize=9, loc="left")
axes[2, 0].set_title("rollout", fontsize=9, loc="left")
plt.show()

# %% [markdown]
# Each head of each block for the first digit, one row per block:

# %%
plt.imshow(keras_cct.head_grid(shown[0], explanation))
plt.axis("off")
plt.show()
