"""Training recipes: the keys with their defaults and checks, and the YAML files that hold them. Needs no Keras."""

from keras_cct.recipe.loading import load_recipe
from keras_cct.recipe.recipe import Recipe

__all__ = ["Recipe", "load_recipe"]
