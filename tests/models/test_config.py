import pytest

import keras_cct


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"family": "cnn"}, "family='cnn' is unknown. Choose one of cct, cvt, vit."),
        ({"num_classes": 0}, "num_classes must be .*, got 0"),
        ({"num_classes": True}, "num_classes must be .*, got True"),
        ({"num_layers": 1.5}, "num_layers must be .*, got 1.5"),
        ({"num_heads": 3}, r"num_heads=3 does not divide dim=256. Choose one of \[1, 2, 4, 8, 16, 32, 64\]."),
        ({"input_shape": (32, 32)}, r"input_shape=\(32, 32\) is not \(height, width, channels\)"),
        ({"input_shape": 32}, "input_shape=32 is not"),
        (
            {"position_embedding": "cosine"},
            "position_embedding='cosine' is unknown. Choose one of learnable, sine, none.",
        ),
        ({"dropout_rate": 1}, "dropout_rate must be a number in "),
        ({"stochastic_depth_rate": -0.1}, "stochastic_depth_rate must be a number in "),
        ({"attention_dropout_rate": "0.1"}, "attention_dropout_rate must be a number in "),
        ({"mlp_ratio": 0}, "mlp_ratio must be a positive number, got 0"),
        ({"patch_size": 4}, "patch_size=4 is not supported by the cct family. Use kernel_size and num_conv_layers."),
        ({"kernel_size": None}, "kernel_size must be .*, got None"),
        ({"normalization": "imagenet"}, r"normalization='imagenet' is not a pair \(mean, std\)"),
        ({"normalization": 0.5}, r"normalization=0.5 is not a pair \(mean, std\)"),
        ({"normalization": ((0.5, 0.5), 1.0)}, "does not match 3 channels. Pass 1 or 3 numbers."),
        ({"normalization": (0.5, (0.1, 0.1, 0.0))}, "is out of range"),
        ({"class_names": ["cat"]}, "class_names has 1 names for 10 classes"),
        ({"normalization": (127.5, 127.5)}, "is out of range"),
        ({"normalization": (float("nan"), 0.5)}, "normalization mean=nan"),
        ({"normalization": (None, 0.5)}, "normalization mean=None"),
        ({"mlp_ratio": float("nan")}, "mlp_ratio must be a positive number, got nan"),
        ({"include_top": "no"}, "include_top='no' is unknown. Choose one of True, False."),
        ({"name": "a/b"}, "name='a/b' is not a valid model name"),
        ({"dropout_rate": 10**400}, "must be a number in "),
        ({"class_names": 3}, "class_names must be a list of single-line strings without control characters, got 3"),
        (
            {"attention_type": "flat"},
            "attention_type='flat' is unknown. Choose one of softmax, all, gm, spd, grassmann.",
        ),
        ({"map_normalization": True}, "map_normalization has no effect with attention_type='softmax'"),
        (
            {"attention_type": "gm", "map_normalization": "no"},
            "map_normalization='no' is unknown. Choose one of None, True, False.",
        ),
        ({"observability": (4,)}, r"observability=\(4,\) is not \(num_signals, num_blocks\)"),
        ({"observability": (5, 3)}, r"observability=\(5, 3\) .* dim=256"),
        ({"mlp_ratio": 1e-3}, "mlp_ratio=0.001 leaves no hidden units for dim=256"),
        ({"dtype": "int8"}, "dtype='int8' is unknown. Choose one of None, float32, mixed_bfloat16"),
        ({"attention_type": ["spd"]}, "is unknown. Choose one of softmax"),
        ({"normalization": ((), 0.5)}, r"normalization mean=\(\)"),
        ({"class_names": "catdogbird"}, "class_names must be a list of single-line strings"),
    ],
)
def test_impossible_values_are_refused(fields, message):
    good = {"family": "cct", "kernel_size": 3, "num_conv_layers": 1}
    with pytest.raises(keras_cct.InputError, match=message) as error:
        keras_cct.ModelConfig(**(good | fields))
    assert "\n" not in str(error.value)


def test_stochastic_depth_grows_linearly_to_the_last_block():
    config = keras_cct.ModelConfig("cvt", num_layers=5, patch_size=4, stochastic_depth_rate=0.2)
    assert config.stochastic_depth_rates() == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])


def test_maps_are_normalized_as_published():
    def normalizes_maps(**fields) -> bool:
        return keras_cct.ModelConfig("cvt", patch_size=4, **fields).normalizes_maps

    assert [normalizes_maps(attention_type=name) for name in ("all", "gm", "spd", "riem")] == [True, True, False, False]
    assert normalizes_maps(attention_type="spd", map_normalization=True)
    assert not normalizes_maps(attention_type="all", map_normalization=False)


def test_a_single_block_has_no_stochastic_depth():
    config = keras_cct.ModelConfig("cvt", num_layers=1, patch_size=4)
    assert config.stochastic_depth_rates() == [0]
