"""Where images and labels come from: folders, TFDS, Keras, IDX and .npz files, the bundled sample."""

from keras_cct.data.sources.opening import open_data, open_source, source_named
from keras_cct.data.sources.source import Source

__all__ = ["Source", "open_data", "open_source", "source_named"]
