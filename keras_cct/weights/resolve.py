"""Resolves `weights=...`, a tag, path, URL or model on the hub, to one file and the model fields that it implies."""

import dataclasses
import os
from os import PathLike
from pathlib import Path

from keras_cct.errors import InputError
from keras_cct.models.variants import variant_config
from keras_cct.weights.download import cache_folder, cached_path, download, sha256_of
from keras_cct.weights.files import ENDINGS, check_ending
from keras_cct.weights.formats import MODEL_ENDING
from keras_cct.weights.hub import HubModel, is_hub_url
from keras_cct.weights.pretrained import CHECKPOINT_FOLDER_VARIABLE, Checkpoint, find_checkpoint, is_tag

BUNDLED_FOLDER = Path(__file__).with_name("bundled")


@dataclasses.dataclass(frozen=True)
class ResolvedWeights:
    """A weights file that was requested by tag, path, URL or model on the hub.

    Args:
        location: Path or URL of the file. Its format is known to be supported; a local file is known to exist.
        checkpoint: Entry of the registry, or None if the file was requested in another way.
        hub_model: The model on the hub, whose URL `location` is, or None if the file was requested in another way.
    """

    location: str
    checkpoint: Checkpoint | None = None
    hub_model: HubModel | None = None

    @property
    def has_architecture(self) -> bool:
        """Whether the file contains a whole model."""
        return self.hub_model is not None or self.location.endswith(MODEL_ENDING)

    def model_fields(self, num_classes: int | None = None) -> dict[str, object]:
        """Returns the fields of `ModelConfig` that the checkpoint implies; none without a checkpoint.

        Args:
            num_classes: Number of classes of the model, if not the checkpoint's. The class names are left out if the
                two differ.
        """
        fields = {} if self.checkpoint is None else self.checkpoint.model_fields()
        if num_classes not in (None, fields.get("num_classes")):
            fields.pop("class_names", None)
        return fields

    @property
    def is_local(self) -> bool:
        """Whether the file can be loaded without a download; False for a model on the hub."""
        if not _is_url(self.location):
            return self.hub_model is None
        folder = os.environ.get(CHECKPOINT_FOLDER_VARIABLE)
        path = Path(folder, self.location.rsplit("/", 1)[-1]) if folder else cached_path(self.location)
        return path.is_file()

    def fetch(self) -> Path:
        """Returns the path of the local file, downloaded if necessary, after checking its hash if one is published.

        If KERAS_CCT_CHECKPOINT_DIR names a folder, nothing is downloaded. The folder must contain the file under the
        last part of its URL.

        Raises:
            InputError: The file is missing, has another hash, or cannot be downloaded.
        """
        if self.hub_model is not None:
            return self.hub_model.fetch()
        sha256 = None if self.checkpoint is None else self.checkpoint.sha256
        folder = os.environ.get(CHECKPOINT_FOLDER_VARIABLE)
        if not _is_url(self.location):
            path, advice = Path(self.location), "Check the path." if self.checkpoint is None else "Reinstall keras_cct."
        elif folder:
            path, advice = Path(folder, self.location.rsplit("/", 1)[-1]), f"Download {self.location} to this path."
        else:
            return download(self.location, cache_folder(), sha256)
        if not path.is_file():
            raise InputError(f"weights file {str(path)!r} does not exist. {advice}")
        if sha256 is not None and sha256_of(path) != sha256:
            raise InputError(f"weights file {str(path)!r} has changed: its SHA-256 is not {sha256}. {advice}")
        return path


def resolve_weights(variant: str | None, weights: str | PathLike) -> ResolvedWeights:
    """Returns the file that `create_model(variant, weights=weights)` loads, without downloading it.

    Args:
        variant: Name of the variant or size. May be None unless `weights` is a tag.
        weights: Tag of a checkpoint in the registry, path or URL of a weights file, or `hf://user/name`.

    Raises:
        InputError: The variant, checkpoint or local file does not exist, the file format is not supported, or it
            requires PyTorch, which is not installed.
    """
    if variant is not None:
        variant_config(variant)
    checkpoint, location = None, str(weights)
    if is_hub_url(weights):
        return ResolvedWeights(location, hub_model=HubModel.parse(location))
    if is_tag(weights):
        if variant is None:
            raise InputError(f"weights {location!r} is the tag of a checkpoint. Pass the name of its variant as well.")
        checkpoint = find_checkpoint(variant, location)
        location = checkpoint.url or str(BUNDLED_FOLDER / checkpoint.location)
    elif not _is_url(location) and location.endswith(ENDINGS) and not Path(location).is_file():
        raise InputError(f"weights file {location!r} does not exist. Check the path.")
    check_ending(location)
    return ResolvedWeights(location, checkpoint)


def _is_url(location: str) -> bool:
    return location.startswith(("http://", "https://"))
