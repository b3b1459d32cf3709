"""The public names, for lazy_loader, type checkers and editors.

lazy_loader reads the relative imports when keras_cct is imported; `import module` is for this file only. A test checks
that the model functions agree with `FAMILY_SIZES` and `list_models()`.
"""

import collections.abc
import os
import typing

import keras

import keras_cct.models.config as _config

from .cluster.settings import Cluster as Cluster
from .create import (
    CCT as CCT,
    CVT as CVT,
    ViTLite as ViTLite,
    create_model as create_model,
)
from .data.sample import load_sample as load_sample
from .data.sources.open import open_data as open_data
from .errors import InputError as InputError
from .evaluation.evaluate import (
    Evaluation as Evaluation,
    evaluate as evaluate,
)
from .explanation.maps import Explanation as Explanation, explain as explain
from .explanation.pictures import head_grid as head_grid, overlay as overlay
from .export.model import export_model as export_model
from .export.runtime import load_predictor as load_predictor
from .export.saved_model import export_saved_model as export_saved_model
from .facts.datasets import class_names as class_names
from .inference.keras_model import KerasPredictor as KerasPredictor
from .inference.prediction import (
    Prediction as Prediction,
    predict as predict,
    predict_files as predict_files,
)
from .inference.predictor import Predictor as Predictor
from .layers import (
    ClassifierHead as ClassifierHead,
    ClassToken as ClassToken,
    ClassTokenPool as ClassTokenPool,
    ConvTokenizer as ConvTokenizer,
    EncoderBlock as EncoderBlock,
    GrassmannAttention as GrassmannAttention,
    ManifoldAttention as ManifoldAttention,
    ObservabilityTokens as ObservabilityTokens,
    PatchTokenizer as PatchTokenizer,
    PixelNormalization as PixelNormalization,
    PositionEmbedding as PositionEmbedding,
    SelfAttention as SelfAttention,
    SequencePool as SequencePool,
    StochasticDepth as StochasticDepth,
    TokenGrid as TokenGrid,
)
from .models.build import build_model as build_model
from .models.config import ModelConfig as ModelConfig
from .models.features import features as features
from .models.summary import (
    LayerSummary as LayerSummary,
    ModelSummary as ModelSummary,
    summarize as summarize,
)
from .models.variants import list_models as list_models
from .recipe import (
    Recipe as Recipe,
    load_recipe as load_recipe,
)
from .report.comparison import write_comparison as write_comparison
from .report.run_report import write_report as write_report
from .training.average import (
    WeightAverage as WeightAverage,
    average_checkpoints as average_checkpoints,
)
from .training.optimizers import create_optimizer as create_optimizer
from .training.run import (
    resume as resume,
    train as train,
)
from .training.torch_optimizers import (
    SGD as SGD,
    AdamW as AdamW,
    TorchAdamW as TorchAdamW,
    TorchSGD as TorchSGD,
)
from .weights.convert import convert_weights as convert_weights
from .weights.files import (
    load_torch_weights as load_torch_weights,
    save_weights_file as save_weights_file,
)
from .weights.mapping import export_torch_weights as export_torch_weights

__version__: str

class _ModelFunction(typing.Protocol):
    """Returns the model of one variant or size. Takes the arguments of `create_model` except the name."""

    __name__: str

    def __call__(
        self,
        *,
        weights: str | os.PathLike[str] | None = None,
        input_shape: collections.abc.Sequence[int] | None = None,
        num_classes: int | None = None,
        position_embedding: str | None = None,
        normalization: _config.Normalization | str | None = "dataset",
        trust: bool = False,
        **overrides: object,
    ) -> keras.Model: ...

