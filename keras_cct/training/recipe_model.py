"""The model of a recipe, compiled for training."""

import keras

from keras_cct.data.pipeline import ImageSet, model_image_shape
from keras_cct.factory import create_model
from keras_cct.recipe import Recipe
from keras_cct.training.fine_tuning import freeze_layers, initial_weights
from keras_cct.training.optimization import create_optimizer
from keras_cct.variants import variant_config


def input_shape(recipe: Recipe, data: ImageSet) -> tuple[int, int, int]:
    """Returns (height, width, channels) of the images that the recipe's model takes.

    Raises:
        InputError: The variant is unknown.
    """
    return model_image_shape(recipe, data, variant_config(recipe.model).input_shape[:2])


def create_training_model(recipe: Recipe, data: ImageSet) -> keras.Model:
    """Returns the recipe's model for these images, with its first weights, compiled.

    Raises:
        InputError: The variant is unknown or does not fit the images, or weights, layers or optimizer cannot be used.
    """
    model = create_recipe_model(recipe, data, weights=initial_weights(recipe))
    freeze_layers(recipe, model)
    model.compile(
        optimizer=create_optimizer(recipe, model),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        weighted_metrics=[
            keras.metrics.CategoricalAccuracy(name="top1"),
            keras.metrics.TopKCategoricalAccuracy(k=min(5, len(data.class_names)), name="top5"),
        ],
        # Under a strategy of `tf.distribute` compiled steps fail; on a processor they are slower in bfloat16.
        jit_compile=keras.backend.backend() == "jax",
    )
    return model


def create_recipe_model(recipe: Recipe, data: ImageSet, weights: str | None = None) -> keras.Model:
    """Returns the recipe's model for these images.

    Raises:
        InputError: The variant is unknown or does not fit the images, or the weights cannot be used.
    """
    overrides = {"attention_type": recipe.attention_type} if recipe.attention_type else {}
    return create_model(
        recipe.model,
        weights=weights,
        input_shape=input_shape(recipe, data),
        num_classes=len(data.class_names),
        class_names=data.class_names,
        normalization=(recipe.mean, recipe.std),
        **overrides,
    )
