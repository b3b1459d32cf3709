"""Builds the Keras model that a config describes: a chain of named layers."""

from typing import cast

import keras

from keras_cct import layers
from keras_cct.errors import check_instance
from keras_cct.models import names
from keras_cct.models.config import ModelConfig


def build_model(config: ModelConfig) -> keras.Model:
    """Returns a functional model with randomly initialized weights.

    Its layers form a chain with the names in `keras_cct.models.names`. Layers that the config disables are
    omitted.

    Args:
        config: The architecture.

    Returns:
        A model that maps images of shape (batch, height, width, channels), with pixels in [0, 255] of any dtype, to
        logits of shape (batch, num_classes), or to pooled features of shape (batch, dim) if `include_top` is False.

    Raises:
        InputError: The tokenizer does not support the image size.
    """
    check_instance("config", config, ModelConfig, "a ModelConfig")
    images = keras.Input(config.input_shape, name=names.IMAGES)
    x = images
    for layer in _make_layers(config):
        x = layer(x)
    return keras.Model(images, x, name=config.name)


def _make_layers(config: ModelConfig) -> list[keras.layers.Layer]:
    # In mixed precision, pixels and logits have the dtype of the weights.
    full_precision = keras.dtype_policies.get(config.dtype).variable_dtype
    chain = []
    if config.normalization is not None:
        mean, std = config.normalization
        chain.append(layers.PixelNormalization(mean, std, dtype=full_precision, name=names.NORMALIZATION))
    chain.append(_make_tokenizer(config))
    if config.observability is not None:
        num_signals, num_blocks = config.observability
        chain.append(
            layers.ObservabilityTokens(num_signals, num_blocks, dtype=config.dtype, name=names.OBSERVABILITY_TOKENS)
        )
    if config.uses_class_token:
        chain.append(layers.ClassToken(dtype=config.dtype, name=names.CLASS_TOKEN))
    if config.position_embedding != "none":
        chain.append(
            layers.PositionEmbedding(config.position_embedding, dtype=config.dtype, name=names.POSITION_EMBEDDING)
        )
    chain.append(keras.layers.Dropout(config.dropout_rate, dtype=config.dtype, name=names.DROPOUT))
    chain += _make_blocks(config)
    chain.append(keras.layers.LayerNormalization(epsilon=1e-5, dtype=config.dtype, name=names.NORM))
    if config.uses_class_token:
        chain.append(layers.ClassTokenPool(dtype=config.dtype, name=names.CLASS_TOKEN_POOL))
    else:
        chain.append(layers.SequencePool(dtype=config.dtype, name=names.SEQUENCE_POOL))
    if config.include_top:
        head = layers.ClassifierHead(config.num_classes, config.class_names, dtype=full_precision, name=names.HEAD)
        chain.append(head)
    return chain


def _make_tokenizer(config: ModelConfig) -> keras.layers.Layer:
    if config.patch_size is not None:
        return layers.PatchTokenizer(config.dim, config.patch_size, dtype=config.dtype, name=names.TOKENIZER)
    # `ModelConfig` guarantees that these two are set if patch_size is None.
    kernel_size, num_conv_layers = cast("int", config.kernel_size), cast("int", config.num_conv_layers)
    return layers.ConvTokenizer(config.dim, kernel_size, num_conv_layers, dtype=config.dtype, name=names.TOKENIZER)


def _make_blocks(config: ModelConfig) -> list[keras.layers.Layer]:
    return [
        layers.EncoderBlock(
            config.num_heads,
            config.mlp_ratio,
            dropout_rate=config.dropout_rate,
            attention_dropout_rate=config.attention_dropout_rate,
            stochastic_depth_rate=rate,
            attention_type=config.attention_type,
            map_normalization=config.normalizes_maps,
            dtype=config.dtype,
            name=names.block_name(index),
        )
        for index, rate in enumerate(config.stochastic_depth_rates())
    ]
