"""The training recipe: the keys of a YAML config, checked."""

import dataclasses
import math

from keras_cct.errors import check_setting
from keras_cct.recipe.parsing import coerce

MOST_EPOCHS = 1_000_000
CHOICES = {
    "attention_type": ("", "all", "gm", "spd", "riem"),
    "interpolation": ("bilinear", "bicubic"),
    "clip_mode": ("norm", "value"),
    "amp_dtype": ("", "float16", "bfloat16"),
    "sched": ("cosine", "step"),
    "eval_metric": ("top1", "top5", "loss"),
}
AT_LEAST_0 = (
    "num_classes img_size opt_eps clip_grad weight_decay cooldown_epochs warmup_epochs warmup_lr min_lr seed "
    "recovery_interval checkpoint_hist"
)
AT_LEAST_1 = "batch_size validation_batch_size_multiplier workers grad_accum_steps epochs decay_epochs"
LEAST = dict.fromkeys(AT_LEAST_0.split(), 0) | dict.fromkeys(AT_LEAST_1.split(), 1)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on.

    Keys and defaults are those of the original training script, where it has them.

    Args:
        model: Name of a variant.
        attention_type: Manifolds that the attention compares on, "all", "gm" or "spd"; empty for the variant's own.
        num_classes: Number of classes, to be checked; 0 for that of the data.
        img_size: Height and width of the images that the model takes; 0 for that of the data, or the variant's.
        pretrained: Whether to start from the variant's published weights.
        initial_checkpoint: Tag, file or address of weights to start from; empty for random ones.
        freeze: Whether to train the classifier head only.
        freeze_until: First layer to train, e.g. "block_5", with all behind it; empty for all layers.
        layer_decay: Factor on the learning rate from each block to the one before it, above 0 to 1.
        dataset: Where the images come from: "sample", "tfds/NAME", "keras/NAME", or any name with a `data_dir`.
        data_dir: Folder of images, folder of IDX files, or .npz file; for "tfds/NAME" where it was prepared.
        class_map: Text file with a folder name per line, in the order of the classes; empty for natural order.
        train_split: Split or folder of the training images.
        val_split: Split or folder of the evaluation images.
        mean: Mean of each channel in units of 0..1.
        std: Standard deviation of each channel in units of 0..1.
        no_aug: Whether to train on images that are only resized and cut at the center.
        scale: Least and largest share of an image's area that a random crop keeps.
        ratio: Least and largest width over height of the crop.
        hflip: Share of images mirrored left to right, 0 to 1.
        vflip: Share of images mirrored top to bottom, 0 to 1.
        train_interpolation: Resampling of crops, "bilinear", "bicubic" or "random", which is either.
        crop_pct: Share of a resized image's short side that evaluation keeps, above 0 to 1.
        interpolation: Resampling for evaluation, "bilinear" or "bicubic".
        aa: Policy, e.g. "rand-m9-mstd0.5-inc1", or a layer "keras.NAME", "keras_cv.NAME"; empty for color jitter.
        aa_args: Arguments of the layer that `aa` names, as name=value.
        color_jitter: Strength of the jitter of brightness, contrast and saturation; 0 for none.
        mixup: Parameter of the Beta distribution of Mixup's ratio; 0 for no Mixup.
        cutmix: The same for CutMix.
        mixup_prob: Chance that a batch, pair or image is mixed, 0 to 1.
        mixup_switch_prob: Share of CutMix where both are on, 0 to 1.
        mixup_mode: What shares one mixture, "batch", "pair" or "elem".
        mixup_off_epoch: First epoch without mixing, from 0; 0 for never.
        reprob: Share of images with a part erased, 0 to 1.
        remode: What fills an erased part, "const", "rand" or "pixel".
        recount: Most parts erased in such an image.
        smoothing: Label smoothing, 0 to below 1.
        batch_size: Images per step and device.
        validation_batch_size_multiplier: Images per step of an evaluation, in training batches.
        workers: Threads that prepare images.
        opt: Optimizer, "sgd", "adamw" or the name of a Keras optimizer.
        momentum: Momentum of "sgd".
        opt_eps: Epsilon of the optimizer; 0 for its own.
        opt_betas: Decay rates of Adam's two means; empty for its own.
        weight_decay: Weight decay of everything but biases and norms.
        clip_grad: Largest gradient; 0 for any.
        clip_mode: What `clip_grad` bounds: the global "norm", or each "value".
        grad_accum_steps: Steps whose gradients are averaged into one update.
        model_ema: Whether to keep an exponential moving average of the weights, and to evaluate it.
        model_ema_decay: Share of the average that stays at an update, 0 to below 1.
        amp: Whether to compute in half precision where that is faster.
        amp_dtype: "float16" or "bfloat16" for `amp`; empty for what suits the device.
        sched: Learning-rate schedule, "cosine" or "step".
        epochs: Epochs of the schedule.
        cooldown_epochs: Epochs after a cosine, at `min_lr`.
        warmup_epochs: First epochs, with the rate growing linearly from `warmup_lr` to `lr`.
        decay_epochs: Epochs between two steps.
        decay_rate: Factor of a step.
        lr: Learning rate that the schedule starts from.
        warmup_lr: Learning rate of the first epoch, if there is a warm-up.
        min_lr: Learning rate that a cosine ends at.
        eval_metric: What the best epoch is best in, "top1", "top5" or "loss".
        checkpoint_hist: Number of best epochs whose weights are kept.
        recovery_interval: Steps between two states saved within an epoch; 0 for none.
        seed: Seed of weights, order, augmentation and dropout.

    Raises:
        InputError: A value is of the wrong type or out of range.
    """

    model: str
    dataset: str
    attention_type: str = ""
    num_classes: int = 0
    img_size: int = 0
    pretrained: bool = False
    initial_checkpoint: str = ""
    freeze: bool = False
    freeze_until: str = ""
    layer_decay: float = 1.0
    data_dir: str = ""
    class_map: str = ""
    train_split: str = "train"
    val_split: str = "validation"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    no_aug: bool = False
    scale: tuple[float, ...] = (0.08, 1.0)
    ratio: tuple[float, ...] = (3 / 4, 4 / 3)
    hflip: float = 0.5
    vflip: float = 0.0
    train_interpolation: str = "random"
    crop_pct: float = 0.875
    interpolation: str = "bicubic"
    aa: str = ""
    aa_args: dict[str, object] = dataclasses.field(default_factory=dict)
    color_jitter: float = 0.4
    mixup: float = 0.0
    cutmix: float = 0.0
    mixup_prob: float = 1.0
    mixup_switch_prob: float = 0.5
    mixup_mode: str = "batch"
    mixup_off_epoch: int = 0
    reprob: float = 0.0
    remode: str = "const"
    recount: int = 1
    smoothing: float = 0.1
    batch_size: int = 32
    validation_batch_size_multiplier: int = 1
    workers: int = 4
    opt: str = "sgd"
    momentum: float = 0.9
    opt_eps: float = 0.0
    opt_betas: tuple[float, ...] = ()
    weight_decay: float = 1e-4
    clip_grad: float = 0.0
    clip_mode: str = "norm"
    grad_accum_steps: int = 1
    model_ema: bool = False
    model_ema_decay: float = 0.9998
    amp: bool = False
    amp_dtype: str = ""
    sched: str = "step"
    epochs: int = 200
    cooldown_epochs: int = 10
    warmup_epochs: int = 3
    decay_epochs: int = 30
    decay_rate: float = 0.1
    lr: float = 0.01
    warmup_lr: float = 1e-4
    min_lr: float = 1e-5
    eval_metric: str = "top1"
    checkpoint_hist: int = 10
    recovery_interval: int = 0
    seed: int = 42

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = coerce(field.name, getattr(self, field.name), field.type)
            object.__setattr__(self, field.name, value)
        for key, choices in CHOICES.items():
            self._check(key, getattr(self, key) in choices, " or ".join(choice or "empty" for choice in choices))
        for key, least in LEAST.items():
            self._check(key, getattr(self, key) >= least, f"at least {least}")
        for key in ("layer_decay", "crop_pct", "decay_rate"):
            self._check(key, 0 < getattr(self, key) <= 1, "above 0 and at most 1")
        for key in ("smoothing", "momentum", "model_ema_decay"):
            self._check(key, 0 <= getattr(self, key) < 1, "from 0 to below 1")
        for key in ("epochs", "cooldown_epochs"):
            self._check(key, getattr(self, key) <= MOST_EPOCHS, f"at most {MOST_EPOCHS}")
        self._check("freeze_until", not (self.freeze and self.freeze_until), "empty where freeze is true")
        is_pair = len(self.opt_betas) in (0, 2) and all(0 <= beta < 1 for beta in self.opt_betas)
        self._check("opt_betas", is_pair, "two numbers from 0 to below 1, or none")
        self._check("seed", self.seed < 2**31, "below 2147483648")
        self._check("lr", self.lr > 0, "above 0")
        self._check("std", min(self.std, default=0) > 0, "above 0 for every channel")

    def _check(self, key: str, is_good: bool, allowed: str) -> None:
        check_setting(f"recipe key {key}", getattr(self, key), is_good, allowed)

    @property
    def total_epochs(self) -> int:
        """Epochs of the schedule, and of the cooldown after a cosine."""
        return self.epochs + (self.cooldown_epochs if self.sched == "cosine" else 0)

    def learning_rates(self) -> list[float]:
        """Returns the learning rate of every epoch: a linear warm-up, then the schedule.

        As in the original the schedule counts from the first epoch, the warm-up included.
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
