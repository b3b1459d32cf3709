"""The training recipe: every key with its default, help text and accepted values."""

import dataclasses
import math

from keras_cct.errors import InputError
from keras_cct.facts.attention import ATTENTION_TYPES, SYNONYMS
from keras_cct.recipe.keys import key_rules, recipe_key, rule_metadata
from keras_cct.recipe.parsing import shorten

MAX_EPOCHS = 1_000_000
MAX_INT32 = 2**31 - 1
RATE = {"at_least": 0, "at_most": 1}
DECAY = {"at_least": 0, "below": 1}
FACTOR = {"above": 0, "at_most": 1}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The configuration of a training run.

    Keys and defaults are those of the reference training script (timm 0.4.12), plus a few additions. Each field
    declares its help text, bounds and choices, and `keras_cct train --help` lists them. Values may be strings, as from
    YAML or the command line. Recipes are immutable; `dataclasses.replace` returns a changed copy.

    Raises:
        InputError: A value has the wrong type or is out of bounds.

    Example:
        >>> Recipe("cct_7_3x1_32", "cifar10", epochs=10, warmup_epochs=0).learning_rates()[0]
        0.01
    """

    model: str = dataclasses.field(metadata=rule_metadata("Name of the variant; `keras_cct models` lists them."))
    dataset: str = dataclasses.field(
        metadata=rule_metadata(
            '"sample", "cifar10" or another published dataset, "tfds/NAME", "keras/NAME", or any name with data_dir.'
        )
    )
    attention_type: str = recipe_key(
        "", "Attention type of all blocks; empty for that of the variant.", choices=("", *ATTENTION_TYPES, *SYNONYMS)
    )
    num_classes: int = recipe_key(
        0, "Expected number of classes of the dataset; 0 disables the check.", at_least=0, at_most=1_000_000
    )
    img_size: int = recipe_key(
        0,
        "Height and width of the model's input in pixels; 0 for those of the dataset or variant.",
        at_least=0,
        at_most=4096,
    )
    pretrained: bool = recipe_key(False, "Start from the variant's published weights.")
    initial_checkpoint: str = recipe_key(
        "", "Tag, file, URL or hf://user/name of weights to start from; empty for random weights."
    )
    freeze: bool = recipe_key(False, "Train the classifier head only.")
    freeze_until: str = recipe_key(
        "", 'First layer to train, e.g. "block_5", with all layers after it; empty for all layers.'
    )
    layer_decay: float = recipe_key(
        1.0, "Layer-wise learning-rate decay: factor from each block to the one before it.", **FACTOR
    )
    data_dir: str = recipe_key(
        "", 'Folder of images, folder of IDX files, or .npz file; for "tfds/NAME" the folder of TensorFlow Datasets.'
    )
    class_map: str = recipe_key("", "Text file with one folder name per line, in class order; empty for natural order.")
    train_split: str = recipe_key("train", "Split, slice or folder of the training images.")
    val_split: str = recipe_key("validation", "Split, slice or folder of the evaluation images.")
    val_fraction: float = recipe_key(
        0.2, "Fraction of the images to hold out if a folder has no evaluation split.", **DECAY
    )
    folds: int = recipe_key(
        0,
        "Cross-validation of a folder without splits: `train` trains one run per fold, evaluated on that fold; 0 for a "
        "single run.",
        at_least=0,
        at_most=1000,
    )
    fold: int = recipe_key(0, "With folds: the only fold to train, from 1; 0 for all.", at_least=0, at_most=1000)
    split_seed: int = recipe_key(
        -1, "Seed of the split of a folder; -1 for that of seed.", at_least=-1, at_most=MAX_INT32
    )
    label_depth: int = recipe_key(
        0,
        "Depth of the class folders in a split: 1 for the outermost, 2 for those in them, ...; 0 for the innermost.",
        at_least=0,
        at_most=100,
    )
    mean: tuple[float, ...] = recipe_key((0.485, 0.456, 0.406), "Mean of each channel in [0, 1].", **RATE)
    std: tuple[float, ...] = recipe_key(
        (0.229, 0.224, 0.225), "Standard deviation of each channel in [0, 1].", at_least=1e-6
    )
    no_aug: bool = recipe_key(False, "Only resize and center-crop the training images; mixup and cutmix still apply.")
    scale: tuple[float, ...] = recipe_key(
        (0.08, 1.0), "Smallest and largest fraction of the image area in a random crop.", lengths=(2,), **FACTOR
    )
    ratio: tuple[float, ...] = recipe_key(
        (3 / 4, 4 / 3), "Smallest and largest width / height of the crop.", lengths=(2,), at_least=0.01, at_most=100
    )
    hflip: float = recipe_key(0.5, "Probability of a horizontal flip.", **RATE)
    vflip: float = recipe_key(0.0, "Probability of a vertical flip.", **RATE)
    train_interpolation: str = recipe_key(
        "random", "Interpolation of training crops.", choices=("random", "bilinear", "bicubic")
    )
    crop_pct: float = recipe_key(
        0.875, "Fraction of the resized image's short side in the center crop of evaluation.", at_least=0.05, at_most=1
    )
    interpolation: str = recipe_key("bicubic", "Interpolation of evaluation images.", choices=("bilinear", "bicubic"))
    aa: str = recipe_key(
        "", 'RandAugment policy, e.g. "rand-m9-mstd0.5-inc1", or "keras.LAYER" or "keras_cv.LAYER"; empty for none.'
    )
    aa_args: dict[str, object] = dataclasses.field(
        default_factory=dict, metadata=rule_metadata("Arguments of the layer that aa names.")
    )
    color_jitter: float = recipe_key(
        0.4, "Strength of brightness, contrast and saturation jitter, used if aa is empty.", at_least=0, at_most=100
    )
    mixup: float = recipe_key(0.0, "Alpha of Mixup's Beta distribution; 0 disables Mixup.", at_least=0)
    cutmix: float = recipe_key(0.0, "Alpha of CutMix's Beta distribution; 0 disables CutMix.", at_least=0)
    mixup_prob: float = recipe_key(
        1.0, "Probability that Mixup or CutMix is applied to a batch, pair or image.", **RATE
    )
    mixup_switch_prob: float = recipe_key(0.5, "Probability of CutMix instead of Mixup if both are on.", **RATE)
    mixup_mode: str = recipe_key(
        "batch",
        "Whether to draw the mixing ratio per batch, per pair of images or per image.",
        choices=("batch", "pair", "elem"),
    )
    mixup_off_epoch: int = recipe_key(
        0, "First epoch without mixing, counted from 0; 0 to mix in all epochs.", at_least=0, at_most=MAX_EPOCHS
    )
    reprob: float = recipe_key(0.0, "Probability of RandomErasing.", **RATE)
    remode: str = recipe_key(
        "const", "Fill of erased boxes: the mean, one random color, or noise.", choices=("const", "rand", "pixel")
    )
    recount: int = recipe_key(1, "Largest number of boxes erased per image.", at_least=1, at_most=100)
    smoothing: float = recipe_key(0.1, "Label smoothing factor.", **DECAY)
    bce_loss: bool = recipe_key(False, "Train with binary cross-entropy per class instead of cross-entropy.")
    bce_target_thresh: float = recipe_key(
        0.0, "Targets of bce_loss above this threshold become 1, others 0; 0 keeps soft targets.", **DECAY
    )
    teacher: str = recipe_key(
        "", "Teacher for distillation: run folder, .keras file, hf://user/name or tag of weights; empty for none."
    )
    distillation_type: str = recipe_key(
        "soft", "Learn the probabilities of the teacher, or its top class.", choices=("soft", "hard")
    )
    distillation_alpha: float = recipe_key(
        0.5, "Weight of the loss with the teacher; the loss with the targets has 1 minus it.", **RATE
    )
    distillation_tau: float = recipe_key(
        1.0, "Temperature at which soft distillation compares probabilities.", at_least=0.01, at_most=1000
    )
    class_weights: str = recipe_key(
        "",
        '"balanced" weights the loss of each class by the inverse of its number of images.',
        choices=("", "balanced"),
    )
    sampler: str = recipe_key(
        "", '"balanced" draws images of all classes equally often, with replacement.', choices=("", "balanced")
    )
    early_stopping: int = recipe_key(
        0,
        "Stop after this number of epochs without a better eval_metric; 0 to train all epochs.",
        at_least=0,
        at_most=MAX_EPOCHS,
    )
    batch_size: int = recipe_key(32, "Batch size per device.", at_least=1, at_most=1_000_000)
    validation_batch_size_multiplier: int = recipe_key(
        1, "Evaluation batch size as a multiple of batch_size.", at_least=1, at_most=1000
    )
    workers: int = recipe_key(4, "Threads of the input pipeline.", at_least=1, at_most=1024)
    opt: str = recipe_key("sgd", 'Optimizer: "adamw" or "sgd" as in PyTorch, "muon", or another Keras optimizer.')
    momentum: float = recipe_key(0.9, 'Momentum of "sgd".', **DECAY)
    opt_eps: float = recipe_key(0.0, "Epsilon of the optimizer; 0 for the optimizer's default.", at_least=0)
    opt_betas: tuple[float, ...] = recipe_key(
        (), "Beta 1 and beta 2 of Adam-style optimizers; empty for the optimizer's default.", lengths=(0, 2), **DECAY
    )
    weight_decay: float = recipe_key(1e-4, "Weight decay, not applied to biases and norms.", at_least=0)
    clip_grad: float = recipe_key(0.0, "Gradient clipping threshold; 0 for no clipping.", at_least=0)
    clip_mode: str = recipe_key("norm", "Clip gradients by global norm or by value.", choices=("norm", "value"))
    grad_accum_steps: int = recipe_key(
        1, "Number of steps whose gradients are averaged into one update.", at_least=1, at_most=1_000_000
    )
    checkpoint_activations: bool = recipe_key(
        False, "Compute the activations of encoder blocks again in the backward pass: less memory, more time."
    )
    model_ema: bool = recipe_key(False, "Maintain and evaluate an exponential moving average of the weights.")
    model_ema_decay: float = recipe_key(0.9998, "Decay of the moving average.", **DECAY)
    model_ema_warmup: bool = recipe_key(
        False, "Let the decay of the moving average grow from 0: 1 - n ** (-2/3) after n updates, up to its value."
    )
    amp: bool = recipe_key(False, "Mixed precision (bfloat16 or float16) on devices where it is faster.")
    amp_dtype: str = recipe_key(
        "", "Dtype of mixed precision; empty for bfloat16.", choices=("", "float16", "bfloat16")
    )
    sched: str = recipe_key("step", "Learning-rate schedule.", choices=("cosine", "step"))
    epochs: int = recipe_key(200, "Epochs of the schedule, warmup included.", at_least=1, at_most=MAX_EPOCHS)
    cooldown_epochs: int = recipe_key(10, "Epochs at min_lr after a cosine schedule.", at_least=0, at_most=MAX_EPOCHS)
    warmup_epochs: int = recipe_key(
        3, "Warmup epochs, in which the learning rate grows linearly from warmup_lr.", at_least=0, at_most=MAX_EPOCHS
    )
    decay_epochs: int = recipe_key(30, "Epochs between two steps of a step schedule.", at_least=1, at_most=MAX_EPOCHS)
    decay_rate: float = recipe_key(0.1, "Learning-rate factor per step of a step schedule.", **FACTOR)
    lr: float = recipe_key(0.01, "Initial learning rate of the schedule.", above=0)
    warmup_lr: float = recipe_key(1e-4, "Learning rate of the first warmup epoch.", at_least=0)
    min_lr: float = recipe_key(1e-5, "Final learning rate of a cosine schedule.", at_least=0)
    eval_metric: str = recipe_key(
        "top1", "Evaluation metric that selects the best epoch.", choices=("top1", "top5", "loss")
    )
    checkpoint_hist: int = recipe_key(
        10, "Number of best epochs whose models are saved.", at_least=0, at_most=MAX_EPOCHS
    )
    average_best: int = recipe_key(
        0,
        "Number of best epochs whose weights are averaged after training, kept if that is better; 0 for none.",
        at_least=0,
        at_most=MAX_EPOCHS,
    )
    recovery_interval: int = recipe_key(
        0,
        "Steps between saves of the resumable state within an epoch; 0 to save after each epoch only.",
        at_least=0,
        at_most=MAX_INT32,
    )
    seed: int = recipe_key(
        42, "Seed of initialization, sample order, augmentation and dropout.", at_least=0, at_most=MAX_INT32
    )

    def __post_init__(self) -> None:
        rules = key_rules(Recipe)
        for field in dataclasses.fields(self):
            value = rules[field.name].parse(f"recipe key {field.name}", getattr(self, field.name), field.type)
            object.__setattr__(self, field.name, value)
        for key in ("scale", "ratio"):
            low, high = getattr(self, key)
            if low > high:
                raise InputError(f"recipe key {key} must have the smaller number first, got {(low, high)}.")
        if self.folds == 1:
            raise InputError("recipe key folds must be 0 or at least 2, got 1.")
        if self.freeze and self.freeze_until:
            raise InputError(
                f"recipe key freeze_until={shorten(self.freeze_until)} conflicts with freeze=True. Set one of them."
            )

    @property
    def total_epochs(self) -> int:
        """Epochs of the schedule, plus those of the cooldown after a cosine schedule."""
        return self.epochs + (self.cooldown_epochs if self.sched == "cosine" else 0)

    def learning_rates(self) -> list[float]:
        """Returns the learning rate of every epoch: linear warmup, then the schedule.

        As in the reference training script, the schedule counts from the first epoch, warmup included.
        """
        return [self._learning_rate(epoch) for epoch in range(self.total_epochs)]

    def _learning_rate(self, epoch: int) -> float:
        if epoch < self.warmup_epochs:
            return self.warmup_lr + epoch * (self.lr - self.warmup_lr) / self.warmup_epochs
        if self.sched == "step":
            return self.lr * self.decay_rate ** (epoch // self.decay_epochs)
        if epoch >= self.epochs:
            return self.min_lr
        return self.min_lr + (self.lr - self.min_lr) / 2 * (1 + math.cos(math.pi * epoch / self.epochs))

    def to_yaml(self) -> str:
        """Returns the recipe as a YAML document that `load_recipe` reads."""
        import yaml

        values = dataclasses.asdict(self)
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
        return yaml.safe_dump(plain, sort_keys=False, default_flow_style=None)
