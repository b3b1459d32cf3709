"""The optimizer of a recipe."""

import dataclasses
import inspect
from typing import Any

import keras

from keras_cct.errors import InputError, check_instance
from keras_cct.models import names
from keras_cct.recipe.recipe import Recipe
from keras_cct.training.torch_optimizers import TorchAdamW, TorchSGD

TORCH_OPTIMIZERS = {"adamw": TorchAdamW, "sgd": TorchSGD}
KERAS_OPTIMIZERS = {
    name.lower(): optimizer_class
    for name, optimizer_class in sorted(vars(keras.optimizers).items())
    if inspect.isclass(optimizer_class)
    and issubclass(optimizer_class, keras.optimizers.Optimizer)
    and "learning_rate" in inspect.signature(optimizer_class).parameters
    and name not in ("Optimizer", "AdamW", "SGD")
}
"""Keras's optimizers by their names in lower case."""

NEUTRAL_VALUES = {"clip_grad": 0.0, "grad_accum_steps": 1, "model_ema": False, "layer_decay": 1.0}
"""Recipe keys that Keras's optimizers do not support or compute differently from timm, with their neutral values."""

MUON_EXCLUDED_LAYERS = (names.SEQUENCE_POOL, names.HEAD)
"""Layers whose matrices "muon" trains with Adam: the head, as its authors advise, and the pool, whose matrix is one
vector. Convolutions, embeddings, norms and biases are trained with Adam by Keras's `Muon` itself.
"""

LARGEST_LOSS_SCALE = 2.0**16


@dataclasses.dataclass(frozen=True)
class OptimizerPlan:
    """The validated optimizer settings of a recipe, from which `create` builds the optimizer of a model.

    Args:
        optimizer_class: Its class.
        settings: Its arguments, except `learning_rate_factors`.
        layer_decay: Factor on the learning rate from each block to the one before it.
    """

    optimizer_class: type[keras.optimizers.Optimizer]
    settings: dict[str, Any]
    layer_decay: float

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> "OptimizerPlan":
        """Returns the plan of a recipe.

        Raises:
            InputError: The optimizer is unknown, or does not support a key.
        """
        choices = TORCH_OPTIMIZERS | KERAS_OPTIMIZERS
        optimizer_class = choices.get(recipe.opt.lower())
        if optimizer_class is None:
            raise InputError(f"recipe key opt={recipe.opt!r} is unknown. Choose one of {', '.join(choices)}.")
        settings: dict[str, Any] = {"learning_rate": recipe.lr, "weight_decay": recipe.weight_decay}
        settings |= _moment_settings(recipe, optimizer_class)
        if optimizer_class in KERAS_OPTIMIZERS.values():
            _check_is_neutral(recipe)
        else:
            settings |= _training_settings(recipe)
        if optimizer_class is TorchSGD:
            settings["momentum"] = recipe.momentum
        if optimizer_class is keras.optimizers.Muon:
            settings["adam_weight_decay"] = recipe.weight_decay
            settings["exclude_layers"] = [f"^{layer}/" for layer in MUON_EXCLUDED_LAYERS]
        return cls(optimizer_class, settings, recipe.layer_decay)

    def create(self, model: keras.Model) -> keras.optimizers.Optimizer:
        """Returns the optimizer, built for the trainable weights of a model.

        Weight decay excludes one-dimensional weights (biases and most norms) and the biases of map normalizations.

        Args:
            model: The model; if it computes in float16, its loss is scaled.
        """
        settings = dict(self.settings)
        if self.layer_decay != 1.0:
            settings["learning_rate_factors"] = _learning_rate_factors(model, self.layer_decay)
        optimizer = self.optimizer_class(**settings)
        weights = model.trainable_weights
        optimizer.exclude_from_weight_decay(
            var_list=[weight for weight in weights if len(weight.shape) == 1 or weight.name == "beta"]
        )
        if model.get_layer(names.block_name(0)).compute_dtype == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=LARGEST_LOSS_SCALE)
        optimizer.build(weights)
        return optimizer


def create_optimizer(recipe: Recipe, model: keras.Model) -> keras.optimizers.Optimizer:
    """Returns the optimizer of a recipe, built for the trainable weights of a model.

    Weight decay excludes one-dimensional weights (biases and most norms) and the biases of map normalizations. With
    `layer_decay`, the learning rate decreases by that factor from the head to the last block, and from each block to
    the one before it. "muon" trains the
    matrices of the encoder blocks, and Adam all other weights.

    Args:
        recipe: The recipe.
        model: The model; if it computes in float16, its loss is scaled.

    Raises:
        InputError: The optimizer is unknown, or does not support a key.
    """
    check_instance("recipe", recipe, Recipe, "a Recipe")
    check_instance("model", model, keras.Model, "a Keras model")
    return OptimizerPlan.from_recipe(recipe).create(model)


def _moment_settings(recipe: Recipe, optimizer_class: type) -> dict[str, Any]:
    """Returns `opt_eps` and `opt_betas` as arguments of an optimizer."""
    settings = {}
    if recipe.opt_eps:
        settings["epsilon"] = recipe.opt_eps
    if recipe.opt_betas:
        settings["beta_1"], settings["beta_2"] = recipe.opt_betas
    known = inspect.signature(optimizer_class).parameters
    for name in settings.keys() - known.keys():
        key = "opt_eps" if name == "epsilon" else "opt_betas"
        raise InputError(
            f"recipe key {key}={getattr(recipe, key)!r} is not supported by opt={recipe.opt!r}. Leave it out."
        )
    return settings


def _training_settings(recipe: Recipe) -> dict[str, Any]:
    clipping = {"norm": "global_clipnorm", "value": "clipvalue"}[recipe.clip_mode]
    return {
        clipping: recipe.clip_grad or None,
        "grad_accum_steps": recipe.grad_accum_steps,
        "ema_decay": recipe.model_ema_decay if recipe.model_ema else None,
        "ema_warmup": recipe.model_ema and recipe.model_ema_warmup,
    }


def _check_is_neutral(recipe: Recipe) -> None:
    for key, neutral in NEUTRAL_VALUES.items():
        value = getattr(recipe, key)
        if value != neutral:
            raise InputError(f"recipe key {key}={value!r} is not supported by opt={recipe.opt!r}. Use adamw or sgd.")


def _learning_rate_factors(model: keras.Model, layer_decay: float) -> list[float]:
    """Returns the learning-rate factor of each trainable weight, in their order."""
    num_blocks = sum(names.block_index(layer.name) is not None for layer in model.layers)
    factors, depth = {}, 0
    for layer in model.layers:
        block = names.block_index(layer.name)
        if block is not None:
            depth = block + 1
        elif layer.name == names.NORM:
            depth = num_blocks + 1
        factors |= {id(weight): layer_decay ** (num_blocks + 1 - depth) for weight in layer.trainable_weights}
    return [factors[id(weight)] for weight in model.trainable_weights]
