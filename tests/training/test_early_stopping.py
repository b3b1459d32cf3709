import pytest

from keras_cct.recipe.recipe import Recipe
from keras_cct.training.early_stopping import is_exhausted


@pytest.mark.parametrize(
    ("values", "patience", "metric", "expected"),
    [
        ([], 1, "top1", False),
        ([50, 60, 59], 2, "top1", False),
        ([50, 60, 59, 60], 2, "top1", True),
        ([50, 60, 59, 60], 0, "top1", False),
        ([2.0, 1.0, 1.5], 1, "loss", True),
        ([2.0, 1.5, 1.0], 1, "loss", False),
    ],
)
def test_a_run_is_exhausted_without_a_better_epoch(values, patience, metric, expected):
    rows = [{"epoch": epoch, "eval_loss": 1.0, f"eval_{metric}": value} for epoch, value in enumerate(values, start=1)]
    recipe = Recipe("cct_2_3x2_32", "mine", early_stopping=patience, eval_metric=metric)
    assert is_exhausted(rows, recipe) is expected


def test_an_epoch_of_equal_accuracy_and_lower_loss_is_better():
    recipe = Recipe("cct_2_3x2_32", "mine", early_stopping=1)
    for loss, expected in ((0.9, False), (1.1, True)):
        rows = [{"epoch": 1, "eval_top1": 60, "eval_loss": 1.0}, {"epoch": 2, "eval_top1": 60, "eval_loss": loss}]
        assert is_exhausted(rows, recipe) is expected
