"""Trials of a second, and what must be equal when two of them are."""

import pandas as pd
import pytorch_lightning as pl

THIN = {"width_coefficient": 0.2, "depth_coefficient": 0.2}
SMALL = {
    "recipe": "thesis", "image_size": 32, "batch_size": 10, "epochs": 3, "lr_patience": 0,
    "batch_norm_momentum": 0.1,
}  # fmt: skip


class KillLater(pl.Callback):
    """Leaves training in the middle of an epoch, as a kill would: nothing is written after it."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (self.epoch, 2):
            raise KeyboardInterrupt


def contents(folder):
    table = pd.read_csv(folder / "metrics.csv", dtype=str).drop(columns="seconds")
    files = sorted(folder.glob("predictions_*.csv"))
    return [table.to_csv(), *(path.read_bytes() for path in files)]
