"""Where the file of weights lies that a user means: in the package, in a folder, or at an address."""

import os
from os import PathLike
from pathlib import Path

from keras_cct.errors import InputError
from keras_cct.weights.download import cache_folder, download, sha256_of
from keras_cct.weights.files import ENDINGS, check_ending
from keras_cct.weights.pretrained import CHECKPOINT_FOLDER_VARIABLE, Checkpoint, find_checkpoint, is_tag

_SHIPPED = Path(__file__).with_name("shipped")


def find_weights(variant: str, weights: str | PathLike) -> Path:
    """Returns the file that `create_model(variant, weights=...)` means, downloaded if need be.

    Nothing is downloaded where KERAS_CCT_CHECKPOINT_DIR names a folder: the file must lie there, under the last part
    of its address.

    Args:
        variant: Name of the variant.
        weights: Tag of a checkpoint of the registry, an address, or the path of a file.

    Raises:
        InputError: There is no such checkpoint or file, its ending is unknown, it needs PyTorch, which is not
            installed, or it cannot be downloaded.
    """
    name = str(weights)
    if is_tag(name):
        checkpoint = find_checkpoint(variant, name)
        check_ending(checkpoint.path)
        return _shipped_file(checkpoint) if checkpoint.sha256 else _local_copy(checkpoint.url)
    check_source(name)
    return _local_copy(name) if _is_address(name) else Path(name)


def check_source(weights: str) -> None:
    """Checks, without a download, that an address or a path can be that of a file of weights.

    Raises:
        InputError: There is no such file, its ending is unknown, or it needs PyTorch, which is not installed.
    """
    if not _is_address(weights) and weights.endswith(ENDINGS) and not Path(weights).is_file():
        raise InputError(f"{weights!r} does not exist. Give the path of a file of weights.")
    check_ending(weights)


def _is_address(weights: str) -> bool:
    return weights.startswith(("http://", "https://"))


def _local_copy(url: str) -> Path:
    folder = os.environ.get(CHECKPOINT_FOLDER_VARIABLE)
    if not folder:
        return download(url, cache_folder())
    path = Path(folder, url.rsplit("/", 1)[-1])
    if not path.is_file():
        raise InputError(f"{str(path)!r} is missing in the checkpoint folder. Put {url} there.")
    return path


def _shipped_file(checkpoint: Checkpoint) -> Path:
    path = _SHIPPED / checkpoint.path
    if not path.is_file() or sha256_of(path) != checkpoint.sha256:
        raise InputError(f"{str(path)!r} is missing or has changed. Install keras_cct again.")
    return path
