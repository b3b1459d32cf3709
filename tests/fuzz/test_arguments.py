"""Recipes, flags and model arguments end in success or in one short InputError, before any long work.

`make fuzz` runs this with the readers: KERAS_CCT_FUZZ_SECONDS is the time per test, KERAS_CCT_FUZZ_SEED the seed.
"""

import contextlib
import dataclasses
import io

import keras
import pytest
from fixtures.small_run import sample_choice, small_data
from fuzz.mutations import SECONDS, fuzz
from hypothesis import strategies as st

import keras_cct
from keras_cct.cli import main
from keras_cct.cli import train as train_command
from keras_cct.data.pipeline import evaluation_batches, training_batches
from keras_cct.errors import MAX_MESSAGE_LENGTH, InputError
from keras_cct.models.config import ModelConfig
from keras_cct.recipe.keys import key_rules
from keras_cct.recipe.recipe import Recipe
from keras_cct.training.setup import create_training_model, limit_batch_size, plan_training

COUNTS = [-1, 0, 1, 2, 3, 4, 7, 16, 255, 2**15, 2**31 - 1, 2**31, 10**30, 10**5000]
NUMBERS = [-1.0, 0.0, 1e-40, 1e-9, 0.05, 0.5, 1.0, 1.5, 1e9, 1e38, 1e39, 1e308, float("nan"), float("inf")]
TEXTS = ["", "x", "1", "55e-5", "nan", "-inf", "a" * 1000, "a\nb", "..", "/", "rand-m99", "sgd", "adamw"]
BROKEN_TEXTS = ["\ud800", "\0"]
OTHERS = [None, True, False, [], [1], [0.5] * 3, [[]], {}, {"a": 1}, b"x", object()]
VALUES = st.sampled_from([*COUNTS, *NUMBERS, *TEXTS, *BROKEN_TEXTS, *OTHERS])
CHOICES = sorted({choice for rule in key_rules(Recipe).values() for choice in rule.choices})
PAIRS = [(8, 8, 1), (10**9, 8, 3), (2, 2), (0.5, 0.5)]
MODEL_SIZES = [1, 2, 4, 8, 32, 33, 2**31 - 1, 10**30]
"""No valid size in between, whose model would take long to build."""


def result_or_none(call, *arguments, **settings) -> object:
    """Returns what the call returns, or None if it raises a short InputError."""
    try:
        return call(*arguments, **settings)
    except InputError as error:
        message = str(error)
    assert len(message) <= MAX_MESSAGE_LENGTH
    assert message.isprintable()
    return None


RECIPES = st.dictionaries(
    st.sampled_from([field.name for field in dataclasses.fields(Recipe)]),
    VALUES | st.sampled_from(CHOICES),
    min_size=1,
    max_size=4,
)


def planned_recipe(values: dict) -> Recipe | None:
    """Returns a recipe that is accepted, after everything that `train` checks before it reads the images."""
    recipe = result_or_none(keras_cct.load_recipe, "sample", **values)
    if not isinstance(recipe, Recipe):
        return None
    assert len(recipe.learning_rates()) == recipe.total_epochs
    loads_weights = not recipe.initial_checkpoint and not recipe.pretrained
    return recipe if result_or_none(plan_training, recipe, recipe.batch_size, loads_weights) else None


def test_recipes():
    fuzz(RECIPES, planned_recipe)


@pytest.mark.skipif(SECONDS < 60, reason="traces an input pipeline for seconds per case")
def test_pipelines_and_models_of_recipes():
    train, evaluation = small_data(keras_cct.load_recipe("sample"))

    def check(values: dict) -> None:
        small = {"img_size": 28, "batch_size": 16, "validation_batch_size_multiplier": 1}
        recipe = planned_recipe(values | small)
        if recipe is not None and not recipe.initial_checkpoint and not recipe.pretrained:
            result_or_none(first_batches, recipe, train, evaluation)

    def first_batches(recipe, train, evaluation):
        plan = plan_training(recipe, recipe.batch_size)
        batch_size = limit_batch_size(recipe.batch_size, len(train), 1 + plan.augmentation.mixing.is_active)
        augmentation = plan.augmentation.for_images((28, 28, 1), batch_size)
        next(iter(training_batches(train, recipe, augmentation)))
        next(iter(evaluation_batches(evaluation, recipe, (28, 28, 1), batch_size)))
        create_training_model(plan, train)
        keras.backend.clear_session()

    fuzz(RECIPES, check)


FLAGS = [f"--{name.replace('_', '-')}" for name in key_rules(Recipe)]
WORDS = st.lists(
    st.sampled_from([*FLAGS, *map(str, [*COUNTS[:-1], *NUMBERS]), *TEXTS, *CHOICES, "-c", "-b", "--dr", "cifar10"])
    | st.text(max_size=20),
    max_size=6,
)


def test_flags(monkeypatch):
    monkeypatch.setattr(train_command, "choose", sample_choice)

    def check(words: list[str]) -> None:
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            try:
                code = main(["train", "--print-recipe", *words])
            except SystemExit as stop:
                code = stop.code
        assert code in (0, 2)
        if code == 2:
            lines = [line for line in errors.getvalue().splitlines() if not line.startswith("warning: ")]
            assert len(lines) == 1, lines
            assert len(lines[0]) < 2 * MAX_MESSAGE_LENGTH

    fuzz(WORDS, check)


MODEL_FIELDS = st.dictionaries(
    st.sampled_from([field.name for field in dataclasses.fields(ModelConfig)]),
    st.sampled_from([*MODEL_SIZES, *NUMBERS, *TEXTS, *BROKEN_TEXTS, *OTHERS, *PAIRS, "spd", "sine"]),
    min_size=1,
    max_size=3,
)


def test_model_arguments():
    small = {"num_layers": 1, "num_heads": 1, "dim": 4, "input_shape": (8, 8, 3)}

    def check(fields: dict) -> None:
        result_or_none(keras_cct.create_model, "cvt_2_4_32", **(small | fields))
        keras.backend.clear_session()

    fuzz(MODEL_FIELDS, check)
