"""The optimizer of a recipe."""

import inspect

import keras

from keras_cct.errors import InputError
from keras_cct.recipe.recipe import Recipe
from keras_cct.training.optimizers import SGD, AdamW

ORIGINAL = {"adamw": AdamW, "sgd": SGD}
KERAS = {
    name.lower(): kind
    for name, kind in sorted(vars(keras.optimizers).items())
    if inspect.isclass(kind)
    and issubclass(kind, keras.optimizers.Optimizer)
    and "learning_rate" in inspect.signature(kind).parameters
    and name not in ("Optimizer", "AdamW", "SGD")
}
"""Keras's optimizers by their names in small letters."""

LARGEST_LOSS_SCALE = 2.0**16


def create_optimizer(recipe: Recipe, model: keras.Model) -> keras.optimizers.Optimizer:
    """Returns the optimizer of a recipe, made for the weights that a model trains.

    Weight decay leaves out biases, those of attention maps included, and norms with one axis. With `layer_decay` the
    learning rate falls by that factor from the head to the last block, and from each block to the one before it.

    Args:
        recipe: The recipe.
        model: The model; one that computes in float16 has its loss scaled.

    Raises:
        InputError: The optimizer is unknown, or a key means nothing to it.
    """
    kind = find_optimizer(recipe)
    settings = _shared_settings(recipe) | _own_settings(recipe, kind)
    if kind in ORIGINAL.values():
        optimizer = kind(recipe.lr, **settings, **_original_settings(recipe))
        optimizer.learning_rate_factors = _learning_rate_factors(model, recipe.layer_decay)
    else:
        optimizer = kind(recipe.lr, **settings)
    weights = model.trainable_weights
    optimizer.exclude_from_weight_decay(
        var_list=[weight for weight in weights if len(weight.shape) == 1 or weight.name == "beta"]
    )
    if model.get_layer("block_0").compute_dtype == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=LARGEST_LOSS_SCALE)
    optimizer.build(weights)
    return optimizer


def find_optimizer(recipe: Recipe) -> type[keras.optimizers.Optimizer]:
    """Returns the class of a recipe's optimizer.

    Raises:
        InputError: The name is unknown, or a key means nothing to it.
    """
    kind = (ORIGINAL | KERAS).get(recipe.opt.lower())
    if kind is None:
        raise InputError(f"recipe key opt={recipe.opt!r} is unknown. Choose one of {', '.join(ORIGINAL | KERAS)}.")
    if kind in KERAS.values():
        _check_is_plain(recipe)
    _own_settings(recipe, kind)
    return kind


def _shared_settings(recipe: Recipe) -> dict[str, object]:
    clipping = {"norm": "global_clipnorm", "value": "clipvalue"}[recipe.clip_mode]
    return {"weight_decay": recipe.weight_decay, clipping: recipe.clip_grad or None}


def _own_settings(recipe: Recipe, kind: type) -> dict[str, object]:
    """Returns the settings that not every optimizer has."""
    settings = {}
    if recipe.opt_eps:
        settings["epsilon"] = recipe.opt_eps
    if recipe.opt_betas:
        settings["beta_1"], settings["beta_2"] = recipe.opt_betas
    known = {name for ancestor in kind.__mro__ for name in inspect.signature(ancestor.__init__).parameters}
    for name in settings.keys() - known:
        key = "opt_eps" if name == "epsilon" else "opt_betas"
        raise InputError(
            f"recipe key {key}={getattr(recipe, key)!r} means nothing to opt={recipe.opt!r}. Leave it out."
        )
    if kind is SGD:
        settings["momentum"] = recipe.momentum
    return settings


def _original_settings(recipe: Recipe) -> dict[str, object]:
    ema_decay = recipe.model_ema_decay if recipe.model_ema else None
    return {"grad_accum_steps": recipe.grad_accum_steps, "ema_decay": ema_decay}


def _check_is_plain(recipe: Recipe) -> None:
    """Refuses what Keras's optimizers do not do, or do otherwise than the original."""
    for key, plain in (("clip_grad", 0.0), ("grad_accum_steps", 1), ("model_ema", False), ("layer_decay", 1.0)):
        value = getattr(recipe, key)
        if value != plain:
            raise InputError(f"recipe key {key}={value!r} does not work with opt={recipe.opt!r}. Choose adamw or sgd.")


def _learning_rate_factors(model: keras.Model, layer_decay: float) -> dict[int, float]:
    """Returns a factor by the place of each weight among the trainable ones."""
    num_blocks = sum(layer.name.startswith("block_") for layer in model.layers)
    factors, depth = {}, 0
    for layer in model.layers:
        if layer.name.startswith("block_"):
            depth = int(layer.name.removeprefix("block_")) + 1
        elif layer.name == "norm":
            depth = num_blocks + 1
        factors |= {id(weight): layer_decay ** (num_blocks + 1 - depth) for weight in layer.trainable_weights}
    return {place: factors[id(weight)] for place, weight in enumerate(model.trainable_weights)}
