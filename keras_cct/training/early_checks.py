"""What can be said of a recipe before its images are read."""

from keras_cct.data.pipeline import recipe_augmentation
from keras_cct.recipe import Recipe
from keras_cct.training.fine_tuning import initial_weights
from keras_cct.training.optimization import find_optimizer
from keras_cct.variants import variant_config
from keras_cct.weights import find_weights


def check_recipe(recipe: Recipe, batch_size: int) -> None:
    """Raises InputError for what is wrong with a recipe whatever the images are.

    Reading them may take long. Published weights are downloaded here.

    Args:
        recipe: The recipe.
        batch_size: Images per step, over all devices.
    """
    variant_config(recipe.model)
    find_optimizer(recipe)
    any_image = (recipe.img_size or 1, recipe.img_size or 1, len(recipe.mean))
    recipe_augmentation(recipe, any_image, batch_size)
    weights = initial_weights(recipe)
    if weights is not None:
        find_weights(recipe.model, weights)
