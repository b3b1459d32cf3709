"""The model card of a run: a README.md with metadata that the Hugging Face Hub reads."""

import dataclasses
import re
from typing import Any

import jinja2
import keras

from keras_cct.data.fingerprint import DataFingerprint, SplitFingerprint
from keras_cct.data.sources.open import recipe_source
from keras_cct.inference.keras_model import check_serves_pixels
from keras_cct.recipe.recipe import Recipe
from keras_cct.report.page import TEMPLATES
from keras_cct.report.run_metrics import RunMetrics, imbalanced_counts
from keras_cct.report.run_record import RunRecord
from keras_cct.training.setup import initial_weights

MAX_CLASSES = 30
"""Largest number of classes in a table or a list."""

_METRICS = {
    "top1": ("accuracy", "top-1 accuracy, %", 2),
    "top5": ("accuracy", "top-5 accuracy, %", 2),
    "macro_f1": ("f1", "macro F1, %", 2),
    "loss": ("loss", "cross-entropy", 4),
    "calibration_error": ("ece", "expected calibration error, %", 2),
}
"""Type on the hub, name and number of decimals of each metric."""


def write_model_card(
    record: RunRecord, metrics: RunMetrics | None, model: keras.Model, hub_url: str, license_id: str | None
) -> str:
    """Returns the model card of a run.

    Args:
        record: The run.
        metrics: Metrics of its best model; None if its images are no longer available.
        model: Its best model.
        hub_url: URL of the model on the hub, for the examples.
        license_id: The hub's identifier of the license; None for a card that says that none is stated.
    """
    recipe, numbers = record.recipe, _list_numbers(record, metrics)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape_markdown
    height, width, channels = model.input_shape[1:]
    data = DataFingerprint.read(record.folder.data) if record.folder.data.is_file() else None
    per_class = [] if metrics is None else metrics.per_class
    return environment.get_template("model_card.md").render(
        metadata=_format_metadata(record, numbers, hub_url, license_id),
        title=f"{recipe.model} on {recipe.dataset}",
        recipe=recipe,
        num_classes=model.output_shape[-1],
        software=_describe_software(record.environment),
        image_size=f"{height}x{width} pixels, {'RGB' if channels == 3 else f'{channels} channel(s)'}",
        parameters=f"{model.count_params():,}",
        license=license_id,
        hub_url=hub_url,
        data=_describe_data(record, data, check_serves_pixels(model).class_names),
        num_epochs=len(record.rows),
        best_epoch=record.best_row["epoch"],
        metrics=[(_METRICS[key][1], f"{value:.{_METRICS[key][2]}f}") for key, value in numbers.items()],
        per_class=per_class if len(per_class) <= MAX_CLASSES else [],
        changed_keys=_list_changed_keys(recipe),
        limits=_list_limits(record, metrics),
    )


def escape_markdown(text: str) -> str:
    """Returns text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&$])", r"\\\1", text)


def _list_numbers(record: RunRecord, metrics: RunMetrics | None) -> dict[str, float]:
    best = record.best_row
    known = {name: best[f"eval_{name}"] for name in ("top1", "top5", "loss") if f"eval_{name}" in best}
    known |= {} if metrics is None else metrics.numbers
    if metrics is not None and len(metrics.class_names) <= 5:
        known.pop("top5", None)
    return {key: known[key] for key in _METRICS if key in known}


def _format_metadata(record: RunRecord, numbers: dict[str, float], hub_url: str, license_id: str | None) -> str:
    import yaml

    recipe = record.recipe
    results = [
        {"type": _METRICS[key][0], "name": _METRICS[key][1], "value": round(value, 4)} for key, value in numbers.items()
    ]
    dataset = {"name": recipe.dataset, "type": recipe.dataset, "split": recipe.val_split}
    task = {"type": "image-classification", "name": "Image classification"}
    name = hub_url.rpartition("/")[2]
    metadata: dict[str, Any] = {
        "library_name": "keras_cct",
        "pipeline_tag": "image-classification",
        "tags": ["keras", "keras_cct", "image-classification", "compact-transformer", recipe.model],
        **({} if license_id is None else {"license": license_id}),
        "model-index": [{"name": name, "results": [{"task": task, "dataset": dataset, "metrics": results}]}],
    }
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)}---\n"


def _describe_software(environment: dict[str, str]) -> str:
    names = [name for name in ("keras_cct", "keras", "tensorflow", "jax", "torch") if name in environment]
    return ", ".join(f"{name} {environment[name]}" for name in names)


def _describe_data(record: RunRecord, data: DataFingerprint | None, class_names: tuple[str, ...] | None) -> list[str]:
    recipe = record.recipe
    facts, seed = [f"Dataset: {recipe.dataset}."], recipe_source(recipe).seed
    if data is not None:
        train, evaluation = data.splits
        facts.append(f"Training images: {_count(train)}; evaluation images: {_count(evaluation)}.")
    if not record.folder.split.is_file():
        facts.append(f"Split: '{recipe.train_split}' for training, '{recipe.val_split}' for evaluation.")
    elif recipe.folds:
        facts.append(
            f"Split: fold {recipe.fold} of {recipe.folds} for evaluation, stratified, by a hash of each path and the "
            f"seed {seed}."
        )
    elif "[" in recipe.train_split + recipe.val_split:
        facts.append(
            f"Split: slices {recipe.train_split} and {recipe.val_split} of one folder, in the order of a hash of each "
            f"path and the seed {seed}."
        )
    else:
        facts.append(
            f"Split: {100 * recipe.val_fraction:g} % of each class were held out for evaluation, by a hash of each "
            f"path and the seed {seed}."
        )
    if class_names is not None and len(class_names) <= MAX_CLASSES:
        facts.append(f"Classes: {', '.join(class_names)}.")
    return facts


def _count(split: SplitFingerprint) -> str:
    return split.source or f"{len(split.labels):,}"


def _list_changed_keys(recipe: Recipe) -> str:
    import yaml

    values = yaml.safe_load(recipe.to_yaml())
    changed = [field.name for field in dataclasses.fields(Recipe) if getattr(recipe, field.name) != field.default]
    chosen = {key: values[key] for key in changed if values[key] not in ("", [], {})}
    return yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True, width=10**6)


def _list_limits(record: RunRecord, metrics: RunMetrics | None) -> list[str]:
    limits = [
        "The model is for images like those it was trained on. Accuracy on images from other cameras, places or times "
        "was not measured.",
        "Every image gets one of the classes, also an image that shows none of them.",
        "Which groups of people or things are underrepresented in the data was not examined.",
    ]
    weights = initial_weights(record.recipe)
    if weights is not None:
        limits.append(f"Training started from the weights {weights}, with the limits of the data they were trained on.")
    if metrics is not None:
        numbers = metrics.numbers
        limits.append(
            f"The expected calibration error of the probabilities is {numbers['calibration_error']:.2f} %. With logits "
            f"divided by {numbers['temperature']:.3g}, it is {numbers['calibrated_error']:.2f} % on the same images."
        )
        if metrics.per_class:
            worst = min((row for row in metrics.per_class if row["images"]), key=lambda row: row["recall"])
            limits.append(f"The lowest recall of a class is {worst['recall']:.1f} %, of {worst['name']}.")
    counts = imbalanced_counts(record).values()
    if counts:
        limits.append(f"The classes are imbalanced: they have {min(counts):,} to {max(counts):,} training images.")
    return limits
