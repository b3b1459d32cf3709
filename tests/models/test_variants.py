import dataclasses
import re

import pytest

import keras_cct
from keras_cct.models.foreign_arguments import HINTS, RENAMED
from keras_cct.models.variant_table import VARIANTS
from keras_cct.models.variants import variant_config


def test_there_are_35_vision_variants_and_their_manifold_variants():
    vision = [name for family in ("cct", "cvt", "vit") for name in keras_cct.list_models(f"{family}_*")]
    assert len(vision) == 35
    assert set(keras_cct.list_models("manifold_*")) == {f"manifold_{name}" for name in vision}
    grassmannian = {f"grassmanian_{name}" for name in vision if not name.startswith("cvt")}
    assert set(keras_cct.list_models("grassmanian_*")) == grassmannian
    assert len(keras_cct.list_models()) == 35 + 35 + len(grassmannian)


def test_manifold_variants_differ_from_their_vision_variant_in_attention_and_rates():
    def fields(name: str) -> dict:
        ours, family = (dataclasses.asdict(variant_config(key)) for key in (name, name.partition("_")[2]))
        return {field: value for field, value in ours.items() if value != family[field] and field != "name"}

    rates = {"attention_dropout_rate": 0.0, "stochastic_depth_rate": 0.0}
    assert fields("manifold_cct_7_3x2_32_sine") == {"attention_type": "all", **rates}
    assert fields("manifold_cvt_8") == {"attention_type": "all"}
    assert fields("grassmanian_cct_14_7x2_224") == {"attention_type": "grassmann", "observability": (4, 4)}
    assert fields("grassmanian_vit_6_4_32") == {"attention_type": "grassmann", "observability": (8, 3)}


def test_wildcards_select_and_numbers_sort_as_numbers():
    assert keras_cct.list_models("cct_*x*_224*") == ["cct_7_7x2_224", "cct_7_7x2_224_sine", "cct_14_7x2_224"]
    assert keras_cct.list_models("resnet*") == []


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(keras_cct.InputError, match="unknown variant 'cct_7_3x3_32'. Did you mean 'cct_7_3x2_32'"):
        variant_config("cct_7_3x3_32")
    with pytest.raises(keras_cct.InputError, match="unknown variant 17. Run `keras_cct models`"):
        variant_config(17)


def test_an_unknown_argument_suggests_the_nearest():
    with pytest.raises(keras_cct.InputError, match="unknown argument 'droput_rate'. Did you mean 'dropout_rate'?"):
        variant_config("cct_7_3x1_32", droput_rate=0.1)
    with pytest.raises(keras_cct.InputError, match="unknown argument 'zzz'. Choose from family, input_shape"):
        variant_config("cct_7_3x1_32", zzz=1)


def test_other_channel_counts_average_the_normalization():
    gray = variant_config("cct_2_3x2_32", input_shape=(28, 28, 1))
    assert [*map(sum, gray.normalization)] == pytest.approx([0.4733667, 0.2507], abs=1e-6)
    given = variant_config("cct_2_3x2_32", input_shape=(28, 28, 1), normalization=(0.3, 0.4))
    assert given.normalization == ((0.3,), (0.4,))


def test_a_size_has_neutral_defaults():
    config = variant_config("cvt_8")
    assert (config.num_layers, config.patch_size, config.num_classes) == (8, 4, 10)
    assert config.normalization == ((0.5,), (0.5,))


def test_names_describe_their_rows():
    pattern = r"((manifold_|grassmanian_)?(?:cct|cvt|vit))_(\d+)_([x\d]+)_(\d+)"
    for name, variant in VARIANTS.items():
        match = re.match(pattern, name)
        tokenizer = "x".join(map(str, variant.tokenizer.values()))
        row = (variant.architecture, str(variant.size), tokenizer, str(variant.image_size))
        assert row == match.group(1, 3, 4, 5)
        assert ("_sine" in name) == (variant.position_embedding == "sine")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"img_size": 256}, "unknown argument 'img_size'. Use input_shape=(256, 256, 3)."),
        ({"img_size": (256, 192)}, "Use input_shape=(256, 192, 3)."),
        ({"pretrained": True}, 'Use weights="imagenet"'),
        ({"pretrained": False}, "Leave it out"),
        ({"n_conv_layers": 2}, "Use num_conv_layers=2."),
        ({"positional_embedding": "sine"}, "Use position_embedding='sine'."),
        ({"arch": "cct_7"}, "create_model('cct_7')"),
        ({"progress": False}, "Leave it out"),
        ({"in_chans": 1}, "Use input_shape=(height, width, 1)."),
        ({"n_input_channels": 1}, "Use input_shape=(height, width, 1)."),
        ({"drop_rate": 0.1}, "Use dropout_rate=0.1."),
        ({"drop_path_rate": 0.1}, "Use stochastic_depth_rate=0.1."),
        ({"embedding_dim": 128}, "Use dim=128."),
        ({"attention_dropout": 0.1}, "Use attention_dropout_rate=0.1."),
    ],
)
def test_arguments_of_the_reference_implementation_and_timm_name_their_replacement(arguments, message):
    with pytest.raises(keras_cct.InputError, match=re.escape(message)) as error:
        variant_config("cct_7_3x1_32", **arguments)
    assert "Choose from" not in str(error.value)
    assert "\n" not in str(error.value)


def test_every_named_replacement_is_an_argument():
    fields = {field.name for field in dataclasses.fields(keras_cct.ModelConfig)}
    assert set(RENAMED.values()) <= fields
    assert not fields & {*RENAMED, *HINTS}
