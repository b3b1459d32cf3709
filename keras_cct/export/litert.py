"""Writes LiteRT (TensorFlow Lite) files."""

import zipfile
from pathlib import Path

import tensorflow as tf

from keras_cct.export.conversion import FIXED_BATCH_SIGNATURE, Conversion
from keras_cct.inference.litert import LABELS_FILE, METADATA_FILE


def write_litert(conversion: Conversion, path: Path) -> None:
    """Writes a LiteRT file, with its metadata in an appended ZIP archive, which LiteRT ignores.

    In float16 the weights are stored in half precision. In int8 weights and activations are quantized; input and output
    stay float32.

    Args:
        conversion: The model to convert and its settings.
        path: New file.
    """
    loaded = tf.saved_model.load(str(conversion.saved_model))
    # Converting the function, not the folder, turns the weights into constants instead of LiteRT's resource variables.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([loaded.signatures[FIXED_BATCH_SIGNATURE]], loaded)
    metadata = conversion.metadata
    if metadata.dtype != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if metadata.dtype == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if metadata.dtype == "int8":
        converter.representative_dataset = lambda: ([batch] for batch in conversion.calibration_batches())
    path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(METADATA_FILE, metadata.to_json())
        archive.writestr(LABELS_FILE, "".join(f"{name}\n" for name in metadata.class_names or ()))
