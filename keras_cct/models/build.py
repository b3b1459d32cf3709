"""Builds the Keras model that a config describes: a straight chain of named layers."""

import keras

from keras_cct import layers
from keras_cct.models.config import ModelConfig


def build_model(config: ModelConfig) -> keras.Model:
    """Returns a functional model with fresh weights.

    Its layers are, in this order: `images`, `normalization`, `tokenizer`, `observability_tokens`, `class_token` (vit),
    `position_embedding`, `dropout`, `block_0` and on, `norm`, `sequence_pool` or `class_token_pool` (vit), `head`. A
    part that the config leaves out is not there.

    Args:
        config: The architecture.

    Returns:
        A model from images of shape (batch, height, width, channels), pixels of 0..255 in any dtype, to logits of
        shape (batch, num_classes), or to features of shape (batch, dim) without the head.

    Raises:
        InputError: The image does not fit the tokenizer.
    """
    images = keras.Input(config.input_shape, name="images")
    x = images
    for layer in _chain(config):
        x = layer(x)
    return keras.Model(images, x, name=config.name)


def _chain(config: ModelConfig) -> list[keras.layers.Layer]:
    # Pixels and logits keep the precision of the weights when the layers between compute in half precision.
    full_precision = keras.config.dtype_policy().variable_dtype
    chain = []
    if config.normalization is not None:
        chain.append(_normalization(config.normalization, dtype=full_precision))
    if config.family == "cct":
        tokenizer = layers.ConvTokenizer(config.dim, config.kernel_size, config.num_conv_layers, name="tokenizer")
    else:
        tokenizer = layers.PatchTokenizer(config.dim, config.patch_size, name="tokenizer")
    chain.append(tokenizer)
    if config.observability is not None:
        chain.append(layers.ObservabilityTokens(*config.observability, name="observability_tokens"))
    if config.uses_class_token:
        chain.append(layers.ClassToken(name="class_token"))
    if config.position_embedding != "none":
        chain.append(layers.PositionEmbedding(config.position_embedding, name="position_embedding"))
    chain.append(keras.layers.Dropout(config.dropout_rate, name="dropout"))
    for index, rate in enumerate(config.stochastic_depth_rates()):
        block = layers.EncoderBlock(
            config.num_heads,
            config.mlp_ratio,
            dropout_rate=config.dropout_rate,
            attention_dropout_rate=config.attention_dropout_rate,
            stochastic_depth_rate=rate,
            attention_type=config.attention_type,
            map_normalization=config.normalizes_maps,
            name=f"block_{index}",
        )
        chain.append(block)
    chain.append(keras.layers.LayerNormalization(epsilon=1e-5, name="norm"))
    if config.uses_class_token:
        chain.append(layers.ClassTokenPool(name="class_token_pool"))
    else:
        chain.append(layers.SequencePool(name="sequence_pool"))
    if config.include_top:
        head = layers.ClassifierHead(config.num_classes, config.class_names, dtype=full_precision, name="head")
        chain.append(head)
    return chain


def _normalization(normalization, dtype: str) -> keras.layers.Normalization:
    mean, std = normalization
    return keras.layers.Normalization(
        mean=[255.0 * value for value in mean],
        variance=[(255.0 * value) ** 2 for value in std],
        dtype=dtype,
        name="normalization",
    )
