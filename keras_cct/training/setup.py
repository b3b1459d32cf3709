"""Turns a recipe into a compiled model: first everything that needs no images, then the model for the images."""

import dataclasses
import logging
from pathlib import Path

import keras

from keras_cct.create import VariantFields, create_model
from keras_cct.data.augment.plan import Augmentation
from keras_cct.data.images import ImageSet
from keras_cct.data.pipeline import model_image_shape
from keras_cct.errors import InputError
from keras_cct.layers import EncoderBlock
from keras_cct.models import names
from keras_cct.models.variants import variant_config
from keras_cct.recipe.recipe import Recipe
from keras_cct.training.losses import BinaryCrossEntropy, Distillation, DistillationLoss, TrainedClassifier
from keras_cct.training.optimizers import OptimizerPlan
from keras_cct.training.teacher import Teacher
from keras_cct.weights.pretrained import is_tag, published_tag
from keras_cct.weights.resolve import resolve_weights

log = logging.getLogger(__name__)

LAYERS_AFTER_BLOCKS = (names.NORM, names.SEQUENCE_POOL, names.CLASS_TOKEN_POOL, names.HEAD)


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """A recipe with its weights, optimizer, augmentation and teacher, which are resolved before the images are read.

    Args:
        recipe: The recipe.
        weights: File of the initial weights; None for random ones.
        optimizer: The optimizer.
        augmentation: The augmentation, for images of any size.
        teacher: The model to imitate; None for none.
        trust: Whether `.keras` files of weights and teachers may contain layers of other packages, and so run any code.
    """

    recipe: Recipe
    weights: Path | None
    optimizer: OptimizerPlan
    augmentation: Augmentation
    teacher: Teacher | None = None
    trust: bool = False


def plan_training(recipe: Recipe, batch_size: int, loads_weights: bool = True, *, trust: bool = False) -> TrainingPlan:
    """Resolves the weights, optimizer, augmentation and teacher of a recipe. Published weights and URLs are downloaded.

    Runs before the images are read, which may take long, so that an invalid recipe fails early.

    Args:
        recipe: The recipe.
        batch_size: Images per step, over all devices.
        loads_weights: Whether to resolve the recipe's initial weights; False for a run that resumes from a saved state.
        trust: Whether `.keras` files of weights and teachers may contain layers of other packages, and so run any code.

    Raises:
        InputError: The recipe is invalid, whatever the images are, or its weights or its teacher cannot be found.
    """
    variant_config(recipe.model)
    if recipe.average_best and not 2 <= recipe.average_best <= recipe.checkpoint_hist:
        raise InputError(
            f"recipe key average_best={recipe.average_best} must be 0, or between 2 and checkpoint_hist="
            f"{recipe.checkpoint_hist}. Change one of them."
        )
    if recipe.class_weights and recipe.sampler:
        raise InputError(
            f"recipe keys class_weights={recipe.class_weights!r} and sampler={recipe.sampler!r} both balance the "
            f"classes, which would favor rare ones. Set one of them."
        )
    if recipe.checkpoint_activations and first_trained_layer(recipe) in LAYERS_AFTER_BLOCKS:
        key = "freeze" if recipe.freeze else "freeze_until"
        raise InputError(
            f"recipe key checkpoint_activations=True has no effect with {key}={getattr(recipe, key)!r}, which freezes "
            f"all encoder blocks. Set one of them."
        )
    optimizer = OptimizerPlan.from_recipe(recipe)
    augmentation = Augmentation.from_recipe(recipe)
    augmentation.check_batch_size(batch_size)
    weights = initial_weights(recipe) if loads_weights else None
    file = None if weights is None else resolve_weights(recipe.model, weights).fetch()
    return TrainingPlan(recipe, file, optimizer, augmentation, Teacher.from_recipe(recipe), trust)


def initial_weights(recipe: Recipe) -> str | None:
    """Returns the tag, path or URL of the initial weights: `initial_checkpoint`, else `pretrained`, else None.

    Raises:
        InputError: `pretrained` is set and the variant has no published weights.
    """
    if recipe.initial_checkpoint:
        return recipe.initial_checkpoint
    return published_tag(recipe.model) if recipe.pretrained else None


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """Returns the recipe with existing paths made absolute, so that its run resumes in any working directory."""
    paths = {key: getattr(recipe, key) for key in ("data_dir", "class_map", "initial_checkpoint", "teacher")}
    if is_tag(recipe.initial_checkpoint):
        del paths["initial_checkpoint"]
    absolute = {key: str(Path(path).absolute()) for key, path in paths.items() if path and Path(path).exists()}
    return dataclasses.replace(recipe, **absolute)


