"""The table of published variants: every name, its architecture, and the dataset it was published for.

A name is ARCHITECTURE_L_KxC_S[_sine][_DATASET] for cct and ARCHITECTURE_L_P_S[_sine] for cvt and vit: L encoder
blocks, C convolutions with K x K kernels or P x P patches, images of S x S pixels. "grassmanian" is the spelling of the
manifold paper's code. Importing this module does not import Keras.
"""

import dataclasses
from collections.abc import Mapping

SIZES = {
    2: {"num_layers": 2, "num_heads": 2, "dim": 128, "mlp_ratio": 1.0},
    4: {"num_layers": 4, "num_heads": 2, "dim": 128, "mlp_ratio": 1.0},
    6: {"num_layers": 6, "num_heads": 4, "dim": 256, "mlp_ratio": 2.0},
    7: {"num_layers": 7, "num_heads": 4, "dim": 256, "mlp_ratio": 2.0},
    8: {"num_layers": 8, "num_heads": 4, "dim": 256, "mlp_ratio": 2.0},
    14: {"num_layers": 14, "num_heads": 6, "dim": 384, "mlp_ratio": 3.0},
}
"""Fields of `ModelConfig` by number of blocks."""

ARCHITECTURES = {
    "cct": {"family": "cct"},
    "cvt": {"family": "cvt"},
    "vit": {"family": "vit"},
    "manifold_cct": {
        "family": "cct",
        "attention_type": "all",
        "attention_dropout_rate": 0.0,
        "stochastic_depth_rate": 0.0,
    },
    "manifold_cvt": {"family": "cvt", "attention_type": "all"},
    "manifold_vit": {"family": "vit", "attention_type": "all"},
    "grassmanian_cct": {"family": "cct", "attention_type": "grassmann", "observability": (4, 4)},
    "grassmanian_vit": {"family": "vit", "attention_type": "grassmann", "observability": (8, 3)},
}
"""Fields of `ModelConfig` by architecture."""

SIZES_OF_ARCHITECTURE = {
    "cct": (2, 4, 6, 7, 14),
    "cvt": (2, 4, 6, 7, 8),
    "vit": (2, 4, 6, 7),
    "manifold_cct": (2, 4, 6, 7, 14),
    "manifold_cvt": (2, 4, 6, 7, 8),
    "manifold_vit": (2, 4, 6, 7),
    "grassmanian_cct": (2, 4, 6, 7, 14),
    "grassmanian_vit": (2, 4, 6, 7),
}
"""Numbers of encoder blocks of the sizes, e.g. "cct" with 14 blocks is "cct_14"; their tokenizer is an argument."""

