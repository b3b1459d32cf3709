"""What happens at the end of an epoch of training."""

import time

import keras

from keras_cct.atomic import replacing
from keras_cct.run_folder import RunFolder


class Summary(keras.callbacks.Callback):
    """Adds each epoch's metrics to the run's summary.csv.

    Args:
        folder: The run folder.
        num_images: Training images per epoch, for the throughput.
    """

    def __init__(self, folder: RunFolder, num_images: int):
        super().__init__()
        self.folder = folder
        self.num_images = num_images
        self.rows = []

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_test_begin(self, logs=None):
        self._training_seconds = time.perf_counter() - self._start

    def on_epoch_end(self, epoch, logs=None):
        row = {
            "epoch": epoch,
            "train_loss": logs["loss"],
            "eval_loss": logs["val_loss"],
            "eval_top1": 100 * logs["val_top1"],
            "eval_top5": 100 * logs["val_top5"],
            "learning_rate": logs["learning_rate"],
            "images_per_second": self.num_images / self._training_seconds,
        }
        self.rows.append({key: round(value, 6) for key, value in row.items()})
        self.folder.write_summary(self.rows)


class BestModel(keras.callbacks.Callback):
    """Saves the model whenever its top-1 is higher than in every epoch before.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: RunFolder):
        super().__init__()
        self.folder = folder
        self.top1 = -1.0

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_top1"] > self.top1:
            self.top1 = logs["val_top1"]
            with replacing(self.folder.best_model) as temporary:
                self.model.save(temporary)
