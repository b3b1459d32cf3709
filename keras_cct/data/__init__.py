"""Images and labels: where they come from, how they are augmented and how they reach a model."""

from keras_cct.data.labelled_images import LabelledImages
from keras_cct.data.sample import load_sample

__all__ = ["LabelledImages", "load_sample"]
