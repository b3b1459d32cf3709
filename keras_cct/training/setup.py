"""What can be said of a recipe before its images are read."""

import keras

from keras_cct.create import create_model
from keras_cct.data.pipeline import ImageSet, model_image_shape
from keras_cct.errors import InputError
from keras_cct.models.variants import variant_config
from keras_cct.recipe.recipe import Recipe
from keras_cct.training.optimization import create_optimizer, find_optimizer
from keras_cct.weights.pretrained import published_tag
from keras_cct.weights.resolve import find_weights


def initial_weights(recipe: Recipe) -> str | None:
    """Returns `weights` of `create_model`: `initial_checkpoint`, or the published ones, or None for random ones.

    Raises:
        InputError: Published weights are asked for and the variant has none.
    """
    if recipe.initial_checkpoint:
        return recipe.initial_checkpoint
    return published_tag(recipe.model) if recipe.pretrained else None


def freeze_layers(recipe: Recipe, model: keras.Model) -> None:
    """Leaves the layers before `freeze_until`, or before the head with `freeze`, out of training.

    Raises:
        InputError: The model has no such layer, or nothing is left to train.
    """
    first = "head" if recipe.freeze else recipe.freeze_until
    if not first:
        return
    names = [layer.name for layer in model.layers]
    if first not in names:
        choices = ", ".join(layer.name for layer in model.layers if layer.weights)
        raise InputError(f"recipe key freeze_until={first!r} is no layer of {recipe.model}. Choose one of {choices}.")
    for layer in model.layers[: names.index(first)]:
        layer.trainable = False
    if not model.trainable_weights:
        raise InputError(f"recipe key freeze_until={first!r} leaves nothing to train. Name an earlier layer.")


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


def check_recipe(recipe: Recipe) -> None:
    """Raises InputError for what is wrong with a recipe whatever the images are.

    Reading them may take long. Published weights are downloaded here.
    """
    variant_config(recipe.model)
    find_optimizer(recipe)
    weights = initial_weights(recipe)
    if weights is not None:
        find_weights(recipe.model, weights)