CONV_3X1 = {"kernel_size": 3, "num_conv_layers": 1}
CONV_3X2 = {"kernel_size": 3, "num_conv_layers": 2}
CONV_7X2 = {"kernel_size": 7, "num_conv_layers": 2}
PATCH_4 = {"patch_size": 4}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One published variant.

    Args:
        architecture: A key of `ARCHITECTURES`.
        size: A key of `SIZES`.
        tokenizer: The tokenizer fields of `ModelConfig`.
        image_size: Height and width of the images in pixels.
        position_embedding: "learnable" or "sine".
        dataset: A key of `keras_cct.facts.datasets.DATASETS`, for the classes and the normalization.
    """

    architecture: str
    size: int
    tokenizer: Mapping[str, int]
    image_size: int
    position_embedding: str
    dataset: str


VARIANTS = {
    "cct_2_3x2_32": Variant("cct", 2, CONV_3X2, 32, "learnable", "cifar10"),
    "cct_2_3x2_32_sine": Variant("cct", 2, CONV_3X2, 32, "sine", "cifar10"),
    "cct_4_3x2_32": Variant("cct", 4, CONV_3X2, 32, "learnable", "cifar10"),
    "cct_4_3x2_32_sine": Variant("cct", 4, CONV_3X2, 32, "sine", "cifar10"),
    "cct_6_3x1_32": Variant("cct", 6, CONV_3X1, 32, "learnable", "cifar10"),
    "cct_6_3x1_32_sine": Variant("cct", 6, CONV_3X1, 32, "sine", "cifar10"),
    "cct_6_3x2_32": Variant("cct", 6, CONV_3X2, 32, "learnable", "cifar10"),
    "cct_6_3x2_32_sine": Variant("cct", 6, CONV_3X2, 32, "sine", "cifar10"),
    "cct_7_3x1_32": Variant("cct", 7, CONV_3X1, 32, "learnable", "cifar10"),
    "cct_7_3x1_32_c100": Variant("cct", 7, CONV_3X1, 32, "learnable", "cifar100"),
    "cct_7_3x1_32_sine": Variant("cct", 7, CONV_3X1, 32, "sine", "cifar10"),
    "cct_7_3x1_32_sine_c100": Variant("cct", 7, CONV_3X1, 32, "sine", "cifar100"),
    "cct_7_3x2_32": Variant("cct", 7, CONV_3X2, 32, "learnable", "cifar10"),
    "cct_7_3x2_32_sine": Variant("cct", 7, CONV_3X2, 32, "sine", "cifar10"),
    "cct_7_7x2_224": Variant("cct", 7, CONV_7X2, 224, "learnable", "flowers102"),
    "cct_7_7x2_224_sine": Variant("cct", 7, CONV_7X2, 224, "sine", "flowers102"),
    "cct_14_7x2_224": Variant("cct", 14, CONV_7X2, 224, "learnable", "imagenet"),
    "cct_14_7x2_384": Variant("cct", 14, CONV_7X2, 384, "learnable", "imagenet"),
    "cct_14_7x2_384_fl": Variant("cct", 14, CONV_7X2, 384, "learnable", "flowers102"),
    "cvt_2_4_32": Variant("cvt", 2, PATCH_4, 32, "learnable", "cifar10"),
    "cvt_2_4_32_sine": Variant("cvt", 2, PATCH_4, 32, "sine", "cifar10"),
    "cvt_4_4_32": Variant("cvt", 4, PATCH_4, 32, "learnable", "cifar10"),
    "cvt_4_4_32_sine": Variant("cvt", 4, PATCH_4, 32, "sine", "cifar10"),
    "cvt_6_4_32": Variant("cvt", 6, PATCH_4, 32, "learnable", "cifar10"),
    "cvt_6_4_32_sine": Variant("cvt", 6, PATCH_4, 32, "sine", "cifar10"),
    "cvt_7_4_32": Variant("cvt", 7, PATCH_4, 32, "learnable", "cifar10"),
    "cvt_7_4_32_sine": Variant("cvt", 7, PATCH_4, 32, "sine", "cifar10"),
    "vit_2_4_32": Variant("vit", 2, PATCH_4, 32, "learnable", "cifar10"),
    "vit_2_4_32_sine": Variant("vit", 2, PATCH_4, 32, "sine", "cifar10"),
    "vit_4_4_32": Variant("vit", 4, PATCH_4, 32, "learnable", "cifar10"),
    "vit_4_4_32_sine": Variant("vit", 4, PATCH_4, 32, "sine", "cifar10"),
    "vit_6_4_32": Variant("vit", 6, PATCH_4, 32, "learnable", "cifar10"),
    "vit_6_4_32_sine": Variant("vit", 6, PATCH_4, 32, "sine", "cifar10"),
    "vit_7_4_32": Variant("vit", 7, PATCH_4, 32, "learnable", "cifar10"),
    "vit_7_4_32_sine": Variant("vit", 7, PATCH_4, 32, "sine", "cifar10"),
    "manifold_cct_2_3x2_32": Variant("manifold_cct", 2, CONV_3X2, 32, "learnable", "cifar10"),
    "manifold_cct_2_3x2_32_sine": Variant("manifold_cct", 2, CONV_3X2, 32, "sine", "cifar10"),
    "manifold_cct_4_3x2_32": Variant("manifold_cct", 4, CONV_3X2, 32, "learnable", "cifar10"),
    "manifold_cct_4_3x2_32_sine": Variant("manifold_cct", 4, CONV_3X2, 32, "sine", "cifar10"),
    "manifold_cct_6_3x1_32": Variant("manifold_cct", 6, CONV_3X1, 32, "learnable", "cifar10"),
    "manifold_cct_6_3x1_32_sine": Variant("manifold_cct", 6, CONV_3X1, 32, "sine", "cifar10"),
    "manifold_cct_6_3x2_32": Variant("manifold_cct", 6, CONV_3X2, 32, "learnable", "cifar10"),
    "manifold_cct_6_3x2_32_sine": Variant("manifold_cct", 6, CONV_3X2, 32, "sine", "cifar10"),
    "manifold_cct_7_3x1_32": Variant("manifold_cct", 7, CONV_3X1, 32, "learnable", "cifar10"),
    "manifold_cct_7_3x1_32_c100": Variant("manifold_cct", 7, CONV_3X1, 32, "learnable", "cifar100"),
    "manifold_cct_7_3x1_32_sine": Variant("manifold_cct", 7, CONV_3X1, 32, "sine", "cifar10"),
    "manifold_cct_7_3x1_32_sine_c100": Variant("manifold_cct", 7, CONV_3X1, 32, "sine", "cifar100"),
    "manifold_cct_7_3x2_32": Variant("manifold_cct", 7, CONV_3X2, 32, "learnable", "cifar10"),
    "manifold_cct_7_3x2_32_sine": Variant("manifold_cct", 7, CONV_3X2, 32, "sine", "cifar10"),
    "manifold_cct_7_7x2_224": Variant("manifold_cct", 7, CONV_7X2, 224, "learnable", "flowers102"),
    "manifold_cct_7_7x2_224_sine": Variant("manifold_cct", 7, CONV_7X2, 224, "sine", "flowers102"),
    "manifold_cct_14_7x2_224": Variant("manifold_cct", 14, CONV_7X2, 224, "learnable", "imagenet"),
    "manifold_cct_14_7x2_384": Variant("manifold_cct", 14, CONV_7X2, 384, "learnable", "imagenet"),
    "manifold_cct_14_7x2_384_fl": Variant("manifold_cct", 14, CONV_7X2, 384, "learnable", "flowers102"),
    "manifold_cvt_2_4_32": Variant("manifold_cvt", 2, PATCH_4, 32, "learnable", "cifar10"),
    "manifold_cvt_2_4_32_sine": Variant("manifold_cvt", 2, PATCH_4, 32, "sine", "cifar10"),
    "manifold_cvt_4_4_32": Variant("manifold_cvt", 4, PATCH_4, 32, "learnable", "cifar10"),
    "manifold_cvt_4_4_32_sine": Variant("manifold_cvt", 4, PATCH_4, 32, "sine", "cifar10"),
    "manifold_cvt_6_4_32": Variant("manifold_cvt", 6, PATCH_4, 32, "learnable", "cifar10"),
    "manifold_cvt_6_4_32_sine": Variant("manifold_cvt", 6, PATCH_4, 32, "sine", "cifar10"),
    "manifold_cvt_7_4_32": Variant("manifold_cvt", 7, PATCH_4, 32, "learnable", "cifar10"),
    "manifold_cvt_7_4_32_sine": Variant("manifold_cvt", 7, PATCH_4, 32, "sine", "cifar10"),
    "manifold_vit_2_4_32": Variant("manifold_vit", 2, PATCH_4, 32, "learnable", "cifar10"),
    "manifold_vit_2_4_32_sine": Variant("manifold_vit", 2, PATCH_4, 32, "sine", "cifar10"),
    "manifold_vit_4_4_32": Variant("manifold_vit", 4, PATCH_4, 32, "learnable", "cifar10"),
    "manifold_vit_4_4_32_sine": Variant("manifold_vit", 4, PATCH_4, 32, "sine", "cifar10"),
    "manifold_vit_6_4_32": Variant("manifold_vit", 6, PATCH_4, 32, "learnable", "cifar10"),
    "manifold_vit_6_4_32_sine": Variant("manifold_vit", 6, PATCH_4, 32, "sine", "cifar10"),
    "manifold_vit_7_4_32": Variant("manifold_vit", 7, PATCH_4, 32, "learnable", "cifar10"),
    "manifold_vit_7_4_32_sine": Variant("manifold_vit", 7, PATCH_4, 32, "sine", "cifar10"),
    "grassmanian_cct_2_3x2_32": Variant("grassmanian_cct", 2, CONV_3X2, 32, "learnable", "cifar10"),
    "grassmanian_cct_2_3x2_32_sine": Variant("grassmanian_cct", 2, CONV_3X2, 32, "sine", "cifar10"),
    "grassmanian_cct_4_3x2_32": Variant("grassmanian_cct", 4, CONV_3X2, 32, "learnable", "cifar10"),
    "grassmanian_cct_4_3x2_32_sine": Variant("grassmanian_cct", 4, CONV_3X2, 32, "sine", "cifar10"),
    "grassmanian_cct_6_3x1_32": Variant("grassmanian_cct", 6, CONV_3X1, 32, "learnable", "cifar10"),
    "grassmanian_cct_6_3x1_32_sine": Variant("grassmanian_cct", 6, CONV_3X1, 32, "sine", "cifar10"),
    "grassmanian_cct_6_3x2_32": Variant("grassmanian_cct", 6, CONV_3X2, 32, "learnable", "cifar10"),
    "grassmanian_cct_6_3x2_32_sine": Variant("grassmanian_cct", 6, CONV_3X2, 32, "sine", "cifar10"),
    "grassmanian_cct_7_3x1_32": Variant("grassmanian_cct", 7, CONV_3X1, 32, "learnable", "cifar10"),
    "grassmanian_cct_7_3x1_32_c100": Variant("grassmanian_cct", 7, CONV_3X1, 32, "learnable", "cifar100"),
    "grassmanian_cct_7_3x1_32_sine": Variant("grassmanian_cct", 7, CONV_3X1, 32, "sine", "cifar10"),
    "grassmanian_cct_7_3x1_32_sine_c100": Variant("grassmanian_cct", 7, CONV_3X1, 32, "sine", "cifar100"),
    "grassmanian_cct_7_3x2_32": Variant("grassmanian_cct", 7, CONV_3X2, 32, "learnable", "cifar10"),
    "grassmanian_cct_7_3x2_32_sine": Variant("grassmanian_cct", 7, CONV_3X2, 32, "sine", "cifar10"),
    "grassmanian_cct_7_7x2_224": Variant("grassmanian_cct", 7, CONV_7X2, 224, "learnable", "flowers102"),
    "grassmanian_cct_7_7x2_224_sine": Variant("grassmanian_cct", 7, CONV_7X2, 224, "sine", "flowers102"),
    "grassmanian_cct_14_7x2_224": Variant("grassmanian_cct", 14, CONV_7X2, 224, "learnable", "imagenet"),
    "grassmanian_cct_14_7x2_384": Variant("grassmanian_cct", 14, CONV_7X2, 384, "learnable", "imagenet"),
    "grassmanian_cct_14_7x2_384_fl": Variant("grassmanian_cct", 14, CONV_7X2, 384, "learnable", "flowers102"),
    "grassmanian_vit_2_4_32": Variant("grassmanian_vit", 2, PATCH_4, 32, "learnable", "cifar10"),
    "grassmanian_vit_2_4_32_sine": Variant("grassmanian_vit", 2, PATCH_4, 32, "sine", "cifar10"),
    "grassmanian_vit_4_4_32": Variant("grassmanian_vit", 4, PATCH_4, 32, "learnable", "cifar10"),
    "grassmanian_vit_4_4_32_sine": Variant("grassmanian_vit", 4, PATCH_4, 32, "sine", "cifar10"),
    "grassmanian_vit_6_4_32": Variant("grassmanian_vit", 6, PATCH_4, 32, "learnable", "cifar10"),
    "grassmanian_vit_6_4_32_sine": Variant("grassmanian_vit", 6, PATCH_4, 32, "sine", "cifar10"),
    "grassmanian_vit_7_4_32": Variant("grassmanian_vit", 7, PATCH_4, 32, "learnable", "cifar10"),
    "grassmanian_vit_7_4_32_sine": Variant("grassmanian_vit", 7, PATCH_4, 32, "sine", "cifar10"),
}
