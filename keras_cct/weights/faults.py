"""The differences between the weights a model wants and those that are given."""

from collections.abc import Mapping

from keras_cct.errors import InputError

MOST_LISTED = 12
Shapes = Mapping[str, tuple[int, ...]]


def check_shapes(model_name: str, wanted: Shapes, found: Shapes) -> None:
    """Raises one error that tells the first differences and their number, if there are any.

    Args:
        model_name: Name of the model, for the message.
        wanted: Names and shapes of the model's weights.
        found: Names and shapes of the weights that are given.

    Raises:
        InputError: A name is missing or extra, or has another shape.
    """
    faults = [f"missing {name} {shape}" for name, shape in wanted.items() if name not in found]
    faults += [f"extra {name} {shape}" for name, shape in found.items() if name not in wanted]
    faults += [
        f"{name} is {found[name]} instead of {shape}"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    if faults:
        raise InputError(
            f"the weights do not fit model {model_name!r}: {_first(faults)}. Nothing was loaded; "
            f"create the model with the architecture the weights come from."
        )


def _first(faults: list[str]) -> str:
    rest = len(faults) - MOST_LISTED
    return "; ".join(faults[:MOST_LISTED]) + (f"; and {rest} more" if rest > 0 else "")
