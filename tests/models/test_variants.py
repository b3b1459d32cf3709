import dataclasses

import pytest

import keras_cct
from keras_cct.models.variants import variant_config


def test_there_are_35_variants_and_their_relatives():
    vision = [name for family in ("cct", "cvt", "vit") for name in keras_cct.list_models(f"{family}_*")]
    assert len(vision) == 35
    assert set(keras_cct.list_models("manifold_*")) == {f"manifold_{name}" for name in vision}
    grassmannian = {f"grassmanian_{name}" for name in vision if not name.startswith("cvt")}
    assert set(keras_cct.list_models("grassmanian_*")) == grassmannian
    assert len(keras_cct.list_models()) == 35 + 35 + len(grassmannian)


def test_relatives_differ_from_their_family_in_attention_and_rates():
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


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(keras_cct.InputError, match="unknown variant 'cct_7_3x3_32'. Did you mean 'cct_7_3x2_32'"):
        variant_config("cct_7_3x3_32")
    with pytest.raises(keras_cct.InputError, match='unknown variant 17. "keras_cct models" lists all.'):
        variant_config(17)


def test_unknown_argument_is_answered_with_the_nearest():
    with pytest.raises(keras_cct.InputError, match="unknown argument 'droput_rate'. Did you mean 'dropout_rate'?"):
        variant_config("cct_7_3x1_32", droput_rate=0.1)
    with pytest.raises(keras_cct.InputError, match="unknown argument 'zzz'. Choose from family, input_shape"):
        variant_config("cct_7_3x1_32", zzz=1)


def test_other_channel_counts_take_the_mean_normalization():
    gray = variant_config("cct_2_3x2_32", input_shape=(28, 28, 1))
    assert [*map(sum, gray.normalization)] == pytest.approx([0.4733667, 0.2507], abs=1e-6)
    given = variant_config("cct_2_3x2_32", input_shape=(28, 28, 1), normalization=(0.3, 0.4))
    assert given.normalization == ((0.3,), (0.4,))


def test_a_size_has_neutral_defaults():
    config = variant_config("cvt_8")
    assert (config.num_layers, config.patch_size, config.num_classes) == (8, 4, 10)
    assert config.normalization == ((0.5,), (0.5,))
