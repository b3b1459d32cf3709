"""Keras layers of compact transformers. Importing this package registers them with Keras's loader."""

from keras_cct.layers.attention import SelfAttention
from keras_cct.layers.embeddings import ClassToken, PositionEmbedding
from keras_cct.layers.encoder import EncoderBlock, StochasticDepth
from keras_cct.layers.grassmann import GrassmannAttention, ObservabilityTokens
from keras_cct.layers.manifold import ManifoldAttention
from keras_cct.layers.normalization import PixelNormalization
from keras_cct.layers.pooling import ClassifierHead, ClassTokenPool, SequencePool, TokenGrid
from keras_cct.layers.tokenizers import ConvTokenizer, PatchTokenizer

__all__ = [
    "ClassToken",
    "ClassTokenPool",
    "ClassifierHead",
    "ConvTokenizer",
    "EncoderBlock",
    "GrassmannAttention",
    "ManifoldAttention",
    "ObservabilityTokens",
    "PatchTokenizer",
    "PixelNormalization",
    "PositionEmbedding",
    "SelfAttention",
    "SequencePool",
    "StochasticDepth",
    "TokenGrid",
]
