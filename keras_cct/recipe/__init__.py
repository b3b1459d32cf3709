"""Training recipes: the keys with their defaults and checks, and loading from YAML. Does not import Keras."""

from keras_cct.recipe.loading import load_recipe
from keras_cct.recipe.recipe import Recipe

__all__ = ["Recipe", "load_recipe"]
