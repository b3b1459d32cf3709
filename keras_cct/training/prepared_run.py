"""A run whose recipe, images and model are checked, and its training."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_cct.data.augment.plan import AugmentationPlan
from keras_cct.data.fingerprint import DataFingerprint, shared_facts
from keras_cct.data.images import EncodedImages, ImageSet, LabeledImages, RecordImages
from keras_cct.data.pipeline import evaluation_batches, training_batches
from keras_cct.data.sources.open import divides_one_folder, open_data, recipe_source
from keras_cct.data.sources.scan import LabeledFile
from keras_cct.data.sources.split import write_split
from keras_cct.data.survey_index import SurveyIndex
from keras_cct.errors import InputError
from keras_cct.recipe.recipe import Recipe
from keras_cct.training.devices import (
    Distribution,
    choose_precision,
    local_distribution,
    warn_of_useless_checkpointing,
)
from keras_cct.training.folder import RunFolder
from keras_cct.training.setup import (
    create_recipe_model,
    create_training_model,
    input_shape,
    limit_batch_size,
    plan_training,
)
from keras_cct.training.state import RunState
from keras_cct.training.teacher import Teacher

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PreparedRun:
    """A run that is ready to train, before anything is written.

    Args:
        recipe: The recipe.
        train_data: The training images.
        eval_data: The evaluation images.
        augmentation: The augmentation of the training images, with their shape and the images per step.
        distribution: The devices.
        model: The compiled model.
        plain_model: An uncompiled float32 model of the same architecture, through which weights are saved.
        fingerprint: Fingerprint of the images.
        index: What a pass over the images of a folder has found.
        teacher: The model to imitate, if there is one.
        state: The state to resume from, if there is one.
    """

    recipe: Recipe
    train_data: ImageSet
    eval_data: ImageSet
    augmentation: AugmentationPlan
    distribution: Distribution
    model: keras.Model
    plain_model: keras.Model
    fingerprint: DataFingerprint
    index: SurveyIndex
    teacher: Teacher | None
    state: RunState | None

    @classmethod
    def prepare(
        cls,
        recipe: Recipe,
        state: RunState | None = None,
        split_file: Path | None = None,
        index_file: Path | None = None,
        *,
        trust: bool = False,
        devices: str = "all",
    ) -> "PreparedRun":
        """Returns a run, after checking everything that can be checked before training.

        Args:
            recipe: The recipe.
            state: The state to resume from, if there is one.
            split_file: The split that the run has saved, if it has.
            index_file: The index of images that the run has saved, if it has.
            trust: Whether `.keras` files of initial weights and of a teacher may contain layers of other packages.
            devices: "all", "cpu", or the number of devices of this process.

        Raises:
            InputError: The recipe or the images cannot be used, there are not as many devices, or the state does not
                belong to them.
        """
        distribution = local_distribution(devices)
        batch_size = recipe.batch_size * distribution.num_devices if state is None else state.images_per_step
        warn_of_useless_checkpointing(recipe, distribution)
        plan = plan_training(recipe, batch_size, loads_weights=state is None, trust=trust)
        mixes_images = plan.augmentation.mixing.is_active
        distribution.check_batch_size(batch_size, mixes_images)
        index = SurveyIndex() if index_file is None else SurveyIndex.read(index_file)
        train_data, eval_data = open_data(recipe, split_file, index)
        batch_size = limit_batch_size(batch_size, len(train_data), distribution.batch_multiple(mixes_images))
        augmentation = plan.augmentation.for_images(input_shape(recipe, train_data), batch_size)
        precision = choose_precision(recipe, distribution)
        if precision.reason:
            log.info("%s", precision.reason)
        plain_model = create_recipe_model(recipe, train_data)
        keras.utils.set_random_seed(recipe.seed)
        with distribution.scope(), _dtype_policy(precision.policy):
            model = create_training_model(plan, train_data)
        fingerprint = DataFingerprint.of(train_data, eval_data)
        return cls(
            recipe,
            train_data,
            eval_data,
            augmentation,
            distribution,
            model,
            plain_model,
            fingerprint,
            index,
            plan.teacher,
            state,
        )

    def with_known_data(self, folder: RunFolder, allow_changed_data: bool) -> "PreparedRun":
        """Returns a run that can continue from its state, after comparing inputs and model with those of before.

        Raises:
            InputError: The model, the teacher, the number of images per step or, unless it is allowed, the data has
                changed.
        """
        if self.teacher is not None:
            self.teacher.check_fingerprint(folder.teacher)
        if folder.data.exists():
            changes = DataFingerprint.read(folder.data).changes(self.fingerprint)
        else:
            changes = "" if self.state is None else f"the run has no {folder.data.name} to compare it with"
        if changes and not allow_changed_data:
            raise InputError(
                f"the data of the run has changed: {changes}. Restore it, or resume with --allow-changed-data "
                f"(allow_changed_data=True in Python)."
            )
        if self.state is not None:
            self.state.check(self.model, self.batch_size)
            if not changes and self.state.step >= self.steps_per_epoch:
                raise InputError(
                    f"the state is at step {self.state.step} of an epoch of {self.steps_per_epoch} steps: it is "
                    f"corrupted. Start a new run."
                )
        if self.state is None or not changes:
            return self
        log.warning("resuming with changed data: %s", changes)
        return dataclasses.replace(self, state=dataclasses.replace(self.state, step=0))

    def shared_facts(self) -> dict[str, str]:
        """Returns what must be equal in all processes that train together, by name."""
        epoch, step = self.start
        facts = shared_facts(self.fingerprint, self.train_data, self.eval_data)
        return facts | {"images per step": str(self.batch_size), "start": f"epoch {epoch + 1}, step {step + 1}"}

    def write_inputs(self, folder: RunFolder) -> None:
        """Writes what the run needs to resume; last the recipe, whose file makes the folder a run."""
        self.fingerprint.write(folder.data)
        if self.index.has_surveys:
            self.index.write(folder.index)
        if self.teacher is not None:
            self.teacher.write_fingerprint(folder.teacher)
        self._write_split(folder)
        folder.write_recipe(self.recipe.to_yaml())

    def _write_split(self, folder: RunFolder) -> None:
        """Writes which images are in which split if both are parts of one folder."""
        train, evaluation = self.train_data, self.eval_data
        if isinstance(train, RecordImages) or isinstance(evaluation, RecordImages):
            return
        if divides_one_folder(recipe_source(self.recipe)):
            write_split(folder.split, Path(self.recipe.data_dir), _labeled_files(train), _labeled_files(evaluation))

    @property
    def batch_size(self) -> int:
        return self.augmentation.batch_size

    @property
    def eval_batch_size(self) -> int:
        return self.batch_size * self.recipe.validation_batch_size_multiplier

    @property
    def start(self) -> tuple[int, int]:
        """Number of completed epochs, and of completed steps in the next epoch."""
        return (0, 0) if self.state is None else (self.state.epoch, self.state.step)

    @property
    def steps_per_epoch(self) -> int:
        return len(self.train_data) // self.batch_size

    def training_batches(self, first_step: int) -> Any:
        """Returns the training batches of all epochs, starting at a step."""
        shard = self.distribution.shard
        return training_batches(self.train_data, self.recipe, self.augmentation, first_step, shard)

    def evaluation_batches(self) -> Any:
        """Returns the evaluation batches."""
        shard = self.distribution.shard if self.distribution.pads_evaluation else None
        image_shape = self.augmentation.image_shape
        return evaluation_batches(self.eval_data, self.recipe, image_shape, self.eval_batch_size, shard)


def _labeled_files(data: LabeledImages | EncodedImages) -> list[LabeledFile]:
    """Returns path and class of every image."""
    return [(name, data.class_names[label]) for name, label in zip(data.names, data.labels, strict=True)]


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
