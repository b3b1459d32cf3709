import pytest
from fixtures.small_run import first_images, small_recipe

import keras_cct
from keras_cct.training.setup import (
    create_training_model,
    freeze_layers,
    initial_weights,
    limit_batch_size,
    plan_training,
    with_absolute_paths,
)


def small_model():
    return keras_cct.create_model("cct_2_3x2_32")


def trained_layers(**keys) -> list[str]:
    model = small_model()
    freeze_layers(small_recipe(**keys), model)
    return [layer.name for layer in model.layers if layer.trainable_weights]


def test_freeze_trains_the_head_only():
    assert trained_layers(freeze=True) == ["head"]


def test_freeze_until_trains_that_layer_and_all_after_it():
    assert trained_layers(freeze_until="block_1") == ["block_1", "norm", "sequence_pool", "head"]
    assert trained_layers() == [
        "tokenizer",
        "position_embedding",
        "block_0",
        "block_1",
        "norm",
        "sequence_pool",
        "head",
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"freeze_until": "block_2"}, "freeze_until='block_2' is not a layer of cct_2_3x2_32. Choose one of"),
    ],
)
def test_impossible_freezing_is_refused(keys, message):
    with pytest.raises(keras_cct.InputError, match=message):
        freeze_layers(small_recipe(**keys), small_model())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"freeze": True}, "checkpoint_activations=True has no effect with freeze=True"),
        ({"freeze_until": "norm"}, "checkpoint_activations=True has no effect with freeze_until='norm'"),
        ({"freeze_until": "head"}, "checkpoint_activations=True has no effect with freeze_until='head'"),
    ],
)
def test_checkpointing_frozen_blocks_is_refused_before_images_are_read(keys, message):
    with pytest.raises(keras_cct.InputError, match=message):
        plan_training(small_recipe(checkpoint_activations=True, **keys), 16)


def test_classes_are_balanced_once():
    with pytest.raises(keras_cct.InputError, match="class_weights='balanced' and sampler='balanced' both balance"):
        plan_training(small_recipe(class_weights="balanced", sampler="balanced"), 16)


@pytest.mark.parametrize(("keys", "expected"), [({}, False), ({"checkpoint_activations": True}, True)])
def test_the_recipe_decides_whether_blocks_checkpoint_their_activations(keys, expected):
    plan = plan_training(small_recipe(freeze_until="block_1", **keys), 16)
    model = create_training_model(plan, first_images("train", 1))
    assert [model.get_layer(f"block_{index}").checkpoints_activations for index in range(2)] == [expected] * 2


def test_weights_are_the_checkpoint_named_or_the_published_ones():
    assert initial_weights(small_recipe()) is None
    assert initial_weights(small_recipe(pretrained=True, model="cct_14_7x2_384")) == "imagenet"
    assert initial_weights(small_recipe(pretrained=True, initial_checkpoint="a.keras")) == "a.keras"


def test_published_weights_that_do_not_exist_are_refused():
    with pytest.raises(keras_cct.InputError, match="cvt_7_4_32 has no published weights"):
        initial_weights(small_recipe(pretrained=True, model="cvt_7_4_32"))


@pytest.mark.parametrize("number", [1, 11])
def test_an_average_needs_two_checkpoints_that_are_kept(number):
    assert plan_training(small_recipe(average_best=10), 16).recipe.average_best == 10
    expected = f"average_best={number} must be 0, or between 2 and checkpoint_hist=10"
    with pytest.raises(keras_cct.InputError, match=expected):
        plan_training(small_recipe(average_best=number), 16)


@pytest.mark.parametrize(
    ("num_images", "multiple", "expected"), [(64, 1, 64), (63, 1, 63), (63, 2, 62), (63, 6, 60), (63, 4, 60)]
)
def test_a_batch_is_limited_to_the_training_set(num_images, multiple, expected):
    assert limit_batch_size(64, num_images, multiple) == expected


def test_too_few_images_for_a_step_are_refused():
    with pytest.raises(keras_cct.InputError, match="has 1 images, .* at least 2"):
        limit_batch_size(64, 1, 2)


def test_paths_become_absolute_and_other_values_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("init.keras", "classes.txt", "imagenet"):
        (tmp_path / name).touch()
    (tmp_path / "photos").mkdir()
    recipe = with_absolute_paths(
        small_recipe(initial_checkpoint="init.keras", class_map="classes.txt", data_dir="photos")
    )
    assert (recipe.initial_checkpoint, recipe.class_map, recipe.data_dir) == tuple(
        str(tmp_path / name) for name in ("init.keras", "classes.txt", "photos")
    )
    for value in ("imagenet", "https://example.org/init.keras", ""):
        assert with_absolute_paths(small_recipe(initial_checkpoint=value)).initial_checkpoint == value
