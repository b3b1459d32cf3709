"""The image datasets of `keras.datasets`."""

import importlib
import urllib.error
from types import TracebackType

from keras_cct.data.images import LabeledImages
from keras_cct.data.sources.arrays import read_arrays
from keras_cct.data.sources.source import Source, check_default_splits
from keras_cct.errors import InputError
from keras_cct.facts.datasets import DATASETS

KERAS_DATASETS = tuple(name for name, dataset in DATASETS.items() if dataset.in_keras)


def open_keras_dataset(source: Source) -> tuple[LabeledImages, LabeledImages]:
    """Returns the training and the test images of a dataset, which Keras downloads to ~/.keras/datasets once.

    Args:
        source: `dataset` is "keras/NAME".

    Raises:
        InputError: The name is unknown, a key has no effect here, or the download fails.
    """
    name = source.dataset.removeprefix("keras/")
    if name not in KERAS_DATASETS:
        raise InputError(
            f"unknown dataset {source.dataset!r}. Choose keras/NAME with NAME one of {', '.join(KERAS_DATASETS)}."
        )
    if source.data_dir:
        raise InputError(
            f"data_dir={source.data_dir!r} has no effect with dataset={source.dataset!r}: Keras stores it in "
            f"~/.keras/datasets. Remove data_dir, or use dataset={name!r} to read that folder or file."
        )
    check_default_splits(source)
    with _DownloadErrors(source.dataset):
        (x_train, y_train), (x_test, y_test) = importlib.import_module(f"keras.datasets.{name}").load_data()
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    return read_arrays(arrays, name, source.dataset)


class _DownloadErrors:
    """Context manager that turns the download errors of Keras into InputError.

    For a failed request Keras raises a bare `Exception` while it handles the URLError. An `except` clause cannot select
    that without catching every other error too, but `__exit__` can.
    """

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        is_failed_request = error_type is Exception and isinstance(error.__context__, urllib.error.URLError)
        if is_failed_request or isinstance(error, OSError | ValueError | EOFError):
            reason = " ".join(str(error).split())
            raise InputError(
                f"cannot download {self._dataset!r}: {reason}. Try again, or use images on disk with data_dir."
            ) from error
