"""The teacher of a run with knowledge distillation."""

import dataclasses
import os
from pathlib import Path

import keras

from keras_cct.create import create_model
from keras_cct.data.images import ImageSet
from keras_cct.errors import InputError
from keras_cct.evaluation.class_matching import are_indices
from keras_cct.files import check_is_file, reading, replacing
from keras_cct.inference.artifacts import find_keras_file
from keras_cct.inference.keras_model import check_serves_pixels
from keras_cct.recipe.recipe import Recipe
from keras_cct.weights.download import sha256_of
from keras_cct.weights.formats import MODEL_ENDING, read_keras_file
from keras_cct.weights.hub import is_hub_url
from keras_cct.weights.pretrained import CHECKPOINTS, Checkpoint
from keras_cct.weights.resolve import resolve_weights

_EXPECTED = "Pass a run folder, a .keras file, hf://user/name, or the tag of published weights."


@dataclasses.dataclass(frozen=True)
class Teacher:
    """The model file of a teacher.

    Args:
        name: The recipe key `teacher`.
        path: The file of its model or, with a checkpoint, of its weights.
        checkpoint: The published checkpoint; None for a `.keras` file.
        sha256: SHA-256 of the file.
    """

    name: str
    path: Path
    checkpoint: Checkpoint | None
    sha256: str

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> "Teacher | None":
        """Returns the teacher of a recipe, None if it has none. Published weights are downloaded.

        Raises:
            InputError: The model does not exist, or several variants have the tag.
        """
        name = recipe.teacher
        if not name:
            return None
        if is_hub_url(name) or os.path.exists(name):  # noqa: PTH110 # `Path.exists` fails on long names
            checkpoint, path = None, find_keras_file(name)
            if path.suffix != MODEL_ENDING:
                raise InputError(f"teacher {name!r} is not a model. {_EXPECTED}")
            check_is_file(path, _EXPECTED)
        else:
            checkpoint = _find_published(name)
            path = resolve_weights(checkpoint.variant, checkpoint.tag).fetch()
        return cls(name, path, checkpoint, sha256_of(path))

    def load(self, *, trust: bool = False) -> keras.Model:
        """Returns the model, not trainable.

        Args:
            trust: Whether a `.keras` file may contain layers of other packages, and so run any code.

        Raises:
            InputError: The file cannot be read.
        """
        if self.checkpoint is None:
            model = read_keras_file(self.path, trust=trust)
        else:
            model = create_model(self.checkpoint.variant, weights=self.checkpoint.tag)
        model.trainable = False
        return model

    def check(self, model: keras.Model, image_shape: tuple[int, int, int], data: ImageSet) -> None:
        """Checks that the teacher accepts the training images of a run and has their classes.

        Args:
            model: The model that `load` returned.
            image_shape: Input shape (height, width, channels) of the student.
            data: The training images.

        Raises:
            InputError: The model takes images of another shape or normalized images, or has other classes.
        """
        head, shape, num_classes = check_serves_pixels(model), tuple(model.input_shape[1:]), model.output_shape[-1]
        if shape != image_shape:
            raise InputError(
                f"teacher {self.name!r} takes images of (height, width, channels) = {shape}, but this run trains on "
                f"{image_shape}. Set img_size, or choose another teacher."
            )
        expected, found = data.class_names, head.class_names
        if num_classes != len(expected):
            raise InputError(
                f"teacher {self.name!r} has {num_classes} classes, but the data has {len(expected)}. Choose a teacher "
                f"of the same classes."
            )
        if found is None or found == tuple(expected) or are_indices(found) or are_indices(tuple(expected)):
            return
        index = next(index for index, name in enumerate(expected) if found[index] != name)
        raise InputError(
            f"class {index} of teacher {self.name!r} is {found[index]!r}, but that of the data is {expected[index]!r}. "
            f"Choose a teacher of the same classes in the same order, or reorder them with class_map."
        )

    def write_fingerprint(self, path: Path) -> None:
        """Writes the SHA-256 to a file, atomically."""
        with replacing(path) as temporary:
            temporary.write_text(f"{self.sha256}\n")

    def check_fingerprint(self, path: Path) -> None:
        """Checks that the teacher is the one whose SHA-256 is in a file.

        Raises:
            InputError: It is another one, or the file cannot be read.
        """
        check_is_file(path, "Start a new run: the teacher of this one is unknown.")
        with reading(path, "the SHA-256 of a teacher"):
            expected = path.read_text().strip()
        if expected != self.sha256:
            raise InputError(
                f"teacher {self.name!r} has changed since the run started: the SHA-256 of {str(self.path)!r} is not "
                f"{expected}. Restore the file, or start a new run."
            )


def _find_published(name: str) -> Checkpoint:
    """Returns the checkpoint with a tag, or with a variant and a tag as in "cct_7_3x1_32:cifar10"."""
    found = [each for each in CHECKPOINTS if name in (each.tag, f"{each.variant}:{each.tag}")]
    if not found:
        raise InputError(f"teacher {name!r} does not exist. {_EXPECTED}")
    if len(found) > 1:
        choices = ", ".join(f"{each.variant}:{each.tag}" for each in found)
        raise InputError(f"several variants have the tag {name!r} of the teacher. Choose one of {choices}.")
    return found[0]
