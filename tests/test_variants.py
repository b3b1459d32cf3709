import pytest

import keras_cct
from keras_cct.variants import variant_config


def test_there_are_35_variants():
    assert len(keras_cct.list_models()) == 35


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
    grey = variant_config("cct_2_3x2_32", input_shape=(28, 28, 1))
    assert [*map(sum, grey.normalization)] == pytest.approx([0.4733667, 0.2507], abs=1e-6)
    given = variant_config("cct_2_3x2_32", input_shape=(28, 28, 1), normalization=(0.3, 0.4))
    assert given.normalization == ((0.3,), (0.4,))


def test_a_size_has_neutral_defaults():
    config = variant_config("cvt_8")
    assert (config.num_layers, config.patch_size, config.num_classes) == (8, 4, 10)
    assert config.normalization == ((0.5,), (0.5,))
