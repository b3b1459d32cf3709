"""Keys and flags of the original training script that mean nothing here, and why."""

_SCHEDULE = "the schedules are cosine and step, one cycle, without noise"
_RATES = "a variant has its own rates, as in the original; create_model takes others"
_BATCH_NORM = "the models have no batch normalization"
_SPLITS = "there are no splits of augmented images"
_LOADER = "tf.data feeds the devices"

MEANINGLESS = {
    **dict.fromkeys(("lr_noise", "lr_noise_pct", "lr_noise_std", "lr_cycle_mul", "lr_cycle_limit"), _SCHEDULE),
    "patience_epochs": _SCHEDULE,
    **dict.fromkeys(("drop", "drop_path", "drop_connect", "drop_block"), _RATES),
    **dict.fromkeys(("bn_tf", "bn_momentum", "bn_eps", "sync_bn", "dist_bn", "split_bn"), _BATCH_NORM),
    **dict.fromkeys(("aug_splits", "jsd", "resplit"), _SPLITS),
    **dict.fromkeys(("pin_mem", "no_prefetcher", "use_multi_epochs_loader"), _LOADER),
    "gp": "a model has its own pooling",
    "input_size": "img_size is the key",
    "cutmix_minmax": "cutmix is the key",
    "epoch_repeats": "epochs is the key",
    "start_epoch": "--resume goes on where a run stopped",
    "no_resume_opt": "a resumed run has its optimizer; initial_checkpoint starts a new one from a model",
    "model_ema_force_cpu": "the average lies where the weights lie",
    "log_interval": "the log has a line every 30 seconds",
    "save_images": "'keras_cct data show' draws augmented images",
    "channels_last": "tensors are channels last",
    "torchscript": "'keras_cct export' writes a SavedModel",
    "tta": "an image is evaluated once",
    "local_rank": "one process trains on all devices",
}