def limit_batch_size(batch_size: int, num_images: int, multiple: int) -> int:
    """Returns the batch size over all devices, reduced if the training set is smaller than one batch.

    Args:
        batch_size: Images per step over all devices, as requested by the recipe.
        num_images: Number of training images.
        multiple: Number of which the images per step must be a multiple, for the devices and for pairs of images.

    Raises:
        InputError: There are too few images for one step.
    """
    if batch_size <= num_images:
        return batch_size
    limited = num_images - num_images % multiple
    if limited == 0:
        raise InputError(f"the training set has {num_images} images, but a step needs at least {multiple}. Add images.")
    log.warning("batch of %d images reduced to %d: the training set has %d", batch_size, limited, num_images)
    return limited


def first_trained_layer(recipe: Recipe) -> str:
    """Returns the name of the first layer to train; empty for all layers."""
    return names.HEAD if recipe.freeze else recipe.freeze_until


def freeze_layers(recipe: Recipe, model: keras.Model) -> None:
    """Freezes all layers before `freeze_until`; with `freeze`, all layers before the head.

    Raises:
        InputError: The model has no such layer, or no weights would be trained.
    """
    first = first_trained_layer(recipe)
    if not first:
        return
    layers = [layer.name for layer in model.layers]
    if first not in layers:
        choices = ", ".join(layer.name for layer in model.layers if layer.weights)
        raise InputError(
            f"recipe key freeze_until={first!r} is not a layer of {recipe.model}. Choose one of {choices}."
        )
    for layer in model.layers[: layers.index(first)]:
        layer.trainable = False
    if not model.trainable_weights:
        raise InputError(f"recipe key freeze_until={first!r} freezes all weights. Choose an earlier layer.")


def input_shape(recipe: Recipe, data: ImageSet) -> tuple[int, int, int]:
    """Returns the input shape (height, width, channels) of the recipe's model.

    Raises:
        InputError: The variant is unknown.
    """
    return model_image_shape(recipe, data, variant_config(recipe.model).input_shape[:2])


def create_training_model(plan: TrainingPlan, data: ImageSet) -> keras.Model:
    """Returns the recipe's model for these images, with its initial weights, compiled.

    The loss of `compile` is the cross-entropy. With `bce_loss` or a teacher, training steps have another one.

    Raises:
        InputError: The variant does not support the images, or the weights, `freeze_until` or the teacher cannot be
            used.
    """
    model = create_recipe_model(plan.recipe, data, plan.weights, trust=plan.trust)
    freeze_layers(plan.recipe, model)
    if plan.recipe.checkpoint_activations:
        for layer in model.layers:
            if isinstance(layer, EncoderBlock):
                layer.checkpoints_activations = True
    cross_entropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    if plan.recipe.bce_loss or plan.teacher is not None:
        loss = BinaryCrossEntropy(plan.recipe.bce_target_thresh) if plan.recipe.bce_loss else cross_entropy
        model = TrainedClassifier(model, loss, _create_distillation(plan, model, data))
    model.compile(
        optimizer=plan.optimizer.create(model),
        loss=cross_entropy,
        weighted_metrics=[
            keras.metrics.CategoricalAccuracy(name="top1"),
            keras.metrics.TopKCategoricalAccuracy(k=min(5, len(data.class_names)), name="top5"),
        ],
        # On TensorFlow, compiled steps fail under a `tf.distribute` strategy and are slower in bfloat16 on CPUs.
        jit_compile=keras.backend.backend() == "jax",  # pyright: ignore[reportArgumentType] (the default is a string)
    )
    return model


def _create_distillation(plan: TrainingPlan, student: keras.Model, data: ImageSet) -> Distillation | None:
    """Returns the distillation from the teacher. Created after the student, it does not change its initial weights."""
    if plan.teacher is None:
        return None
    recipe, teacher = plan.recipe, plan.teacher.load(trust=plan.trust)
    plan.teacher.check(teacher, tuple(student.input_shape[1:]), data)
    log.info(
        "teacher %s (%s parameters), %s distillation with weight %g",
        recipe.teacher,
        f"{teacher.count_params():,}",
        recipe.distillation_type,
        recipe.distillation_alpha,
    )
    return Distillation(
        teacher, DistillationLoss(recipe.distillation_type, recipe.distillation_tau), recipe.distillation_alpha
    )


def create_recipe_model(
    recipe: Recipe, data: ImageSet, weights: Path | None = None, *, trust: bool = False
) -> keras.Model:
    """Returns the recipe's model for these images, not compiled.

    Args:
        recipe: The recipe.
        data: The images.
        weights: File of the weights; None for random ones.
        trust: Whether a `.keras` file of weights may contain layers of other packages, and so run any code.

    Raises:
        InputError: The variant is unknown or does not support the images, or the weights cannot be used.
    """
    overrides: VariantFields = {"class_names": data.class_names}
    if recipe.attention_type:
        overrides["attention_type"] = recipe.attention_type
    return create_model(
        recipe.model,
        weights=weights,
        input_shape=input_shape(recipe, data),
        num_classes=len(data.class_names),
        normalization=(recipe.mean, recipe.std),
        trust=trust,
        **overrides,
    )
