"""What a file of weights tells about the model it is for, without loading it."""

import dataclasses
from os import PathLike

from keras_cct.errors import InputError
from keras_cct.weights.files import WEIGHTS_ENDING, shapes_in_keras_weights
from keras_cct.weights.fit import CLASS_TOKEN_KEY, FIRST_KERNEL_KEY, HEAD_KEYS, POSITION_KEY
from keras_cct.weights.state_dict_file import read_state_dict

_STATE_DICT_KEYS = {
    "kernel": (FIRST_KERNEL_KEY,),
    "positions": (POSITION_KEY,),
    "class_token": (CLASS_TOKEN_KEY,),
    "head": (HEAD_KEYS[1],),
}
_KERAS_KEYS = {
    "kernel": ("layers/conv_tokenizer/convolutions/conv2d/vars/0", "layers/patch_tokenizer/projection/vars/0"),
    "positions": ("layers/position_embedding/vars/0",),
    "class_token": ("layers/class_token/vars/0",),
    "head": ("layers/classifier_head/vars/1",),
}


@dataclasses.dataclass(frozen=True)
class Traits:
    """Facts about the model that weights come from.

    Args:
        channels: Channels of its images.
        num_classes: Number of its logits, or None if it has no head.
        num_tokens: Tokens that its tokenizer makes, or None if it has no position embedding.
    """

    channels: int
    num_classes: int | None
    num_tokens: int | None


def read_traits(path: str | PathLike) -> Traits:
    """Returns what a state dict or a `.weights.h5` file tells about its model.

    Raises:
        InputError: The file cannot be read, or holds weights of something else.
    """
    if str(path).endswith(WEIGHTS_ENDING):
        keys, channel_axis, found = _KERAS_KEYS, 2, shapes_in_keras_weights(path)  # (height, width, channels, filters)
    else:
        keys, channel_axis = _STATE_DICT_KEYS, 1  # (filters, channels, height, width)
        found = {key: array.shape for key, array in read_state_dict(path).items()}
    shapes = {part: next((found[key] for key in names if key in found), None) for part, names in keys.items()}
    for part, num_axes in (("kernel", 4), ("positions", 3), ("head", 1)):
        shape = shapes[part]
        if (shape is None and part == "kernel") or (shape is not None and len(shape) != num_axes):
            raise InputError(
                f"{keys[part][0]} in {str(path)!r} has shape {shape} instead of {num_axes} axes. "
                f"Give weights of a model made by keras_cct or its original."
            )
    return Traits(
        channels=shapes["kernel"][channel_axis],
        num_classes=shapes["head"] and shapes["head"][0],
        num_tokens=shapes["positions"] and shapes["positions"][1] - (shapes["class_token"] is not None),
    )
