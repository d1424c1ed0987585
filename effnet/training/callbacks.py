"""Checkpoints that a killed run resumes from exactly, and one plain line per epoch."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO

from effnet.files import atomic_write
from effnet.training.tracking import EpochLogger


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's file format, written beside the target, flushed and renamed.

    Lightning's own writer moves from the temporary folder, which is a copy across file systems:
    a kill in the middle leaves half a checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        with atomic_write(path) as temporary:
            torch.save(checkpoint, temporary)


class RunCheckpoint(pl.callbacks.Checkpoint):
    """After every epoch: best.ckpt where the watched loss is the lowest yet, then last.ckpt.

    last.ckpt also carries the rows of metrics.csv and whether training has ended, so that a
    resumed run writes the very files of an uninterrupted one.
    """

    def __init__(self, folder: Path, logger: EpochLogger) -> None:
        self.folder, self.logger = folder, logger
        self.best = {"val_loss": float("inf"), "epoch": -1}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        assert trainer.max_epochs is not None
        watched = trainer.callback_metrics["val_loss"].item()
        if watched < self.best["val_loss"]:
            self.best = {"val_loss": watched, "epoch": trainer.current_epoch}
            weights = {k: v.cpu() for k, v in pl_module.model.state_dict().items()}
            with atomic_write(self.folder / "best.ckpt") as temporary:
                torch.save({"state_dict": weights, **self.best}, temporary)
        self.ended = trainer.should_stop or trainer.current_epoch + 1 >= trainer.max_epochs
        trainer.save_checkpoint(self.folder / "last.ckpt")

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.logger.rows, "best": self.best, "ended": self.ended}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.logger.rows, self.best = list(state["rows"]), state["best"]


class EpochLines(pl.Callback):
    """One plain line per epoch: what a log, a notebook and a terminal can all show."""

    def __init__(self, name: str, epochs: int) -> None:
        self.name, self.epochs = name, epochs

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch:
            print(f"{self.name}: resuming after epoch {trainer.current_epoch - 1}", flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(trainer.logger, EpochLogger)
        row = trainer.logger.rows[-1]
        print(
            f"{self.name}  epoch {row['epoch'] + 1:3d}/{self.epochs}"
            f"  loss {row['train_loss']:.3f} train {row['val_loss']:.3f} val"
            f"  acc {row['train_acc']:.3f} train {row['val_acc']:.3f} val"
            f"  lr {row['lr']:.0e}  {row['seconds']:.1f} s",
            flush=True,
        )