cct_2: _ModelFunction
cct_2_3x2_32: _ModelFunction
cct_2_3x2_32_sine: _ModelFunction
cct_4: _ModelFunction
cct_4_3x2_32: _ModelFunction
cct_4_3x2_32_sine: _ModelFunction
cct_6: _ModelFunction
cct_6_3x1_32: _ModelFunction
cct_6_3x1_32_sine: _ModelFunction
cct_6_3x2_32: _ModelFunction
cct_6_3x2_32_sine: _ModelFunction
cct_7: _ModelFunction
cct_7_3x1_32: _ModelFunction
cct_7_3x1_32_c100: _ModelFunction
cct_7_3x1_32_sine: _ModelFunction
cct_7_3x1_32_sine_c100: _ModelFunction
cct_7_3x2_32: _ModelFunction
cct_7_3x2_32_sine: _ModelFunction
cct_7_7x2_224: _ModelFunction
cct_7_7x2_224_sine: _ModelFunction
cct_14: _ModelFunction
cct_14_7x2_224: _ModelFunction
cct_14_7x2_384: _ModelFunction
cct_14_7x2_384_fl: _ModelFunction
cvt_2: _ModelFunction
cvt_2_4_32: _ModelFunction
cvt_2_4_32_sine: _ModelFunction
cvt_4: _ModelFunction
cvt_4_4_32: _ModelFunction
cvt_4_4_32_sine: _ModelFunction
cvt_6: _ModelFunction
cvt_6_4_32: _ModelFunction
cvt_6_4_32_sine: _ModelFunction
cvt_7: _ModelFunction
cvt_7_4_32: _ModelFunction
cvt_7_4_32_sine: _ModelFunction
cvt_8: _ModelFunction
grassmanian_cct_2: _ModelFunction
grassmanian_cct_2_3x2_32: _ModelFunction
grassmanian_cct_2_3x2_32_sine: _ModelFunction
grassmanian_cct_4: _ModelFunction
grassmanian_cct_4_3x2_32: _ModelFunction
grassmanian_cct_4_3x2_32_sine: _ModelFunction
grassmanian_cct_6: _ModelFunction
grassmanian_cct_6_3x1_32: _ModelFunction
grassmanian_cct_6_3x1_32_sine: _ModelFunction
grassmanian_cct_6_3x2_32: _ModelFunction
grassmanian_cct_6_3x2_32_sine: _ModelFunction
grassmanian_cct_7: _ModelFunction
grassmanian_cct_7_3x1_32: _ModelFunction
grassmanian_cct_7_3x1_32_c100: _ModelFunction
grassmanian_cct_7_3x1_32_sine: _ModelFunction
grassmanian_cct_7_3x1_32_sine_c100: _ModelFunction
grassmanian_cct_7_3x2_32: _ModelFunction
grassmanian_cct_7_3x2_32_sine: _ModelFunction
grassmanian_cct_7_7x2_224: _ModelFunction
grassmanian_cct_7_7x2_224_sine: _ModelFunction
grassmanian_cct_14: _ModelFunction
grassmanian_cct_14_7x2_224: _ModelFunction
grassmanian_cct_14_7x2_384: _ModelFunction
grassmanian_cct_14_7x2_384_fl: _ModelFunction
grassmanian_vit_2: _ModelFunction
grassmanian_vit_2_4_32: _ModelFunction
grassmanian_vit_2_4_32_sine: _ModelFunction
grassmanian_vit_4: _ModelFunction
grassmanian_vit_4_4_32: _ModelFunction
grassmanian_vit_4_4_32_sine: _ModelFunction
grassmanian_vit_6: _ModelFunction
grassmanian_vit_6_4_32: _ModelFunction
grassmanian_vit_6_4_32_sine: _ModelFunction
grassmanian_vit_7: _ModelFunction
grassmanian_vit_7_4_32: _ModelFunction
grassmanian_vit_7_4_32_sine: _ModelFunction
manifold_cct_2: _ModelFunction
manifold_cct_2_3x2_32: _ModelFunction
manifold_cct_2_3x2_32_sine: _ModelFunction
manifold_cct_4: _ModelFunction
manifold_cct_4_3x2_32: _ModelFunction
manifold_cct_4_3x2_32_sine: _ModelFunction
manifold_cct_6: _ModelFunction
manifold_cct_6_3x1_32: _ModelFunction
manifold_cct_6_3x1_32_sine: _ModelFunction
manifold_cct_6_3x2_32: _ModelFunction
manifold_cct_6_3x2_32_sine: _ModelFunction
manifold_cct_7: _ModelFunction
manifold_cct_7_3x1_32: _ModelFunction
manifold_cct_7_3x1_32_c100: _ModelFunction
manifold_cct_7_3x1_32_sine: _ModelFunction
manifold_cct_7_3x1_32_sine_c100: _ModelFunction
manifold_cct_7_3x2_32: _ModelFunction
manifold_cct_7_3x2_32_sine: _ModelFunction
manifold_cct_7_7x2_224: _ModelFunction
manifold_cct_7_7x2_224_sine: _ModelFunction
manifold_cct_14: _ModelFunction
manifold_cct_14_7x2_224: _ModelFunction
manifold_cct_14_7x2_384: _ModelFunction
manifold_cct_14_7x2_384_fl: _ModelFunction
manifold_cvt_2: _ModelFunction
manifold_cvt_2_4_32: _ModelFunction
manifold_cvt_2_4_32_sine: _ModelFunction
manifold_cvt_4: _ModelFunction
manifold_cvt_4_4_32: _ModelFunction
manifold_cvt_4_4_32_sine: _ModelFunction
manifold_cvt_6: _ModelFunction
manifold_cvt_6_4_32: _ModelFunction
manifold_cvt_6_4_32_sine: _ModelFunction
manifold_cvt_7: _ModelFunction
manifold_cvt_7_4_32: _ModelFunction
manifold_cvt_7_4_32_sine: _ModelFunction
manifold_cvt_8: _ModelFunction
manifold_vit_2: _ModelFunction
manifold_vit_2_4_32: _ModelFunction
manifold_vit_2_4_32_sine: _ModelFunction
manifold_vit_4: _ModelFunction
manifold_vit_4_4_32: _ModelFunction
manifold_vit_4_4_32_sine: _ModelFunction
manifold_vit_6: _ModelFunction
manifold_vit_6_4_32: _ModelFunction
manifold_vit_6_4_32_sine: _ModelFunction
manifold_vit_7: _ModelFunction
manifold_vit_7_4_32: _ModelFunction
manifold_vit_7_4_32_sine: _ModelFunction
vit_2: _ModelFunction
vit_2_4_32: _ModelFunction
vit_2_4_32_sine: _ModelFunction
vit_4: _ModelFunction
vit_4_4_32: _ModelFunction
vit_4_4_32_sine: _ModelFunction
vit_6: _ModelFunction
vit_6_4_32: _ModelFunction
vit_6_4_32_sine: _ModelFunction
vit_7: _ModelFunction
vit_7_4_32: _ModelFunction
vit_7_4_32_sine: _ModelFunction
