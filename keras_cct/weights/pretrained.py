"""Registry of pretrained checkpoints. Needs no Keras, so listing it is fast."""

import dataclasses
from os import PathLike

from keras_cct.errors import InputError
from keras_cct.facts import datasets

CHECKPOINT_FOLDER_VARIABLE = "KERAS_CCT_CHECKPOINT_DIR"
OFFLINE_VARIABLE = "KERAS_CCT_OFFLINE"
BASE_URL = "https://shi-labs.com/projects/cct/checkpoints/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One pretrained checkpoint of one variant.

    Args:
        variant: Name of the variant.
        tag: Name for `create_model(weights=...)`: the dataset, followed by "-EPOCHS" for a variant's second checkpoint
            on the same dataset.
        location: Path of the file, relative to `BASE_URL` or, if bundled, to the package's folder of weights.
        sha256: SHA-256 of the file, checked before the file is used. None if it is not known: the authors of the
            reference implementation do not publish hashes. The hash of the first download is recorded then.
        bundled: Whether the file is part of the package.
        num_params: Number of float32 weights.
        epochs: Number of training epochs; "310+30" means 310 epochs of training and 30 of fine-tuning.
        top1: Reported top-1 accuracy in percent.
        input_shape: (height, width, channels) of the training images, if not the variant's.
        normalization: (mean, std) of the training images in [0, 1], if not the variant's.
    """

    variant: str
    tag: str
    location: str
    sha256: str | None
    bundled: bool = False
    num_params: int
    epochs: str
    top1: float
    input_shape: tuple[int, int, int] | None = None
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def url(self) -> str | None:
        """URL of the file, or None if it is bundled."""
        return None if self.bundled else BASE_URL + self.location

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return datasets.class_names(self.tag.partition("-")[0])

    def model_fields(self) -> dict[str, object]:
        """Returns the fields of `ModelConfig` that the checkpoint implies beyond its variant."""
        fields = {
            "num_classes": len(self.class_names),
            "class_names": self.class_names,
            "input_shape": self.input_shape,
            "normalization": self.normalization,
        }
        return {field: value for field, value in fields.items() if value is not None}


_FASHION_MNIST = datasets.DATASETS["fashion_mnist"]

CHECKPOINTS = [
    Checkpoint(
        variant="cct_2_3x2_32",
        tag="fashion_mnist",
        location="cct_2_3x2_28_fashion_mnist.safetensors",
        sha256="9f91ab698063bc5092dd193ff76c4dae814353c10e9dad6ea44ddd6aaa46b701",
        bundled=True,
        num_params=280_651,
        epochs="60",
        top1=93.17,
        input_shape=(28, 28, 1),
        normalization=(_FASHION_MNIST.mean, _FASHION_MNIST.std),
    ),
    Checkpoint(
        variant="cct_7_3x1_32",
        tag="cifar10",
        location="pretrained/cct_7_3x1_32_cifar10_300epochs.pth",
        sha256=None,
        num_params=3_760_139,
        epochs="300",
        top1=96.53,
    ),
    Checkpoint(
        variant="cct_7_3x1_32_sine",
        tag="cifar10",
        location="pretrained/cct_7_3x1_32_sine_cifar10_5000epochs.pth",
        sha256=None,
        num_params=3_760_139,
        epochs="5000",
        top1=98.00,
    ),
    Checkpoint(
        variant="cct_7_3x1_32_sine",
        tag="cifar10-1500",
        location="pretrained/cct_7_3x1_32_sine_cifar10_1500epochs.pth",
        sha256=None,
        num_params=3_760_139,
        epochs="1500",
        top1=97.48,
    ),
    Checkpoint(
        variant="cct_7_3x1_32_c100",
        tag="cifar100",
        location="pretrained/cct_7_3x1_32_cifar100_300epochs.pth",
        sha256=None,
        num_params=3_783_269,
        epochs="300",
        top1=80.92,
    ),
    Checkpoint(
        variant="cct_7_3x1_32_sine_c100",
        tag="cifar100",
        location="pretrained/cct_7_3x1_32_sine_cifar100_5000epochs.pth",
        sha256=None,
        num_params=3_783_269,
        epochs="5000",
        top1=82.87,
    ),
    Checkpoint(
        variant="cct_7_3x1_32_sine_c100",
        tag="cifar100-1500",
        location="pretrained/cct_7_3x1_32_sine_cifar100_1500epochs.pth",
        sha256=None,
        num_params=3_783_269,
        epochs="1500",
        top1=82.72,
    ),
    Checkpoint(
        variant="cct_7_7x2_224_sine",
        tag="flowers102",
        location="pretrained/cct_7_7x2_224_flowers102.pth",
        sha256=None,
        num_params=4_573_735,
        epochs="300",
        top1=97.19,
    ),
    Checkpoint(
        variant="cct_14_7x2_224",
        tag="imagenet",
        location="pretrained/cct_14_7x2_224_imagenet.pth",
        sha256=None,
        num_params=22_367_273,
        epochs="310",
        top1=80.67,
    ),
    Checkpoint(
        variant="cct_14_7x2_384",
        tag="imagenet",
        location="finetuned/cct_14_7x2_384_imagenet.pth",
        sha256=None,
        num_params=22_513_193,
        epochs="310+30",
        top1=82.71,
    ),
    Checkpoint(
        variant="cct_14_7x2_384_fl",
        tag="flowers102",
        location="finetuned/cct_14_7x2_384_flowers102.pth",
        sha256=None,
        num_params=22_167_463,
        epochs="310+300",
        top1=99.76,
    ),
]


def is_tag(weights: str | PathLike) -> bool:
    """Returns whether `weights` is the tag of a checkpoint rather than a path or URL."""
    return isinstance(weights, str) and "." not in weights and "/" not in weights


def find_checkpoint(variant: str, tag: str) -> Checkpoint:
    """Returns the checkpoint of a variant by its tag.

    Raises:
        InputError: The variant has no checkpoint with this tag.
    """
    checkpoints = {checkpoint.tag: checkpoint for checkpoint in CHECKPOINTS if checkpoint.variant == variant}
    if tag in checkpoints:
        return checkpoints[tag]
    if checkpoints:
        raise InputError(
            f"{variant} has no weights {tag!r}. Choose from {', '.join(checkpoints)}, or pass a path or URL."
        )
    raise InputError(f"{variant} has no published weights {tag!r}. {_alternatives()}")


def published_tag(variant: str) -> str:
    """Returns the tag of a variant's first checkpoint, the one that `pretrained: true` in a recipe selects.

    Raises:
        InputError: The variant has no checkpoint.
    """
    for checkpoint in CHECKPOINTS:
        if checkpoint.variant == variant:
            return checkpoint.tag
    raise InputError(f"{variant} has no published weights. {_alternatives()}")


def _alternatives() -> str:
    variants = ", ".join(dict.fromkeys(checkpoint.variant for checkpoint in CHECKPOINTS))
    return f"Pass a path or URL, or choose a variant with published weights: {variants}."
