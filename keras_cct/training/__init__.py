"""Training runs: from a recipe to a folder with the model in it."""

from keras_cct.training.run import resume, train

__all__ = ["resume", "train"]
