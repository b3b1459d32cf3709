"""Reads and writes the variables of a model in Keras's HDF5 layout, with shapes checked before memory is allocated."""

import io
import math
import zipfile
from collections.abc import Mapping

import h5py
import keras
import ml_dtypes
import numpy as np
from keras.src.saving import saving_lib

from keras_cct.errors import InputError

MAX_OBJECTS = 10_000
MAX_DEPTH = 16
MAX_NAME_LENGTH = 255
WEIGHTS_MEMBER = "model.weights.h5"

_ROOTS = ("layers", "vars")
"""Groups of a model's own variables. Others belong to its optimizer and metrics and are ignored."""
_BFLOAT16 = np.dtype("V2")
_DEFAULT_FILE_BYTES = 2**40


def stored_arrays(file: h5py.File, file_bytes: int = _DEFAULT_FILE_BYTES) -> dict[str, h5py.Dataset]:
    """Returns the datasets of a model's variables by their paths, without reading them.

    Args:
        file: The open file.
        file_bytes: Size of the file, which the datasets may not exceed.

    Raises:
        InputError: The file contains links, datasets that are stored elsewhere, compressed or not written, or datasets
            that claim more bytes than the file has.
    """
    found: dict[str, h5py.Dataset] = {}
    stack = [(name, file, 1) for name in _ROOTS if name in file]
    num_objects = num_bytes = 0
    while stack:
        path, parent, depth = stack.pop()
        num_objects += 1
        if depth > MAX_DEPTH:
            raise InputError(f"it has more than {MAX_DEPTH} nested groups. Use another file.")
        name = path.rpartition("/")[2]
        if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"its object {path!r} is a link to another place. Use another file.")
        item = parent[name]
        if isinstance(item, h5py.Group):
            # Before the names are read: a group of many links to itself would multiply them at each level.
            if num_objects + len(stack) + len(item) > MAX_OBJECTS:
                raise InputError(f"it has more than {MAX_OBJECTS} objects. Use another file.")
            children = list(item)
            if max(map(len, children), default=0) > MAX_NAME_LENGTH:
                raise InputError(
                    f"its group {path!r} has a name of more than {MAX_NAME_LENGTH} characters. Use another file."
                )
            stack += [(f"{path}/{child}", item, depth + 1) for child in children]
            continue
        if not isinstance(item, h5py.Dataset):
            raise InputError(f"its object {path!r} is not an array. Use another file.")
        num_bytes += _checked_size(path, item)
        if num_bytes > file_bytes:
            raise InputError(f"its arrays claim more than the {file_bytes:,} bytes of the file. Use another file.")
        found[path] = item
    return found


def _checked_size(path: str, dataset: h5py.Dataset) -> int:
    """Returns the number of bytes of a dataset that is stored plainly inside the file."""
    if dataset.is_virtual or dataset.external or dataset.chunks is not None or dataset.shape is None:
        raise InputError(f"its array {path!r} is stored elsewhere or in chunks. Save it with Keras.")
    if dataset.dtype.kind not in "fiub" and dataset.dtype != _BFLOAT16:
        raise InputError(f"its array {path!r} has the dtype {dataset.dtype}, not numbers. Use another file.")
    if dataset.id.get_storage_size() != dataset.nbytes:
        raise InputError(f"its array {path!r} claims {dataset.nbytes:,} bytes, which the file lacks. Use another.")
    return dataset.nbytes


def num_values(arrays: Mapping[str, h5py.Dataset]) -> int:
    """Returns the number of values in all datasets."""
    return sum(math.prod(dataset.shape) for dataset in arrays.values())


def read_array(dataset: h5py.Dataset) -> np.ndarray:
    """Returns the values of a dataset; bfloat16, which HDF5 lacks, is restored from its bytes."""
    array = dataset[()]
    return array.view(ml_dtypes.bfloat16) if dataset.dtype == _BFLOAT16 else np.asarray(array)


def saved_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns the variables that Keras saves for a model by their paths in the file."""
    recorder = _Recorder()
    saving_lib._save_state(model, recorder, None, "", set())
    return {path: value for path, value in recorder.values.items() if path.split("/")[0] in _ROOTS}


class _Recorder(saving_lib.H5IOStore):
    """A store that records which variable Keras saves at which path, without a file."""

    def __init__(self) -> None:
        self.values: dict[str, keras.Variable] = {}
        self._path = ""

    def __bool__(self) -> bool:
        return True

    def make(self, path: str, metadata: Mapping | None = None) -> "_Recorder":  # as in the base class
        self._path = path
        return self

    def __setitem__(self, key: str, value: keras.Variable) -> None:
        self.values["/".join(filter(None, (self._path, "vars", key)))] = value


def assign_stored_arrays(variables: Mapping[str, keras.Variable], arrays: Mapping[str, h5py.Dataset]) -> None:
    """Assigns the datasets of a file to the variables of the same paths, whose shapes must be equal.

    Raises:
        InputError: A dataset cannot be converted to the dtype of its variable.
    """
    for path, variable in variables.items():
        dtype = arrays[path].dtype
        is_float = dtype.kind == "f" or dtype == _BFLOAT16
        if is_float != keras.backend.is_float_dtype(variable.dtype):
            raise InputError(f"its array {path!r} has the dtype {dtype}, expected {variable.dtype}. Use another.")
    for path, variable in variables.items():
        variable.assign(read_array(arrays[path]))


def keras_file_bytes(model: keras.Model) -> bytes:
    """Returns the content of a `.keras` file. Not written to a file, because a full disk crashes HDF5."""
    buffer = io.BytesIO()
    saving_lib.save_model(model, buffer)
    return buffer.getvalue()


def weights_file_bytes(model: keras.Model) -> bytes:
    """Returns the content of a `.weights.h5` file."""
    with zipfile.ZipFile(io.BytesIO(keras_file_bytes(model))) as archive:
        return archive.read(WEIGHTS_MEMBER)
