"""Reads `.keras` files as data: the model is rebuilt from checked values, and Keras's deserializer is not used."""

import concurrent.futures
import io
import math
from os import PathLike
from pathlib import Path

import h5py
import keras

from keras_cct.archives import open_archive, read_member
from keras_cct.errors import InputError, check_setting
from keras_cct.files import check_is_file, reading
from keras_cct.weights.hdf5 import WEIGHTS_MEMBER, assign_stored_arrays, num_values, saved_variables, stored_arrays
from keras_cct.weights.keras_config import ModelSpec, parse_model_config
from keras_cct.weights.mapping import check_shapes
from keras_cct.weights.trusted_file import load_trusted_file

MODEL_ENDING = ".keras"
CONFIG_MEMBER, METADATA_MEMBER = "config.json", "metadata.json"
MEMBERS = {CONFIG_MEMBER, METADATA_MEMBER, WEIGHTS_MEMBER}
MAX_MEMBERS = 16
MAX_CONFIG_BYTES = 2**22
MAX_WEIGHTS_BYTES = 2**33

_EXPECTED = "a .keras file"
_ADVICE = "Pass a file saved by `model.save`."


def read_keras_file(path: str | PathLike, *, trust: bool = False) -> keras.Model:
    """Returns the model in a `.keras` file, without its optimizer.

    Unless `trust` is set, the file is data: it can only describe models of this package and their feature extractors,
    it cannot run code, and no more memory is used than its size suggests.

    Args:
        path: The file.
        trust: Whether to load the file with `keras.models.load_model(safe_mode=False)` instead, for a model with other
            layers, whose modules are imported. Such a file is a program, even with Keras's `safe_mode`: it can run any
            code, so use this only for files of people you trust.

    Raises:
        InputError: The file is missing or corrupted, or contains other layers and `trust` is False.
    """
    check_setting("trust", trust, isinstance(trust, bool), "True or False")
    if not str(path).endswith(MODEL_ENDING):
        problem = "is a folder" if Path(path).is_dir() else "is not a .keras file"
        raise InputError(f"{str(path)!r} {problem}. {_ADVICE}")
    file = check_is_file(path, "Expected a .keras file.")
    with reading(path, _EXPECTED, _ADVICE):
        if trust:
            return load_trusted_file(file)
        with file.open("rb") as content, open_archive(content, MAX_MEMBERS) as archive:
            unexpected = set(archive.namelist()) - MEMBERS
            if unexpected:
                raise InputError(f"it contains {sorted(unexpected)[0]!r}, which `model.save` does not write. {_ADVICE}")
            spec = parse_model_config(read_member(archive, CONFIG_MEMBER, MAX_CONFIG_BYTES))
            weights = read_member(archive, WEIGHTS_MEMBER, MAX_WEIGHTS_BYTES)
        with h5py.File(io.BytesIO(weights)) as stored:
            return _rebuild(spec, stored_arrays(stored, len(weights)))


def _rebuild(spec: ModelSpec, arrays: dict[str, h5py.Dataset]) -> keras.Model:
    # Keras keeps its scopes and its uninitialized variables per thread, so they end with this one.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        thread.submit(_check_size, spec, num_values(arrays)).result()
    images = keras.Input(**spec.inputs)
    tensors = {spec.inputs["name"]: images}
    for layer in spec.layers:
        tensors[layer.name] = layer.create()(tensors[layer.source], **layer.arguments)
    outputs = spec.outputs
    selected = tensors[outputs] if isinstance(outputs, str) else {key: tensors[name] for key, name in outputs.items()}
    model = keras.Model(images, selected, name=spec.name)
    model.trainable = spec.trainable
    variables = saved_variables(model)
    shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
    check_shapes(model.name, shapes, {path: dataset.shape for path, dataset in arrays.items()})
    assign_stored_arrays(variables, arrays)
    return model


def _check_size(spec: ModelSpec, num_stored: int) -> None:
    """Checks, before any variable takes memory, that the file has as many values as the model has weights.

    Raises:
        InputError: The layers need more values, or do not accept each other's outputs.
    """
    shapes = {spec.inputs["name"]: (None, *spec.inputs["shape"])}
    num_required = 0
    with keras.StatelessScope(initialize_variables=False):
        for layer_spec in spec.layers:
            layer = layer_spec.create()
            shape = shapes[layer_spec.source]
            layer.build(shape)
            shapes[layer_spec.name] = layer.compute_output_shape(shape)
            num_required += sum(math.prod(weight.shape) for weight in layer.weights)
            if num_required > num_stored:
                raise InputError(
                    f"its layers up to {layer_spec.name!r} have {num_required:,} weights, but the file has "
                    f"{num_stored:,}. {_ADVICE}"
                )
