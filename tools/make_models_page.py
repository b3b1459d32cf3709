"""Writes docs/models.md: parameters, multiply-accumulate operations and weights of every variant.

python tools/make_models_page.py
"""

from collections.abc import Iterable
from pathlib import Path

from keras_cct.models.summary import LayerSummary, summarize_config
from keras_cct.models.variants import list_models, variant_config
from keras_cct.weights.pretrained import CHECKPOINTS, Checkpoint

TARGET = Path(__file__).parents[1] / "docs" / "models.md"

INTRODUCTION = """\
# Models

<!-- written by tools/make_models_page.py -->

A name says what a model is: `cct_7_3x1_32` is a CCT with 7 encoder blocks, 1 convolution of 3x3 pixels, and images of
32x32 pixels; `cvt_7_4_32` has patches of 4x4 pixels. `_sine` stands for a fixed sine position embedding instead of a
learned one, `_c100` for the classes of CIFAR-100 and `_fl` for those of Flowers-102.

| family | tokenizer | pooling |
|---|---|---|
| `vit` (ViT-Lite) | patches | class token |
| `cvt` | patches | sequence pooling |
| `cct` | convolutions | sequence pooling |

`manifold_*` and `grassmanian_*` are the variants with [manifold attention](guides/manifold_attention.md). The tables
list published architectures; [Models in Python](guides/models_in_python.md) changes any part of them.

`keras_cct models --table` prints these numbers, with the memory of the activations, and `keras_cct summary MODEL` those
of each layer. MACs are multiply-accumulate operations with weights for one image, as the paper counts them, and *with
attention* adds the products of activations with each other; [Model summaries](guides/model_summaries.md) defines both.
"""

WEIGHTS = """
## Pretrained weights

`create_model(VARIANT, weights=TAG)` loads these. The file of `fashion_mnist` is part of the package; the others are
downloaded from the authors of the paper and need PyTorch to be read ([Weights](guides/fine_tuning.md)). Top-1 accuracy
is the published one, except for `fashion_mnist`, which this project has trained and measured.
"""


def weights_table() -> list[str]:
    """Returns the table of the pretrained checkpoints."""
    rows = [_weights_row(checkpoint) for checkpoint in CHECKPOINTS]
    head = "| variant | `weights=` | image | classes | parameters (M) | MACs (G) | epochs | top-1 in % |"
    return [head, "|---|---|---|---|---|---|---|---|", *rows]


def _weights_row(checkpoint: Checkpoint) -> str:
    config = variant_config(checkpoint.variant, **checkpoint.model_fields())
    height, width, _ = config.input_shape
    return (
        f"| `{checkpoint.variant}` | `{checkpoint.tag}` | {height}x{width} | {config.num_classes} | "
        f"{checkpoint.num_params / 1e6:.2f} | {summarize_config(config).total.macs / 1e9:.3f} | "
        f"{checkpoint.epochs} | {checkpoint.top1:.2f} |"
    )


def variants_table(names: Iterable[str]) -> list[str]:
    """Returns the table of variants."""
    rows = [_variant_row(name, _total(name)) for name in names]
    head = "| variant | image | classes | parameters (M) | MACs (G) | with attention |"
    return [head, "|---|---|---|---|---|---|", *rows]


def _total(name: str) -> LayerSummary:
    # Without what does not change the numbers, more variants share the summary that is computed once.
    return summarize_config(variant_config(name, normalization=None, position_embedding="learnable")).total


def _variant_row(name: str, total: LayerSummary) -> str:
    config = variant_config(name)
    height, width, _ = config.input_shape
    return (
        f"| `{name}` | {height}x{width} | {config.num_classes} | {total.parameters / 1e6:.3f} | "
        f"{total.macs / 1e9:.3f} | {total.macs_with_attention / 1e9:.3f} |"
    )


def models_page() -> str:
    """Returns the page."""
    lines = [INTRODUCTION + WEIGHTS, *weights_table(), ""]
    for title, families in (
        ("Compact transformers", ("cct", "cvt", "vit")),
        ("Manifold attention", ("manifold_cct", "manifold_cvt", "manifold_vit")),
        ("Grassmannian attention", ("grassmanian_cct", "grassmanian_vit")),
    ):
        names = [name for family in families for name in list_models(f"{family}_*")]
        lines += [f"## {title}", "", *variants_table(names), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    TARGET.write_text(models_page())
