"""Picks a recipe for images that nobody has written one for, and explains it."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from keras_cct.data.images import ImageSet, LabeledImages, RecordImages
from keras_cct.data.sources.open import check_folds, open_data, recipe_source
from keras_cct.data.statistics import image_statistics
from keras_cct.data.survey import Survey, survey_files
from keras_cct.errors import InputError
from keras_cct.models.variants import variant_config
from keras_cct.recipe.keys import key_rules
from keras_cct.recipe.recipe import Recipe
from keras_cct.weights.pretrained import published_tag
from keras_cct.weights.resolve import resolve_weights

SMALL_SIDE, LARGE_SIDE = 48, 128
"""Images whose shorter side is below the first are thumbnails; from the second on they are photos. In pixels."""
FEW_IMAGES = 20_000
PHOTO_VARIANT, PRETRAINED_VARIANT = "cct_7_7x2_224", "cct_14_7x2_224"
IMAGES_PER_RUN = 100_000
"""Training images of all epochs together, which decides the number of epochs; fewer for pretrained models."""
FINE_TUNING_IMAGES_PER_RUN = 20_000
MAX_SAMPLED_IMAGES = 2_000


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """What the choice of a recipe depends on.

    Args:
        counts: Number of training images of each class.
        num_eval: Number of evaluation images.
        sizes: Height and width of every training image that was measured, int64 array of shape (images, 2).
        channels: Channels of the images.
        mean: Mean of each channel in [0, 1].
        std: Standard deviation of each channel in [0, 1].
    """

    counts: tuple[int, ...]
    num_eval: int
    sizes: np.ndarray
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_train(self) -> int:
        """Number of training images."""
        return sum(self.counts)

    @property
    def short_side(self) -> int:
        """Median of the shorter sides in pixels."""
        return int(np.median(self.sizes.min(axis=1)))

    @property
    def has_one_size(self) -> bool:
        """Whether all images have the same size."""
        return bool((self.sizes == self.sizes[0]).all())


@dataclasses.dataclass(frozen=True)
class RecipeChoice:
    """A recipe, and why it was chosen.

    Args:
        recipe: The recipe.
        lines: What was found, and what follows from it, one line each.
    """

    recipe: Recipe
    lines: tuple[str, str]

    def to_yaml(self) -> str:
        """Returns the recipe as YAML, each key with a comment; keys with their default value are left out."""
        import yaml

        rules, default = key_rules(Recipe), Recipe(self.recipe.model, self.recipe.dataset)
        text = "".join(f"# {line}\n" for line in self.lines)
        for field in dataclasses.fields(Recipe):
            value = getattr(self.recipe, field.name)
            if value == getattr(default, field.name) and field.name not in ("model", "dataset"):
                continue
            if isinstance(value, tuple):
                value = list(value)
            # Flow style keeps a list on its line.
            line = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=10_000).strip()
            text += f"\n# {rules[field.name].help}\n{field.name}: {line[1:-1]}\n"
        return text


def choose_recipe(**keys: Any) -> RecipeChoice:
    """Opens images, measures them, and returns a recipe for them.

    Args:
        **keys: Keys of `Recipe` that are given; `dataset` is required. They override the choice, and the rest is chosen
            to go with them.

    Raises:
        InputError: The images cannot be read, or a key is invalid.
    """
    values: dict[str, Any] = {"model": PHOTO_VARIANT, **keys}
    recipe = Recipe(**values)
    check_folds(recipe_source(recipe))
    # A cross-validation tests the recipe that a single run would have, so it is chosen for the same images.
    train, evaluation = open_data(dataclasses.replace(recipe, folds=0, fold=0))
    facts = measure(train, len(evaluation))
    chosen, reason = _choose(facts, keys)
    recipe = Recipe(**(chosen | keys))
    return RecipeChoice(recipe, (_describe_data(facts, recipe.folds), _describe_recipe(recipe, facts, reason)))


def measure(train: ImageSet, num_eval: int) -> DataFacts:
    """Returns the facts of training images. Large datasets are measured on a sample.

    Args:
        train: The training images.
        num_eval: Number of evaluation images.
    """
    labels = None if isinstance(train, RecordImages) else train.labels
    survey = None if isinstance(train, RecordImages) else _survey_of(train)
    if survey is not None:
        mean, std = survey.mean_and_std()
        sizes = survey.sizes[survey.readable]
    else:
        statistics = image_statistics(_sample_of(train))
        mean, std, sizes = statistics.mean, statistics.std, statistics.sizes
        labels = np.repeat(np.arange(len(train.class_names)), statistics.counts) if labels is None else labels
    counts = np.bincount(labels, minlength=len(train.class_names))  # pyright: ignore[reportCallIssue,reportArgumentType]
    scale = len(train) / max(1, counts.sum())
    return DataFacts(
        tuple(round(count * scale) for count in counts.tolist()), num_eval, sizes, train.image_shape[-1], mean, std
    )


def _sample_of(train: ImageSet) -> ImageSet:
    """Returns some of the images of a set that is not in memory: the first records, or files from all over the set."""
    if isinstance(train, LabeledImages) or len(train) <= MAX_SAMPLED_IMAGES:
        return train
    if isinstance(train, RecordImages):
        return dataclasses.replace(train, count=MAX_SAMPLED_IMAGES)
    chosen = np.linspace(0, len(train) - 1, MAX_SAMPLED_IMAGES).astype(int)
    return dataclasses.replace(
        train,
        names=[train.names[index] for index in chosen],
        labels=train.labels[chosen],
        contents=train.contents and [train.contents[index] for index in chosen],
    )


def _survey_of(train: ImageSet) -> Survey | None:
    """Returns the survey of images that are files, in RGB."""
    names = () if isinstance(train, RecordImages) else train.names
    are_files = bool(names) and train.image_shape[-1] == 3 and all(Path(name).is_file() for name in names)
    return survey_files(names) if are_files else None


def _choose(facts: DataFacts, keys: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Returns the values of recipe keys, and why the model was chosen."""
    is_pretrained, model, img_size, reason = _choose_model(facts, keys.get("pretrained"))
    if "model" in keys:
        is_pretrained, model, reason = bool(keys.get("pretrained")), keys["model"], "as requested"
        if facts.short_side >= SMALL_SIDE:
            img_size = variant_config(model).input_shape[0]
    has_weights = is_pretrained or bool(keys.get("initial_checkpoint"))
    fitting = 64 if facts.num_train >= 512 else max(4, 2 ** int(math.log2(max(1, facts.num_train) / 8)))
    batch_size = int(keys.get("batch_size", fitting))
    per_run = FINE_TUNING_IMAGES_PER_RUN if has_weights else IMAGES_PER_RUN
    lowest, highest = (5, 30) if has_weights else (20, 100)
    epochs = int(keys.get("epochs", min(max(per_run // max(1, facts.num_train), lowest), highest)))
    usual_rate = min(max(1e-3 * batch_size / 64, 2.5e-4), 1e-3) * (0.2 if has_weights else 1)
    rate = float(keys.get("lr", usual_rate))
    is_photo = facts.short_side >= SMALL_SIDE
    values = {
        "model": model,
        "img_size": img_size,
        "pretrained": is_pretrained,
        "mean": [round(value, 4) for value in facts.mean],
        "std": [max(round(value, 4), 1e-4) for value in facts.std],
        "scale": [0.5, 1.0] if is_photo else [0.8, 1.0],
        "color_jitter": 0.4 if facts.channels == 3 else 0.0,
        "crop_pct": 1.0,
        "batch_size": batch_size,
        "opt": "adamw",
        "weight_decay": 0.06,
        "sched": "cosine",
        "epochs": epochs,
        "warmup_epochs": epochs // 10,
        "cooldown_epochs": 0,
        "lr": rate,
        "warmup_lr": rate / 10,
        "min_lr": rate / 100,
    }
    return values, reason


def _choose_model(facts: DataFacts, pretrained: bool | None) -> tuple[bool, str, int, str]:
    """Returns whether to start from published weights, variant, image size, and the reason.

    Args:
        facts: What was found.
        pretrained: The recipe key, if it is given.
    """
    is_few = facts.num_train < FEW_IMAGES
    size = "images" if is_few else "many images"
    small_size = 0 if facts.has_one_size else 32
    if pretrained:
        small_model = "cct_2_3x2_32" if facts.channels == 1 else "cct_7_3x1_32"
        is_small = facts.short_side < SMALL_SIDE
        model, img_size = (small_model, small_size) if is_small else (PRETRAINED_VARIANT, 224)
        return True, model, img_size, "with published weights, as requested"
    if facts.short_side < SMALL_SIDE:
        model = "cct_2_3x2_32" if is_few else "cct_7_3x1_32"
        can_start_from_weights = is_few and facts.channels == 1 and pretrained is None
        return can_start_from_weights, model, small_size, f"for {size} below {SMALL_SIDE} pixels"
    if facts.short_side < LARGE_SIDE:
        return False, "cct_2_3x2_32" if is_few else "cct_7_3x2_32", 64, f"for {size} below {LARGE_SIDE} pixels"
    if pretrained is None and is_few and facts.channels == 3 and _can_load_pretrained(PRETRAINED_VARIANT):
        return True, PRETRAINED_VARIANT, 224, f"for photos, fewer than {FEW_IMAGES:,}, with ImageNet weights at hand"
    if is_few:
        return False, PHOTO_VARIANT, 128, f"for photos, fewer than {FEW_IMAGES:,}"
    return False, PHOTO_VARIANT, 224, "for many photos"


def _can_load_pretrained(variant: str) -> bool:
    """Returns whether the published weights of a variant need neither a download nor a package that is missing."""
    try:
        weights = resolve_weights(variant, published_tag(variant))
    except InputError:
        return False
    return weights.is_local


def _describe_data(facts: DataFacts, folds: int) -> str:
    low, high = facts.sizes.min(axis=0), facts.sizes.max(axis=0)
    size = f"{low[1]}x{low[0]}" + ("" if facts.has_one_size else f" to {high[1]}x{high[0]}")
    least, most = min(facts.counts), max(facts.counts)
    per_class = f"{least}" if least == most else f"{least} to {most}"
    mean, std = (", ".join(f"{value:.3f}" for value in values) for values in (facts.mean, facts.std))
    if folds:
        found = f"{facts.num_train + facts.num_eval} images of {len(facts.counts)} classes, for {folds} folds"
    else:
        found = (
            f"{facts.num_train} training and {facts.num_eval} evaluation images of {len(facts.counts)} classes "
            f"({per_class} per class)"
        )
    return (
        f"found {found}, {size} pixels, {'RGB' if facts.channels == 3 else f'{facts.channels} channel'}; "
        f"mean {mean}, standard deviation {std}"
    )


def _describe_recipe(recipe: Recipe, facts: DataFacts, reason: str) -> str:
    size = f"{recipe.img_size}x{recipe.img_size}" if recipe.img_size else f"{facts.sizes[0, 1]}x{facts.sizes[0, 0]}"
    if recipe.initial_checkpoint:
        start = f"from {recipe.initial_checkpoint}"
    elif recipe.pretrained:
        start = f"from weights trained on {published_tag(recipe.model)}, which learn faster and need fewer images"
    elif facts.short_side >= LARGE_SIDE and facts.num_train < FEW_IMAGES and facts.channels == 3:
        start = (
            f"from random weights (`--model {PRETRAINED_VARIANT} --pretrained` downloads ImageNet weights, which need "
            "far fewer images)"
        )
    else:
        start = "from random weights"
    epochs = f"{recipe.epochs} epoch{'s' * (recipe.epochs != 1)}"
    return (
        f"chose {recipe.model} ({reason}) at {size} pixels {start}; {epochs}, batches of {recipe.batch_size}, "
        f"learning rate {recipe.lr:g}; flags and `keras_cct init` change it"
    )
