"""The image sets of `keras.datasets`."""

import importlib
import urllib.error
from types import TracebackType

from keras_cct.data.images import LabeledImages
from keras_cct.data.sources.arrays import images_of_arrays
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError

NAMES = ("cifar10", "cifar100", "fashion_mnist", "mnist")


def open_keras_set(source: Source) -> tuple[LabeledImages, ...]:
    """Returns the training and the test images of a set that Keras downloads, once, to ~/.keras/datasets.

    Args:
        source: `dataset` is "keras/NAME".

    Raises:
        InputError: The name is unknown, there is a `data_dir`, or the download fails.
    """
    name = source.dataset.removeprefix("keras/")
    if name not in NAMES:
        raise InputError(f"dataset={source.dataset!r} is unknown. Choose keras/ with one of {', '.join(NAMES)}.")
    if source.data_dir:
        raise InputError(
            f"dataset={source.dataset!r} takes no data_dir={source.data_dir!r}: Keras keeps it in ~/.keras/datasets. "
            "Leave data_dir out, or name the data set without keras/."
        )
    with _DownloadErrors(source.dataset):
        train, test = importlib.import_module(f"keras.datasets.{name}").load_data()
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), (*train, *test), strict=True))
    return images_of_arrays(arrays, name, source.dataset)


class _DownloadErrors:
    """Turns the errors of Keras's downloads into InputError.

    Keras raises a bare `Exception` in place of what went wrong, which is its context; no `except` clause is that exact.
    """

    def __init__(self, dataset: str):
        self._dataset = dataset

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        is_bare = kind is Exception and isinstance(error.__context__, urllib.error.URLError)
        if is_bare or isinstance(error, OSError | ValueError | EOFError):
            reason = " ".join(str(error).split())
            raise InputError(
                f"{self._dataset!r} cannot be downloaded: {reason}. Try again, or give the images as data_dir."
            ) from error
