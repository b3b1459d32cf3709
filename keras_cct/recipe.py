"""The training recipe: the keys of a YAML config, checked."""

import dataclasses
import difflib
import math
from os import PathLike
from pathlib import Path

from keras_cct.checks import check_setting
from keras_cct.errors import InputError

MOST_EPOCHS = 1_000_000
CONFIGS = Path(__file__).parent / "configs"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on.

    Keys and defaults are those of the original training script, where it has them.

    Args:
        model: Name of a variant.
        dataset: Where the images come from: "sample".
        mean: Mean of each channel in units of 0..1.
        std: Standard deviation of each channel in units of 0..1.
        scale: Least and largest share of an image's area that a random crop keeps.
        ratio: Least and largest width over height of the crop.
        hflip: Share of images mirrored left to right, 0 to 1.
        vflip: Share of images mirrored top to bottom, 0 to 1.
        train_interpolation: Resampling of crops, "bilinear", "bicubic" or "random", which is either.
        aa: RandAugment policy, e.g. "rand-m9-mstd0.5-inc1"; empty for colour jitter instead.
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
        sched: Learning-rate schedule, "cosine" or "step".
        epochs: Epochs of the schedule.
        cooldown_epochs: Epochs after a cosine, at `min_lr`.
        warmup_epochs: First epochs, with the rate growing linearly from `warmup_lr` to `lr`.
        decay_epochs: Epochs between two steps.
        decay_rate: Factor of a step.
        lr: Learning rate that the schedule starts from.
        warmup_lr: Learning rate of the first epoch, if there is a warm-up.
        min_lr: Learning rate that a cosine ends at.
        weight_decay: Decoupled weight decay of everything but biases and norms.
        seed: Seed of weights, order, augmentation and dropout.

    Raises:
        InputError: A value is of the wrong type or out of range.
    """

    model: str
    dataset: str
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    scale: tuple[float, ...] = (0.08, 1.0)
    ratio: tuple[float, ...] = (3 / 4, 4 / 3)
    hflip: float = 0.5
    vflip: float = 0.0
    train_interpolation: str = "random"
    aa: str = ""
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
    sched: str = "step"
    epochs: int = 200
    cooldown_epochs: int = 10
    warmup_epochs: int = 3
    decay_epochs: int = 30
    decay_rate: float = 0.1
    lr: float = 0.01
    warmup_lr: float = 1e-4
    min_lr: float = 1e-5
    weight_decay: float = 1e-4
    seed: int = 42

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _coerce(field.name, getattr(self, field.name), field.type))
        self._check("sched", self.sched in ("cosine", "step"), "cosine or step")
        for key in ("batch_size", "epochs", "decay_epochs"):
            self._check(key, getattr(self, key) >= 1, "at least 1")
        for key in ("cooldown_epochs", "warmup_epochs", "seed", "warmup_lr", "min_lr", "weight_decay"):
            self._check(key, getattr(self, key) >= 0, "at least 0")
        self._check("seed", self.seed < 2**31, "below 2147483648")
        self._check("lr", self.lr > 0, "above 0")
        self._check("decay_rate", 0 < self.decay_rate <= 1, "above 0 and at most 1")
        for key in ("epochs", "cooldown_epochs"):
            self._check(key, getattr(self, key) <= MOST_EPOCHS, f"at most {MOST_EPOCHS}")
        self._check("smoothing", 0 <= self.smoothing < 1, "from 0 to below 1")
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


def load_recipe(name_or_path: str | PathLike, **overrides) -> Recipe:
    """Returns the recipe of a config.

    Args:
        name_or_path: Name of a config of this package, e.g. "sample", or the path of a YAML file.
        **overrides: Keys of `Recipe` to replace.

    Raises:
        InputError: There is no such config, or it has an unknown key or an impossible value.
    """
    import yaml

    path = _find_config(name_or_path)
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{str(path)!r} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{str(path)!r} is not a list of `key: value` lines.")
    values |= overrides
    known = [field.name for field in dataclasses.fields(Recipe)]
    for key in values:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {nearest[0]!r}?" if nearest else f"Choose from {', '.join(known)}."
            raise InputError(f"unknown recipe key {key!r} in {str(path)!r}. {hint}")
    for key in ("model", "dataset"):
        if key not in values:
            raise InputError(f"recipe key {key!r} is missing in {str(path)!r}. Add it.")
    return Recipe(**values)


def _find_config(name_or_path: str | PathLike) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = {config.stem: config for config in sorted(CONFIGS.rglob("*.yml"))}
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    raise InputError(f"no config {str(name_or_path)!r}. Give the path of a YAML file or one of {', '.join(shipped)}.")


def _coerce(key: str, value: object, wanted: type) -> object:
    """Returns the value in the type of its field; YAML 1.1 reads 55e-5 as a string."""
    try:
        if wanted is str and isinstance(value, str):
            return value
        if wanted is int and not isinstance(value, bool) and (isinstance(value, str) or value == int(value)):
            return int(value)
        if wanted is float and not isinstance(value, bool) and math.isfinite(float(value)):
            return float(value)
        if wanted == tuple[float, ...]:
            values = value if isinstance(value, list | tuple) else [value]
            return tuple(_coerce(key, item, float) for item in values)
    except (TypeError, ValueError, OverflowError):
        pass
    kinds = {str: "a word", int: "a whole number", float: "a number"}
    kind = kinds.get(wanted, "a list of numbers")
    raise InputError(f"recipe key {key}={value!r} is not {kind}. Give one, or leave the key out.")
