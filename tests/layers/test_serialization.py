import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct import InputError, layers

LAYERS = {
    "conv_tokenizer": (layers.ConvTokenizer(6, kernel_size=5, num_conv_layers=2, hidden_dim=3), (2, 9, 8, 2)),
    "patch_tokenizer": (layers.PatchTokenizer(6, patch_size=2), (2, 8, 4, 2)),
    "pixel_normalization": (layers.PixelNormalization([0.1, 0.2], 0.5), (2, 4, 4, 2)),
    "class_token": (layers.ClassToken(), (2, 5, 6)),
    "position_embedding": (layers.PositionEmbedding("sine"), (2, 5, 6)),
    "attention": (layers.SelfAttention(3, attention_dropout_rate=0.2, dropout_rate=0.3, seed=1), (2, 5, 6)),
    "manifold_attention": (layers.ManifoldAttention(3, ["spd", "grassmann"], False, 0.2, 0.3, seed=2), (2, 5, 6)),
    "grassmann_attention": (layers.GrassmannAttention(3, 0.2, 0.3, seed=3), (2, 5, 6)),
    "observability_tokens": (layers.ObservabilityTokens(3, 2), (2, 5, 6)),
    "stochastic_depth": (layers.StochasticDepth(0.4, seed=4), (2, 5, 6)),
    "block": (layers.EncoderBlock(2, 1.5, 0.1, 0.2, 0.3, seed=5), (2, 5, 6)),
    "manifold_block": (layers.EncoderBlock(2, attention_type="gm", map_normalization=False), (2, 5, 6)),
    "grassmann_block": (layers.EncoderBlock(2, attention_type="grassmann"), (2, 5, 6)),
    "sequence_pool": (layers.SequencePool(), (2, 5, 6)),
    "class_token_pool": (layers.ClassTokenPool(), (2, 5, 6)),
    "token_grid": (layers.TokenGrid(2, 3), (2, 7, 6)),
    "head": (layers.ClassifierHead(3, class_names=["a", "b", "c"]), (2, 6)),
}


def test_every_layer_is_here():
    assert {type(layer).__name__ for layer, _ in LAYERS.values()} == set(layers.__all__)


@pytest.mark.one_backend
@pytest.mark.parametrize("name", LAYERS)
def test_layer_survives_saving(name, tmp_path):
    layer, shape = LAYERS[name]
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    inputs = keras.Input(shape[1:])
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    assert reloaded.layers[-1].get_config() == layer.get_config()
    assert model.output_shape == layer.compute_output_shape((None, *shape[1:]))
    np.testing.assert_array_equal(to_numpy(reloaded(x)), to_numpy(model(x)), strict=True)


LAYERS_WITH_BAD_ARGUMENTS = [
    (layers.StochasticDepth, {"rate": 1}, "rate must be a number in "),
    (layers.SelfAttention, {"num_heads": 0}, "num_heads must be at least 1, got 0"),
    (layers.EncoderBlock, {"num_heads": 2, "dropout_rate": -1}, "dropout_rate must be a number in "),
    (layers.PatchTokenizer, {"dim": 8, "patch_size": 0}, "patch_size must be"),
    (layers.ConvTokenizer, {"dim": 8, "num_conv_layers": 0}, "num_conv_layers must be"),
    (layers.EncoderBlock, {"num_heads": 2, "mlp_ratio": -1}, "mlp_ratio must be a positive number, got -1"),
    (layers.EncoderBlock, {"num_heads": 2, "attention_type": "flat"}, "attention_type='flat' is unknown"),
    (layers.EncoderBlock, {"num_heads": 2, "map_normalization": "no"}, "map_normalization='no' is unknown"),
    (layers.ManifoldAttention, {"num_heads": 2, "map_normalization": 1}, "map_normalization=1 is unknown"),
    (layers.ObservabilityTokens, {"num_signals": 0}, "num_signals must be"),
    (layers.ObservabilityTokens, {"num_blocks": 2.5}, "num_blocks must be"),
    (layers.PositionEmbedding, {"embedding_type": "none"}, "embedding_type='none' is unknown"),
    (layers.PixelNormalization, {"mean": 127.5}, "mean=127.5 is out of range"),
    (layers.PixelNormalization, {"std": 0}, "std=0 is out of range"),
    (layers.PixelNormalization, {"mean": "imagenet"}, "mean='imagenet'"),
    (layers.TokenGrid, {"rows": 0, "columns": 2}, "rows must be"),
    (layers.SelfAttention, {"num_heads": 2, "seed": "a"}, "seed must be None or an integer in .*, got 'a'"),
    (layers.StochasticDepth, {"rate": 0.1, "seed": 0.5}, "seed must be None or an integer in .*, got 0.5"),
    (layers.ClassifierHead, {"num_classes": 3, "class_names": ["a"]}, "class_names has 1 names for 3 classes"),
]


@pytest.mark.parametrize(("layer", "arguments", "message"), LAYERS_WITH_BAD_ARGUMENTS)
def test_impossible_arguments_are_refused(layer, arguments, message):
    with pytest.raises(InputError, match=message):
        layer(**arguments)


TOKEN_LAYERS = [name for name, (_, shape) in LAYERS.items() if len(shape) == 3 and name != "stochastic_depth"]


@pytest.mark.parametrize("name", TOKEN_LAYERS)
def test_tokens_without_batch_dimension_are_refused(name):
    layer, shape = LAYERS[name]
    fresh = type(layer).from_config(layer.get_config())
    with pytest.raises(InputError, match=rf"got \({shape[1]}, {shape[2]}\)"):
        fresh(np.zeros(shape[1:], "float32"))
