"""The checkpoints to be had by a tag: the published ones, and one in the package. Needs no Keras; listing is quick."""

import dataclasses

from keras_cct.errors import InputError
from keras_cct.facts.datasets import class_names

CHECKPOINT_FOLDER_VARIABLE = "KERAS_CCT_CHECKPOINT_DIR"
BASE_URL = "https://shi-labs.com/projects/cct/checkpoints/"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One file of weights.

    Args:
        variant: Name of the variant it is for.
        tag: What `create_model(weights=...)` calls it: the data set, and the epochs where a variant has two.
        path: Where it lies under `BASE_URL`, or in the package.
        num_params: Weights in it, four bytes each.
        epochs: Epochs of training; behind "+" those of a fine-tuning.
        top1: Reported accuracy in percent.
        sha256: Its SHA-256, if it lies in the package.
        input_shape: (height, width, channels) of its images, if not the variant's.
        normalization: (mean, std) of their pixels in units of 0..1, if not the variant's.
    """

    variant: str
    tag: str
    path: str
    num_params: int
    epochs: str
    top1: float
    sha256: str | None = None
    input_shape: tuple[int, int, int] | None = None
    normalization: tuple[float, float] | None = None

    @property
    def url(self) -> str | None:
        """The address of the file, or None if it lies in the package."""
        return None if self.sha256 else BASE_URL + self.path

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of its classes in the order of the logits."""
        return class_names(self.tag.partition("-")[0])

    def model_fields(self) -> dict[str, object]:
        """Returns the fields of `ModelConfig` that it was trained with and its variant does not name."""
        fields = {
            "num_classes": len(self.class_names),
            "class_names": self.class_names,
            "input_shape": self.input_shape,
            "normalization": self.normalization,
        }
        return {field: value for field, value in fields.items() if value is not None}


CHECKPOINTS = [
    Checkpoint(
        "cct_2_3x2_32",
        "fashion_mnist",
        "cct_2_3x2_28_fashion_mnist.safetensors",
        280_651,
        "25",
        89.20,
        sha256="044e94207e097f7d162fab14b06f092062273a7584fdb9b94fea310e0e2afa9a",
        input_shape=(28, 28, 1),
        normalization=(0.286, 0.353),
    ),
    Checkpoint("cct_7_3x1_32", "cifar10", "pretrained/cct_7_3x1_32_cifar10_300epochs.pth", 3_760_139, "300", 96.53),
    Checkpoint(
        "cct_7_3x1_32_sine", "cifar10", "pretrained/cct_7_3x1_32_sine_cifar10_5000epochs.pth", 3_760_139, "5000", 98.00
    ),
    Checkpoint(
        "cct_7_3x1_32_sine",
        "cifar10-1500",
        "pretrained/cct_7_3x1_32_sine_cifar10_1500epochs.pth",
        3_760_139,
        "1500",
        97.48,
    ),
    Checkpoint(
        "cct_7_3x1_32_c100", "cifar100", "pretrained/cct_7_3x1_32_cifar100_300epochs.pth", 3_783_269, "300", 80.92
    ),
    Checkpoint(
        "cct_7_3x1_32_sine_c100",
        "cifar100",
        "pretrained/cct_7_3x1_32_sine_cifar100_5000epochs.pth",
        3_783_269,
        "5000",
        82.87,
    ),
    Checkpoint(
        "cct_7_3x1_32_sine_c100",
        "cifar100-1500",
        "pretrained/cct_7_3x1_32_sine_cifar100_1500epochs.pth",
        3_783_269,
        "1500",
        82.72,
    ),
    Checkpoint("cct_7_7x2_224_sine", "flowers102", "pretrained/cct_7_7x2_224_flowers102.pth", 4_573_735, "300", 97.19),
    Checkpoint("cct_14_7x2_224", "imagenet", "pretrained/cct_14_7x2_224_imagenet.pth", 22_367_273, "310", 80.67),
    Checkpoint("cct_14_7x2_384", "imagenet", "finetuned/cct_14_7x2_384_imagenet.pth", 22_513_193, "310+30", 82.71),
    Checkpoint(
        "cct_14_7x2_384_fl", "flowers102", "finetuned/cct_14_7x2_384_flowers102.pth", 22_167_463, "310+300", 99.76
    ),
]


def is_tag(weights: str) -> bool:
    """Returns whether `weights` can only be the tag of a checkpoint, not a file or an address."""
    return "." not in weights and "/" not in weights


def find_checkpoint(variant: str, tag: str) -> Checkpoint:
    """Returns the checkpoint of a variant.

    Raises:
        InputError: The variant has none of that tag.
    """
    own = {checkpoint.tag: checkpoint for checkpoint in CHECKPOINTS if checkpoint.variant == variant}
    if tag in own:
        return own[tag]
    if own:
        raise InputError(f"{variant} has no weights {tag!r}. It has {', '.join(own)}; or give the path of a file.")
    with_weights = ", ".join(dict.fromkeys(checkpoint.variant for checkpoint in CHECKPOINTS))
    raise InputError(
        f"{variant} has no published weights {tag!r}. {with_weights} have some; or give the path of a file."
    )


def published_tag(variant: str) -> str:
    """Returns the tag of a variant's first checkpoint.

    Raises:
        InputError: The variant has none.
    """
    for checkpoint in CHECKPOINTS:
        if checkpoint.variant == variant:
            return checkpoint.tag
    with_weights = ", ".join(dict.fromkeys(checkpoint.variant for checkpoint in CHECKPOINTS))
    raise InputError(f"{variant} has no published weights. {with_weights} have some; or give the path of a file.")
